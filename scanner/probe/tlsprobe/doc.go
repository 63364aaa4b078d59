// Package tlsprobe asks one endpoint what it speaks of SSL and TLS.
//
// One connection of up to TLS 1.3 gives the certificate chain, the parameters and
// the wish for a client certificate. The others, from the most ordinary to the
// oddest, are hellos built by hand that are read up to the end of the server's
// first flight and cost it as little as the protocol allows. At the gentle level
// there are at most eight of them all together, with 5 KB sent; above it, suites,
// groups and signature schemes are found by leaving out of the next hello what
// the server chose, until it refuses. The bytes of both directions go with every
// observation, so that each fact can be read again.
//
// The package verifies no certificate, sends no application data, no client
// certificate and no plaintext of any other protocol.
//
// Invariant: a fact is set only from bytes that the server sent. An offer that
// was not answered is recorded as that, never as "not supported".
package tlsprobe
