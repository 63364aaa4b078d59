package endpoint

import (
	"probity/evidence"
	"probity/lint"
)

// noNullSuites asks that no suite without encryption is accepted.
func noNullSuites() lint.Check {
	return lint.Check{
		Name:     "endpoint/no_null_suites",
		Source:   "RFC 9325 section 4.1",
		Endpoint: noClasses("suite without encryption", evidence.ClassNULL),
	}
}
