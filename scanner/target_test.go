package scanner

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
)

func TestParseTarget(t *testing.T) {
	tests := []struct {
		in, from, to, name string
		port               uint16
		transport          evidence.Transport
	}{
		{in: "192.0.2.1", from: "192.0.2.1", to: "192.0.2.1"},
		{in: " 192.0.2.1:443 ", from: "192.0.2.1", to: "192.0.2.1", port: 443},
		{in: "192.0.2.0/30", from: "192.0.2.0", to: "192.0.2.3"},
		{in: "192.0.2.10-20", from: "192.0.2.10", to: "192.0.2.20"},
		{in: "192.0.2.10-192.0.3.1", from: "192.0.2.10", to: "192.0.3.1"},
		{in: "192.0.2.10-20:104", from: "192.0.2.10", to: "192.0.2.20", port: 104},
		{in: "udp/192.0.2.1:161", from: "192.0.2.1", to: "192.0.2.1", port: 161, transport: evidence.UDP},
		{in: "tcp/192.0.2.1:22", from: "192.0.2.1", to: "192.0.2.1", port: 22},
		{in: "2001:db8::1", from: "2001:db8::1", to: "2001:db8::1"},
		{in: "[2001:db8::1]", from: "2001:db8::1", to: "2001:db8::1"},
		{in: "[2001:db8::1]:8443", from: "2001:db8::1", to: "2001:db8::1", port: 8443},
		{in: "2001:db8::1-2001:db8::f", from: "2001:db8::1", to: "2001:db8::f"},
		{in: "2001:db8::/126", from: "2001:db8::", to: "2001:db8::3"},
		{in: "::ffff:192.0.2.1", from: "192.0.2.1", to: "192.0.2.1"},
		{in: "Pump-1.Hospital.Example.", name: "pump-1.hospital.example"},
		{in: "pacs.example:11112", name: "pacs.example", port: 11112},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.in, "/", "_"), func(t *testing.T) {
			got, err := ParseTarget(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			var from, to string
			if got.From.IsValid() {
				from, to = got.From.String(), got.To.String()
			}
			if tt.transport == "" {
				tt.transport = evidence.TCP
			}
			if from != tt.from || to != tt.to || got.Name != tt.name || got.Port != tt.port || got.Transport != tt.transport {
				t.Errorf("ParseTarget(%q) = %s-%s name %q port %d over %s", tt.in, from, to, got.Name, got.Port, got.Transport)
			}
		})
	}
}

func TestParseTarget_refuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "no address",
		"192.0.2.1:0":             "port",
		"192.0.2.1:65536":         "port",
		"192.0.2.256":             "not a valid address",
		"192.0.2.1/24":            "did you mean 192.0.2.0/24",
		"192.0.2.0/24:80":         "a prefix has no port",
		"192.0.2.20-10":           "ends before",
		"192.0.2.1-2001:db8::1":   "one family",
		"2001:db8::1-20":          "neither an address",
		"udp/192.0.2.1":           "needs a port",
		"[2001:db8::1":            `without "]"`,
		"[2001:db8::1]x":          "may follow",
		"bad host":                "no valid name",
		"http://192.0.2.1/":       "a URL is not a target",
		"-x.example":              "no valid name",
		"\x1b[31mred":             "no valid name",
		strings.Repeat("a.", 200): "longer than",
	} {
		_, err := ParseTarget(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseTarget(%q): error %v does not say %q", in, err, want)
		}
		if err != nil && strings.ContainsRune(err.Error(), '\x1b') {
			t.Errorf("ParseTarget(%q): the error holds a terminal escape", in)
		}
	}
}

func TestLoadTargets_file(t *testing.T) {
	file := filepath.Join(t.TempDir(), "targets")
	text := "\ufeff# ward 3\n192.0.2.1 # pump, do not touch\n\n  192.0.2.4:104\r\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := LoadTargets([]string{"192.0.2.9", "@" + file})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, g := range got {
		lines = append(lines, g.Text+"|"+g.Reason+"|"+strings.TrimPrefix(g.Source, file))
	}
	want := []string{"192.0.2.9||", "192.0.2.1|pump, do not touch|:2", "192.0.2.4:104||:4"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	if err := os.WriteFile(file, []byte("192.0.2.1\n\n192.0.2.0/33\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadTargets([]string{"@" + file}); err == nil || !strings.Contains(err.Error(), file+":3:") {
		t.Errorf("error %v does not name file and line", err)
	}
	if _, err := LoadTargets([]string{"@" + file + ".absent"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
	if _, err := ReadTargets(strings.NewReader(strings.Repeat("x", 1<<17)), "binary"); err == nil || !strings.Contains(err.Error(), "binary:1") {
		t.Errorf("one endless line: %v", err)
	}
}

type resolverFunc func(host string) ([]netip.Addr, error)

func (f resolverFunc) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	return f(host)
}

func TestResolve(t *testing.T) {
	targets, err := LoadTargets([]string{"192.0.2.1", "pacs.example:104"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Resolve(t.Context(), targets, nil); err == nil || !strings.Contains(err.Error(), "--resolve") {
		t.Errorf("a name was accepted without a resolver: %v", err)
	}
	r := resolverFunc(func(string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("::ffff:192.0.2.7"), netip.MustParseAddr("2001:db8::7")}, nil
	})
	got, err := Resolve(t.Context(), targets, r)
	if err != nil {
		t.Fatal(err)
	}
	var eps []string
	for _, g := range got {
		eps = append(eps, evidence.Endpoint{Addr: g.From, Port: g.Port, Transport: g.Transport, Name: g.Name}.String())
	}
	want := []string{"tcp/192.0.2.1", "tcp/192.0.2.7:104#pacs.example", "tcp/[2001:db8::7]:104#pacs.example"}
	if diff := cmp.Diff(want, eps); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"192.0.2.1:443", "[2001:db8::1]:443", "192.0.2.0/24", "192.0.2.1-9", "udp/a.b:1", "fe80::1%eth0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseTarget(s)
		if err != nil {
			return
		}
		if got.Name == "" && (!got.From.IsValid() || got.To.Less(got.From)) {
			t.Errorf("ParseTarget(%q) = %v to %v", s, got.From, got.To)
		}
	})
}
