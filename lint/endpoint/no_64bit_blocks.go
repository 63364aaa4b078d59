package endpoint

import (
	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/lint"
)

// no64BitBlocks asks that no cipher with blocks of 64 bits is accepted.
func no64BitBlocks() lint.Check {
	weak := []evidence.SuiteClass{evidence.Class3DES, evidence.ClassIDEA}
	return lint.Check{
		Name:   "endpoint/no_64bit_blocks",
		Source: "CVE-2016-2183 (Sweet32); NIST SP 800-131A rev. 2 section 2",
		Endpoint: overTLS(func(_ *lint.Env, e *lint.EndpointSubject) lint.Verdict {
			h, ok := accepted(e, weak...)
			switch {
			case ok && better(e):
				return lint.Warnf("The server accepts %s among better suites.", tlswire.SuiteName(h.CipherSuite))
			case ok:
				return lint.Failf("The server accepts %s and was not seen to accept anything better.", tlswire.SuiteName(h.CipherSuite))
			case declined(e, weak...):
				return lint.Passf("The server refused every 3DES and IDEA suite it was offered.")
			}
			return lint.Inconclusivef("The server was not asked for 3DES and IDEA suites alone, or did not answer.")
		}),
	}
}

// better reports whether the server chose a suite that is neither broken nor of
// 64-bit blocks.
func better(e *lint.EndpointSubject) bool {
	for _, h := range hellos(e) {
		if h.Version >= tlswire.VersionTLS13 || h.CipherSuite != 0 && !has(h.CipherSuite, evidence.Class3DES, evidence.ClassIDEA,
			evidence.ClassNULL, evidence.ClassAnonymous, evidence.ClassExport, evidence.ClassDES, evidence.ClassRC4, evidence.ClassRC2) {
			return true
		}
	}
	return false
}
