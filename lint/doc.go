// Package lint checks recorded facts: certificates, endpoints and the fleet as
// a whole. A check is a pure function of a [Corpus] and an [Env]; it does no
// I/O, reads no clock and keeps no state, so the same evidence gives the same
// results, byte for byte.
//
// A check knows what it tests, not which standard asks for it: clauses,
// severities and remediation are rows of the rule catalogue. There is no global
// registry; package lint/all lists every check.
package lint
