// Package evidence is the vocabulary of probity: what was run, what was
// observed, and what was concluded from it. Every other package speaks in these
// types.
//
// The package holds facts and their JSON forms only. It imports the standard
// library alone, does no I/O, reads no clock and judges nothing. An
// [Observation] is immutable once recorded; a [Finding] names the observations
// it rests on, so that a reader can repeat the judgement.
//
// Times are UTC with millisecond resolution, digests are SHA-256, addresses are
// netip values in their unmapped form.
package evidence
