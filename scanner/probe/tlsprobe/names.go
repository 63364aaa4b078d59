package tlsprobe

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/scanner"
)

// names asks what server names change: whether there is another certificate
// without a name, under the one of the certificate, or under a name that is
// nobody's, and whether that is refused. The enumeration of TLS 1.2 asks it on its
// way, and that of TLS 1.3 where there is nothing else.
func (r *run) names(ctx context.Context) error {
	version := tlswire.VersionTLS13
	if r.spoke(tlswire.VersionTLS12) {
		version = tlswire.VersionTLS12
	}
	if r.level == scanner.Gentle || !r.spoke(version) || r.level == scanner.Exhaustive && version == tlswire.VersionTLS12 {
		return nil
	}
	for _, name := range r.otherNames() {
		var err error
		if version == tlswire.VersionTLS13 {
			o := r.offer(evidence.OfferName, version, fullSuites())
			o.limit, o.serverName = fullBytes, name
			r.completable(&o)
			_, _, err = r.take(ctx, o)
		} else {
			o := r.offer(evidence.OfferName, version, r.tables.tls12)
			o.serverName = name
			_, _, err = r.ask(ctx, o)
		}
		if err != nil || r.silent {
			return err
		}
	}
	return nil
}

// otherNames are the server names of which it is not known what they change.
func (r *run) otherNames() []string {
	other := "" // none
	if r.session.Endpoint().Name == "" {
		other = r.leafName()
	}
	return slices.DeleteFunc([]string{other, unknownName}, r.named)
}

// named reports whether it is known what a name changes: it was answered, or
// refused for itself.
func (r *run) named(name string) bool {
	const unrecognizedName = 112 // RFC 6066 section 3
	return slices.ContainsFunc(r.out, func(o evidence.Observation) bool {
		f := o.Facts.TLS
		return f.ServerName == name && f.OfferedMax >= tlswire.VersionTLS12 &&
			(f.Version != 0 && len(o.Certs) > 0 || f.Alert != nil && *f.Alert == unrecognizedName)
	})
}

// maxName bounds a name that is taken from a certificate: it must fit a hello.
const maxName = 100

// leafName returns a DNS name of the first certificate that was shown, or "". A
// wildcard stands for a host called probity.
func (r *run) leafName() string {
	for _, o := range r.out {
		if len(o.Certs) == 0 {
			continue
		}
		leaf, err := x509.ParseCertificate(o.Certs[0].DER)
		if err != nil {
			return ""
		}
		for _, name := range leaf.DNSNames {
			if rest, wild := strings.CutPrefix(name, "*."); wild {
				name = "probity." + rest
			}
			if plainName(name) {
				return name
			}
		}
		return ""
	}
	return ""
}

// plainName reports whether a text is a host name that can be sent (RFC 952, RFC
// 1123 section 2.1).
func plainName(name string) bool {
	return len(name) > 0 && len(name) <= maxName && strings.Contains(name, ".") && !strings.ContainsFunc(name, func(c rune) bool {
		return c != '-' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	})
}
