package endpoint

import (
	"probity/evidence"
	"probity/lint"
)

// fhirEncrypted asks that a FHIR server answers over TLS only.
func fhirEncrypted() lint.Check {
	return lint.Check{
		Name:   "endpoint/fhir_encrypted",
		Source: "HL7 FHIR R4 section 6.1.0.1",
		Endpoint: func(_ *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			seen := false
			for _, o := range s.Of(evidence.KindFHIR) {
				f := o.Facts.FHIR
				if f != nil && !f.TLS {
					return lint.Warnf("A FHIR server answers in clear.")
				}
				seen = seen || f != nil
			}
			if seen {
				return lint.Passf("A FHIR server answers over TLS.")
			}
			return lint.NotApplicablef("No FHIR was seen.")
		},
	}
}
