// Package scanner holds the contracts of collecting: what a target is, what a
// plan says before anything is sent, what a prober may do with a connection and
// where observations go.
//
// The package sends nothing. Package active plans and runs probes, the packages
// under probe speak one protocol each, package passive reads traffic of others.
// None of them judges: a network failure is an observation, not an error.
package scanner
