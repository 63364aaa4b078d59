package scanner

// DTLSProbe is the name of the prober that speaks DTLS.
const DTLSProbe = "dtls"
