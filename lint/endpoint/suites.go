package endpoint

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"probity/evidence"
	"probity/lint"
)

// suitesTSV lists the cipher suites by code point and name, as IANA registers
// them; FE.., FF.. and the FORTEZZA names are those of SSL 3.0 stacks.
//
//go:embed data/cipher_suites.tsv
var suitesTSV string

// suites looks cipher suites up by code point.
type suites struct{ names func() map[uint16]string }

func newSuites() suites {
	return suites{sync.OnceValue(func() map[uint16]string { return readSuites(suitesTSV) })}
}

// readSuites reads the list; its first line is a header.
func readSuites(tsv string) map[uint16]string {
	out := make(map[uint16]string)
	for line := range strings.Lines(tsv) {
		code, name, ok := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		if n, err := strconv.ParseUint(code, 16, 16); ok && err == nil {
			out[uint16(n)] = name
		}
	}
	return out
}

// name is the name of a suite, or its code point.
func (s suites) name(code uint16) string {
	if n, ok := s.names()[code]; ok {
		return n
	}
	return fmt.Sprintf("0x%04x", code)
}

// classes are the weaknesses of a suite, read off its name.
func (s suites) classes(code uint16) []evidence.SuiteClass {
	n := s.names()[code]
	var out []evidence.SuiteClass
	add := func(c evidence.SuiteClass, yes bool) {
		if yes {
			out = append(out, c)
		}
	}
	add(evidence.ClassNULL, strings.Contains(n, "WITH_NULL"))
	add(evidence.ClassAnonymous, strings.Contains(n, "_anon_"))
	add(evidence.ClassExport, strings.Contains(n, "EXPORT"))
	add(evidence.ClassDES, strings.Contains(n, "_DES_CBC") || strings.Contains(n, "_DES40_") || strings.Contains(n, "_DES_192_"))
	add(evidence.ClassRC4, strings.Contains(n, "_RC4_"))
	add(evidence.ClassRC2, strings.Contains(n, "_RC2_"))
	add(evidence.Class3DES, strings.Contains(n, "_3DES_"))
	add(evidence.ClassIDEA, strings.Contains(n, "_IDEA_"))
	add(evidence.ClassStaticRSA, strings.HasPrefix(n, "TLS_RSA_WITH_") || strings.HasPrefix(n, "TLS_RSA_EXPORT") || strings.HasPrefix(n, "SSL_RSA_"))
	add(evidence.ClassDHE, strings.HasPrefix(n, "TLS_DHE_"))
	add(evidence.ClassCBC, strings.Contains(n, "_CBC_"))
	return out
}

func (s suites) has(code uint16, classes ...evidence.SuiteClass) bool {
	return slices.ContainsFunc(s.classes(code), func(c evidence.SuiteClass) bool { return slices.Contains(classes, c) })
}

// ephemeral reports whether a suite up to TLS 1.2 gives forward secrecy.
func (s suites) ephemeral(code uint16) bool {
	n := s.names()[code]
	return strings.HasPrefix(n, "TLS_ECDHE_") || strings.HasPrefix(n, "TLS_DHE_")
}

// aead reports whether a suite encrypts with associated data.
func (s suites) aead(code uint16) bool {
	n := s.names()[code]
	return strings.Contains(n, "_GCM_") || strings.Contains(n, "_CCM") || strings.Contains(n, "_CHACHA20_")
}

// accepted returns the first ServerHello up to TLS 1.2 with a suite of one of
// the classes.
func (s suites) accepted(e *lint.EndpointSubject, classes ...evidence.SuiteClass) (hello, bool) {
	for _, h := range hellos(e) {
		if h.Version < tls13 && s.has(h.CipherSuite, classes...) {
			return h, true
		}
	}
	return hello{}, false
}

// declined reports whether the server refused an offer of nothing but weak
// suites that held every one of the classes: the end of an elimination, in which
// what the server chose was left out until it took nothing more.
func declined(e *lint.EndpointSubject, classes ...evidence.SuiteClass) bool {
	for _, class := range classes {
		if !slices.ContainsFunc(e.TLS(evidence.OfferWeak), func(o *evidence.Observation) bool {
			return o.Facts.TLS.Version == 0 && slices.Contains(o.Facts.TLS.OfferedClasses, class)
		}) {
			return false
		}
	}
	return true
}

// noClasses is the check that a server takes no suite of the classes.
func (s suites) noClasses(what string, classes ...evidence.SuiteClass) func(*lint.Env, *lint.EndpointSubject) lint.Verdict {
	return overTLS(func(_ *lint.Env, e *lint.EndpointSubject) lint.Verdict {
		if h, ok := s.accepted(e, classes...); ok {
			return lint.Failf("The server accepts %s with %s.", s.name(h.CipherSuite), versionName(h.Version))
		}
		if declined(e, classes...) {
			return lint.Passf("The server refused every %s it was offered.", what)
		}
		return lint.Inconclusivef("The server was not asked for %s alone, or did not answer.", what)
	})
}
