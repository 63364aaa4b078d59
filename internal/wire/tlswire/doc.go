// Package tlswire reads and writes the part of SSL 2.0 to TLS 1.3 that travels
// in the clear: records, hellos, certificates, certificate requests, key
// exchanges and alerts (RFC 5246, RFC 8446, RFC 6101).
//
// It is shared by the active prober, which builds hellos of its own and reads
// the answers, and by the passive dissector, which reads the handshakes of
// others. It has no keys, decrypts nothing, verifies nothing and does no I/O.
//
// Invariant: every length comes from an adversary. No parser panics, none
// allocates more than it was given bytes, and nothing of an application data
// record leaves the package.
package tlswire
