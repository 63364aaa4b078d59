package cert

import (
	"regexp"
	"slices"
	"strings"

	"probity/lint"
)

// personPattern is a pattern of texts that look like data of a person rather
// than of a device.
type personPattern struct {
	re *regexp.Regexp
	// possible is false for texts that re does not match, and much cheaper; nil for
	// a pattern of the policy.
	possible func(text string) bool
}

// personTexts are looked for in names that everyone can read.
func personTexts() []string {
	return []string{
		`(?i)\b(patient|pat(ient)?[ _-]?(id|name)|mrn|dob|birth ?date)\b[ :=#_-]*[0-9]`, // a field of a record with a number
		`\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b`,                                                // US social security number
		`\b[A-Z][A-Z'-]{1,30}\^[A-Z][A-Z'-]{1,30}\b`,                                    // a name as HL7 and DICOM write it
	}
}

// personFilters are the possible of the patterns of [personTexts].
func personFilters() []func(text string) bool {
	fields := newWordSet("pat", "mrn", "dob", "birth")
	return []func(string) bool{
		func(s string) bool { return fields.find(s) >= 0 },
		func(s string) bool { return strings.Count(s, "-") > 1 },
		func(s string) bool { return strings.IndexByte(s, '^') >= 0 },
	}
}

// maxPersonPatterns bounds what a policy may add.
const maxPersonPatterns = 32

// noPatientData asks that nothing in a certificate looks like data of a patient.
// Only the number of matches is said, never what matched.
func noPatientData() lint.Check {
	const name = "cert/no_patient_data"
	return lint.Check{
		Name:   name,
		Source: "HIPAA 164.312(e)(1); FDA premarket guidance 2026 appendix 1 section E",
		Params: []lint.Param{{Name: "patterns", Doc: "RE2 patterns of patient data, at most 32; each is tried on every attribute of the subject and every alternative name", Default: personTexts()}},
		Certificate: lint.Decoded(func(env *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			patterns := lint.Prepare(env, name, func() []personPattern { return compilePatterns(env.Strings("patterns")) })
			matches := 0
			for _, p := range patterns {
				if p.re == nil {
					return lint.Inconclusivef("A pattern of the policy is not an RE2 pattern.")
				}
				if p.inNames(s) {
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

// compilePatterns reads patterns; one that is none has no re.
func compilePatterns(texts []string) []personPattern {
	out := make([]personPattern, min(len(texts), maxPersonPatterns))
	for i := range out {
		if re, err := regexp.Compile(texts[i]); err == nil {
			out[i].re = re
		}
		if known := slices.Index(personTexts(), texts[i]); known >= 0 {
			out[i].possible = personFilters()[known]
		}
	}
	return out
}

// inNames reports whether the pattern matches a name in the certificate.
func (p personPattern) inNames(s *lint.CertificateSubject) bool {
	for _, a := range s.X509().Subject.Names {
		if text, ok := a.Value.(string); ok && p.matches(text) {
			return true
		}
	}
	for _, list := range [...][]string{s.X509().DNSNames, s.X509().EmailAddresses, s.X509().URIs} {
		if slices.ContainsFunc(list, p.matches) {
			return true
		}
	}
	return false
}

func (p personPattern) matches(text string) bool {
	return (p.possible == nil || p.possible(text)) && p.re.MatchString(text)
}
