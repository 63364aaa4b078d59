// Package catalogue is the rule catalogue: what each rule tests, what its
// outcomes mean, what to do about a negative one, and which clauses of which
// edition of which standard it bears on. The texts are YAML files in data/, one
// an area, embedded in the binary; the bytes that an auditor reads are the bytes
// that run and the bytes that [Catalogue.Digest] pins.
//
// The package knows no check and judges nothing. A rule names the check that
// decides it; a rule without one has the status "planned" and yields no finding.
// A [Catalogue] is immutable: callers must not change the maps and slices of
// what it returns.
package catalogue
