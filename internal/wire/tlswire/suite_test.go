package tlswire

import (
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/fixtures/peer"
)

func TestSuiteNames_sorted(t *testing.T) {
	seen := map[string]bool{}
	for i, r := range suiteNames {
		if i > 0 && suiteNames[i-1].id >= r.id {
			t.Errorf("%#04x comes after %#04x", r.id, suiteNames[i-1].id)
		}
		// The FIPS suites of SSL 3.0 have two code points each.
		if seen[r.name] && !strings.HasPrefix(r.name, "SSL_RSA_FIPS") {
			t.Errorf("%s has two code points", r.name)
		}
		seen[r.name] = true
	}
}

func TestLookup(t *testing.T) {
	for _, tt := range []struct {
		id   uint16
		want Suite
	}{
		{0x0000, Suite{Name: "TLS_NULL_WITH_NULL_NULL", KeyExchange: "NULL", Classes: []evidence.SuiteClass{"null", "anonymous"}}},
		{0x0003, Suite{Name: "TLS_RSA_EXPORT_WITH_RC4_40_MD5", KeyExchange: "RSA_EXPORT", Bits: 40, Classes: []evidence.SuiteClass{"export", "rc4", "static-rsa"}}},
		{0x0007, Suite{Name: "TLS_RSA_WITH_IDEA_CBC_SHA", KeyExchange: "RSA", Bits: 128, Classes: []evidence.SuiteClass{"idea", "static-rsa"}}},
		{0x000a, Suite{Name: "TLS_RSA_WITH_3DES_EDE_CBC_SHA", KeyExchange: "RSA", Bits: 112, Classes: []evidence.SuiteClass{"3des", "static-rsa"}}},
		{0x0014, Suite{Name: "TLS_DHE_RSA_EXPORT_WITH_DES40_CBC_SHA", KeyExchange: "DHE_RSA_EXPORT", ForwardSecret: true, Bits: 40, Classes: []evidence.SuiteClass{"export", "des", "dhe"}}},
		{0x0034, Suite{Name: "TLS_DH_anon_WITH_AES_128_CBC_SHA", KeyExchange: "DH_anon", ForwardSecret: true, Bits: 128, Classes: []evidence.SuiteClass{"anonymous", "dhe", "cbc"}}},
		{0x009f, Suite{Name: "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", KeyExchange: "DHE_RSA", ForwardSecret: true, AEAD: true, Bits: 256, Classes: []evidence.SuiteClass{"dhe"}}},
		{0xc011, Suite{Name: "TLS_ECDHE_RSA_WITH_RC4_128_SHA", KeyExchange: "ECDHE_RSA", ForwardSecret: true, Bits: 128, Classes: []evidence.SuiteClass{"rc4"}}},
		{0xc030, Suite{Name: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", KeyExchange: "ECDHE_RSA", ForwardSecret: true, AEAD: true, Bits: 256}},
		{0x1301, Suite{Name: "TLS_AES_128_GCM_SHA256", TLS13: true, ForwardSecret: true, AEAD: true, Bits: 128}},
		{0xc0b4, Suite{Name: "TLS_SHA256_SHA256", TLS13: true, ForwardSecret: true, Classes: []evidence.SuiteClass{"null"}}},
		{0xfefe, Suite{Name: "SSL_RSA_FIPS_WITH_DES_CBC_SHA", KeyExchange: "RSA_FIPS", Bits: 56, Classes: []evidence.SuiteClass{"des", "static-rsa"}}},
	} {
		got, ok := Lookup(tt.id)
		tt.want.ID = tt.id
		if !ok {
			t.Errorf("Lookup(%#04x): not found", tt.id)
		} else if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Lookup(%#04x) (-want +got):\n%s", tt.id, diff)
		}
	}
	for _, id := range []uint16{EmptyRenegotiationInfoSCSV, FallbackSCSV, 0x0a0a, 0xffff} {
		if s, ok := Lookup(id); ok {
			t.Errorf("Lookup(%#04x) = %s, want none", id, s.Name)
		}
	}
}

// opensslLine is a line of `openssl ciphers -V -stdname`.
var opensslLine = regexp.MustCompile(`^\s*0x(..),0x(..) - (\S+)\s+- \S+\s+(\S+)\s+Kx=(\S+)\s+Au=(\S+)\s+Enc=(\S+)\s+Mac=(\S+)`)

func TestSuites_openssl(t *testing.T) {
	path := peer.Require(t, "openssl")["openssl"]
	out, err := exec.CommandContext(t.Context(), path, "ciphers", "-V", "-stdname", "ALL:COMPLEMENTOFALL:@SECLEVEL=0").Output()
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for line := range strings.Lines(string(out)) {
		m := opensslLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("cannot read %q", line)
		}
		id, err := strconv.ParseUint(m[1]+m[2], 16, 16)
		if err != nil {
			t.Fatal(err)
		}
		s, ok := Lookup(uint16(id))
		if !ok {
			t.Errorf("%s (%#04x) is unknown", m[3], id)
			continue
		}
		checked++
		checkAgainstOpenSSL(t, s, m)
	}
	if checked < 100 {
		t.Errorf("only %d suites compared", checked)
	}
}

func checkAgainstOpenSSL(t *testing.T, s Suite, m []string) {
	t.Helper()
	name, kx, auth, cipher, mac := m[3], m[5], m[6], m[7], m[8]
	if s.ID != 0xc0aa && s.ID != 0xc0ab && s.Name != name { // IANA has PSK_DHE for these two, OpenSSL DHE_PSK
		t.Errorf("%#04x: name %s, openssl has %s", s.ID, s.Name, name)
	}
	bits := 0
	if _, after, ok := strings.Cut(cipher, "("); ok {
		bits, _ = strconv.Atoi(strings.TrimSuffix(after, ")"))
		if bits == 168 { // 3DES: OpenSSL counts key bits, not strength
			bits = 112
		}
	}
	if s.Bits != bits {
		t.Errorf("%s: %d bits, openssl has %s", s.Name, s.Bits, cipher)
	}
	if want := mac == "AEAD"; s.AEAD != want {
		t.Errorf("%s: AEAD %v, openssl has Mac=%s", s.Name, s.AEAD, mac)
	}
	for class, want := range map[evidence.SuiteClass]bool{
		evidence.ClassNULL:      strings.HasPrefix(cipher, "None"),
		evidence.ClassAnonymous: auth == "None",
		evidence.ClassStaticRSA: kx == "RSA" || kx == "RSAPSK",
		evidence.ClassDHE:       kx == "DH" || kx == "DHEPSK",
		evidence.Class3DES:      strings.HasPrefix(cipher, "3DES"),
		evidence.ClassRC4:       strings.HasPrefix(cipher, "RC4"),
		evidence.ClassIDEA:      strings.HasPrefix(cipher, "IDEA"),
	} {
		if s.Has(class) != want {
			t.Errorf("%s: class %s %v, openssl has Kx=%s Au=%s Enc=%s", s.Name, class, s.Has(class), kx, auth, cipher)
		}
	}
}

func TestNames(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{VersionName(0x0303), "TLS 1.2"},
		{VersionName(0x0002), "SSL 2.0"},
		{VersionName(0x7f1c), "0x7f1c"},
		{GroupName(0x001d), "x25519"},
		{GroupName(0x0100), "ffdhe2048"},
		{GroupName(0x0a0a), "0x0a0a"},
		{SchemeName(0x0804), "rsa_pss_rsae_sha256"},
		{SchemeName(0x0202), "dsa_sha1"},
		{SchemeName(0x0101), "rsa_pkcs1_md5"},
		{SchemeName(0x0303), "ecdsa_sha224"},
		{SchemeName(0x0700), "0x0700"},
		{SuiteName(0x00ff), "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"},
		{SuiteName(0x4a4a), "0x4a4a"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
	if got := []int{GroupBits(0x0017), GroupBits(0x0100), GroupBits(0xfafa)}; !slices.Equal(got, []int{256, 2048, 0}) {
		t.Errorf("GroupBits: %v", got)
	}
}
