package status

import (
	"bytes"
	"crypto"
	"crypto/sha1" //nolint:gosec // a name for a key (RFC 6960 section 4.2.1), no proof
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/zmap/zcrypto/x509"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"probity/internal/wire/ocspwire"
	"probity/lint"
)

// serialOf is the content of the DER INTEGER of a serial number.
func serialOf(c *lint.Certificate) []byte {
	if c.X509().SerialNumber == nil {
		return nil
	}
	der, err := asn1.Marshal(c.X509().SerialNumber)
	in := cryptobyte.String(der)
	var content cryptobyte.String
	if err != nil || !in.ReadASN1(&content, cbasn1.INTEGER) {
		return nil
	}
	return content
}

// keyBits is the content of the subjectPublicKey of a certificate, without the count
// of unused bits, of which CertID and ResponderID have the hash.
func keyBits(c *lint.Certificate) []byte {
	in := cryptobyte.String(c.X509().RawSubjectPublicKeyInfo)
	var body cryptobyte.String
	var bits []byte
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !body.SkipASN1(cbasn1.SEQUENCE) || !body.ReadASN1BitStringAsBytes(&bits) {
		return nil
	}
	return bits
}

// names reports whether a status is about c, which issuer certified (RFC 6960
// section 4.1.1).
func names(s ocspwire.Single, c, issuer *lint.Certificate) bool {
	hash := map[string]crypto.Hash{
		"1.3.14.3.2.26": crypto.SHA1, "2.16.840.1.101.3.4.2.1": crypto.SHA256,
		"2.16.840.1.101.3.4.2.2": crypto.SHA384, "2.16.840.1.101.3.4.2.3": crypto.SHA512,
	}[s.Hash]
	if hash == 0 || !bytes.Equal(s.Serial, serialOf(c)) {
		return false
	}
	sum := func(b []byte) []byte {
		h := hash.New()
		h.Write(b)
		return h.Sum(nil)
	}
	return bytes.Equal(s.NameHash, sum(c.RawIssuer())) && bytes.Equal(s.KeyHash, sum(keyBits(issuer)))
}

// responder says why nobody who may has signed a response on certificates of issuer,
// or nil (RFC 6960 section 4.2.2.2): the issuer itself may, and whom it has certified
// for signing responses, with a certificate that came with the response and was
// valid when it was produced.
func responder(env *lint.Env, r *lint.Response, issuer *lint.Certificate) error {
	err := errors.New("its signature is neither of the issuer nor of a responder whose certificate came with it")
	if isResponder(r.Response, issuer) {
		switch verified := env.Corpus.Verify(r.Signed(), issuer); {
		case verified == nil:
			return nil
		case errors.Is(verified, lint.ErrUnverifiable):
			err = errors.New("its signature cannot be verified here")
		}
	}
	for _, c := range r.Certificates {
		if !c.Decoded() || !isResponder(r.Response, c) || env.Corpus.Verify(r.Signed(), c) != nil {
			continue
		}
		switch {
		case !lint.SameDN(c.RawIssuer(), issuer.RawSubject()) || env.Corpus.SignedBy(c, issuer) != nil:
			err = fmt.Errorf("the responder %q is not certified by the issuer", c.Subject())
		case !c.HasExtKeyUsage(x509.ExtKeyUsageOcspSigning):
			err = fmt.Errorf("the responder %q is not certified for signing OCSP responses", c.Subject())
		case !within(r.Response.Produced, c.NotBefore(), c.NotAfter()):
			err = fmt.Errorf("the certificate of the responder %q was not valid at that time", c.Subject())
		default:
			return nil
		}
	}
	return err
}

// isResponder reports whether the response names the holder of a certificate as the
// one who signed it.
func isResponder(r *ocspwire.Response, c *lint.Certificate) bool {
	if len(r.ResponderKey) > 0 {
		sum := sha1.Sum(keyBits(c)) //nolint:gosec // see the imports
		return bytes.Equal(r.ResponderKey, sum[:])
	}
	return bytes.Equal(r.ResponderName, c.RawSubject())
}

// said is a status that an authorised responder gave of a certificate.
type said struct {
	ocspwire.Single
	response *lint.Response
}

// current reports whether it speaks at an instant; without a nextUpdate newer
// information is always available (RFC 6960 section 2.4), so that it speaks only as
// long as the parameter allows.
func (s said) current(at time.Time, oldest time.Duration) bool {
	end := s.NextUpdate
	if end.IsZero() {
		end = s.ThisUpdate.Add(oldest)
	}
	return within(at, s.ThisUpdate, end)
}

// answersOn returns what authorised responders said of c, the oldest first, and why
// other responses do not count. Responses is where to look.
func answersOn(env *lint.Env, responses []*lint.Response, c *lint.Certificate, issuers []*lint.Certificate) (out []said, why []string) {
	for _, r := range responses {
		if r.Response == nil {
			continue
		}
		for _, s := range r.Response.Singles {
			for _, issuer := range issuers {
				if !names(s, c, issuer) {
					continue
				}
				err := responder(env, r, issuer)
				if err == nil && len(r.Response.Unknown) > 0 {
					err = fmt.Errorf("it has the critical extension %s, which is not known here", r.Response.Unknown[0])
				}
				if err != nil {
					why = append(why, fmt.Sprintf("the OCSP response in %s does not count: %v", placeOf(r.Places), err))
					continue
				}
				out = append(out, said{s, r})
				break
			}
		}
	}
	slices.SortStableFunc(out, func(a, b said) int { return a.ThisUpdate.Compare(b.ThisUpdate) })
	return out, why
}
