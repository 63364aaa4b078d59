package endpoint

import (
	"probity/evidence"
	"probity/lint"
)

// noAnonymousSuites asks that no suite without authentication of the server is accepted.
func noAnonymousSuites() lint.Check {
	return lint.Check{
		Name:     "endpoint/no_anonymous_suites",
		Source:   "RFC 9325 section 4.1",
		Endpoint: noClasses("suite without authentication", evidence.ClassAnonymous),
	}
}
