package fleet

import (
	"crypto"
	"crypto/dsa" //nolint:staticcheck // old devices sign with it
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	zdsa "github.com/zmap/zcrypto/dsa"

	"probity/evidence"
	"probity/fixtures/pki"
	"probity/internal/wire/sigwire"
	"probity/lint"
)

// recovered computes the private key from what two signatures say.
func recovered(n *big.Int, a, b *evidence.Signature) *big.Int {
	num := func(x []byte) *big.Int { return new(big.Int).SetBytes(x) }
	return pki.RecoverKey(n, num(a.R), num(a.S), num(b.S), a.Digest, b.Digest)
}

// TestUniqueNonce_recover shows that what the check fails on gives the private key
// away: it is computed from two certificates alone.
func TestUniqueNonce_recover(t *testing.T) {
	key, err := pki.ECKey(pki.NewSeed(3), elliptic.P256())
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var obs []evidence.Observation
	var signatures []*evidence.Signature
	for i := range int64(2) {
		template := &x509.Certificate{SerialNumber: big.NewInt(i + 1), Subject: pkix.Name{CommonName: "CA"}, NotBefore: at.AddDate(-1, 0, 0), NotAfter: at.AddDate(1, 0, 0)}
		der, err := x509.CreateCertificate(nil, template, template, key.Public(), pki.RepeatingSigner{Key: key, Number: big.NewInt(0x1234567)})
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		s := sigwire.ParseDER(c.Signature)
		sum := sha256.Sum256(c.RawTBSCertificate)
		s.Digest = sum[:]
		signatures = append(signatures, s)
		obs = append(obs, evidence.Observation{
			ID: i + 1, Run: 1, Method: evidence.Import, Kind: evidence.KindArtefact, Result: evidence.ResultData, At: at,
			Endpoint: evidence.Endpoint{Transport: evidence.File, Name: c.SerialNumber.String()},
			Certs:    []evidence.Presented{{Role: evidence.RoleFile, DER: der}}, Facts: evidence.Facts{Artefact: &evidence.ArtefactFacts{Format: "der"}},
		})
	}
	env := &lint.Env{At: at, Policy: &lint.Policy{}, Corpus: lint.NewCorpus(obs, nil)}
	if got := uniqueNonce().Fleet(env, env.Corpus); len(got) != 1 || got[0].Outcome != evidence.Fail {
		t.Fatalf("%+v", got)
	}
	secret, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if d := recovered(key.Params().N, signatures[0], signatures[1]); d.Cmp(new(big.Int).SetBytes(secret)) != 0 {
		t.Error("the key that was computed is not the one that signed")
	}
}

// TestMadeBy_dsa does the same with DSA, where the check verifies with zcrypto.
func TestMadeBy_dsa(t *testing.T) {
	key := new(dsa.PrivateKey)
	if err := dsa.GenerateParameters(&key.Parameters, rand.Reader, dsa.L1024N160); err != nil {
		t.Fatal(err)
	}
	if err := dsa.GenerateKey(key, rand.Reader); err != nil {
		t.Fatal(err)
	}
	signer := pki.RepeatingDSASigner{Key: key, Number: big.NewInt(0x7654321)}
	public := signer.Public().(*dsa.PublicKey)
	theirs := &zdsa.PublicKey{Parameters: zdsa.Parameters{P: public.P, Q: public.Q, G: public.G}, Y: public.Y}
	var signatures []*evidence.Signature
	for _, text := range []string{"one", "two"} {
		sum := sha256.Sum256([]byte(text))
		der, err := signer.Sign(nil, sum[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		s := sigwire.ParseDER(der)
		s.Digest = sum[:]
		if made, err := lint.MadeBy(theirs, s); err != nil || !made {
			t.Errorf("%v, %v: want a signature that verifies", made, err)
		}
		signatures = append(signatures, s)
	}
	if x := recovered(key.Q, signatures[0], signatures[1]); x.Cmp(key.X) != 0 {
		t.Error("the key that was computed is not the one that signed")
	}
}
