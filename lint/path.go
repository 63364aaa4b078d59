package lint

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/zmap/zcrypto/x509"
	"github.com/zmap/zcrypto/x509/pkix"

	"probity/evidence"
)

const (
	maxPathLength     = 10  // certificates, anchor included
	maxPathCandidates = 16  // issuers tried for one certificate
	maxPathSteps      = 128 // issuers tried in one search
	maxPathReasons    = 6   // reasons kept of failed attempts
)

// ErrUnverifiable means that a signature is of a kind that cannot be checked
// here. The caller must answer inconclusive, never that it is wrong.
var ErrUnverifiable = errors.New("the signature cannot be verified here")

// Path is the outcome of a search for a certification path.
type Path struct {
	// Certs is the path, leaf first and anchor last; nil when there is none.
	Certs []*Certificate
	// Repaired holds the members that the endpoint did not present.
	Repaired []*Certificate
	// Why says where the most promising attempt ended, when there is no path, and
	// Others where the others did, each reason once, in the order of the attempts.
	Why    string
	Others []string
	// Unverifiable is true when an attempt ended at a signature of a kind that
	// cannot be checked here.
	Unverifiable bool
}

// Anchors returns the decoded anchors of the policy.
func (e *Env) Anchors() []*Certificate {
	out := make([]*Certificate, 0, len(e.Policy.Anchors))
	for _, der := range e.Policy.Anchors {
		if a := e.Corpus.anchor(der); a.X509 != nil {
			out = append(out, a)
		}
	}
	return out
}

// IsAnchor reports whether c is an anchor of the policy.
func (e *Env) IsAnchor(c *Certificate) bool {
	return slices.ContainsFunc(e.Policy.Anchors, func(der []byte) bool { return bytes.Equal(der, c.DER) })
}

func (c *Corpus) anchor(der []byte) *Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := evidence.DigestOf(der)
	if known, ok := c.anchors[d]; ok {
		return known
	}
	a, ok := c.certs[d]
	if !ok {
		a = parseCertificate(der)
	}
	c.anchors[d] = a
	return a
}

// Path searches a path from leaf to one of the anchors, through the
// certificates presented with it and, failing those, any other of the corpus
// (RFC 5280 section 6, RFC 4158). It checks names, signatures, CA constraints and
// the validity of the issuers at [Env.At]. The validity of the leaf itself is
// left to the checks on validity, the strength of the algorithms to theirs.
func (e *Env) Path(leaf *Certificate, presented, anchors []*Certificate) Path {
	s := pathSearch{env: e, presented: presented, anchors: anchors}
	certs := s.extend([]*Certificate{leaf})
	p := Path{Certs: certs, Unverifiable: s.unverifiable}
	if certs == nil {
		p.Why = s.why
		p.Others = slices.DeleteFunc(s.reasons, func(r string) bool { return r == s.why })
		return p
	}
	for _, c := range certs[1:] {
		if !slices.Contains(presented, c) && !s.isAnchor(c) {
			p.Repaired = append(p.Repaired, c)
		}
	}
	return p
}

type pathSearch struct {
	env                *Env
	presented, anchors []*Certificate
	steps              int
	depth              int // of the attempt that why is about
	why                string
	reasons            []string // of all attempts, each once
	unverifiable       bool
}

func (s *pathSearch) isAnchor(c *Certificate) bool {
	return slices.ContainsFunc(s.anchors, func(a *Certificate) bool { return a.Digest == c.Digest })
}

// extend returns a complete path that begins with path, or nil.
func (s *pathSearch) extend(path []*Certificate) []*Certificate {
	last := path[len(path)-1]
	if s.isAnchor(last) {
		return path
	}
	if len(path) >= maxPathLength {
		s.note(path, fmt.Sprintf("the path is longer than %d certificates", maxPathLength))
		return nil
	}
	candidates := s.candidates(last)
	if len(candidates) == 0 {
		switch {
		case last.SelfIssued():
			s.note(path, fmt.Sprintf("%q is self-signed and no anchor", last.Subject()))
		default:
			s.note(path, fmt.Sprintf("the issuer %q is neither an anchor nor among the certificates seen", last.Issuer()))
		}
	}
	for _, issuer := range candidates {
		if s.steps++; s.steps > maxPathSteps {
			s.note(nil, fmt.Sprintf("%d issuers were tried, and no more are", maxPathSteps))
			return nil
		}
		if slices.ContainsFunc(path, func(c *Certificate) bool { return c.Digest == issuer.Digest || c.sameEntity(issuer) }) {
			s.note(path, fmt.Sprintf("%q is self-signed and no anchor", last.Subject()))
			continue
		}
		if err := s.env.Issues(path, issuer, s.isAnchor(issuer)); err != nil {
			s.unverifiable = s.unverifiable || errors.Is(err, ErrUnverifiable)
			s.note(append(slices.Clone(path), issuer), err.Error())
			continue
		}
		if found := s.extend(append(slices.Clone(path), issuer)); found != nil {
			return found
		}
	}
	return nil
}

// note keeps the reason of the attempt that got furthest, and some of the others. No
// path stands for the search as a whole.
func (s *pathSearch) note(path []*Certificate, why string) {
	if (len(s.reasons) < maxPathReasons || path == nil) && !slices.Contains(s.reasons, why) {
		s.reasons = append(s.reasons, why)
	}
	if s.why == "" || len(path) > s.depth {
		s.why, s.depth = why, len(path)
	}
}

// sameEntity reports whether two certificates name the same subject with the
// same key: passing both would be a loop (RFC 4158 section 5.2).
func (c *Certificate) sameEntity(o *Certificate) bool {
	return c.Key != nil && o.Key != nil && c.Key.SPKI == o.Key.SPKI && bytes.Equal(c.X509.RawSubject, o.X509.RawSubject)
}

// candidates lists what may have issued c: anchors first, then what was
// presented, then the rest of the corpus; within each, matching key identifiers
// first.
func (s *pathSearch) candidates(c *Certificate) []*Certificate {
	type ranked struct {
		cert *Certificate
		rank int
	}
	var all []ranked
	add := func(certs []*Certificate, rank int) {
		for _, i := range certs {
			if i.X509 == nil || i.Digest == c.Digest || !bytes.Equal(i.X509.RawSubject, c.X509.RawIssuer) {
				continue
			}
			r := rank
			if aki, ski := c.X509.AuthorityKeyId, i.X509.SubjectKeyId; len(aki) > 0 && len(ski) > 0 && !bytes.Equal(aki, ski) {
				r += 10
			}
			if !slices.ContainsFunc(all, func(o ranked) bool { return o.cert.Digest == i.Digest }) {
				all = append(all, ranked{i, r})
			}
		}
	}
	add(s.anchors, 0)
	add(s.presented, 1)
	add(s.env.Corpus.bySubject[string(c.X509.RawIssuer)], 2)
	slices.SortStableFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), compareCertificates(a.cert, b.cert))
	})
	out := make([]*Certificate, 0, len(all))
	for _, r := range all[:min(len(all), maxPathCandidates)] {
		out = append(out, r.cert)
	}
	return out
}

// Issues says why issuer cannot certify the last member of path, or nil. Path is
// leaf first. Anchors are trusted by configuration, so version 1 anchors without
// extensions pass.
func (e *Env) Issues(path []*Certificate, issuer *Certificate, anchor bool) error {
	last := path[len(path)-1]
	x := issuer.X509
	if !anchor || x.Version >= 3 {
		if !issuer.IsCA() {
			return fmt.Errorf("%q is no CA", issuer.Subject())
		}
		if x.KeyUsage != 0 && x.KeyUsage&x509.KeyUsageCertSign == 0 {
			return fmt.Errorf("the key usage of %q does not allow it to sign certificates", issuer.Subject())
		}
	}
	if e.At.After(x.NotAfter) {
		return fmt.Errorf("the CA %q expired at %s", issuer.Subject(), Time(x.NotAfter))
	}
	if e.At.Before(x.NotBefore) {
		return fmt.Errorf("the CA %q is not valid before %s", issuer.Subject(), Time(x.NotBefore))
	}
	if err := Constrains(path, issuer); err != nil {
		return err
	}
	if err := e.Corpus.SignedBy(last, issuer); err != nil {
		if errors.Is(err, ErrUnverifiable) {
			return fmt.Errorf("the signature of %q by %q: %w", last.Subject(), issuer.Subject(), err)
		}
		return fmt.Errorf("the signature of %q does not verify with the key of %q", last.Subject(), issuer.Subject())
	}
	return nil
}

// Constrains says which constraint of issuer the path below it violates, or
// nil. Path is leaf first.
func Constrains(path []*Certificate, issuer *Certificate) error {
	x := issuer.X509
	if limit, ok := PathLength(issuer); ok {
		// RFC 5280 section 4.2.1.9: non-self-issued intermediates; the leaf does
		// not count.
		below := 0
		for _, c := range path[1:] {
			if !c.SelfIssued() {
				below++
			}
		}
		if below > limit {
			return fmt.Errorf("%q allows %s below it, and the path has %d", issuer.Subject(), Count(limit, "intermediate certificate"), below)
		}
	}
	for i, c := range path {
		if i > 0 && c.SelfIssued() {
			continue // RFC 5280 section 4.2.1.10
		}
		if name := excludedName(x, c.X509); name != "" {
			return fmt.Errorf("the name constraints of %q do not allow %q", issuer.Subject(), name)
		}
	}
	return nil
}

// PathLength returns the pathLenConstraint of a certificate.
func PathLength(c *Certificate) (limit int, ok bool) {
	x := c.X509
	if x == nil || !x.BasicConstraintsValid || !x.IsCA || x.MaxPathLen < 0 || x.MaxPathLen == 0 && !x.MaxPathLenZero {
		return 0, false
	}
	return x.MaxPathLen, true
}

// SignedBy checks the signature of child with the key of issuer, whatever the
// strength of either. The answer is remembered. The error is
// [ErrUnverifiable] where it cannot be told.
func (c *Corpus) SignedBy(child, issuer *Certificate) error {
	return c.remember([2]evidence.Digest{child.Digest, issuer.Digest}, func() error {
		return check(issuer, child.X509.SignatureAlgorithm, child.X509.RawTBSCertificate, child.X509.Signature)
	})
}

// excludedName returns the first name of c that the name constraints of ca do
// not allow, or "" (RFC 5280 section 4.2.1.10). It knows DNS names, addresses,
// mail addresses and directory names.
func excludedName(ca, c *x509.Certificate) string {
	for _, n := range c.DNSNames {
		if !allowed(n, ca.PermittedDNSNames, ca.ExcludedDNSNames, dnsWithin) {
			return n
		}
	}
	for _, n := range c.EmailAddresses {
		if !allowed(n, ca.PermittedEmailAddresses, ca.ExcludedEmailAddresses, mailWithin) {
			return n
		}
	}
	for _, ip := range c.IPAddresses {
		addr, ok := netip.AddrFromSlice(ip)
		if !ok || !allowed(addr.Unmap(), ca.PermittedIPAddresses, ca.ExcludedIPAddresses, addressWithin) {
			return ip.String()
		}
	}
	if len(c.Subject.OriginalRDNS) > 0 && !allowed(c.Subject, ca.PermittedDirectoryNames, ca.ExcludedDirectoryNames, directoryWithin) {
		return NameText(c.RawSubject)
	}
	return ""
}

func allowed[N, T any](name N, permitted, excluded []T, within func(N, T) bool) bool {
	in := func(t T) bool { return within(name, t) }
	return !slices.ContainsFunc(excluded, in) && (len(permitted) == 0 || slices.ContainsFunc(permitted, in))
}

func dnsWithin(name string, t x509.GeneralSubtreeString) bool {
	base := strings.ToLower(strings.TrimPrefix(t.Data, "."))
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return base == "" || name == base || strings.HasSuffix(name, "."+base)
}

func mailWithin(mail string, t x509.GeneralSubtreeString) bool {
	if strings.Contains(t.Data, "@") {
		return strings.EqualFold(mail, t.Data)
	}
	_, host, _ := strings.Cut(mail, "@")
	if rest, ok := strings.CutPrefix(t.Data, "."); ok {
		return strings.HasSuffix(strings.ToLower(host), "."+strings.ToLower(rest))
	}
	return strings.EqualFold(host, t.Data)
}

func addressWithin(a netip.Addr, t x509.GeneralSubtreeIP) bool {
	base, ok := netip.AddrFromSlice(t.Data.IP)
	ones, bits := t.Data.Mask.Size()
	if !ok || bits == 0 || base.Unmap().BitLen() != a.BitLen() {
		return false
	}
	p, err := base.Unmap().Prefix(ones - (bits - a.BitLen()))
	return err == nil && p.Contains(a)
}

func directoryWithin(name pkix.Name, t x509.GeneralSubtreeName) bool {
	base := t.Data.OriginalRDNS
	if len(base) > len(name.OriginalRDNS) {
		return false
	}
	for i, rdn := range base {
		if !sameRDN(rdn, name.OriginalRDNS[i]) {
			return false
		}
	}
	return true
}

func sameRDN(a, b pkix.RelativeDistinguishedNameSET) bool {
	return slices.EqualFunc(a, b, func(x, y pkix.AttributeTypeAndValue) bool {
		return x.Type.Equal(y.Type) && strings.EqualFold(fmt.Sprint(x.Value), fmt.Sprint(y.Value))
	})
}

// Time renders an instant as RFC 3339 text in UTC.
func Time(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Days is the number of whole days in d.
func Days(d time.Duration) int { return int(d / (24 * time.Hour)) }

// BySubject returns the certificates with a DER subject name, by digest.
func (c *Corpus) BySubject(name []byte) []*Certificate { return c.bySubject[string(name)] }

// Named returns the certificates with a DER subject name, anchors first, each once.
func (e *Env) Named(subject []byte) []*Certificate {
	var out []*Certificate
	for _, c := range slices.Concat(e.Anchors(), e.Corpus.BySubject(subject)) {
		if bytes.Equal(c.X509.RawSubject, subject) && !slices.ContainsFunc(out, func(o *Certificate) bool { return o.Digest == c.Digest }) {
			out = append(out, c)
		}
	}
	return out
}

// IssuedBy returns the certificates, other than itself, that name ca as their
// issuer and are signed by its key or by one that cannot be checked here, by
// digest.
func (c *Corpus) IssuedBy(ca *Certificate) []*Certificate {
	if ca.X509 == nil {
		return nil
	}
	var out []*Certificate
	for _, cert := range c.byIssuer[string(ca.X509.RawSubject)] {
		if cert.Digest == ca.Digest || cert.SelfIssued() {
			continue
		}
		if err := c.SignedBy(cert, ca); err == nil || errors.Is(err, ErrUnverifiable) {
			out = append(out, cert)
		}
	}
	return out
}
