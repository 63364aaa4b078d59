package endpoint

import (
	"probity/evidence"
	"probity/lint"
)

// noBrokenSuites asks that no suite with less than 112 bits of strength is
// accepted: RC4, RC2, DES and the export suites.
func noBrokenSuites() lint.Check {
	return lint.Check{
		Name:     "endpoint/no_broken_suites",
		Source:   "RFC 7465; RFC 9325 section 4.1; NIST SP 800-131A rev. 2 section 2",
		Endpoint: noClasses("RC4, RC2, DES and export suite", evidence.ClassRC4, evidence.ClassExport, evidence.ClassDES, evidence.ClassRC2),
	}
}
