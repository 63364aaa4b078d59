// Package status holds the checks of revocation: whether a certificate names a way
// to learn its status, what the revocation lists and OCSP responses at hand say of
// it, and whether those are current and of whom they should be. Nothing is fetched: a
// list or response is one that somebody imported or that came with a handshake.
//
// What is said here follows RFC 5280 section 6.3 and RFC 6960 section 3.2: a list or
// response counts only within its scope and its times, and where none covers a
// certificate its status is not known, which is not the same as good.
package status

import (
	"time"

	"probity/lint"
)

// Checks returns the checks of this package.
func Checks() []lint.Check {
	return []lint.Check{mechanismDeclared(), notRevoked(), listCurrent(), stapleValid(), retiredNotSeen(), revokedNotPresented()}
}

// skew is how much clocks may differ.
const skew = 5 * time.Minute

// within reports whether at lies in the time for which something speaks. A zero end
// is in the past.
func within(at, begin, end time.Time) bool {
	return !at.Before(begin.Add(-skew)) && !at.After(end.Add(skew))
}
