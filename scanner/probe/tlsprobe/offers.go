package tlsprobe

import (
	"cmp"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/wire/tlswire"
)

// maxSuites bounds the suites of one hello: some old stacks refuse a hello with
// more than 128.
const maxSuites = 128

// weakClasses are the classes that the weak offer asks for, in the order in
// which they are put on offer.
func weakClasses() []evidence.SuiteClass {
	return []evidence.SuiteClass{
		evidence.ClassNULL, evidence.ClassAnonymous, evidence.ClassExport, evidence.ClassDES, evidence.ClassRC4,
		evidence.ClassRC2, evidence.Class3DES, evidence.ClassIDEA, evidence.ClassStaticRSA, evidence.ClassDHE,
	}
}

// suites are the suites that a hello built by hand can offer, the soundest
// first. Those that need a secret shared beforehand or another trust system
// (PSK, SRP, Kerberos, ...) are left out: no server answers them to a stranger.
func suites() []tlswire.Suite {
	all := slices.DeleteFunc(tlswire.Suites(), func(s tlswire.Suite) bool {
		if s.TLS13 || s.KeyExchange == "NULL" {
			return true
		}
		for _, foreign := range []string{"PSK", "SRP", "KRB5", "GOST", "ECCPWD", "ECJPAKE", "FORTEZZA"} {
			if strings.Contains(s.Name, foreign) {
				return true
			}
		}
		return false
	})
	slices.SortStableFunc(all, func(a, b tlswire.Suite) int { return cmp.Compare(rank(a), rank(b)) })
	return all
}

// rank sorts suites: 0 is sound, higher is worse or rarer.
func rank(s tlswire.Suite) int {
	r := 0
	for _, c := range s.Classes {
		switch c {
		case evidence.ClassNULL, evidence.ClassAnonymous:
			r += 64
		case evidence.ClassExport, evidence.ClassDES, evidence.ClassRC2, evidence.ClassIDEA, evidence.ClassRC4:
			r += 32
		case evidence.Class3DES:
			r += 16
		case evidence.ClassStaticRSA:
			r += 8
		case evidence.ClassCBC:
			r += 4
		case evidence.ClassDHE:
			r += 2
		}
	}
	if !s.ForwardSecret && !s.Has(evidence.ClassStaticRSA) {
		r += 8 // fixed Diffie-Hellman
	}
	for _, rare := range []string{"ARIA", "SEED", "CCM", "CAMELLIA", "SHA256_SHA256", "SHA384_SHA384", "_OLD", "SM4"} {
		if strings.Contains(s.Name, rare) {
			r += 3
			break
		}
	}
	return r
}

// ids lists the code points of the suites that keep returns true for, at most
// [maxSuites].
func ids(keep func(tlswire.Suite) bool) []uint16 {
	var out []uint16
	for _, s := range suites() {
		if keep(s) && len(out) < maxSuites {
			out = append(out, s.ID)
		}
	}
	return out
}

// ordinary are the suites of the offers that ask for a version: those found in
// common stacks, sound and unsound.
func ordinary(version uint16) []uint16 {
	return ids(func(s tlswire.Suite) bool {
		for _, rare := range []string{"ARIA", "SEED", "SM4", "CCM", "DH_DSS", "DH_RSA", "ECDH_", "_1024_", "RC4_56", "SHA256_SHA256", "SHA384_SHA384"} {
			if strings.Contains(s.Name, rare) && !strings.Contains(s.Name, "ECDH_anon") {
				return false
			}
		}
		legacy := strings.HasSuffix(s.Name, "_SHA") || strings.HasSuffix(s.Name, "_MD5") // the rest is for TLS 1.2 (RFC 5246 section A.5)
		switch {
		case version >= tlswire.VersionTLS12:
			return len(s.Classes) == 0 || !s.Has(evidence.ClassExport) && !strings.Contains(s.Name, "CAMELLIA")
		case version == tlswire.VersionSSL3:
			return legacy && !strings.Contains(s.KeyExchange, "ECDH") // no extensions to name a curve in
		}
		return legacy
	})
}

// weak lists the suites that belong to one of the classes. ARIA is left out to
// stay within the bound: a stack that has it has AES in the same class.
func weak(classes []evidence.SuiteClass) []uint16 {
	return ids(func(s tlswire.Suite) bool {
		return slices.ContainsFunc(classes, s.Has) && !strings.Contains(s.Name, "ARIA")
	})
}

// without removes the classes of a suite.
func without(classes []evidence.SuiteClass, suite uint16) []evidence.SuiteClass {
	s, _ := tlswire.Lookup(suite)
	return slices.DeleteFunc(slices.Clone(classes), s.Has)
}

// groups are offered strongest use first; small ones come last, to be chosen by
// a server that has nothing better.
func groups() []uint16 {
	return []uint16{
		29, 23, 24, 25, 30, // x25519, secp256r1, secp384r1, secp521r1, x448
		26, 27, 28, 22, 21, 19, // brainpoolP256r1, P384r1, P512r1, secp256k1, secp224r1, secp192r1
	}
}

// schemes lists signature schemes of RFC 8446 section 4.2.3 and the older pairs
// of RFC 5246 section 7.4.1.4.1, SHA-1, DSA and MD5 last.
func schemes() []uint16 {
	return []uint16{
		0x0403, 0x0503, 0x0603, 0x0807, 0x0808, // ECDSA with SHA-256, -384, -512; Ed25519, Ed448
		0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b, // RSA-PSS
		0x0401, 0x0501, 0x0601, // RSA PKCS #1 with SHA-256, -384, -512
		0x0303, 0x0301, 0x0203, 0x0201, // SHA-224, SHA-1
		0x0402, 0x0302, 0x0202, 0x0101, // DSA; RSA with MD5
	}
}

// offer is one hello to be built.
type offer struct {
	name    evidence.Offer
	version uint16
	suites  []uint16
	classes []evidence.SuiteClass
}

// hello builds the record of an offer. random is the client random.
func (o offer) hello(serverName string, random [32]byte) ([]byte, error) {
	h := tlswire.ClientHello{
		Version: o.version, Random: random, Suites: o.suites, Compression: []byte{0},
		RenegotiationInfo: true,
	}
	if o.name == evidence.OfferTLS12 {
		h.Compression = []byte{1, 0} // DEFLATE (RFC 3749), null
		h.StatusRequest = true
	}
	if o.version >= tlswire.VersionTLS10 {
		h.ServerName, h.Groups, h.ExtendedMasterSecret = serverName, groups(), true
	}
	if o.version >= tlswire.VersionTLS12 {
		h.SignatureSchemes = schemes()
	}
	return h.Marshal()
}

func (o offer) facts(serverName string) *evidence.TLSFacts {
	f := &evidence.TLSFacts{
		Offer: o.name, OfferedMax: o.version, OfferedSuites: o.suites, OfferedClasses: o.classes,
		Handshake: evidence.StageNone,
	}
	if o.version >= tlswire.VersionTLS10 {
		f.ServerName = serverName
	}
	return f
}
