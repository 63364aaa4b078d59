package artefact

import (
	"bytes"
	"crypto/dsa" //nolint:staticcheck // old keys are read to be judged
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgpecdsa "github.com/ProtonMail/go-crypto/openpgp/ecdsa"
	pgped25519 "github.com/ProtonMail/go-crypto/openpgp/ed25519"
	pgpeddsa "github.com/ProtonMail/go-crypto/openpgp/eddsa"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ssh"
)

// spkiOf writes a key as SubjectPublicKeyInfo. Keys that the standard library does
// not write are written here, as they stand: whether they are any good is judged
// elsewhere.
func spkiOf(key any) ([]byte, error) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return rsaKeySPKI(k.N, big.NewInt(int64(k.E)))
	case *dsa.PublicKey:
		return dsaSPKI(k)
	case *pgpecdsa.PublicKey:
		return ecSPKI(k.GetCurve().GetCurveName(), k.MarshalPoint())
	case *pgpeddsa.PublicKey:
		return edSPKI(k.X)
	case *pgped25519.PublicKey:
		return edSPKI(k.Point)
	}
	return x509.MarshalPKIXPublicKey(key)
}

// rsaSPKI wraps an RSAPublicKey (RFC 8017 appendix A.1.1).
func rsaSPKI(pkcs1 []byte) ([]byte, error) {
	in := cryptobyte.String(pkcs1)
	var body cryptobyte.String
	n, e := new(big.Int), new(big.Int)
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1Integer(n) || !body.ReadASN1Integer(e) {
		return nil, errors.New("not a public key: the RSA key cannot be read")
	}
	return rsaKeySPKI(n, e)
}

func rsaKeySPKI(n, e *big.Int) ([]byte, error) {
	return build(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, (*cryptobyte.Builder).AddASN1NULL, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1BigInt(n)
			b.AddASN1BigInt(e)
		})
	})
}

func dsaSPKI(k *dsa.PublicKey) ([]byte, error) {
	params := func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1BigInt(k.P)
			b.AddASN1BigInt(k.Q)
			b.AddASN1BigInt(k.G)
		})
	}
	return build(asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}, params, func(b *cryptobyte.Builder) { b.AddASN1BigInt(k.Y) })
}

func ecSPKI(curve string, point []byte) ([]byte, error) {
	oid, ok := map[string]asn1.ObjectIdentifier{
		elliptic.P256().Params().Name: {1, 2, 840, 10045, 3, 1, 7},
		elliptic.P384().Params().Name: {1, 3, 132, 0, 34},
		elliptic.P521().Params().Name: {1, 3, 132, 0, 35},
		"brainpoolP256r1":             {1, 3, 36, 3, 3, 2, 8, 1, 1, 7},
		"brainpoolP384r1":             {1, 3, 36, 3, 3, 2, 8, 1, 1, 11},
		"brainpoolP512r1":             {1, 3, 36, 3, 3, 2, 8, 1, 1, 13},
	}[curve]
	if !ok {
		return nil, fmt.Errorf("curve %q is not known", curve)
	}
	return build(asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1},
		func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) },
		func(b *cryptobyte.Builder) { b.AddBytes(point) })
}

func edSPKI(point []byte) ([]byte, error) {
	if len(point) == ed25519.PublicKeySize+1 && point[0] == 0x40 { // the prefix of RFC 9580 section 11.2
		point = point[1:]
	}
	return build(asn1.ObjectIdentifier{1, 3, 101, 112}, nil, func(b *cryptobyte.Builder) { b.AddBytes(point) })
}

// build writes a SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
func build(oid asn1.ObjectIdentifier, params, key func(*cryptobyte.Builder)) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oid)
			if params != nil {
				params(b)
			}
		})
		b.AddASN1(cbasn1.BIT_STRING, func(b *cryptobyte.Builder) {
			b.AddUint8(0)
			key(b)
		})
	})
	return b.Bytes()
}

// readSSH returns the keys of lines as in authorized_keys, *.pub and known_hosts
// (sshd(8)). Lines that hold none, or one of a kind that is not read, are passed over;
// one that is cut off is an error.
func readSSH(data []byte) ([]item, error) {
	var items []item
	number := 0
	for line := range bytes.Lines(data) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, _, options, _, err := ssh.ParseAuthorizedKey(line)
		if slices.ContainsFunc(options, keyOption) {
			options = nil
		}
		hosts := strings.Join(options, ",") // which known_hosts has in their place
		if err != nil {
			_, _, key, _, _, err = ssh.ParseKnownHosts(line)
		}
		if err != nil {
			if cutOff(line) {
				return nil, fmt.Errorf("not a key: line %d: the SSH key is cut off or damaged: copy the line again", number)
			}
			continue
		}
		if spki, err := sshSPKI(key); err == nil {
			items = append(items, item{format: formatSSH, kind: kindPublicKey, der: spki, hosts: hosts})
		}
		if len(items) > MaxCertificates {
			break // the caller refuses them
		}
	}
	return items, nil
}

// keyOption reports whether a word before a key is an option of authorized_keys
// (sshd(8)) and no host.
func keyOption(word string) bool {
	name, _, valued := strings.Cut(word, "=")
	switch name = strings.ToLower(name); name {
	case "restrict", "cert-authority", "agent-forwarding", "port-forwarding", "pty", "user-rc", "x11-forwarding":
		return true
	}
	return valued && !strings.HasPrefix(word, "|") || strings.HasPrefix(name, "no-") || strings.HasPrefix(name, "@")
}

// cutOff reports whether a line names a kind of SSH key that is read, without such a key
// after it.
func cutOff(line []byte) bool {
	words := bytes.Fields(line)
	for i, w := range words {
		switch string(w) {
		case ssh.KeyAlgoRSA, ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, "ssh-dss":
		default:
			continue
		}
		if i+1 == len(words) {
			return true
		}
		blob, err := base64.StdEncoding.DecodeString(string(words[i+1]))
		if err != nil {
			return true
		}
		_, err = ssh.ParsePublicKey(blob)
		return err != nil
	}
	return false
}

func sshSPKI(key ssh.PublicKey) ([]byte, error) {
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
	}
	k, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return nil, fmt.Errorf("SSH keys of type %q are not read", key.Type())
	}
	return spkiOf(k.CryptoPublicKey())
}

// readJWK returns the keys of a JSON Web Key or a set of them, and the certificates
// that they carry (RFC 7517). Private parts are dropped; symmetric keys are passed
// over.
func readJWK(data []byte) (items []item, err error) {
	defer func() {
		if r := recover(); r != nil {
			items, err = nil, fmt.Errorf("not a key: the JWK parser gave up: %v", r)
		}
	}()
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("not a key: JSON, but no JWK: %w: %s", err, notKnown)
	}
	if set.Keys == nil {
		set.Keys = []json.RawMessage{data}
	}
	for i, raw := range set.Keys {
		if spki, ok := octetKey(raw); ok {
			items = append(items, item{format: formatJWK, kind: kindPublicKey, der: spki})
			continue
		}
		var k jose.JSONWebKey
		if err := k.UnmarshalJSON(raw); err != nil {
			return nil, fmt.Errorf("not a key: JWK %d: %w: take it out of the set, or give it as PEM", i+1, err)
		}
		public := k.Public()
		for position, c := range k.Certificates {
			items = append(items, item{format: formatJWK, kind: kindCertificate, der: c.Raw, position: position})
		}
		if public.Key != nil && len(k.Certificates) == 0 {
			spki, err := spkiOf(public.Key)
			if err != nil {
				return nil, fmt.Errorf("not a key: JWK %d: %w", i+1, err)
			}
			items = append(items, item{format: formatJWK, kind: kindPublicKey, der: spki})
		}
		if len(items) > MaxCertificates {
			return items, nil // the caller refuses them
		}
	}
	if len(items) == 0 {
		return nil, errors.New("not a key: the JWK set holds symmetric keys only, which are never read")
	}
	return items, nil
}

// octetKey reads an octet key pair on a curve that the library does not know (RFC 8037
// section 2).
func octetKey(raw []byte) ([]byte, bool) {
	var k struct {
		Kty, Crv, X string
	}
	if err := json.Unmarshal(raw, &k); err != nil || k.Kty != "OKP" {
		return nil, false
	}
	oid, ok := map[string]asn1.ObjectIdentifier{"X25519": {1, 3, 101, 110}, "X448": {1, 3, 101, 111}, "Ed448": {1, 3, 101, 113}}[k.Crv]
	if !ok {
		return nil, false
	}
	point, err := base64.RawURLEncoding.DecodeString(k.X)
	if err != nil || len(point) == 0 {
		return nil, false
	}
	spki, err := build(oid, nil, func(b *cryptobyte.Builder) { b.AddBytes(point) })
	return spki, err == nil
}

// exportAgain is the mend of damaged OpenPGP data.
const exportAgain = "copy the file or export the public key again (gpg --export)"

// beginsPGP reports whether a file that begins with b begins as an OpenPGP public or
// secret key does (RFC 9580 section 4.2): packet types 6 and 5 in either format.
func beginsPGP(b byte) bool {
	if b&0x40 != 0 {
		return b == 0xc6 || b == 0xc5
	}
	return b>>2 == 0x98>>2 || b>>2 == 0x94>>2
}

// readPGP returns the keys and subkeys of OpenPGP key material, in ASCII armour or not (RFC
// 9580). The public half of a private key is read.
func readPGP(data []byte) (items []item, err error) {
	defer func() {
		if r := recover(); r != nil {
			items, err = nil, fmt.Errorf("not a key: the OpenPGP parser gave up: %v", r)
		}
	}()
	var in io.Reader = bytes.NewReader(data)
	if at := bytes.Index(data, []byte("-----BEGIN PGP ")); at >= 0 {
		block, err := armor.Decode(bytes.NewReader(data[at:]))
		if err != nil {
			return nil, fmt.Errorf("not a key: ASCII armour of OpenPGP: %w: %s", err, exportAgain)
		}
		in = io.LimitReader(block.Body, MaxFile)
	}
	var unread error
	for packets := packet.NewReader(in); len(items) <= MaxCertificates; {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("not a key: OpenPGP after key %d: %w: %s", len(items), err, exportAgain)
		}
		var key any
		switch p := p.(type) {
		case *packet.PublicKey:
			key = p.PublicKey
		case *packet.PrivateKey:
			key = p.PublicKey.PublicKey
		default:
			continue
		}
		spki, err := spkiOf(key)
		if err != nil {
			unread = err // an encryption key of a kind that signs nothing
			continue
		}
		items = append(items, item{format: formatPGP, kind: kindPublicKey, der: spki})
	}
	if len(items) == 0 {
		return nil, errors.Join(errors.New("not a key: the OpenPGP data hold no key that is read: "+exportAgain), unread)
	}
	return items, nil
}
