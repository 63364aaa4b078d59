// Package cert holds the checks of a single certificate: its form, its
// validity, its extensions and what it may be used for. Keys are judged by
// package key, paths by package chain.
//
// The checks look at DER that was recorded before; they do no I/O, and no
// certificate, however malformed, makes them panic.
package cert

import (
	"sync"

	"probity/lint"
)

// Checks returns the checks of this package.
func Checks() []lint.Check {
	roots := sync.OnceValue(publicRoots)
	return []lint.Check{
		rfcProfile(),
		notExpired(),
		alreadyValid(),
		outsideRenewalWindow(),
		indefiniteValidityRole(),
		lifetimePolicy(),
		publicWebValidity(roots),
		leafNotCA(),
		caConstraints(),
		keyUsage(),
		ekuRole(),
		noCodeSigning(),
		signatureHash(),
		nameMatch(),
		noWildcard(),
		notDefault(),
		policyMatch(),
		deviceIdentifier(),
		noPatientData(),
		notInPublicLogs(roots),
	}
}
