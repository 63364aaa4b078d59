package scanner

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseURL(t *testing.T) {
	for text, want := range map[string]string{
		"https://192.0.2.5/fhir/r4":                "192.0.2.5:443 https://192.0.2.5:443/fhir/r4",
		"http://192.0.2.5:8080":                    "192.0.2.5:8080 http://192.0.2.5:8080",
		" https://192.0.2.5:8443/fhir/metadata/ ":  "192.0.2.5:8443 https://192.0.2.5:8443/fhir",
		"https://[2001:db8::5]/a%20b":              "[2001:db8::5]:443 https://[2001:db8::5]:443/a%20b",
		"https://fhir.ward.example./r5":            "fhir.ward.example:443 https://fhir.ward.example.:443/r5",
		"http://192.0.2.5/metadata":                "192.0.2.5:80 http://192.0.2.5:80",
		"https://192.0.2.5:443/metadata/of/things": "192.0.2.5:443 https://192.0.2.5:443/metadata/of/things",
	} {
		got, err := ParseURL(FHIRProbe, text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		host := got.Name
		if got.From.IsValid() {
			host = got.From.String()
		}
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		if all := host + ":" + itoa(got.Port) + " " + got.URL; all != want {
			t.Errorf("%q: %s, want %s", text, all, want)
		}
	}
	for _, bad := range []string{
		"", "192.0.2.5/fhir", "ftp://192.0.2.5/", "https://user:secret@192.0.2.5/fhir", "https://192.0.2.5/fhir?x=1", "https://192.0.2.5/#x",
		"https://192.0.2.5/../etc", "https:///fhir", "http://192.0.2.1-9/", "https://192.0.2.5:0/", "https://192.0.2.5:99999/",
		"http://192.0.2.5/" + strings.Repeat("a", maxURL),
	} {
		if got, err := ParseURL(FHIRProbe, bad); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %+v, error %v", bad, got, err)
		}
	}
}

func itoa(n uint16) string {
	var b []byte
	for ; n > 0; n /= 10 {
		b = append([]byte{byte('0' + n%10)}, b...)
	}
	return string(b)
}

// TestNewPlan_urls holds what is asked at an endpoint that is named by URL: no
// other service is asked there, and a port of another protocol gets nothing.
func TestNewPlan_urls(t *testing.T) {
	ports, err := LoadPorts()
	if err != nil {
		t.Fatal(err)
	}
	set, err := ports.Select("443")
	if err != nil {
		t.Fatal(err)
	}
	plan := func(exclude string, urls ...string) *Plan {
		t.Helper()
		s := Scope{Targets: targets(t, "192.0.2.1")}
		for _, u := range urls {
			prober := FHIRProbe
			if strings.HasSuffix(u, "/provider") {
				prober = SDCProbe
			}
			target, err := ParseURL(prober, u)
			if err != nil {
				t.Fatal(err)
			}
			s.Targets = append(s.Targets, target)
		}
		if exclude != "" {
			s.Exclusions = targets(t, exclude)
		}
		p, err := NewPlan(s, ports, set, Gentle, DefaultRates(), append(paperProbers(), paper{FHIRProbe, 2}, paper{"http", 1}, paper{SDCProbe, 1}))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := plan("192.0.2.3", "https://192.0.2.1/a", "https://192.0.2.1/b", "https://192.0.2.2:8443/c", "http://192.0.2.2:8080/d",
		"http://192.0.2.2:2575/hl7", "http://192.0.2.2:104/dicom", "http://192.0.2.3/out", "http://192.0.2.4:6464/fhir",
		"https://192.0.2.4:6464/provider", "http://192.0.2.4:44731/provider", "https://192.0.2.4:44732/provider")
	want := []string{
		"tcp/192.0.2.1:443 tls then ssh,dicom", "tcp/192.0.2.1:443 http if", "tcp/192.0.2.1:443 fhir if",
		"tcp/192.0.2.2:8080 fhir", "tcp/192.0.2.2:8443 tls", "tcp/192.0.2.2:8443 fhir if",
		"tcp/192.0.2.4:6464 tls", "tcp/192.0.2.4:6464 sdc if", "tcp/192.0.2.4:44731 sdc", "tcp/192.0.2.4:44732 tls", "tcp/192.0.2.4:44732 sdc if",
	}
	if diff := cmp.Diff(want, rows(p)); diff != "" {
		t.Errorf("probes (-want +got):\n%s", diff)
	}
	for pr := range p.Probes() {
		if pr.Prober != FHIRProbe || pr.Endpoint.Port != 443 {
			continue
		}
		if n, bytes := p.Cost(pr); n != 4 || bytes != 400 || len(pr.URLs) != 2 {
			t.Errorf("%d connections and %d bytes for the URLs %q", n, bytes, pr.URLs)
		}
	}
	if len(p.Exclusions) != 4 {
		t.Errorf("exclusions %+v", p.Exclusions)
	}
	if _, err := ParseURL(SDCProbe, "192.0.2.1:6464"); err == nil || !strings.Contains(err.Error(), "SDC") {
		t.Errorf("an address that is no URL: error %v", err)
	}
	if a, b := plan("192.0.2.3", "https://192.0.2.1:6464/fhir/provider"), plan("192.0.2.3", "https://192.0.2.1:6464/provider"); a.Digest() == b.Digest() {
		t.Error("the digest of a plan does not cover the URL of a provider")
	}
	// Where the port table asks a provider, its URL takes the place of "/".
	ported := Scope{Targets: targets(t, "192.0.2.1:6464")}
	provider, err := ParseURL(SDCProbe, "https://192.0.2.1:6464/provider")
	if err != nil {
		t.Fatal(err)
	}
	ported.Targets = append(ported.Targets, provider)
	p, err = NewPlan(ported, ports, set, Gentle, DefaultRates(), append(paperProbers(), paper{SDCProbe, 1}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"tcp/192.0.2.1:6464 tls", "tcp/192.0.2.1:6464 sdc if"}, rows(p)); diff != "" {
		t.Errorf("probes (-want +got):\n%s", diff)
	}
	if a, b := plan("", "https://192.0.2.1/a"), plan("", "https://192.0.2.1/b"); a.Digest() == b.Digest() {
		t.Error("the digest of a plan does not cover its URLs")
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("https://192.0.2.5/fhir/metadata")
	f.Add("http://[fe80::1%25eth0]:8080/x")
	f.Fuzz(func(t *testing.T, text string) {
		target, err := ParseURL(FHIRProbe, text)
		if err != nil {
			return
		}
		again, err := ParseURL(FHIRProbe, target.URL)
		if err != nil || again.Port != target.Port || again.URL != target.URL {
			t.Errorf("%q becomes %q, which is read as %+v, %v", text, target.URL, again, err)
		}
	})
}
