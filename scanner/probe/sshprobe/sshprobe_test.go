package sshprobe

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/scanner"
)

// packet is SSH_MSG_KEXINIT with the given name-lists.
func packet(lists ...string) []byte {
	payload := append([]byte{msgKexInit}, make([]byte, 16)...)
	for _, l := range lists {
		payload = binary.BigEndian.AppendUint32(payload, uint32(len(l)))
		payload = append(payload, l...)
	}
	payload = append(payload, 0, 0, 0, 0, 0)
	const padding = 4
	out := binary.BigEndian.AppendUint32(nil, uint32(len(payload)+padding+1))
	out = append(out, padding)
	return append(append(out, payload...), make([]byte, padding)...)
}

func lists() []string {
	return []string{"kex1,kex2", "ssh-ed25519,rsa-sha2-512", "c2s", "s2c1,s2c2", "mac-c2s", "mac-s2c", "none", "none", "", ""}
}

func TestParseServer(t *testing.T) {
	good := string(packet(lists()...))
	full := &evidence.SSHFacts{
		Version: "SSH-2.0-x", KEX: []string{"kex1", "kex2"}, HostKeys: []string{"ssh-ed25519", "rsa-sha2-512"},
		Ciphers: []string{"s2c1", "s2c2"}, MACs: []string{"mac-s2c"},
	}
	only := func(version string) *evidence.SSHFacts { return &evidence.SSHFacts{Version: version} }
	for name, tt := range map[string]struct {
		in   string
		want *evidence.SSHFacts
		err  string
	}{
		"complete":               {"SSH-2.0-x\r\n" + good, full, ""},
		"lines before":           {"Welcome\r\nto ward 3\nSSH-2.0-x\n" + good, full, ""},
		"identification only":    {"SSH-2.0-x\r\n", only("SSH-2.0-x"), "no key exchange packet"},
		"protocol 1":             {"SSH-1.5-old\n", only("SSH-1.5-old"), "no key exchange packet"},
		"escapes":                {"SSH-2.0-\x1b[31m\r\n", only(`SSH-2.0-\x1b[31m`), "no key exchange packet"},
		"packet cut off":         {"SSH-2.0-x\r\n" + good[:40], only("SSH-2.0-x"), "cut off"},
		"another message":        {"SSH-2.0-x\r\n\x00\x00\x00\x0c\x04\x01......\x00\x00\x00\x00", only("SSH-2.0-x"), "message 1"},
		"nine lists":             {"SSH-2.0-x\r\n" + string(packet(lists()[:8]...)), nil, ""},
		"padding longer than it": {"SSH-2.0-x\r\n\x00\x00\x00\x04\xff\x14\x00\x00\x00", only("SSH-2.0-x"), "malformed"},
		"list longer than it":    {"SSH-2.0-x\r\n\x00\x00\x00\x1c\x04\x14" + strings.Repeat("c", 16) + "\xff\xff\xff\xff" + "\x00\x00\x00\x00\x00\x00", only("SSH-2.0-x"), "name-list 0"},
		"no line end":            {"SSH-2.0-x", nil, "no SSH identification"},
		"another protocol":       {"220 ftp\r\n", nil, "no SSH identification"},
		"nothing":                {"", nil, "no SSH identification"},
	} {
		got, err := parseServer([]byte(tt.in))
		if name == "nine lists" { // the rest is read from what follows, or missing
			if got == nil || got.Version != "SSH-2.0-x" {
				t.Errorf("%s: %+v", name, got)
			}
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: error %v, want %q", name, err, tt.err)
		}
	}
}

func TestParseServer_bounds(t *testing.T) {
	many := lists()
	many[0] = strings.Repeat("k,", 5000)
	many[1] = strings.Repeat("x", 500)
	f, err := parseServer(append([]byte("SSH-2.0-x\r\n"), packet(many...)...))
	if err != nil || len(f.KEX) != maxNames || len(f.HostKeys[0]) > maxName {
		t.Errorf("%d names, the longest has %d bytes, error %v", len(f.KEX), len(f.HostKeys[0]), err)
	}
	if _, err := parseServer([]byte(strings.Repeat("a\n", maxLines+1) + "SSH-2.0-x\n")); err == nil {
		t.Error("more lines than allowed were read")
	}
}

func TestOtherTypes(t *testing.T) {
	offered := []string{"ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256", "ssh-dss", "unknown@example"}
	for seen, want := range map[string][][]string{
		"ssh-ed25519": {{"ecdsa-sha2-nistp256"}, {"rsa-sha2-512", "rsa-sha2-256"}},
		"ssh-rsa":     {{"ssh-ed25519"}, {"ecdsa-sha2-nistp256"}},
	} {
		if diff := cmp.Diff(want, otherTypes(offered, seen)); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", seen, diff)
		}
	}
	if got := otherTypes([]string{"rsa-sha2-512"}, "ssh-rsa"); len(got) != 0 {
		t.Errorf("the same key again: %v", got)
	}
}

func TestConclude(t *testing.T) {
	for name, tt := range map[string]struct {
		received string
		failure  error
		want     evidence.Result
	}{
		"no key":           {"SSH-2.0-x\r\n", io.EOF, evidence.ResultData},
		"another protocol": {"220 ftp\r\n", errors.New("overflow"), evidence.ResultError},
		"nothing":          {"", io.EOF, evidence.ResultReset},
	} {
		var obs evidence.Observation
		conclude(&obs, []byte(tt.received), nil, tt.failure)
		if obs.Result != tt.want || obs.Detail == "" {
			t.Errorf("%s: %s %q", name, obs.Result, obs.Detail)
		}
	}
}

func TestExchanges_levels(t *testing.T) {
	for level, want := range map[scanner.Level]int{scanner.Gentle: 1, scanner.Standard: 3, scanner.Exhaustive: 3} {
		if got := len(New().Exchanges(level)); got != want {
			t.Errorf("%s: %d exchanges, want %d", level, got, want)
		}
	}
}

func FuzzParseServer(f *testing.F) {
	f.Add(append([]byte("SSH-2.0-x\r\n"), packet(lists()...)...))
	f.Add([]byte("hello\nSSH-1.99-y\n\x00\x00\x00\x0c\x04"))
	f.Fuzz(func(t *testing.T, b []byte) {
		facts, err := parseServer(b)
		if facts == nil && err == nil {
			t.Error("neither facts nor error")
		}
		if facts != nil && (len(facts.KEX) > maxNames || len(facts.Version) > 255) {
			t.Errorf("%d names, identification of %d bytes", len(facts.KEX), len(facts.Version))
		}
	})
}
