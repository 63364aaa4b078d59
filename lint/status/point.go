package status

import (
	"bytes"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"probity/internal/wire/crlwire"
	"probity/lint"
)

// Object identifiers of extensions and of what they hold.
const (
	oidDistributionPoints = "2.5.29.31"
	oidNoRevocation       = "2.5.29.56"          // noRevAvail, RFC 9608
	oidFeatures           = "1.3.6.1.5.5.7.1.24" // TLS feature, RFC 7633
)

// allReasons are the flags of all reasons for which a certificate can be revoked
// (RFC 5280 section 4.2.1.13); bit 0 is not used.
const allReasons uint16 = 0x1fe

// point is one distribution point of a certificate (RFC 5280 section 4.2.1.13).
type point struct {
	names   [][]byte // general names of the point, DER, or one name that is relative to the issuer
	reasons uint16   // of the lists there
	issuers [][]byte // DER names of who issues them; nil: the issuer of the certificate
}

// points reads the distribution points of a certificate. One that has none is
// served by lists of its issuer without a point of their own, as is one whose
// extension is damaged.
func points(c *lint.Certificate) []point {
	value, _, ok := c.Extension(oidDistributionPoints)
	in := cryptobyte.String(value)
	var list cryptobyte.String
	if !ok || !in.ReadASN1(&list, cbasn1.SEQUENCE) {
		return []point{{reasons: allReasons}}
	}
	var out []point
	const most = 64
	for !list.Empty() && len(out) < most {
		var one, name, reasons, issuers cryptobyte.String
		var named, some, other bool
		if !list.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadOptionalASN1(&name, &named, context(0)) ||
			!one.ReadOptionalASN1(&reasons, &some, cbasn1.Tag(1).ContextSpecific()) || !one.ReadOptionalASN1(&issuers, &other, context(2)) {
			break
		}
		p := point{reasons: allReasons}
		if some {
			p.reasons = crlwire.Flags(reasons) & allReasons
		}
		var full cryptobyte.String
		switch isFull := false; {
		case !named:
		case name.ReadOptionalASN1(&full, &isFull, context(0)) && isFull:
			p.names = generalNames(full)
		default:
			p.names = [][]byte{name}
		}
		for _, n := range generalNames(issuers) {
			general := cryptobyte.String(n)
			var directory, der cryptobyte.String
			if general.ReadASN1(&directory, context(4)) && directory.ReadASN1Element(&der, cbasn1.SEQUENCE) {
				p.issuers = append(p.issuers, der)
			}
		}
		out = append(out, p)
	}
	if len(out) == 0 {
		return []point{{reasons: allReasons}}
	}
	return out
}

func generalNames(list cryptobyte.String) [][]byte {
	var out [][]byte
	for !list.Empty() {
		var name cryptobyte.String
		var tag cbasn1.Tag
		if !list.ReadAnyASN1Element(&name, &tag) {
			break
		}
		out = append(out, name)
	}
	return out
}

func context(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }

// covers are the reasons for which a list speaks of a certificate with these
// distribution points; 0 where it does not speak of it (RFC 5280 section 6.3.3 (b)).
func covers(l *crlwire.List, c *lint.Certificate, all []point) uint16 {
	s := l.Scope
	if s.OnlyAttributes || s.OnlyUsers && c.IsCA() || s.OnlyCAs && !c.IsCA() {
		return 0
	}
	reasons := allReasons
	if s.Reasons != 0 {
		reasons = s.Reasons & allReasons
	}
	same := lint.SameDN(l.Issuer, c.RawIssuer())
	var out uint16
	for _, p := range all {
		switch {
		case p.issuers == nil && !same:
			continue
		case p.issuers != nil && !slices.ContainsFunc(p.issuers, func(n []byte) bool { return lint.SameDN(n, l.Issuer) }):
			continue
		case p.issuers != nil && !same && !s.Indirect:
			continue
		}
		if len(s.Points) > 0 && len(p.names) > 0 && !common(absolute(s.Points, l.Issuer), absolute(p.names, p.issuer(c))) {
			continue
		}
		if len(s.Points) > 0 && len(p.names) == 0 {
			continue // a part of the lists of its issuer, and nothing says that this is its part
		}
		out |= reasons & p.reasons
	}
	if same && len(s.Points) == 0 {
		// A list of the issuer without a point speaks of all that it issued.
		out |= reasons
	}
	return out
}

// issuer is the name that a relative name of the point begins with: of who issues
// its lists (RFC 5280 section 4.2.1.13).
func (p point) issuer(c *lint.Certificate) []byte {
	if len(p.issuers) == 1 {
		return p.issuers[0]
	}
	return c.RawIssuer()
}

// absolute turns names that are relative to an issuer into directory names.
func absolute(names [][]byte, issuer []byte) [][]byte {
	const relative = 0xa1 // nameRelativeToCRLIssuer [1] IMPLICIT RelativeDistinguishedName
	out := slices.Clone(names)
	for i, n := range out {
		in, base := cryptobyte.String(n), cryptobyte.String(issuer)
		var set, above cryptobyte.String
		if len(n) == 0 || n[0] != relative || !in.ReadASN1(&set, context(1)) || !base.ReadASN1(&above, cbasn1.SEQUENCE) {
			continue
		}
		var b cryptobyte.Builder
		b.AddASN1(context(4), func(b *cryptobyte.Builder) { // directoryName
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddBytes(above)
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(set) })
			})
		})
		if der, err := b.Bytes(); err == nil {
			out[i] = der
		}
	}
	return out
}

func common(a, b [][]byte) bool {
	return slices.ContainsFunc(a, func(n []byte) bool {
		return slices.ContainsFunc(b, func(m []byte) bool { return bytes.Equal(n, m) })
	})
}
