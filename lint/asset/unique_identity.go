package asset

import (
	"slices"

	"probity/evidence"
	"probity/lint"
)

// uniqueIdentity asks that a device shows a key that is its own.
func uniqueIdentity() lint.Check {
	return lint.Check{
		Name:   "asset/unique_identity",
		Source: "FDA premarket guidance 2026 appendix 1 section A; NIST SP 800-53 IA-3",
		Asset: func(_ *lint.Env, s *lint.AssetSubject) lint.Verdict {
			var ids []int64
			for _, k := range s.Keys {
				if k.Holders == 1 {
					v := lint.Passf("Its %s is on no other device that was seen.", k.What)
					v.Observations = []int64{k.Observation}
					return v
				}
				ids = append(ids, k.Observation)
			}
			if len(s.Keys) > 0 {
				v := lint.Warnf("Each of its keys (%d) is on other devices, too.", len(s.Keys))
				v.Observations = ids
				return v
			}
			if len(s.Endpoints) == 0 && len(s.Called) == 0 {
				return lint.NotApplicablef("The device has no service and no session was seen.")
			}
			hidden := slices.ContainsFunc(s.Called, func(o *evidence.Observation) bool { return o.Facts.TLS.CertificateHidden })
			for _, e := range s.Endpoints {
				hidden = hidden || e.SpeaksTLS()
			}
			if ids = clinical(s); hidden || len(ids) == 0 {
				return lint.Inconclusivef("No key of the device was seen.")
			}
			v := lint.Warnf("The device speaks clinical protocols and shows no key.")
			v.Observations = ids
			return v
		},
	}
}
