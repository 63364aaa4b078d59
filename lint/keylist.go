package lint

import (
	"crypto/md5"  //nolint:gosec // the lists are made with it
	"crypto/sha1" //nolint:gosec // the lists are made with it
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"

	"probity/evidence"
)

// shortDigest is the lower 80 bits of a digest, as Debian's lists have it.
type shortDigest [10]byte

// KeyList is a site's list of keys whose private half is known to others, such as
// the keys of Debian's broken generator (CVE-2008-0166). It is immutable.
type KeyList struct {
	name  string
	spki  map[evidence.Digest]string
	short map[shortDigest]bool
}

// ParseKeyList reads a list, a line for each key:
//
//   - 20 hexadecimal digits, as in the files of the packages openssl-blacklist (the
//     end of the SHA-1 of what "openssl rsa -noout -modulus" prints) and
//     openssh-blacklist (the end of the MD5 of the key as SSH encodes it);
//   - 64 hexadecimal digits, the SHA-256 of the DER SubjectPublicKeyInfo, with any
//     text after a blank or tab.
//
// Empty lines and those that begin with "#" are passed over. An error names the
// line. name is said in verdicts.
func ParseKeyList(name string, data []byte) (*KeyList, error) {
	l := &KeyList{name: name, spki: make(map[evidence.Digest]string), short: make(map[shortDigest]bool)}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		digits, text, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
		raw, err := hex.DecodeString(digits)
		switch {
		case err == nil && len(raw) == len(shortDigest{}) && text == "":
			l.short[shortDigest(raw)] = true
		case err == nil && len(raw) == len(evidence.Digest{}):
			l.spki[evidence.Digest(raw)] = strings.TrimSpace(text)
		default:
			return nil, fmt.Errorf("line %d: want 20 hexadecimal digits (openssl-blacklist, openssh-blacklist), or 64 and a text (SHA-256 of a SubjectPublicKeyInfo)", number)
		}
	}
	if len(l.spki)+len(l.short) == 0 {
		return nil, fmt.Errorf("the list names no key")
	}
	return l, nil
}

// Holds says where a key is listed, or "". The text is untrusted.
func (l *KeyList) Holds(k *Key) string {
	if text, ok := l.spki[k.SPKI]; ok {
		return strings.TrimSpace(l.name + " " + text)
	}
	if len(l.short) == 0 {
		return ""
	}
	if k.IsRSA() && k.N != nil {
		sum := sha1.Sum(fmt.Appendf(nil, "Modulus=%X\n", k.N)) //nolint:gosec // see above
		if l.short[shortDigest(sum[len(sum)-10:])] {
			return l.name
		}
	}
	if blob := sshBlob(k); blob != nil {
		sum := md5.Sum(blob) //nolint:gosec // see above
		if l.short[shortDigest(sum[len(sum)-10:])] {
			return l.name
		}
	}
	return ""
}

// sshBlob is an RSA or DSA key as SSH encodes it (RFC 4253 section 6.6), the kinds
// that the lists have; nil for any other.
func sshBlob(k *Key) []byte {
	var b cryptobyte.Builder
	field := func(data []byte) {
		b.AddUint32(uint32(len(data)))
		b.AddBytes(data)
	}
	mpint := func(data []byte) {
		if len(data) > 0 && data[0]&0x80 != 0 {
			data = append([]byte{0}, data...)
		}
		field(data)
	}
	switch {
	case k.IsRSA() && k.N != nil:
		field([]byte("ssh-rsa"))
		mpint(k.E.Bytes())
		mpint(k.N.Bytes())
	case k.DSA != nil:
		field([]byte("ssh-dss"))
		mpint(k.DSA.P.Bytes())
		mpint(k.DSA.Q.Bytes())
		mpint(k.DSA.G.Bytes())
		mpint(k.DSA.Y.Bytes())
	default:
		return nil
	}
	return b.BytesOrPanic()
}
