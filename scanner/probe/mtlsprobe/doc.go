// Package mtlsprobe tries whether a TLS server refuses clients without a valid
// certificate. It belongs on a bench, where the device serves nobody.
//
// For TLS 1.2 and for TLS 1.3 it connects without a certificate and then with
// one bad certificate after the other: made here (signed by itself, or by a CA
// that carries an accepted name and a key of its own), or supplied by the
// operator. After each handshake it asks the application one harmless thing, or
// only listens, because a TLS 1.3 server judges the certificate when the client
// is already done, and some servers leave the refusal to the application. A
// control before and after shows that the server was well all along.
//
// The package records what happened and judges nothing; it verifies no
// certificate of the server. Keys live in memory only: the observations hold the
// certificates that were presented, never a key.
//
// Invariant: a certificate is presented only to a server that asked for one, and
// every connection is one of those that Exchanges lists, in their order.
package mtlsprobe
