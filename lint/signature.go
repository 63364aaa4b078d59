package lint

import (
	"crypto"
	stddsa "crypto/dsa" //nolint:staticcheck // of SSH keys
	"crypto/ecdsa"
	"errors"
	"math/big"
	"sync"

	"github.com/zmap/zcrypto/dsa"
	"github.com/zmap/zcrypto/encoding/asn1"
	"github.com/zmap/zcrypto/x509"
	"github.com/zmap/zcrypto/x509/pkix"

	"probity/evidence"
)

// Signed is something signed that is no certificate: a revocation list or an OCSP
// response.
type Signed struct {
	Digest    evidence.Digest // of the whole, by which the answer is remembered
	Body      []byte          // what is signed
	Algorithm []byte          // DER of the AlgorithmIdentifier
	Signature []byte
}

// Verify checks the signature of s with the key of signer, whatever the strength
// of either. The answer is remembered. The error is [ErrUnverifiable] where it
// cannot be told.
func (c *Corpus) Verify(s Signed, signer *Certificate) error {
	return c.remember([2]evidence.Digest{s.Digest, signer.Digest}, func() error {
		return check(signer, AlgorithmOf(s.Algorithm), s.Body, s.Signature)
	})
}

// mostRemembered bounds the answers that a corpus remembers.
const mostRemembered = 1 << 16

// remember computes an answer about two digests once, or again where many others were
// asked for since.
func (c *Corpus) remember(k [2]evidence.Digest, compute func() error) error {
	c.mu.Lock()
	answer := c.signatures[k]
	if answer == nil {
		if len(c.signatures) >= mostRemembered {
			clear(c.signatures)
		}
		answer = sync.OnceValue(compute)
		c.signatures[k] = answer
	}
	c.mu.Unlock()
	return answer()
}

// check verifies a signature. What is not known here is [ErrUnverifiable].
func check(signer *Certificate, algorithm x509.SignatureAlgorithm, body, signature []byte) (err error) {
	defer func() {
		if r := recover(); r != nil { // the arithmetic is not ours and the numbers are hostile
			err = ErrUnverifiable
		}
	}()
	if !signer.Decoded() || signer.KeyHidden || signer.X509().PublicKey == nil ||
		algorithm == x509.UnknownSignatureAlgorithm || algorithm == x509.MD2WithRSA {
		return ErrUnverifiable
	}
	err = signer.X509().CheckSignature(algorithm, body, signature)
	if errors.Is(err, x509.ErrUnsupportedAlgorithm) && signer.X509().PublicKeyAlgorithm == x509.UnknownPublicKeyAlgorithm {
		return ErrUnverifiable
	}
	return err
}

// AlgorithmOf reads the DER of an AlgorithmIdentifier of a signature.
func AlgorithmOf(der []byte) x509.SignatureAlgorithm {
	var ai pkix.AlgorithmIdentifier
	if rest, err := asn1.Unmarshal(der, &ai); err != nil || len(rest) > 0 {
		return x509.UnknownSignatureAlgorithm
	}
	return x509.GetSignatureAlgorithmFromAI(ai)
}

// DSAHash is the hash of a signature algorithm of DSA or ECDSA; 0 for any other.
func DSAHash(a x509.SignatureAlgorithm) crypto.Hash {
	switch a {
	case x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return crypto.SHA1
	case x509.DSAWithSHA256, x509.ECDSAWithSHA256:
		return crypto.SHA256
	case x509.ECDSAWithSHA384:
		return crypto.SHA384
	case x509.ECDSAWithSHA512:
		return crypto.SHA512
	default:
		return 0
	}
}

// MadeBy reports whether the signature is one of a key of DSA or ECDSA; the error
// is [ErrUnverifiable] where that cannot be told.
func MadeBy(key any, s *evidence.Signature) (made bool, err error) {
	defer func() {
		if r := recover(); r != nil {
			made, err = false, ErrUnverifiable
		}
	}()
	r, v := new(big.Int).SetBytes(s.R), new(big.Int).SetBytes(s.S)
	if len(s.Digest) == 0 {
		return false, ErrUnverifiable
	}
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.Verify(k, s.Digest, r, v), nil
	case *x509.AugmentedECDSA:
		return ecdsa.Verify(k.Pub, s.Digest, r, v), nil
	case *dsa.PublicKey:
		if k.P.BitLen() > MaxKeyBits || k.Q.BitLen() > maxSubgroupBits {
			return false, ErrUnverifiable
		}
		return dsa.Verify(k, s.Digest[:min(len(s.Digest), (k.Q.BitLen()+7)/8)], r, v), nil
	}
	return false, ErrUnverifiable
}

// Order is the order of the group that a key of DSA or ECDSA signs in; nil for any
// other key.
func Order(key any) *big.Int {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return k.Params().N
	case *x509.AugmentedECDSA:
		return k.Pub.Params().N
	case *dsa.PublicKey:
		return k.Q
	case *stddsa.PublicKey:
		return k.Q
	}
	return nil
}
