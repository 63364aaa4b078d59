package httpprobe

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/scanner"
	"probity/scanner/probe/webclient"
)

var at = evidence.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: 80, Transport: evidence.TCP, Name: "pump.example"}

func TestRedirectOf(t *testing.T) {
	for _, tt := range []struct {
		location string
		overTLS  bool
		want     evidence.Redirect
	}{
		{"/login", false, evidence.RedirectLocal},
		{"//192.0.2.1/x", true, evidence.RedirectLocal},
		{"http://192.0.2.1:8080/", false, evidence.RedirectLocal},
		{"https://192.0.2.1/?patient=1", false, evidence.RedirectHTTPS},
		{"HTTPS://PUMP.example/", false, evidence.RedirectHTTPS},
		{"http://pump.example/", true, evidence.RedirectHTTP},
		{"https://portal.example/", false, evidence.RedirectOtherHTTPS},
		{"http://192.0.2.2/", true, evidence.RedirectOtherHTTP},
		{"ftp://192.0.2.1/", false, evidence.RedirectUnknown},
		{"http://[::1", false, evidence.RedirectUnknown},
		{"", true, evidence.RedirectUnknown},
	} {
		if got := redirectOf(tt.location, at, tt.overTLS); got != tt.want {
			t.Errorf("%q over TLS %v: %s, want %s", tt.location, tt.overTLS, got, tt.want)
		}
	}
}

func TestHSTSAge(t *testing.T) {
	for field, want := range map[string]int64{
		"max-age=31536000; includeSubDomains": 31536000,
		`includeSubDomains; Max-Age="60"`:     60,
		"max-age=0":                           0,
		"max-age=-1":                          0,
		"max-age=x":                           0,
		"preload":                             0,
		"":                                    0,
	} {
		if got := hstsAge(field); got != want {
			t.Errorf("%q: %d, want %d", field, got, want)
		}
	}
}

func TestPage(t *testing.T) {
	for body, want := range map[string]struct {
		title string
		login bool
	}{
		"<title> Pump &amp; more\n</title><title>2</title>": {"Pump & more", false},
		"<form><INPUT name=x TYPE='PassWord'></form>":       {"", true},
		`<input type=text><!-- <input type=password> -->`:   {"", false},
		`<script>"<input type=password>"</script>`:          {"", false},
		"<title></title>x": {"", false},
		"\x00\xff<title":   {"", false},
		"<body>" + strings.Repeat("<p>", maxTokens) + "<title>z": {"", false},
	} {
		title, login := page([]byte(body))
		if title != want.title || login != want.login {
			t.Errorf("%.60q: %q %v, want %q %v", body, title, login, want.title, want.login)
		}
	}
}

// TestRead_keepsNothingOfThePage feeds a response whose every field names a
// patient: facts and extract hold none of it.
func TestRead_keepsNothingOfThePage(t *testing.T) {
	const canary = "J-DOE-1960"
	r := &webclient.Response{
		Status: http.StatusFound,
		Header: http.Header{
			"Location":     {"https://192.0.2.1/" + canary + "?id=" + canary},
			"Set-Cookie":   {"patient=" + canary},
			"Content-Type": {"text/html; charset=" + canary},
			"Server":       {"nginx/1.22"}, "X-Patient": {canary},
			"Www-Authenticate":          {`Basic realm="` + canary + `"`, "basic", "Digest " + canary},
			"Strict-Transport-Security": {"max-age=9; " + canary},
		},
		Body: []byte("<title>" + canary + "</title><body>" + canary),
	}
	f := read(r, at, true)
	want := &evidence.HTTPFacts{
		TLS: true, Status: 302, Server: "nginx/1.22", MediaType: "text/html", Schemes: []string{"basic", "digest"},
		Redirect: evidence.RedirectLocal, HSTS: true, HSTSAge: 9, TitleSHA256: digest([]byte(canary)),
	}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
	if strings.Contains(string(extract(f)), canary) {
		t.Errorf("extract:\n%s", extract(f))
	}
}

func TestExchanges_levels(t *testing.T) {
	for level, want := range map[scanner.Level]int{scanner.Gentle: 1, scanner.Standard: 2, scanner.Exhaustive: 2} {
		if got := len(New().Exchanges(level)); got != want {
			t.Errorf("%s: %d exchanges, want %d", level, got, want)
		}
	}
}

func FuzzPage(f *testing.F) {
	f.Add([]byte("<title>x</title><input type=password>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if title, _ := page(b); title != strings.TrimSpace(title) {
			t.Errorf("title %q", title)
		}
	})
}
