package lint

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/zmap/zcrypto/x509"

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
		if a := e.Corpus.anchor(der); a.Decoded() {
			out = append(out, a)
		}
	}
	return out
}

// IsAnchor reports whether c is an anchor of the policy.
func (e *Env) IsAnchor(c *Certificate) bool {
	return slices.ContainsFunc(e.Policy.Anchors, func(der []byte) bool { return bytes.Equal(der, c.DER) })
}

// anchor decodes a certificate of the policy, once. The policy keeps its bytes, so that
// they need not be hashed again.
func (c *Corpus) anchor(der []byte) *Certificate {
	if len(der) == 0 {
		return parseCertificate(der)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slice{&der[0], len(der)}
	if known, ok := c.anchorAt[at]; ok {
		return known
	}
	d := evidence.DigestOf(der)
	a, ok := c.anchors[d]
	if !ok {
		if a, ok = c.certs[d]; !ok {
			a = parseCertificate(der)
		}
		c.anchors[d] = a
	}
	c.anchorAt[at] = a
	return a
}

// Path searches a path from leaf to one of the anchors, through the
// certificates presented with it and, failing those, any other of the corpus and
// the intermediates of the policy (RFC 5280 section 6, RFC 4158). It checks names,
// signatures, CA constraints, critical extensions and the validity of the issuers at
// [Env.At]. The validity of the leaf itself is left to the checks on validity, the
// strength of the algorithms to theirs. Certificate policies are not followed.
//
// With purposes, every issuer that has an extended key usage must list each of them
// or anyExtendedKeyUsage. RFC 5280 section 4.2.1.12 says nothing of issuers;
// OpenSSL, Microsoft's and NSS's validators and Go's take the extension of an issuer
// as a limit of what lies below it.
func (e *Env) Path(leaf *Certificate, presented, anchors []*Certificate, purposes ...x509.ExtKeyUsage) Path {
	var p Path
	if id := unknownCritical(leaf); id != "" {
		p.Why = fmt.Sprintf("%q has the critical extension %s, which is of no standard", leaf.Subject(), id)
		return p
	}
	s := pathSearch{env: e, presented: presented, anchors: anchors, purposes: purposes}
	p.Certs, p.Unverifiable = s.extend([]*Certificate{leaf}), s.unverifiable
	if p.Certs == nil {
		p.Why = s.why
		p.Others = slices.DeleteFunc(s.reasons, func(r string) bool { return r == s.why })
		return p
	}
	for _, c := range p.Certs[1:] {
		if !slices.Contains(presented, c) && !s.isAnchor(c) {
			p.Repaired = append(p.Repaired, c)
		}
	}
	return p
}

type pathSearch struct {
	env                *Env
	presented, anchors []*Certificate
	purposes           []x509.ExtKeyUsage
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
		case len(last.X509().IssuingCertificateURL) > 0:
			s.note(path, fmt.Sprintf("the issuer %q is neither an anchor nor among the certificates at hand; it should be at %q, which is not fetched: give the file to the policy as an intermediate",
				last.Issuer(), last.X509().IssuingCertificateURL[0]))
		default:
			s.note(path, fmt.Sprintf("the issuer %q is neither an anchor nor among the certificates at hand", last.Issuer()))
		}
	}
	for _, issuer := range candidates {
		if s.steps++; s.steps > maxPathSteps {
			s.note(nil, fmt.Sprintf("%d issuers were tried, and no more are", maxPathSteps))
			return nil
		}
		if slices.ContainsFunc(path, func(c *Certificate) bool { return c.Digest == issuer.Digest || c.sameEntity(issuer) }) {
			s.note(path, loop(last, issuer))
			continue
		}
		if err := s.issues(path, issuer); err != nil {
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

// loop says why issuer, which the path has passed already, leads nowhere.
func loop(last, issuer *Certificate) string {
	if last.Digest == issuer.Digest || last.sameEntity(issuer) {
		return fmt.Sprintf("%q is self-signed and no anchor", last.Subject())
	}
	return fmt.Sprintf("the issuers of %q lead back to %q", last.Subject(), issuer.Subject())
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
	return c.Key != nil && o.Key != nil && c.Key.SPKI == o.Key.SPKI && bytes.Equal(c.RawSubject(), o.RawSubject())
}

// candidates lists what may have issued c: anchors first, then what was
// presented, then the rest of the corpus, then the intermediates of the policy; those
// whose name is the same byte by byte and whose key identifiers match come first, and
// a file that the certificate names as that of its issuer before other files.
func (s *pathSearch) candidates(c *Certificate) []*Certificate {
	type ranked struct {
		cert *Certificate
		rank int
	}
	better := func(a, b ranked) int { return cmp.Or(cmp.Compare(a.rank, b.rank), compareCertificates(a.cert, b.cert)) }
	// Only the best are kept on the way: thousands of devices may have one name.
	best := make([]ranked, 0, maxPathCandidates+1)
	add := func(i *Certificate, rank int) {
		if !i.Decoded() || i.Digest == c.Digest || !c.names(i) {
			return
		}
		if aki, ski := c.authorityKeyID, i.subjectKeyID; len(aki) > 0 && len(ski) > 0 && !bytes.Equal(aki, ski) {
			rank += 10
		}
		if !bytes.Equal(i.RawSubject(), c.RawIssuer()) {
			rank += 20
		}
		r := ranked{i, rank}
		if len(best) == maxPathCandidates && better(best[len(best)-1], r) <= 0 ||
			slices.ContainsFunc(best, func(o ranked) bool { return o.cert.Digest == i.Digest }) {
			return
		}
		at, _ := slices.BinarySearchFunc(best, r, better)
		best = slices.Insert(best, at, r)
		best = best[:min(len(best), maxPathCandidates)]
	}
	for rank, certs := range [][]*Certificate{s.anchors, s.presented, s.env.Corpus.mayIssue(c)} {
		for _, i := range certs {
			add(i, rank)
		}
	}
	for _, i := range s.env.Corpus.filedIssuers(s.env.Policy, c) {
		rank := 4
		if i.file.named(c) {
			rank = 3
		}
		add(i.cert, rank)
	}
	out := make([]*Certificate, len(best))
	for i, r := range best {
		out[i] = r.cert
	}
	return out
}

// names reports whether the issuer that c names is the subject of the other.
func (c *Certificate) names(issuer *Certificate) bool {
	return bytes.Equal(issuer.RawSubject(), c.RawIssuer()) || issuer.plainSubject() == c.plainIssuer()
}

// mayIssue lists the certificates of the corpus that have the name of c's issuer.
func (c *Corpus) mayIssue(of *Certificate) []*Certificate {
	return slices.Concat(c.bySubject[string(of.RawIssuer())], c.issuersNamed(of.plainIssuer()))
}

// issuersNamed lists the CA certificates with a plain name.
func (c *Corpus) issuersNamed(plain string) []*Certificate {
	c.byPlainOnce.Do(func() {
		c.byPlain = make(map[string][]*Certificate)
		for _, i := range c.order {
			if i.Decoded() && (i.IsCA() || i.version < 3) {
				c.byPlain[i.plainSubject()] = append(c.byPlain[i.plainSubject()], i)
			}
		}
	})
	return c.byPlain[plain]
}

// Intermediate is a certificate that a site has on file to complete paths with, such
// as one that it took from the address in others' authority information access.
// It is not trusted.
type Intermediate struct {
	File string // its path
	DER  []byte
}

// filed is an intermediate of a policy, decoded.
type filed struct {
	file Intermediate
	cert *Certificate
}

// filedIssuers lists the intermediates of a policy that have the name of c's issuer.
// Their names are read once for a corpus and a policy.
func (c *Corpus) filedIssuers(p *Policy, of *Certificate) []filed {
	if len(p.Intermediates) == 0 {
		return nil
	}
	c.filedMu.Lock()
	byName := c.filed[p]
	if byName == nil {
		byName = sync.OnceValue(func() map[string][]filed {
			out := make(map[string][]filed)
			for _, f := range p.Intermediates {
				if i := c.anchor(f.DER); i.Decoded() {
					out[i.plainSubject()] = append(out[i.plainSubject()], filed{f, i})
				}
			}
			return out
		})
		if c.filed == nil {
			c.filed = make(map[*Policy]func() map[string][]filed)
		}
		c.filed[p] = byName
	}
	c.filedMu.Unlock()
	return byName()[of.plainIssuer()]
}

// named reports whether an address at which c says that its issuer is to be found
// ends in the name of the file (RFC 5280 section 4.2.2.1).
func (f Intermediate) named(c *Certificate) bool {
	return slices.ContainsFunc(c.X509().IssuingCertificateURL, func(address string) bool {
		u, err := url.Parse(address)
		return err == nil && path.Base(u.Path) == path.Base(f.File)
	})
}

// FileOf returns the file of the policy that c was read from, or "".
func (p *Policy) FileOf(c *Certificate) string {
	for _, f := range p.Intermediates {
		if bytes.Equal(f.DER, c.DER) {
			return f.File
		}
	}
	return ""
}

// issues says why issuer cannot certify the last member of path, or nil. Path is
// leaf first. Anchors are trusted by configuration, so version 1 anchors without
// extensions pass.
func (s *pathSearch) issues(path []*Certificate, issuer *Certificate) error {
	last := path[len(path)-1]
	x := issuer.X509()
	if !s.isAnchor(issuer) || x.Version >= 3 {
		if !issuer.IsCA() {
			return fmt.Errorf("%q is no CA", issuer.Subject())
		}
		if x.KeyUsage != 0 && x.KeyUsage&x509.KeyUsageCertSign == 0 {
			return fmt.Errorf("the key usage of %q does not allow it to sign certificates", issuer.Subject())
		}
	}
	at := s.env.At
	if at.After(x.NotAfter) {
		return fmt.Errorf("the CA %q expired at %s", issuer.Subject(), Time(x.NotAfter))
	}
	if at.Before(x.NotBefore) {
		return fmt.Errorf("the CA %q is not valid before %s", issuer.Subject(), Time(x.NotBefore))
	}
	for _, purpose := range s.purposes {
		if !issuer.AllowsBelow(purpose) {
			return fmt.Errorf("the extended key usage of the CA %q does not allow %s", issuer.Subject(), PurposeName(purpose))
		}
	}
	if id := unknownCritical(issuer); id != "" {
		return fmt.Errorf("the CA %q has the critical extension %s, which is of no standard", issuer.Subject(), id)
	}
	if err := Constrains(path, issuer); err != nil {
		return err
	}
	if err := s.env.Corpus.SignedBy(last, issuer); err != nil {
		if errors.Is(err, ErrUnverifiable) {
			return fmt.Errorf("the signature of %q by %q: %w", last.Subject(), issuer.Subject(), err)
		}
		return fmt.Errorf("the signature of %q does not verify with the key of %q", last.Subject(), issuer.Subject())
	}
	return nil
}

// AllowsBelow reports whether certificates below the CA certificate c may be used
// for a purpose, as far as c's extended key usage says so; see [Env.Path].
func (c *Certificate) AllowsBelow(purpose x509.ExtKeyUsage) bool {
	none := len(c.X509().ExtKeyUsage) == 0 && len(c.X509().UnknownExtKeyUsage) == 0
	return none || c.HasExtKeyUsage(purpose) || c.HasExtKeyUsage(x509.ExtKeyUsageAny)
}

// PurposeName names a purpose as RFC 5280 section 4.2.1.12 does.
func PurposeName(u x509.ExtKeyUsage) string {
	switch u {
	case x509.ExtKeyUsageServerAuth:
		return "serverAuth"
	case x509.ExtKeyUsageClientAuth:
		return "clientAuth"
	default:
		return fmt.Sprintf("purpose %d", u)
	}
}

// SignedBy checks the signature of child with the key of issuer, whatever the
// strength of either. The answer is remembered. The error is
// [ErrUnverifiable] where it cannot be told.
func (c *Corpus) SignedBy(child, issuer *Certificate) error {
	return c.remember([2]evidence.Digest{child.Digest, issuer.Digest}, func() error {
		return check(issuer, child.algorithm, child.tbs, child.signature)
	})
}

// Time renders an instant as RFC 3339 text in UTC.
func Time(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Days is the number of whole days in d.
func Days(d time.Duration) int { return int(d / (24 * time.Hour)) }

// BySubject returns the certificates with a DER subject name, by digest.
func (c *Corpus) BySubject(name []byte) []*Certificate { return c.bySubject[string(name)] }

// Named returns the certificates with a DER subject name, as [SameDN] compares names,
// anchors first, each once.
func (e *Env) Named(subject []byte) []*Certificate {
	var out []*Certificate
	seen := make(map[evidence.Digest]bool)
	for _, c := range slices.Concat(e.Anchors(), e.Corpus.BySubject(subject), e.Corpus.issuersNamed(plainName(subject))) {
		if !seen[c.Digest] && SameDN(c.RawSubject(), subject) {
			seen[c.Digest] = true
			out = append(out, c)
		}
	}
	return out
}

// IssuedBy returns the certificates, other than itself, that name ca as their
// issuer and are signed by its key or by one that cannot be checked here, by
// digest.
func (c *Corpus) IssuedBy(ca *Certificate) []*Certificate {
	if !ca.Decoded() {
		return nil
	}
	var out []*Certificate
	named := slices.DeleteFunc(slices.Clone(c.byIssuer[string(ca.RawSubject())]), func(cert *Certificate) bool {
		return cert.Digest == ca.Digest || cert.SelfIssued()
	})
	for i, err := range each(named, func(cert *Certificate) error { return c.SignedBy(cert, ca) }) {
		if err == nil || errors.Is(err, ErrUnverifiable) {
			out = append(out, named[i])
		}
	}
	return out
}

// Below is what a check of an authority wants to know of a certificate below it.
type Below struct {
	Digest   evidence.Digest
	Strength int   // of its key; 0 where that is not known
	end      int64 // of the validity, in seconds since 1970
	CA       bool
	// Endless says that it needs no end: it is an initial device identity, see
	// [Env.IsIDevID], or of the endorsement key of a TPM.
	Endless bool
}

// NotAfter is the end of the validity.
func (b *Below) NotAfter() time.Time { return time.Unix(b.end, 0) }

func (e *Env) belowOf(c *Certificate) Below {
	b := Below{Digest: c.Digest, end: c.NotAfter().Unix(), CA: c.IsCA(), Endless: e.IsIDevID(c) || c.IsEndorsement()}
	if c.Key != nil {
		b.Strength = c.Key.Strength
	}
	return b
}

// Below returns the certificates that an authority, by the digest of its certificate,
// has issued, see [Corpus.IssuedBy]; by digest.
func (e *Env) Below(ca evidence.Digest) []Below {
	if e.Corpus.below != nil {
		return e.Corpus.below[ca]
	}
	c := e.Corpus.certs[ca]
	if c == nil {
		return nil
	}
	var out []Below
	for _, issued := range e.Corpus.IssuedBy(c) {
		out = append(out, e.belowOf(issued))
	}
	return out
}

// SubjectOf is the subject name of a certificate of the corpus as safe text.
func (c *Corpus) SubjectOf(sum evidence.Digest) string {
	cert := c.certs[sum]
	if cert == nil && c.load != nil {
		cert = c.load(sum)
	}
	if cert == nil {
		return ""
	}
	return cert.Subject()
}
