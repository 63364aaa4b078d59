package lint

import (
	"bytes"
	"crypto/mlkem"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/cloudflare/circl/pki"
	"github.com/cloudflare/circl/sign/schemes"
)

// TestQuantumKeys_others reads keys in certificates that others made.
func TestQuantumKeys_others(t *testing.T) {
	for file, want := range map[string]KeyAlgorithm{
		"mldsa44": "ML-DSA-44", "mldsa65": "ML-DSA-65", "mldsa87": "ML-DSA-87",
		"mlkem512": "ML-KEM-512", "mlkem768": "ML-KEM-768", "mlkem1024": "ML-KEM-1024",
		"slhdsa128s": "SLH-DSA-SHA2-128s",
	} {
		t.Run(file, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join("testdata", "pq", file+".pem"))
			if err != nil {
				t.Fatal(err)
			}
			block, _ := pem.Decode(data)
			if block == nil {
				t.Fatal("no PEM block")
			}
			if block.Type == "PUBLIC KEY" {
				checkQuantumKey(t, parseKey(block.Bytes), want)
				return
			}
			c := ParseCertificate(block.Bytes)
			if !c.Decoded() {
				t.Fatal("the certificate cannot be decoded")
			}
			checkQuantumKey(t, c.Key, want)
		})
	}
}

// TestQuantumKeys_libraries reads the keys that CIRCL (ML-DSA, SLH-DSA) and the
// standard library (ML-KEM) make. The object identifiers of ML-DSA are CIRCL's own,
// the others those of NIST's register.
func TestQuantumKeys_libraries(t *testing.T) {
	for _, name := range []KeyAlgorithm{"ML-DSA-44", "ML-DSA-65", "ML-DSA-87"} {
		scheme := schemes.ByName(string(name))
		public, _ := scheme.DeriveKey(make([]byte, scheme.SeedSize()))
		spki, err := pki.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		checkQuantumKey(t, parseKey(spki), name)
	}
	for i, name := range []KeyAlgorithm{
		"SLH-DSA-SHA2-128s", "SLH-DSA-SHA2-128f", "SLH-DSA-SHA2-192s", "SLH-DSA-SHA2-192f", "SLH-DSA-SHA2-256s", "SLH-DSA-SHA2-256f",
		"SLH-DSA-SHAKE-128s", "SLH-DSA-SHAKE-128f", "SLH-DSA-SHAKE-192s", "SLH-DSA-SHAKE-192f", "SLH-DSA-SHAKE-256s", "SLH-DSA-SHAKE-256f",
	} {
		scheme := schemes.ByName(string(name))
		public, _ := scheme.DeriveKey(make([]byte, scheme.SeedSize()))
		key, err := public.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		checkQuantumKey(t, parseKey(spkiOf(t, 3, 20+i, key)), name)
	}
	middle, err := mlkem.NewDecapsulationKey768(make([]byte, mlkem.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	large, err := mlkem.NewDecapsulationKey1024(make([]byte, mlkem.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	checkQuantumKey(t, parseKey(spkiOf(t, 4, 2, middle.EncapsulationKey().Bytes())), "ML-KEM-768")
	checkQuantumKey(t, parseKey(spkiOf(t, 4, 3, large.EncapsulationKey().Bytes())), "ML-KEM-1024")
}

// spkiOf wraps a key under 2.16.840.1.101.3.4.family.set, without parameters.
func spkiOf(t *testing.T, family, set int, key []byte) []byte {
	t.Helper()
	spki, err := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{
		pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, family, set}},
		asn1.BitString{Bytes: key, BitLength: 8 * len(key)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return spki
}

func checkQuantumKey(t *testing.T, k *Key, want KeyAlgorithm) {
	t.Helper()
	switch {
	case k == nil:
		t.Errorf("%s: no key", want)
	case k.Algorithm != want || len(k.Public) != k.FixedLength || k.HasParams || k.Strength < 128 || bytes.Equal(k.Public, make([]byte, len(k.Public))):
		t.Errorf("got %s of %d bytes (%d asked, parameters %t, strength %d), want %s", k.Algorithm, len(k.Public), k.FixedLength, k.HasParams, k.Strength, want)
	}
}
