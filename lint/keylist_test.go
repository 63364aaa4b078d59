package lint

import (
	"crypto/sha1"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"os/exec"
	"strings"
	"testing"

	"probity/evidence"
	"probity/fixtures/peer"
)

// TestPeer_keyList makes the lines of the two lists as the packages say, with
// OpenSSL and ssh-keygen, for keys that OpenSSL makes.
func TestPeer_keyList(t *testing.T) {
	tools := peer.Require(t, "openssl", "ssh-keygen")
	run := func(stdin []byte, name string, args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), tools[name], args...)
		cmd.Stdin = strings.NewReader(string(stdin))
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s %v: %v", name, args, err)
		}
		return out
	}
	for _, bits := range []string{"1024", "2048"} {
		private := run(nil, "openssl", "genrsa", bits)
		public := run(private, "openssl", "pkey", "-pubout")
		block, _ := pem.Decode(public)
		key := parseKey(block.Bytes)
		sum := sha1.Sum(run(private, "openssl", "rsa", "-noout", "-modulus"))
		ssh := run(public, "ssh-keygen", "-i", "-m", "PKCS8", "-f", "/dev/stdin")
		print := string(run(ssh, "ssh-keygen", "-l", "-E", "md5", "-f", "-"))
		_, print, _ = strings.Cut(print, "MD5:")
		print, _, _ = strings.Cut(print, " ")
		spki := evidence.DigestOf(block.Bytes)
		for name, line := range map[string]string{
			"openssl-blacklist": hex.EncodeToString(sum[:])[20:],
			"openssh-blacklist": strings.ReplaceAll(print, ":", "")[12:],
			"own list":          spki.String() + "\tmodel X",
		} {
			list, err := ParseKeyList("list", []byte("# comment\n\n00000000000000000001\n"+line+"\n"))
			if err != nil {
				t.Fatal(err)
			}
			if got := list.Holds(key); !strings.HasPrefix(got, "list") {
				t.Errorf("%s, %s bits: the line %s does not hold the key", name, bits, line)
			}
			other := run(run(nil, "openssl", "genrsa", bits), "openssl", "pkey", "-pubout")
			block, _ := pem.Decode(other)
			if got := list.Holds(parseKey(block.Bytes)); got != "" {
				t.Errorf("%s: another key is held: %s", name, got)
			}
		}
	}
}

func TestKeyList_errors(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", "names no key"},
		{"# only a comment\n", "names no key"},
		{"0123456789abcdef0123\nhello\n", "line 2: want 20 hexadecimal digits"},
		{"0123456789abcdef0123 text\n", "line 1: want 20 hexadecimal digits"},
		{"0123456789abcdef01234\n", "line 1"},
	} {
		if _, err := ParseKeyList("l", []byte(tt.in)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %v, want %q", tt.in, err, tt.want)
		}
	}
	for _, in := range []string{"0123456789ABCDEF0123", "# c\n\n0123456789abcdef0123\n0123456789abcdef0124\n"} {
		if _, err := ParseKeyList("l", []byte(in)); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
	der, err := x509.MarshalPKIXPublicKey(ecKey(t, "k").Public())
	if err != nil {
		t.Fatal(err)
	}
	list, err := ParseKeyList("l", []byte("0123456789abcdef0123"))
	if err != nil {
		t.Fatal(err)
	}
	if got := list.Holds(parseKey(der)); got != "" {
		t.Errorf("an EC key is held: %s", got)
	}
}
