package cert

import (
	"bytes"
	stdx509 "crypto/x509"
	"slices"
	"strings"
	"time"

	"github.com/zmap/zcrypto/x509"
	zlint "github.com/zmap/zlint/v3/lint"
	_ "github.com/zmap/zlint/v3/lints/cabf_br" // registers the lints of the Baseline Requirements
	_ "github.com/zmap/zlint/v3/lints/cabf_ev"
	"golang.org/x/crypto/x509roots/fallback/bundle"

	"probity/evidence"
	"probity/lint"
)

// publicListDate is the date of the list of public web roots: the version date
// of module golang.org/x/crypto/x509roots/fallback.
const publicListDate = "2026-10-30"

// publicWebValidity asks that a certificate under a public web root keeps the
// maximum validity of its date of issue, and what else zlint tests of the CA/Browser
// Forum's requirements. Under any other root these do not apply, and the check says so.
func publicWebValidity(roots func() map[string][][]byte) lint.Check {
	run := linter(zlint.CABFBaselineRequirements, zlint.CABFEVGuidelines)
	return lint.Check{
		Name:   "cert/public_web_validity",
		Source: "CA/Browser Forum TLS Baseline Requirements section 6.3.2; ballot SC-081; EV Guidelines (zlint)",
		Certificate: lint.DecodedLeaf(func(env *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			root := publicRoot(env, s, roots())
			if root == "" {
				return lint.NotApplicablef("Private PKI: no path to a public web root in the list of %s.", publicListDate)
			}
			if !s.Seen(evidence.RoleServer) && !s.HasExtKeyUsage(x509.ExtKeyUsageServerAuth) {
				return lint.NotApplicablef("The certificate is not for a server.")
			}
			limit := publicLimit(s.NotBefore())
			lifetime := s.NotAfter().Sub(s.NotBefore()) + time.Second
			if lifetime > time.Duration(limit)*day {
				return lint.Failf("The lifetime of %d days is longer than the %d days allowed under the public root %q for an issue on %s.",
					lint.Days(lifetime), limit, root, s.NotBefore().UTC().Format(time.DateOnly))
			}
			if found := lint.Remember(&s.Memo, "cert/public_web_validity", func() []string { return run(s.X509()) }); len(found) > 0 {
				return lint.Warnf("The certificate under the public root %q departs from the CA/Browser Forum's requirements: %s.", root, strings.Join(found, ", "))
			}
			return lint.Passf("The lifetime of %d days is within the %d days allowed under the public root %q.", lint.Days(lifetime), limit, root)
		}),
	}
}

// publicLimit is the maximum validity in days by date of issue: 398 from
// 2020-09-01, and before that 825 from 2018-03-01 and 39 months.
func publicLimit(issued time.Time) int {
	for _, step := range []struct {
		from time.Time
		days int
	}{
		{time.Date(2029, 3, 15, 0, 0, 0, 0, time.UTC), 47},
		{time.Date(2027, 3, 15, 0, 0, 0, 0, time.UTC), 100},
		{time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC), 200},
		{time.Date(2020, 9, 1, 0, 0, 0, 0, time.UTC), 398},
		{time.Date(2018, 3, 1, 0, 0, 0, 0, time.UTC), 825},
	} {
		if !issued.Before(step.from) {
			return step.days
		}
	}
	return 1187 // 39 months
}

// publicRoots indexes the bundled roots by subject.
func publicRoots() map[string][][]byte {
	out := make(map[string][][]byte)
	for r := range bundle.Roots() {
		if c, err := stdx509.ParseCertificate(r.Certificate); err == nil {
			out[string(c.RawSubject)] = append(out[string(c.RawSubject)], r.Certificate)
		}
	}
	return out
}

// publicRoot returns the name of the public web root that the leaf has a path
// to, or "".
func publicRoot(env *lint.Env, s *lint.CertificateSubject, roots map[string][][]byte) string {
	if s.SelfIssued() {
		return ""
	}
	var anchors [][]byte
	for _, name := range issuerNames(env, s) {
		anchors = append(anchors, roots[name]...)
	}
	if len(anchors) == 0 {
		return ""
	}
	// Judged at the leaf's own date: whether the chain has expired since does not
	// make the PKI private.
	then := *env
	then.At = s.NotBefore()
	then.Policy = &lint.Policy{Anchors: anchors}
	p := then.Path(s.Certificate, s.Presented(), then.Anchors())
	if p.Certs == nil {
		return ""
	}
	return p.Certs[len(p.Certs)-1].Subject()
}

// issuerNames returns the names of all that may be above the leaf, as DER.
func issuerNames(env *lint.Env, s *lint.CertificateSubject) []string {
	names := []string{string(s.RawIssuer())}
	for _, c := range s.Presented() {
		if c.Decoded() && !bytes.Equal(c.RawIssuer(), s.RawIssuer()) {
			names = append(names, string(c.RawIssuer()))
		}
	}
	const most = 64
	for i := 0; i < len(names) && i < most; i++ {
		for _, c := range env.Corpus.BySubject([]byte(names[i])) {
			if issuer := string(c.RawIssuer()); !slices.Contains(names, issuer) && len(names) < most {
				names = append(names, issuer)
			}
		}
	}
	if len(names) > 1 {
		slices.Sort(names)
	}
	return slices.Compact(names)
}
