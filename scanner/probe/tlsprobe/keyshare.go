package tlsprobe

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"

	"github.com/cloudflare/circl/dh/x448"

	"probity/internal/wire/tlswire"
)

// Groups that the prober has a key exchange for (IANA "TLS Supported Groups").
const (
	groupP256      uint16 = 23
	groupP384      uint16 = 24
	groupP521      uint16 = 25
	groupX25519    uint16 = 29
	groupX448      uint16 = 30
	groupFFDHE2048 uint16 = 0x0100
	groupFFDHE3072 uint16 = 0x0101
	groupFFDHE4096 uint16 = 0x0102
	groupFFDHE6144 uint16 = 0x0103
	groupFFDHE8192 uint16 = 0x0104
	// P-256, X25519 and P-384, each with ML-KEM (draft-ietf-tls-ecdhe-mlkem).
	groupP256MLKEM768   uint16 = 0x11eb
	groupX25519MLKEM768 uint16 = 0x11ec
	groupP384MLKEM1024  uint16 = 0x11ed
)

// keyShare is the client's half of a key exchange of TLS 1.3. What it computes
// opens the server's flight for the observer and protects nothing, so that time
// may depend on it.
type keyShare interface {
	// public is what is sent: key_exchange of RFC 8446 section 4.2.8.
	public() []byte
	// shared computes the secret from the key_exchange of the server.
	shared(server []byte) ([]byte, error)
}

// errShare is a key share that its group does not allow.
var errShare = errors.New("no value of its group")

// newKeyShare makes a key share of a group.
func newKeyShare(group uint16) (keyShare, error) {
	switch group {
	case groupX25519:
		return newCurve(ecdh.X25519())
	case groupP256:
		return newCurve(ecdh.P256())
	case groupP384:
		return newCurve(ecdh.P384())
	case groupP521:
		return newCurve(ecdh.P521())
	case groupX448:
		return newX448()
	case groupFFDHE2048, groupFFDHE3072, groupFFDHE4096, groupFFDHE6144, groupFFDHE8192:
		return newField(group)
	case groupX25519MLKEM768: // ML-KEM comes first here, and second in the others
		kem, err1 := newMLKEM768()
		curve, err2 := newCurve(ecdh.X25519())
		return hybrid{kem, curve, mlkem.CiphertextSize768}, errors.Join(err1, err2)
	case groupP256MLKEM768:
		curve, err1 := newCurve(ecdh.P256())
		kem, err2 := newMLKEM768()
		return hybrid{curve, kem, 65}, errors.Join(err1, err2)
	case groupP384MLKEM1024:
		curve, err1 := newCurve(ecdh.P384())
		kem, err2 := newMLKEM1024()
		return hybrid{curve, kem, 97}, errors.Join(err1, err2)
	}
	return nil, fmt.Errorf("no key exchange for group %s", tlswire.GroupName(group))
}

// onCurve is a key on a curve of the standard library.
type onCurve struct{ key *ecdh.PrivateKey }

func newCurve(c ecdh.Curve) (keyShare, error) {
	key, err := c.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("key share: %w", err)
	}
	return onCurve{key}, nil
}

func (k onCurve) public() []byte { return k.key.PublicKey().Bytes() }

func (k onCurve) shared(server []byte) ([]byte, error) {
	public, err := k.key.Curve().NewPublicKey(server)
	if err != nil {
		return nil, err
	}
	return k.key.ECDH(public)
}

// onX448 is a key of X448 (RFC 7748 section 5).
type onX448 struct{ key, sent x448.Key }

func newX448() (keyShare, error) {
	k := &onX448{}
	if _, err := rand.Read(k.key[:]); err != nil {
		return nil, fmt.Errorf("key share: %w", err)
	}
	x448.KeyGen(&k.sent, &k.key)
	return k, nil
}

func (k *onX448) public() []byte { return k.sent[:] }

func (k *onX448) shared(server []byte) ([]byte, error) {
	var public, secret x448.Key
	if len(server) != len(public) {
		return nil, errShare
	}
	copy(public[:], server)
	if !x448.Shared(&secret, &k.key, &public) { // all zero (RFC 8446 section 7.4.2)
		return nil, errShare
	}
	return secret[:], nil
}

// byMLKEM is a key of ML-KEM (FIPS 203). The server sends a ciphertext.
type byMLKEM struct {
	key interface {
		Decapsulate(ciphertext []byte) ([]byte, error)
	}
	sent []byte
}

func newMLKEM768() (keyShare, error) {
	key, err := mlkem.GenerateKey768()
	if err != nil {
		return nil, fmt.Errorf("key share: %w", err)
	}
	return byMLKEM{key, key.EncapsulationKey().Bytes()}, nil
}

func newMLKEM1024() (keyShare, error) {
	key, err := mlkem.GenerateKey1024()
	if err != nil {
		return nil, fmt.Errorf("key share: %w", err)
	}
	return byMLKEM{key, key.EncapsulationKey().Bytes()}, nil
}

func (k byMLKEM) public() []byte { return k.sent }

func (k byMLKEM) shared(server []byte) ([]byte, error) { return k.key.Decapsulate(server) }

// hybrid joins two exchanges, in the order of its group (draft-ietf-tls-hybrid-design
// section 3).
type hybrid struct {
	first, second keyShare
	cut           int // length of the first share of the server
}

func (h hybrid) public() []byte { return slices.Concat(h.first.public(), h.second.public()) }

func (h hybrid) shared(server []byte) ([]byte, error) {
	if len(server) <= h.cut {
		return nil, errShare
	}
	first, err1 := h.first.shared(server[:h.cut])
	second, err2 := h.second.shared(server[h.cut:])
	return slices.Concat(first, second), errors.Join(err1, err2)
}

// inField is a key of a finite field of RFC 7919, with 2 as generator.
type inField struct{ prime, key *big.Int }

// exponent is the length of an exponent in bits. To keep a secret it would be 225
// to 400 (RFC 7919 section 5.2); here it keeps none, and the time that it takes is
// that of the probe.
const exponent = 128

func newField(group uint16) (keyShare, error) {
	b := make([]byte, exponent/8)
	if _, err := rand.Read(b); err != nil {
		return nil, fmt.Errorf("key share: %w", err)
	}
	b[0] |= 0x80
	return inField{fields()[group], new(big.Int).SetBytes(b)}, nil
}

// public is padded to the size of the prime (RFC 8446 section 4.2.8.1).
func (k inField) public() []byte { return k.power(big.NewInt(2)) }

func (k inField) shared(server []byte) ([]byte, error) {
	y := new(big.Int).SetBytes(server)
	below := new(big.Int).Sub(k.prime, big.NewInt(1))
	if len(server) != k.prime.BitLen()/8 || y.Cmp(big.NewInt(1)) <= 0 || y.Cmp(below) >= 0 {
		return nil, errShare
	}
	return k.power(y), nil
}

func (k inField) power(base *big.Int) []byte {
	return new(big.Int).Exp(base, k.key, k.prime).FillBytes(make([]byte, k.prime.BitLen()/8))
}

// fields are the primes of the groups, computed once, when the first server asks
// for one.
var fields = sync.OnceValue(func() map[uint16]*big.Int {
	out := map[uint16]*big.Int{}
	for group, f := range map[uint16]struct {
		bits uint
		x    int64
	}{
		groupFFDHE2048: {2048, 560316}, groupFFDHE3072: {3072, 2625351}, groupFFDHE4096: {4096, 5736041},
		groupFFDHE6144: {6144, 15705020}, groupFFDHE8192: {8192, 10965728},
	} {
		out[group] = fieldPrime(f.bits, f.x)
	}
	return out
})

// fieldPrime is 2^b - 2^(b-64) + (floor(2^(b-130) e) + x) 2^64 - 1 (RFC 7919
// appendix A).
func fieldPrime(bits uint, x int64) *big.Int {
	one := big.NewInt(1)
	middle := eulerTimes(bits - 130)
	middle.Add(middle, big.NewInt(x)).Lsh(middle, 64)
	p := new(big.Int).Lsh(one, bits)
	p.Sub(p, new(big.Int).Lsh(one, bits-64))
	return p.Add(p, middle).Sub(p, one)
}

// eulerTimes is floor(2^n e), by the series of e with 64 bits to spare.
func eulerTimes(n uint) *big.Int {
	const spare = 64
	sum, term := new(big.Int), new(big.Int).Lsh(big.NewInt(1), n+spare)
	for k := int64(1); term.Sign() > 0; k++ {
		sum.Add(sum, term)
		term.Quo(term, big.NewInt(k))
	}
	return sum.Rsh(sum, spare)
}
