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
// A packet goes through [Read] in one goroutine: the decoder peels tunnels off and
// puts fragments together, the table finds the connection, a half puts one
// direction in order, a session reads it. What comes of a connection goes to the
// emitter, which checks signatures, leaves out repeats and calls the sink, beside
// the packets. Limits of time go by the times of the capture.
//
// Traffic is hostile. The table of connections, what is kept of each and what is
// kept in all are bounded; whatever is lost to a bound, to damage or to a panic
// is counted in [Stats] and makes the reading incomplete. A passive sighting is
// no proof: anyone on the network can forge a connection.
package passive
