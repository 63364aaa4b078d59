// Package asset holds the checks of one device as a whole: its identity, what the
// site's inventory says of it, and what changed over its life.
//
// A change is judged by the events that were recorded of the asset. Where nothing
// was seen twice there is no history, and no verdict on one.
package asset

import (
	"slices"
	"time"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/lint"
)

// Checks returns the checks of this package.
func Checks() []lint.Check {
	return []lint.Check{
		uniqueIdentity(), inInventory(), matchesInventory(), keyChangeExplained(), clientCertificate(), platformSupported(),
		beforeEndOfSupport(), portsDocumented(), renewedInTime(), versionNotBackwards(), clockWithinTolerance(), unharmedByScan(), disclosureNotContradicted(),
		classified(), expectedIssuer(),
	}
}

// clinical are the kinds of observation that only clinical systems answer with.
func clinical(s *lint.AssetSubject) []int64 {
	return s.Services(evidence.KindDICOM, evidence.KindHL7, evidence.KindSDC, evidence.KindFHIR)
}

// shown are the observations behind events.
func shown(events []evidence.Event) []int64 {
	var ids []int64
	for _, e := range events {
		ids = append(ids, e.Observations...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// seenTwice reports whether there is a history: sightings on two days.
func seenTwice(s *lint.AssetSubject) bool { return s.LastSeen.Sub(s.FirstSeen) >= 24*time.Hour }

// recorded reports whether a person recorded a renewal or service of a kind
// around a change.
func recorded(s *lint.AssetSubject, kind string, at time.Time, window time.Duration) bool {
	return slices.ContainsFunc(s.Facts, func(f evidence.AssetFact) bool {
		v := f.Values[evidence.ValueRenewal]
		return (v == kind || v == "any") && f.At.Sub(at).Abs() <= window
	})
}

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func text(s string) string { return safetext.CleanN(s, 80) }
