package cert

import (
	"regexp"
	"slices"

	"probity/lint"
)

// patientPatterns are texts that look like data of a person rather than of a
// device. They are looked for in names that everyone can read.
func patientPatterns() []string {
	return []string{
		`(?i)\b(patient|pat(ient)?[ _-]?(id|name)|mrn|dob|birth ?date)\b[ :=#_-]*[0-9]`, // a field of a record with a number
		`\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b`,                                                // US social security number
		`\b[A-Z][A-Z'-]{1,30}\^[A-Z][A-Z'-]{1,30}\b`,                                    // a name as HL7 and DICOM write it
	}
}

// maxPersonPatterns bounds what a policy may add.
const maxPersonPatterns = 32

// noPatientData asks that nothing in a certificate looks like data of a patient.
// Only the number of matches is said, never what matched.
func noPatientData() lint.Check {
	return lint.Check{
		Name:   "cert/no_patient_data",
		Source: "HIPAA 164.312(e)(1); FDA premarket guidance 2026 appendix 1 section E",
		Params: []lint.Param{{Name: "patterns", Doc: "RE2 patterns of patient data, at most 32", Default: patientPatterns()}},
		Certificate: lint.Decoded(func(env *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			texts := slices.Concat([]string{s.X509.Subject.String()}, s.X509.DNSNames, s.X509.EmailAddresses, s.X509.URIs)
			matches := 0
			list := env.Strings("patterns")
			for _, pattern := range list[:min(len(list), maxPersonPatterns)] {
				re, err := regexp.Compile(pattern)
				if err != nil {
					return lint.Inconclusivef("A pattern of the policy is not an RE2 pattern.")
				}
				if slices.ContainsFunc(texts, re.MatchString) {
					matches++
				}
			}
			if matches > 0 {
				return lint.Warnf("Names in the certificate match %s of patient data.", lint.Count(matches, "pattern"))
			}
			return lint.Passf("No name in the certificate looks like data of a patient.")
		}),
	}
}
