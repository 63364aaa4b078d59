// Package scanner holds the contracts of collecting: what a target is, how
// targets, port sets and exclusions become a plan before anything is sent, what a
// prober may do with a connection and where observations go.
//
// The package sends nothing, name lookups that were asked for aside. Package
// active runs plans, the packages under probe speak one protocol each, package
// passive reads traffic of others. None of them judges: a network failure is an
// observation, not an error.
package scanner
