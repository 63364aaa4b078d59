// Package passive takes evidence out of traffic between others: certificates and
// parameters of TLS 1.0 to 1.2, the fact of TLS 1.3, DICOM associations, HL7
// headers and SSH identification strings.
//
// A protocol is known by its first bytes, never by its port. Each direction of a
// connection is followed by itself, so that a capture of one side still gives
// evidence, and only up to the end of the handshake: what comes after the cut-off
// is counted and not looked at. No payload, data set or message body reaches an
// observation.
//
// Traffic is hostile. The table of connections, what is kept of each and what is
// kept in all are bounded; whatever is lost to a bound, to damage or to a panic
// is counted in [Stats] and makes the reading incomplete. A passive sighting is
// no proof: anyone on the network can forge a connection.
package passive
