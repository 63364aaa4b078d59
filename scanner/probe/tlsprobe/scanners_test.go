package tlsprobe

import (
	"encoding/json"
	"encoding/xml"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"probity/internal/wire/tlswire"
)

// scannerOf is another scanner.
type scannerOf struct {
	name string
	scan func(t testing.TB, address string) posture
}

// output runs a program and returns what it wrote on standard output. Scanners
// end with different codes for what they found.
func output(t testing.TB, program string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+cmd.Dir)
	out, err := cmd.Output()
	if len(out) == 0 {
		t.Fatalf("%s %q: %v", program, args, err)
	}
	return out
}

// suiteByName maps the names of IANA to code points.
func suiteByName() map[string]uint16 {
	out := map[string]uint16{}
	for _, s := range tlswire.Suites() {
		out[s.Name] = s.ID
	}
	return out
}

// groupByName maps the names of IANA, OpenSSL and nmap to code points.
func groupByName() map[string]uint16 {
	out := map[string]uint16{"prime256v1": 23, "prime192v1": 19, "ecdh_x25519": 29, "ecdh_x448": 30}
	for id := range uint16(0x300) {
		if name := tlswire.GroupName(id); !strings.HasPrefix(name, "0x") {
			out[strings.ToLower(name)] = id
		}
	}
	return out
}

// nmap runs the script ssl-enum-ciphers.
func nmap(path string) scannerOf {
	line := regexp.MustCompile(`(?m)^ +((?:TLS|SSL)_\w+)(?: \(([^)]*)\))?`)
	version := map[string]uint16{
		"SSLv3": tlswire.VersionSSL3, "TLSv1.0": tlswire.VersionTLS10, "TLSv1.1": tlswire.VersionTLS11,
		"TLSv1.2": tlswire.VersionTLS12, "TLSv1.3": tlswire.VersionTLS13,
	}
	return scannerOf{"nmap", func(t testing.TB, address string) posture {
		t.Helper()
		_, port, _ := net.SplitHostPort(address)
		var doc struct {
			Scripts []struct {
				Output string `xml:"output,attr"`
			} `xml:"host>ports>port>script"`
		}
		text := output(t, path, "-n", "-Pn", "-sT", "-p", port, "--script", "ssl-enum-ciphers", "-oX", "-", "127.0.0.1")
		if err := xml.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		p := newPosture()
		suites, groups := suiteByName(), groupByName()
		for _, script := range doc.Scripts {
			v := uint16(0)
			for l := range strings.Lines(script.Output) {
				if name, ok := strings.CutSuffix(strings.TrimSpace(l), ":"); ok && version[name] != 0 {
					v = version[name]
				}
				m := line.FindStringSubmatch(l)
				if m == nil {
					continue
				}
				name := strings.Replace(m[1], "TLS_AKE_WITH_", "TLS_", 1)
				id, ok := suites[name]
				if !ok {
					t.Errorf("nmap: unknown suite %q", m[1])
				}
				p.add(v, id)
				if g, ok := groups[strings.ToLower(m[2])]; ok {
					p.groups[g] = true
				}
			}
		}
		return p
	}}
}

// sslscan runs with everything that it can enumerate.
func sslscan(path string) scannerOf {
	version := map[string]uint16{
		"SSLv3": tlswire.VersionSSL3, "TLSv1.0": tlswire.VersionTLS10, "TLSv1.1": tlswire.VersionTLS11,
		"TLSv1.2": tlswire.VersionTLS12, "TLSv1.3": tlswire.VersionTLS13,
	}
	type row struct {
		Version string `xml:"sslversion,attr"`
		ID      string `xml:"id,attr"`
		Name    string `xml:"name,attr"`
		Curve   string `xml:"curve,attr"`
	}
	number := func(t testing.TB, s string) uint16 {
		n, err := strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 16)
		if err != nil {
			t.Errorf("sslscan: %v", err)
		}
		return uint16(n)
	}
	return scannerOf{"sslscan", func(t testing.TB, address string) posture {
		t.Helper()
		var doc struct {
			Ciphers []row `xml:"ssltest>cipher"`
			Groups  []row `xml:"ssltest>group"`
			Schemes []row `xml:"ssltest>connection-signature-algorithm"`
		}
		text := output(t, path, "--xml=-", "--show-sigs", "--no-colour", "--no-heartbleed", "--no-renegotiation", "--no-fallback", "--no-compression", "--timeout=1", address)
		if err := xml.Unmarshal(text, &doc); err != nil {
			t.Fatalf("sslscan: %v\n%s", err, text)
		}
		p := newPosture()
		p.knowsSchemes = true
		groups := groupByName()
		for _, c := range doc.Ciphers {
			p.add(version[c.Version], number(t, c.ID))
			if g, ok := groups[strings.ToLower(c.Curve)]; ok {
				p.groups[g] = true
			}
		}
		for _, g := range doc.Groups {
			p.groups[number(t, g.ID)] = true
		}
		const anything = 0xfdff // its word for a server that minds no scheme
		for _, s := range doc.Schemes {
			if id := number(t, s.ID); id != anything {
				p.schemes[id] = true
			}
		}
		return p
	}}
}

// testssl runs the protocols, the suites of each, and forward secrecy, which has
// the groups.
func testssl(path string) scannerOf {
	version := map[string]uint16{
		"SSLv3": tlswire.VersionSSL3, "TLS 1": tlswire.VersionTLS10, "TLS 1.1": tlswire.VersionTLS11,
		"TLS 1.2": tlswire.VersionTLS12, "TLS 1.3": tlswire.VersionTLS13,
	}
	row := regexp.MustCompile(`^ x([0-9a-f]{2,4}) `)
	return scannerOf{"testssl", func(t testing.TB, address string) posture {
		t.Helper()
		findings := filepath.Join(t.TempDir(), "findings.json")
		text := output(t, path, "--color", "0", //nolint:misspell // the name of the option
			"--warnings", "batch", "--quiet", "--nodns", "none", "--jsonfile", findings, "-p", "-E", "-f", address)
		p := newPosture()
		v := uint16(0)
		_, table, _ := strings.Cut(string(text), "Testing ciphers per protocol")
		for l := range strings.Lines(table) {
			if n, ok := version[strings.TrimSpace(l)]; ok {
				v = n
			}
			if m := row.FindStringSubmatch(l); m != nil && v != 0 {
				id, err := strconv.ParseUint(m[1], 16, 16)
				if err != nil {
					t.Errorf("testssl: %v", err)
				}
				p.add(v, uint16(id))
			}
		}
		var rows []struct{ ID, Finding string }
		b, err := os.ReadFile(findings)
		if err == nil {
			err = json.Unmarshal(b, &rows)
		}
		if err != nil {
			t.Errorf("testssl: %v\n%s", err, text)
		}
		groups := groupByName()
		for _, r := range rows {
			if r.ID != "PFS_ECDHE_curves" && r.ID != "DH_groups" {
				continue
			}
			for name := range strings.FieldsSeq(r.Finding) {
				if g, ok := groups[strings.ToLower(name)]; ok {
					p.groups[g] = true
				}
			}
		}
		return p
	}}
}
