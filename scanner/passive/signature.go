package passive

import (
	"bytes"
	"time"

	"probity/evidence"
)

// maxSignatures bounds the signatures that are remembered; what one takes is some
// 300 bytes.
const maxSignatures = 1 << 16

// signatures are those that were seen, by certificate and R. A handshake that tells
// nothing new is not recorded, but its signature may be the first of two that give a
// key away; it is verified when there is a second.
type signatures map[evidence.Digest]evidence.Signature

// compare looks for an earlier signature that was made with the number of one in o,
// and notes it there. It reports whether there is one.
func (s signatures) compare(o *evidence.Observation) (again bool) {
	f := o.Facts.TLS
	if f == nil {
		return false
	}
	for _, c := range o.Certs {
		if c.Position != 0 {
			continue
		}
		mine := f.Signature
		if c.Role == evidence.RoleClient {
			mine = f.ClientSignature
		}
		if mine == nil || !mine.Verified {
			continue
		}
		key := signatureKey(c.DER, mine)
		switch first, known := s[key]; {
		case known && !bytes.Equal(first.Digest, mine.Digest) && (first.Verified || verifies(c.DER, &first)):
			first.Verified = true
			mine.Before, again = &first, true
		case known && !first.Verified, !known && len(s) < maxSignatures:
			s[key] = *mine
		}
	}
	return again
}

// repeated reports whether the number of a signature was seen in another one of the
// same key, and else keeps it, unverified.
func (s signatures) repeated(p *pledge) bool {
	mine := p.numbers()
	if mine == nil {
		return false
	}
	key := signatureKey(p.certificate, mine)
	first, known := s[key]
	if !known && len(s) < maxSignatures {
		s[key] = *mine
	}
	return known && !bytes.Equal(first.Digest, mine.Digest)
}

func signatureKey(certificate []byte, s *evidence.Signature) evidence.Digest {
	return evidence.DigestOf(append(bytes.Clone(certificate), s.R...))
}

// withoutVolatile returns facts with what of their signatures tells something new
// (of one that repeats a number the number, of any other nothing), and with one
// reading of a clock a day.
func withoutVolatile(f evidence.Facts) evidence.Facts {
	short := func(s *evidence.Signature) *evidence.Signature {
		if s == nil || s.Before == nil {
			return nil
		}
		return &evidence.Signature{R: s.R}
	}
	if f.TLS != nil {
		c := *f.TLS
		c.Signature, c.ClientSignature = short(c.Signature), short(c.ClientSignature)
		f.TLS = &c
	}
	if f.SSH != nil {
		c := *f.SSH
		c.Signature = nil
		f.SSH = &c
	}
	if f.Identity != nil && f.Identity.Clock != nil {
		c := *f.Identity
		c.Clock = &evidence.Clock{Seen: c.Clock.Seen.Truncate(24 * time.Hour)}
		f.Identity = &c
	}
	return f
}
