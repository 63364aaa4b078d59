// Package chain holds the checks of certification paths: whether a leaf leads
// to an anchor, and whether the CA certificates above it allow what is below.
//
// Trust is what the policy configures. The trust store of the operating system
// or of browsers is never a default: it says nothing about devices.
package chain

import "probity/lint"

// Checks returns the checks of this package.
func Checks() []lint.Check {
	return []lint.Check{anchored(), notSelfSigned(), constraints(), caOutlives()}
}
