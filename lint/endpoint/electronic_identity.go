package endpoint

import (
	"probity/evidence"
	"probity/lint"
)

// electronicIdentity asks that a device, where it has a service made for that,
// tells its model and its serial number.
func electronicIdentity() lint.Check {
	return lint.Check{
		Name:   "endpoint/electronic_identity",
		Source: "FDA premarket guidance 2026 appendix 1 section D; DPWS 1.1 section 5",
		Endpoint: func(_ *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			if !s.Asked(evidence.KindSDC) {
				return lint.NotApplicablef("No service that tells an identity was asked.")
			}
			for _, o := range s.Of(evidence.KindSDC) {
				switch f := o.Facts.SDC; {
				case f == nil || f.Fault:
				case f.ModelName != "" && f.Serial != "":
					return lint.Passf("The device tells its model and serial number.")
				case f.Manufacturer != "" && f.ModelName == "" && f.Serial == "":
					return lint.Warnf("The device tells its manufacturer only.")
				}
			}
			return lint.Inconclusivef("The endpoint told no identity to a stranger.")
		},
	}
}
