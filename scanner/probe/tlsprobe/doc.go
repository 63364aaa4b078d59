// Package tlsprobe asks one endpoint what it speaks of SSL and TLS.
//
// One full handshake gives the certificate chain, the parameters and the wish
// for a client certificate; then a few hellos built by hand, from the most
// ordinary to the oddest, are read up to the end of the server's first flight
// and cost the server as little as the protocol allows. The bytes of both
// directions go with every observation, so that each fact can be read again.
//
// The package verifies no certificate, sends no application data, no client
// certificate and no plaintext of any other protocol.
//
// Invariant: a fact is set only from bytes that the server sent. An offer that
// was not answered is recorded as that, never as "not supported".
package tlsprobe
