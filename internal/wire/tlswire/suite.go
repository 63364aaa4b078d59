package tlswire

import (
	"slices"
	"strings"

	"probity/evidence"
)

// Code points that are signals, not suites.
const (
	EmptyRenegotiationInfoSCSV uint16 = 0x00ff // RFC 5746 section 3.3
	FallbackSCSV               uint16 = 0x5600 // RFC 7507
)

// Suite is a cipher suite. All fields but the code point follow from the name.
type Suite struct {
	ID   uint16
	Name string // as IANA registers it
	// KeyExchange is the part of the name before "_WITH_", such as "ECDHE_RSA";
	// empty for a TLS 1.3 suite, which does not fix it.
	KeyExchange string
	TLS13       bool // usable in TLS 1.3 only
	// ForwardSecret: the long-term key does not decrypt a recorded session
	// ((EC)DHE, ECCPWD, ECJPAKE, SRP and every TLS 1.3 suite).
	ForwardSecret bool
	AEAD          bool
	// Bits is the effective key length of the cipher: 0 for NULL, 40 or 56 for
	// export suites, 112 for 3DES.
	Bits    int
	Classes []evidence.SuiteClass // in the order of package evidence
}

// Has reports whether the suite belongs to class c.
func (s Suite) Has(c evidence.SuiteClass) bool { return slices.Contains(s.Classes, c) }

// Lookup returns the suite of a code point. It reports false for unknown code
// points and for those that are signals (RFC 5746, RFC 7507), not suites.
func Lookup(id uint16) (Suite, bool) {
	if id == EmptyRenegotiationInfoSCSV || id == FallbackSCSV {
		return Suite{}, false
	}
	i, ok := slices.BinarySearchFunc(suiteNames[:], id, func(r suiteRow, id uint16) int { return int(r.id) - int(id) })
	if !ok {
		return Suite{}, false
	}
	return newSuite(suiteNames[i]), true
}

// SuiteName returns the IANA name of a code point, signals included; for an
// unknown one its hexadecimal form.
func SuiteName(id uint16) string {
	for _, r := range suiteNames {
		if r.id == id {
			return r.name
		}
	}
	return hex16(id)
}

// Suites returns all known suites in the order of their code points.
func Suites() []Suite {
	out := make([]Suite, 0, len(suiteNames))
	for _, r := range suiteNames {
		if s, ok := Lookup(r.id); ok {
			out = append(out, s)
		}
	}
	return out
}

func newSuite(r suiteRow) Suite {
	s := Suite{ID: r.id, Name: r.name}
	kx, cipher, found := strings.Cut(r.name, "_WITH_")
	if found {
		s.KeyExchange = kx[len("TLS_"):] // "SSL_" has the same length
	} else {
		cipher = strings.TrimPrefix(r.name, "TLS_")
		s.TLS13 = true
	}
	s.ForwardSecret = s.TLS13 || ephemeral(s.KeyExchange)
	s.AEAD = s.TLS13 && s.ID>>8 == 0x13 || containsAny(cipher, "GCM", "CCM", "CHACHA20", "MGM")
	s.Bits = cipherBits(cipher)
	s.Classes = classes(s.KeyExchange, cipher)
	return s
}

// ephemeral reports whether a key exchange gives forward secrecy. The DH_anon
// and ECDH_anon exchanges use fresh keys on both sides (RFC 5246 section F.1.1.1).
func ephemeral(kx string) bool {
	return strings.HasPrefix(kx, "DHE_") || strings.HasPrefix(kx, "ECDHE_") || strings.Contains(kx, "_anon") ||
		strings.HasPrefix(kx, "SRP_") || kx == "ECCPWD" || kx == "ECJPAKE" || kx == "PSK_DHE"
}

// cipherBits returns the effective strength of the cipher that a suite's name
// ends in.
func cipherBits(cipher string) int {
	for _, c := range []struct {
		bits  int
		parts []string
	}{
		{0, []string{"NULL", "SHA256_SHA256", "SHA384_SHA384"}}, // the last two: RFC 9150, integrity only
		{40, []string{"RC4_40", "CBC_40", "DES40"}},
		{56, []string{"RC4_56", "CBC_56"}},
		{80, []string{"FORTEZZA_CBC"}},
		{112, []string{"3DES"}}, // NIST SP 800-57 part 1, table 2
		{56, []string{"DES_CBC"}},
		{256, []string{"AES_256", "CAMELLIA_256", "ARIA_256", "CHACHA20", "AEGIS_256", "KUZNYECHIK", "MAGMA", "28147"}},
	} {
		if containsAny(cipher, c.parts...) {
			return c.bits
		}
	}
	return 128 // AES_128, CAMELLIA_128, ARIA_128, AEGIS_128L, SM4, SEED, IDEA, RC4_128
}

// classes sorts a suite by the parts of its name.
func classes(kx, cipher string) []evidence.SuiteClass {
	var out []evidence.SuiteClass
	add := func(c evidence.SuiteClass, yes bool) {
		if yes {
			out = append(out, c)
		}
	}
	add(evidence.ClassNULL, cipherBits(cipher) == 0)
	add(evidence.ClassAnonymous, strings.Contains(kx, "_anon") || kx == "NULL")
	add(evidence.ClassExport, strings.Contains(kx, "EXPORT"))
	add(evidence.ClassDES, strings.HasPrefix(cipher, "DES"))
	add(evidence.ClassRC4, strings.HasPrefix(cipher, "RC4"))
	add(evidence.ClassRC2, strings.HasPrefix(cipher, "RC2"))
	add(evidence.Class3DES, strings.HasPrefix(cipher, "3DES"))
	add(evidence.ClassIDEA, strings.HasPrefix(cipher, "IDEA"))
	add(evidence.ClassStaticRSA, kx == "RSA" || strings.HasPrefix(kx, "RSA_"))
	add(evidence.ClassDHE, strings.HasPrefix(kx, "DHE_") || strings.HasPrefix(kx, "DH_anon") || kx == "PSK_DHE")
	add(evidence.ClassCBC, strings.Contains(cipher, "_CBC") && containsAny(cipher, "AES", "CAMELLIA", "ARIA", "SEED"))
	return out
}

func containsAny(s string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(s, p) })
}
