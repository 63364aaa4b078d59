package endpoint

import (
	"slices"

	"probity/evidence"
	"probity/lint"
)

// hl7Encrypted asks that HL7 v2 messages are protected.
func hl7Encrypted() lint.Check {
	return lint.Check{
		Name:   "endpoint/hl7_encrypted",
		Source: "IHE ITI TF-2 section 3.19; HL7 Transport Specification MLLP release 1",
		Endpoint: func(env *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			messages := s.Of(evidence.KindHL7)
			for _, o := range messages {
				if f := o.Facts.HL7; f != nil && slices.ContainsFunc(f.Segments, patientSegment) {
					return lint.Failf("HL7 messages with patient, order or result segments were carried in clear.")
				}
			}
			if len(messages) > 0 {
				return lint.Warnf("HL7 messages without patient, order or result segments were carried in clear.")
			}
			switch env.Service(s) {
			case lint.ServiceHL7TLS:
				if s.SpeaksTLS() {
					return lint.Passf("The HL7 port speaks TLS.")
				}
				return lint.Inconclusivef("The HL7 port gave no TLS answer, and no message was seen.")
			case lint.ServiceHL7:
				return lint.Inconclusivef("The HL7 port does not answer in TLS, and no message was seen.")
			}
			return lint.NotApplicablef("No HL7 was seen.")
		},
	}
}

func patientSegment(name string) bool { return name == "PID" || name == "ORC" || name == "OBX" }
