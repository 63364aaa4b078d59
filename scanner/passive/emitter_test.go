package passive

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net/netip"
	"testing"
	"time"

	"probity/evidence"
	"probity/internal/wire/tlswire"
)

// signer signs handshakes with one key of P-256.
type signer struct {
	key         *ecdsa.PrivateKey
	certificate []byte
}

func newSigner(t testing.TB) signer {
	t.Helper()
	scalar := make([]byte, 32)
	scalar[31] = 7
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1, 0)}
	der, err := x509.CreateCertificate(nil, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key, der}
}

// sign makes the signature of a text with a number of one's choice (FIPS 186-5 section
// 6.4.1).
func (s signer) sign(t testing.TB, text string, number byte) []byte {
	t.Helper()
	k := make([]byte, 32)
	k[31] = number
	point, err := ecdh.P256().NewPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	scalar, err := s.key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	order, hash := elliptic.P256().Params().N, sha256.Sum256([]byte(text))
	r := new(big.Int).Mod(new(big.Int).SetBytes(point.PublicKey().Bytes()[1:33]), order)
	n := new(big.Int).Mul(r, new(big.Int).SetBytes(scalar))
	n.Add(n, new(big.Int).SetBytes(hash[:])).Mul(n, new(big.Int).ModInverse(new(big.Int).SetBytes(k), order)).Mod(n, order)
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, n})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// handshake is an emission of a server of a name, with its signature of a text.
func (s signer) handshake(name, text string, signature []byte, packets int) emission {
	const ecdsaSHA256 = 0x0403
	f := &evidence.TLSFacts{ServerName: name}
	o := evidence.Observation{
		Kind: evidence.KindTLS, Endpoint: evidence.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Transport: evidence.TCP},
		Certs: []evidence.Presented{{Role: evidence.RoleServer, DER: s.certificate}}, Facts: evidence.Facts{TLS: f},
	}
	return emission{list: []evidence.Observation{o}, packets: packets, pledges: func() []*pledge {
		p := proof{certificate: s.certificate, version: tlswire.VersionTLS12, scheme: ecdsaSHA256, signature: signature, signed: []byte(text)}
		return []*pledge{{proof: p, held: &f.Possession, signature: &f.Signature}}
	}}
}

// TestEmitter_signatures: a flood of handshakes must not take more time for
// signatures than its packets take; all of them are recorded.
func TestEmitter_signatures(t *testing.T) {
	const n = 6_000
	s := newSigner(t)
	signature := s.sign(t, "text", 9)
	for _, tt := range []struct{ packets, checked int }{
		{2, proofBurst + 2*n/proofPackets + 1},
		{proofPackets, n},
	} {
		var all collector
		r := newReader(t.Context(), &all, Options{})
		for i := range n {
			r.emit(s.handshake(fmt.Sprint(i), "text", signature, (i+1)*tt.packets))
		}
		checked, stats := 0, r.total()
		for _, o := range all.list {
			if o.Facts.TLS.Possession == evidence.PossessionVerified {
				checked++
			}
		}
		if checked > tt.checked || checked < tt.checked-100 || stats.Unproven != n-checked || stats.Observations != n {
			t.Errorf("%d packets each: %d of %d checked, want %d; %+v", tt.packets, checked, n, tt.checked, stats)
		}
		if len(stats.Incomplete()) > 0 || (len(stats.Remarks()) > 0) != (checked < n) {
			t.Errorf("%q, %q", stats.Incomplete(), stats.Remarks())
		}
	}
}

// TestEmitter_repeats: what was verified once between two addresses is verified again
// as often as there are packets to pay for it, and always where a number comes again.
func TestEmitter_repeats(t *testing.T) {
	s := newSigner(t)
	good, bad := s.sign(t, "one", 9), s.sign(t, "something else", 10)
	const refuted, verified = evidence.PossessionRefuted, evidence.PossessionVerified
	for _, tt := range []struct {
		name  string
		after []emission
		want  []evidence.Possession
		twice bool // a number was used twice, and is said
	}{
		{"same", []emission{s.handshake("a", "one", good, 2)}, []evidence.Possession{verified}, false},
		{"unchecked", []emission{s.handshake("a", "two", bad, 2)}, []evidence.Possession{verified}, false},
		{"paid", []emission{s.handshake("a", "two", bad, againPackets)}, []evidence.Possession{verified, refuted}, false},
		{"another name", []emission{s.handshake("b", "two", bad, 2)}, []evidence.Possession{verified, refuted}, false},
		{"number of the first", []emission{s.handshake("a", "two", s.sign(t, "two", 9), 2)}, []evidence.Possession{verified, verified}, true},
		{
			"number of an unchecked one",
			[]emission{s.handshake("a", "two", s.sign(t, "two", 11), 2), s.handshake("a", "three", s.sign(t, "three", 11), 3)},
			[]evidence.Possession{verified, verified},
			true,
		},
		{
			"number of a forged one",
			[]emission{s.handshake("a", "two", s.sign(t, "not two", 11), 2), s.handshake("a", "three", s.sign(t, "three", 11), 3)},
			[]evidence.Possession{verified},
			false,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var all collector
			r := newReader(t.Context(), &all, Options{})
			r.emit(s.handshake("a", "one", good, 1))
			for _, e := range tt.after {
				r.emit(e)
			}
			var got []evidence.Possession
			twice := false
			for _, o := range all.list {
				got = append(got, o.Facts.TLS.Possession)
				twice = twice || o.Facts.TLS.Signature.Before != nil
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) || twice != tt.twice || r.total().Repeats != 1+len(tt.after)-len(got) {
				t.Errorf("%q, a number twice: %t, %+v; want %q, %t", got, twice, r.total(), tt.want, tt.twice)
			}
		})
	}
}
