package endpoint

import (
	"slices"
	"strings"

	"probity/evidence"
	"probity/lint"
)

// dicomEncrypted asks that DICOM associations are protected.
func dicomEncrypted() lint.Check {
	return lint.Check{
		Name:   "endpoint/dicom_encrypted",
		Source: "DICOM PS3.15 annex B; DICOM PS3.8 section 9",
		Endpoint: func(env *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			clear, protected := 0, false
			for _, o := range s.Of(evidence.KindDICOM) {
				f := o.Facts.DICOM
				switch {
				case f == nil:
				case f.TLS:
					protected = true
				case o.Method == evidence.Passive && slices.ContainsFunc(f.AbstractSyntaxes, patientLevel):
					return lint.Failf("A DICOM association with patient-level services was carried in clear.")
				default:
					clear++
				}
			}
			service := env.Service(s)
			switch {
			case clear > 0:
				return lint.Warnf("The endpoint takes part in DICOM associations in clear.")
			case protected || service == lint.ServiceDICOMTLS && s.SpeaksTLS():
				return lint.Passf("DICOM was seen over TLS only.")
			case service == lint.ServiceDICOM || service == lint.ServiceDICOMTLS:
				return lint.Inconclusivef("The endpoint answered neither in DICOM nor in TLS.")
			}
			return lint.NotApplicablef("No DICOM was seen.")
		},
	}
}

// patientLevel reports whether a SOP class (DICOM PS3.4, PS3.6 annex A) moves
// data of patients: storage, query and retrieve, worklist, procedure step.
func patientLevel(uid string) bool {
	return strings.HasPrefix(uid, "1.2.840.10008.5.1.4.1.1.") || strings.HasPrefix(uid, "1.2.840.10008.5.1.4.1.2.") ||
		uid == "1.2.840.10008.5.1.4.31" || strings.HasPrefix(uid, "1.2.840.10008.3.1.2.3.")
}
