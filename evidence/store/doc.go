// Package store keeps evidence in one SQLite file: what was run, sent, observed
// and concluded, with the raw bytes, append-only and tamper-evident. It is the
// only package with SQL.
//
// Every row of a logged table is one leaf of a Merkle tree (package tlog); at the
// end of a run the head of the tree is signed. The triggers that forbid UPDATE
// and DELETE guard against mistakes; the log is what proves integrity, and
// [Verify] checks it. The tables named proj_* are projections: derived from the
// logged tables for the convenience of the views, in no log, guarded by no
// trigger and trusted by nobody; their rows can be deleted and are written again.
// A view column that comes from a projection is therefore a convenience, and the
// raw bytes of the observation are the evidence.
//
// Verify cannot know whether the whole file was put back to an earlier state, or
// was written anew with the signing key, unless it is given a checkpoint that
// someone kept elsewhere; nor whether what the network said was true.
//
// A row waits in memory until its transaction has enough of them for one
// statement, and the rows of a table are appended in the order of their kind, so
// that a row comes after those it points to. The CHECK constraints of the schema
// are evaluated by this package before a row is hashed, and again by Verify.
//
// Invariant: what a method has reported as kept is on disk, whole, with its
// leaves, in the transaction that keeps it; a row is never changed again. One
// process writes at a time, any number read. The package needs a Unix system for
// its lock.
package store
