package sigwire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"math/big"
	"testing"

	"golang.org/x/crypto/ssh"

	"probity/evidence"
)

func TestParse(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	digest := make([]byte, 32)
	der, err := ecdsa.SignASN1(rand.Reader, key, digest)
	if err != nil {
		t.Fatal(err)
	}
	whole := func(s *evidence.Signature) bool {
		return ecdsa.Verify(&key.PublicKey, digest, new(big.Int).SetBytes(s.R), new(big.Int).SetBytes(s.S))
	}
	if s := ParseDER(der); s == nil || !whole(s) {
		t.Errorf("got %+v, want the numbers of a signature that verifies", s)
	}
	for n := range len(der) {
		if s := ParseDER(der[:n]); s != nil {
			t.Fatalf("the first %d bytes of %d give %+v", n, len(der), s)
		}
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	data := []byte("exchange hash")
	sig, err := signer.Sign(rand.Reader, data)
	if err != nil {
		t.Fatal(err)
	}
	s := ParseSSH(ssh.Marshal(sig))
	if s == nil {
		t.Fatal("a signature of x/crypto/ssh is not read")
	}
	again := &ssh.Signature{Format: sig.Format, Blob: ssh.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(s.R), new(big.Int).SetBytes(s.S)})}
	if err := signer.PublicKey().Verify(data, again); err != nil {
		t.Errorf("the numbers that were read do not make the signature: %v", err)
	}
}

// sshBytes is strings as RFC 4251 section 5 has them.
func sshBytes(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...)
	}
	return b
}

func TestParse_forms(t *testing.T) {
	dss := append(bytes.Repeat([]byte{0x81}, 20), bytes.Repeat([]byte{7}, 20)...)
	if s := ParseSSH(sshBytes([]byte("ssh-dss"), dss)); s == nil || !bytes.Equal(s.R, dss[:20]) || !bytes.Equal(s.S, dss[20:]) {
		t.Errorf("ssh-dss: %+v", s)
	}
	for name, blob := range map[string][]byte{
		"RSA":                 sshBytes([]byte("rsa-sha2-256"), dss),
		"short DSA":           sshBytes([]byte("ssh-dss"), dss[1:]),
		"bytes after it":      append(sshBytes([]byte("ssh-dss"), dss), 0),
		"one number":          sshBytes([]byte("ecdsa-sha2-nistp256"), sshBytes([]byte{1})),
		"three numbers":       sshBytes([]byte("ecdsa-sha2-nistp256"), sshBytes([]byte{1}, []byte{1}, []byte{1})),
		"negative":            sshBytes([]byte("ecdsa-sha2-nistp256"), sshBytes([]byte{0x80}, []byte{1})),
		"zero":                sshBytes([]byte("ecdsa-sha2-nistp256"), sshBytes([]byte{0}, []byte{1})),
		"longer than a curve": sshBytes([]byte("ecdsa-sha2-nistp256"), sshBytes(bytes.Repeat([]byte{1}, MaxNumber+1), []byte{1})),
	} {
		if s := ParseSSH(blob); s != nil {
			t.Errorf("%s: got %+v", name, s)
		}
	}
	for name, der := range map[string][]byte{
		"negative": {0x30, 6, 2, 1, 0x80, 2, 1, 1}, "zero": {0x30, 6, 2, 1, 0, 2, 1, 1}, "more": {0x30, 9, 2, 1, 1, 2, 1, 1, 2, 1, 1}, "after": {0x30, 6, 2, 1, 1, 2, 1, 1, 0},
	} {
		if s := ParseDER(der); s != nil {
			t.Errorf("%s: got %+v", name, s)
		}
	}
	key, sig, ok := SSHReply(sshBytes([]byte("key"), []byte("share"), []byte("signature")))
	if !ok || string(key) != "key" || string(sig) != "signature" {
		t.Errorf("%q, %q, %v", key, sig, ok)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{0x30, 6, 2, 1, 1, 2, 1, 2})
	f.Add(sshBytes([]byte("ecdsa-sha2-nistp256"), sshBytes([]byte{1}, []byte{2})))
	f.Add(sshBytes([]byte("ssh-dss"), make([]byte, 40)))
	f.Add(sshBytes([]byte("key"), []byte("share"), []byte("signature")))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, blob, _ := SSHReply(b)
		for _, s := range []*evidence.Signature{ParseDER(b), ParseSSH(b), ParseSSH(blob)} {
			if s != nil && (len(s.R) == 0 || len(s.R) > MaxNumber || s.R[0] == 0 || len(s.S) == 0 || len(s.S) > MaxNumber || s.S[0] == 0) {
				t.Fatalf("%+v", s)
			}
		}
	})
}
