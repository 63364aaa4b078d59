package scanner

// ActionDTLS is the action of services over DTLS: hellos in datagrams.
const ActionDTLS Action = "dtls"

// DTLSProbe is the name of the prober that speaks DTLS.
const DTLSProbe = "dtls"
