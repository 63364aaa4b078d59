// Package rules turns the results of checks into findings: check x rule of the
// catalogue x what the site declares x a given time. It also reads the site
// policy.
//
// Assess is a pure function. It does no I/O and reads no clock; the same
// evidence, catalogue, policy and time give the same findings in the same order.
// The package knows no protocol and no certificate: what is true of a subject is
// decided in lint, what it means in rules/catalogue.
package rules
