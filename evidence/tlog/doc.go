// Package tlog is the arithmetic of the evidence log: the canonical line of a
// row, the Merkle tree of RFC 6962 section 2.1 over those lines, and the signed
// head of the tree, a checkpoint (C2SP tlog-checkpoint) in the form of a signed
// note (C2SP signed-note) with an Ed25519 key.
//
// The package knows no database and no row: it hashes what it is given. It
// reads and writes key files and does no other I/O. It is pure Go, so that a
// verifier builds without a C compiler.
//
// Invariant: equal rows give equal lines on every machine and in every version
// that writes the same [CanonVersion].
package tlog
