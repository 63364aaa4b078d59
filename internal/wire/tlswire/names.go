package tlswire

import "fmt"

// Protocol versions as they appear on the wire (RFC 6101, RFC 5246, RFC 8446).
const (
	VersionSSL2  uint16 = 0x0002
	VersionSSL3  uint16 = 0x0300
	VersionTLS10 uint16 = 0x0301
	VersionTLS11 uint16 = 0x0302
	VersionTLS12 uint16 = 0x0303
	VersionTLS13 uint16 = 0x0304

	VersionDTLS10 uint16 = 0xfeff // RFC 4347
	VersionDTLS12 uint16 = 0xfefd // RFC 6347
	VersionDTLS13 uint16 = 0xfefc // RFC 9147
)

// VersionName returns "TLS 1.2" and the like; for an unknown version its
// hexadecimal form.
func VersionName(v uint16) string {
	switch v {
	case VersionSSL2:
		return "SSL 2.0"
	case VersionSSL3:
		return "SSL 3.0"
	case VersionTLS10:
		return "TLS 1.0"
	case VersionTLS11:
		return "TLS 1.1"
	case VersionTLS12:
		return "TLS 1.2"
	case VersionTLS13:
		return "TLS 1.3"
	}
	return hex16(v)
}

type groupRow struct {
	id   uint16
	bits int // of the field or prime; for a lattice hybrid, of the elliptic-curve part
	name string
}

// groupTable lists the registry "TLS Supported Groups" of IANA. It is never
// written.
var groupTable = [...]groupRow{
	{0x0001, 163, "sect163k1"},
	{0x0002, 163, "sect163r1"},
	{0x0003, 163, "sect163r2"},
	{0x0004, 193, "sect193r1"},
	{0x0005, 193, "sect193r2"},
	{0x0006, 233, "sect233k1"},
	{0x0007, 233, "sect233r1"},
	{0x0008, 239, "sect239k1"},
	{0x0009, 283, "sect283k1"},
	{0x000a, 283, "sect283r1"},
	{0x000b, 409, "sect409k1"},
	{0x000c, 409, "sect409r1"},
	{0x000d, 571, "sect571k1"},
	{0x000e, 571, "sect571r1"},
	{0x000f, 160, "secp160k1"},
	{0x0010, 160, "secp160r1"},
	{0x0011, 160, "secp160r2"},
	{0x0012, 192, "secp192k1"},
	{0x0013, 192, "secp192r1"},
	{0x0014, 224, "secp224k1"},
	{0x0015, 224, "secp224r1"},
	{0x0016, 256, "secp256k1"},
	{0x0017, 256, "secp256r1"},
	{0x0018, 384, "secp384r1"},
	{0x0019, 521, "secp521r1"},
	{0x001a, 256, "brainpoolP256r1"},
	{0x001b, 384, "brainpoolP384r1"},
	{0x001c, 512, "brainpoolP512r1"},
	{0x001d, 255, "x25519"},
	{0x001e, 448, "x448"},
	{0x001f, 256, "brainpoolP256r1tls13"},
	{0x0020, 384, "brainpoolP384r1tls13"},
	{0x0021, 512, "brainpoolP512r1tls13"},
	{0x0022, 256, "GC256A"},
	{0x0023, 256, "GC256B"},
	{0x0024, 256, "GC256C"},
	{0x0025, 256, "GC256D"},
	{0x0026, 512, "GC512A"},
	{0x0027, 512, "GC512B"},
	{0x0028, 512, "GC512C"},
	{0x0029, 256, "curveSM2"},
	{0x0100, 2048, "ffdhe2048"},
	{0x0101, 3072, "ffdhe3072"},
	{0x0102, 4096, "ffdhe4096"},
	{0x0103, 6144, "ffdhe6144"},
	{0x0104, 8192, "ffdhe8192"},
	{0x11eb, 256, "SecP256r1MLKEM768"},
	{0x11ec, 255, "X25519MLKEM768"},
	{0x11ed, 384, "SecP384r1MLKEM1024"},
	{0x6399, 255, "X25519Kyber768Draft00"},
}

func group(id uint16) (groupRow, bool) {
	for _, g := range groupTable {
		if g.id == id {
			return g, true
		}
	}
	return groupRow{}, false
}

// GroupName returns the IANA name of a named group; for an unknown group its
// hexadecimal form.
func GroupName(id uint16) string {
	if g, ok := group(id); ok {
		return g.name
	}
	return hex16(id)
}

// GroupBits returns the size of the field or prime of a named group in bits, or
// 0 for an unknown group. For a hybrid with a lattice scheme it is that of the
// elliptic curve.
func GroupBits(id uint16) int {
	g, _ := group(id)
	return g.bits
}

// SchemeName returns the name of a signature scheme (RFC 8446 section 4.2.3) or
// of a TLS 1.2 hash and signature pair (RFC 5246 section 7.4.1.4.1), such as
// "rsa_pkcs1_sha256" or "dsa_sha1"; for an unknown one its hexadecimal form.
func SchemeName(id uint16) string {
	switch id {
	case 0x0403:
		return "ecdsa_secp256r1_sha256"
	case 0x0503:
		return "ecdsa_secp384r1_sha384"
	case 0x0603:
		return "ecdsa_secp521r1_sha512"
	case 0x0708:
		return "sm2sig_sm3"
	case 0x0804:
		return "rsa_pss_rsae_sha256"
	case 0x0805:
		return "rsa_pss_rsae_sha384"
	case 0x0806:
		return "rsa_pss_rsae_sha512"
	case 0x0807:
		return "ed25519"
	case 0x0808:
		return "ed448"
	case 0x0809:
		return "rsa_pss_pss_sha256"
	case 0x080a:
		return "rsa_pss_pss_sha384"
	case 0x080b:
		return "rsa_pss_pss_sha512"
	case 0x081a:
		return "ecdsa_brainpoolP256r1tls13_sha256"
	case 0x081b:
		return "ecdsa_brainpoolP384r1tls13_sha384"
	case 0x081c:
		return "ecdsa_brainpoolP512r1tls13_sha512"
	case 0x0904:
		return "mldsa44"
	case 0x0905:
		return "mldsa65"
	case 0x0906:
		return "mldsa87"
	}
	return hashSignatureName(id)
}

// hashSignatureName names the pairs of RFC 5246 section 7.4.1.4.1.
func hashSignatureName(id uint16) string {
	hashes := [...]string{1: "md5", 2: "sha1", 3: "sha224", 4: "sha256", 5: "sha384", 6: "sha512"}
	signatures := [...]string{1: "rsa_pkcs1", 2: "dsa", 3: "ecdsa"}
	h, s := int(id>>8), int(id&0xff)
	if h == 0 || h >= len(hashes) || s == 0 || s >= len(signatures) {
		return hex16(id)
	}
	return signatures[s] + "_" + hashes[h]
}

func hex16(v uint16) string { return fmt.Sprintf("0x%04x", v) }
