package status

import (
	"slices"
	"strings"
	"time"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/lint"
)

// retiredNotSeen asks that a device that the inventory says is out of service, lost
// or recalled does not show up again with a certificate that is still good.
func retiredNotSeen() lint.Check {
	return lint.Check{
		Name:   "status/retired_not_seen",
		Source: "FDA premarket guidance 2026 section VI.A; NIST SP 800-53 IA-5, CM-8",
		Params: []lint.Param{{
			Name: "status", Doc: "words of the inventory for devices that must not be on the network",
			Default: []string{"retired", "decommissioned", "decommissioning", "disposed", "lost", "stolen", "recalled"},
		}},
		Asset: func(env *lint.Env, s *lint.AssetSubject) lint.Verdict {
			fact, status := lastStatus(s)
			switch {
			case status == "":
				return lint.NotApplicablef("The inventory gives the device no status.")
			case !slices.Contains(env.Strings("status"), status):
				return lint.NotApplicablef("The inventory says that the device is %q.", safetext.CleanN(status, 40))
			case !s.LastSeen.After(fact.At):
				return lint.Passf("The device is %q since %s and was not seen since.", safetext.CleanN(status, 40), lint.Time(fact.At))
			}
			var live, revoked []int64
			for _, g := range s.Leafs {
				if g.At.After(fact.At) && g.Certificate.Decoded() {
					if f := lookUp(env, g.Certificate); f.revoked && !f.since.After(g.At) {
						revoked = append(revoked, g.Observation)
						continue
					}
					live = append(live, g.Observation)
				}
			}
			if len(revoked) > 0 && len(live) == 0 {
				v := lint.Warnf("The device is %q since %s and was seen at %s; its certificate is revoked.", safetext.CleanN(status, 40), lint.Time(fact.At), lint.Time(s.LastSeen))
				v.Observations = revoked
				return v
			}
			if live = append(live, seenSince(s, fact.At)...); len(live) == 0 {
				return lint.Inconclusivef("The device is %q since %s and was seen at %s, by an observation that is not at hand.", safetext.CleanN(status, 40), lint.Time(fact.At), lint.Time(s.LastSeen))
			}
			slices.Sort(live)
			v := lint.Failf("The device is %q since %s and was seen at %s.", safetext.CleanN(status, 40), lint.Time(fact.At), lint.Time(s.LastSeen))
			v.Observations = slices.Compact(live)
			return v
		},
	}
}

// seenSince are observations of a device after a time that need not show a
// certificate: those of its return, or what its services said.
func seenSince(s *lint.AssetSubject, at time.Time) []int64 {
	var ids []int64
	for _, e := range s.Events {
		if e.Kind == evidence.EventReturned && e.At.After(at) {
			ids = append(ids, e.Observations...)
		}
	}
	for _, e := range s.Endpoints {
		for _, o := range e.Observations {
			if o.Result == evidence.ResultData && o.At.After(at) {
				ids = append(ids, o.ID)
			}
		}
	}
	return ids
}

// lastStatus is the newest status that a person or an inventory gave a device, in
// lower case.
func lastStatus(s *lint.AssetSubject) (evidence.AssetFact, string) {
	var last evidence.AssetFact
	status := ""
	for _, f := range s.Facts {
		if v := strings.ToLower(strings.TrimSpace(f.Values[evidence.ValueStatus])); v != "" && !f.At.Before(last.At) {
			last, status = f, v
		}
	}
	return last, status
}
