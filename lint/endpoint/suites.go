package endpoint

import (
	"slices"

	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/lint"
)

// has reports whether a suite is of one of the classes.
func has(code uint16, classes ...evidence.SuiteClass) bool {
	suite, _ := tlswire.Lookup(code)
	return slices.ContainsFunc(classes, suite.Has)
}

// ephemeral reports whether a suite gives forward secrecy.
func ephemeral(code uint16) bool {
	suite, _ := tlswire.Lookup(code)
	return suite.ForwardSecret
}

// aead reports whether a suite encrypts with associated data.
func aead(code uint16) bool {
	suite, _ := tlswire.Lookup(code)
	return suite.AEAD
}

// accepted returns the first ServerHello up to TLS 1.2 with a suite of one of
// the classes.
func accepted(e *lint.EndpointSubject, classes ...evidence.SuiteClass) (hello, bool) {
	for _, h := range hellos(e) {
		if h.Version < tlswire.VersionTLS13 && has(h.CipherSuite, classes...) {
			return h, true
		}
	}
	return hello{}, false
}

// declined reports whether the server refused, for every one of the classes, an
// offer of up to TLS 1.2 that held it: the end of an elimination, in which what
// the server chose was left out until it took nothing more.
func declined(e *lint.EndpointSubject, classes ...evidence.SuiteClass) bool {
	for _, class := range classes {
		if !slices.ContainsFunc(e.TLS(evidence.OfferWeak, evidence.OfferSuites), func(o *evidence.Observation) bool {
			f := o.Facts.TLS
			return f.Version == 0 && f.OfferedMax >= tlswire.VersionTLS12 && slices.Contains(f.OfferedClasses, class)
		}) {
			return false
		}
	}
	return true
}

// noClasses is the check that a server takes no suite of the classes.
func noClasses(what string, classes ...evidence.SuiteClass) func(*lint.Env, *lint.EndpointSubject) lint.Verdict {
	return overTLS(func(_ *lint.Env, e *lint.EndpointSubject) lint.Verdict {
		if h, ok := accepted(e, classes...); ok {
			return lint.Failf("The server accepts %s with %s.", tlswire.SuiteName(h.CipherSuite), tlswire.VersionName(h.Version))
		}
		if declined(e, classes...) {
			return lint.Passf("The server refused every %s it was offered.", what)
		}
		return lint.Inconclusivef("The server was not asked for %s alone, or did not answer.", what)
	})
}
