package cert

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/zmap/zcrypto/x509"
	zlint "github.com/zmap/zlint/v3/lint"
	_ "github.com/zmap/zlint/v3/lints/rfc" // registers the lints that cite RFCs
)

// rfcSources are the sources of zlint that apply to any PKI. Those of the
// CA/Browser Forum bind public CAs only and are asked below their roots
// ([publicWebValidity]); those of root programmes and of ETSI are not asked.
func rfcSources() zlint.SourceList {
	return zlint.SourceList{zlint.RFC3279, zlint.RFC5280, zlint.RFC5480, zlint.RFC8813}
}

// muted names the lints of zlint that contradict device PKI, with the reason.
func muted() map[string]string {
	return map[string]string{
		"w_ext_subject_key_identifier_missing_sub_cert": "IEEE 802.1AR-2018 section 8.10.2 tells issuers of device identities to omit it",
	}
}

// mutedSelfSigned are further ones that say nothing of a self-signed certificate,
// with the reason. zlint itself excepts those whose signatures it verifies, which
// Ed25519 and Ed448 are not.
func mutedSelfSigned() map[string]string {
	const reason = "RFC 5280 section 4.2.1.1 excepts self-signed certificates"
	return map[string]string{
		"e_ext_authority_key_identifier_no_key_identifier": reason,
	}
}

// zlinter runs lints of zlint.
type zlinter struct {
	lints []*zlint.CertificateLint // by name
	// framed says of each whether zlint's framework has a part in running it: it
	// configures the lint, or looks first whether the certificate is of those that
	// sources of the CA/Browser Forum are about.
	framed []bool
	// extensions are those that some lints are about, and about has for each lint the
	// bit of its extension; 0: it is about none of them. every says of those whether they
	// apply wherever the extension is.
	extensions []string
	about      []uint32
	every      []bool
	// usage says which write out the bits of a keyUsage.
	usage  []bool
	config zlint.Configuration
}

// newZlinter filters zlint's registry: the lints of sources, without the muted.
func newZlinter(sources zlint.SourceList) zlinter {
	var names []string
	for name := range muted() {
		names = append(names, name)
	}
	slices.Sort(names)
	r, err := zlint.GlobalRegistry().Filter(zlint.FilterOptions{IncludeSources: sources, ExcludeNames: names})
	if err != nil {
		return zlinter{}
	}
	lints := slices.Clone(r.CertificateLints().Lints())
	slices.SortFunc(lints, func(a, b *zlint.CertificateLint) int { return strings.Compare(a.Name, b.Name) })
	framed := make([]bool, len(lints))
	for i, l := range lints {
		_, configurable := l.Lint().(zlint.Configurable)
		framed[i] = configurable || l.Source == zlint.CABFBaselineRequirements ||
			l.Source == zlint.CABFSMIMEBaselineRequirements || l.Source == zlint.CABFCSBaselineRequirements
	}
	z := zlinter{lints: lints, framed: framed, about: make([]uint32, len(lints)), every: make([]bool, len(lints)), usage: make([]bool, len(lints)), config: r.GetConfiguration()}
	extensions := aboutExtensions()
	z.extensions = slices.Sorted(maps.Keys(extensions))
	for i, l := range lints {
		z.usage[i] = l.Name == wrongLength || l.Name == "e_incorrect_ku_encoding" || l.Name == "e_superfluous_ku_encoding"
		for n, id := range z.extensions {
			if z.every[i] = slices.Contains(extensions[id].every, l.Name); z.every[i] || slices.Contains(extensions[id].some, l.Name) {
				z.about[i] = 1 << n
				break
			}
		}
	}
	return z
}

// linter returns a function that runs zlint's lints of sources on a certificate and
// returns the names of those that found something at error or warn level, sorted.
// Notices do not count, nor does a lint that failed itself. What a lint says besides
// is left out: some of zlint's texts list a map in its random order. The registry
// is filtered at the first call.
func linter(sources ...zlint.LintSource) func(*x509.Certificate) []string {
	z := sync.OnceValue(func() zlinter { return newZlinter(sources) })
	return func(c *x509.Certificate) []string { return z().run(c) }
}

// longKeyUsage is from how many bytes on a keyUsage is not shown to the lints that
// write out all its bits for their texts. It has nine bits (RFC 5280 section 4.2.1.3),
// so that wrongLength is what they would say.
const (
	keyUsageID   = "2.5.29.15"
	longKeyUsage = 64
	wrongLength  = "e_key_usage_incorrect_length"
)

func (z zlinter) run(c *x509.Certificate) []string {
	var missing uint32
	for i, id := range z.extensions {
		if _, has := c.ExtensionsMap[id]; !has {
			missing |= 1 << i
		}
	}
	var hits []string
	for next := 0; next < len(z.lints); next++ {
		hits, next = z.runFrom(next, c, missing, hits)
	}
	return hits
}

// runFrom runs the lints from next on, to the end or to one that panics, and
// returns where it stopped. Those about missing extensions do not apply. It does what
// [zlint.CertificateLint.Execute] does, but makes no result for the many lints that do
// not apply.
func (z zlinter) runFrom(next int, c *x509.Certificate, missing uint32, before []string) (hits []string, stopped int) {
	hits = before
	defer func() {
		if recover() != nil { // a lint that fails itself says nothing of the certificate
			stopped = next
		}
	}()
	for ; next < len(z.lints); next++ {
		if z.about[next]&missing != 0 {
			continue
		}
		l := z.lints[next]
		if z.usage[next] && len(c.ExtensionsMap[keyUsageID].Value) >= longKeyUsage {
			if l.Name == wrongLength {
				hits = append(hits, l.Name)
			}
			continue
		}
		var r *zlint.LintResult
		if z.framed[next] {
			r = l.Execute(c, z.config)
		} else {
			impl := l.Lint()
			if !z.every[next] && !impl.CheckApplies(c) || !l.CheckEffective(c) {
				continue
			}
			r = impl.Execute(c)
		}
		if r.Status == zlint.Warn || r.Status == zlint.Error {
			hits = append(hits, l.Name)
		}
	}
	return hits, next
}
