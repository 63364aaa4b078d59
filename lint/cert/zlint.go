package cert

import (
	"slices"
	"strings"
	"sync"

	"github.com/zmap/zcrypto/x509"
	zlint "github.com/zmap/zlint/v3/lint"
	_ "github.com/zmap/zlint/v3/lints/rfc" // registers the lints that cite RFCs
)

// rfcSources are the sources of zlint that apply to any PKI. Those of the
// CA/Browser Forum, of root programmes and of ETSI bind public CAs only.
func rfcSources() zlint.SourceList {
	return zlint.SourceList{zlint.RFC3279, zlint.RFC5280, zlint.RFC5480, zlint.RFC8813}
}

// muted names the lints of zlint that contradict device PKI, with the reason.
func muted() map[string]string {
	return map[string]string{
		"w_ext_subject_key_identifier_missing_sub_cert": "IEEE 802.1AR-2018 section 8.10.2 tells issuers of device identities to omit it",
	}
}

// hit is a lint of zlint that found something.
type hit struct{ name, detail string }

// rfcLinter returns a function that runs zlint's RFC lints on a certificate and
// returns the hits at error and warn level, by name. Notices do not count, nor
// does a lint that failed itself. The registry is filtered at the first call.
func rfcLinter() func(*x509.Certificate) []hit {
	lints := sync.OnceValues(func() ([]*zlint.CertificateLint, zlint.Configuration) {
		skip := muted()
		names := make([]string, 0, len(skip))
		for name := range skip {
			names = append(names, name)
		}
		slices.Sort(names)
		r, err := zlint.GlobalRegistry().Filter(zlint.FilterOptions{IncludeSources: rfcSources(), ExcludeNames: names})
		if err != nil {
			return nil, zlint.Configuration{}
		}
		return r.CertificateLints().Lints(), r.GetConfiguration()
	})
	return func(c *x509.Certificate) []hit {
		all, config := lints()
		var hits []hit
		for _, l := range all {
			r := l.Execute(c, config)
			if r.Status == zlint.Warn || r.Status == zlint.Error {
				hits = append(hits, hit{l.Name, r.Details})
			}
		}
		slices.SortFunc(hits, func(a, b hit) int { return strings.Compare(a.name, b.name) })
		return hits
	}
}
