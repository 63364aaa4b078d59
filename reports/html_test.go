package reports

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func renderHTML(t testing.TB, in Input) string {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, Build(in)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func between(t *testing.T, s, from, to string) string {
	t.Helper()
	_, rest, ok := strings.Cut(s, from)
	if !ok {
		t.Fatalf("no %q in the page", from)
	}
	inner, _, _ := strings.Cut(rest, to)
	return inner
}

// TestHTML_policy holds that the policy of the page allows its one script and
// one style, and nothing else that could load or run.
func TestHTML_policy(t *testing.T) {
	page := renderHTML(t, sample(t))
	policy := html.UnescapeString(between(t, page, `Content-Security-Policy" content="`, `"`))
	digest := func(s string) string {
		sum := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	want := "default-src 'none'; script-src " + digest(between(t, page, "<script>", "</script>")) +
		"; style-src " + digest(between(t, page, "<style>", "</style>")) + "; base-uri 'none'; form-action 'none'"
	if policy != want {
		t.Errorf("policy %s\nwant   %s", policy, want)
	}
	if n := strings.Count(page, "<script"); n != 2 {
		t.Errorf("%d script elements, want the data and the script", n)
	}
	for _, bad := range []string{"http://", "https://", " style=", " onclick=", "javascript:", "<img", "<link", "<iframe", "@import", "url("} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
}

func TestHTML_hostile(t *testing.T) {
	page := renderHTML(t, sample(t))
	for _, bad := range []string{"<script>alert", "\x1b", "\u202e", "</script><script"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if !strings.Contains(page, `\x1b[31mEVIL`) {
		t.Error("the hostile text is not shown in escaped form")
	}
}

// TestHTML_wording looks for words that would claim what no scan can show.
func TestHTML_wording(t *testing.T) {
	page := strings.ToLower(renderHTML(t, large(t, 3000)))
	for _, bad := range []string{"compliant", "certified", "approved", "conforms"} {
		if i := strings.Index(page, bad); i >= 0 {
			t.Errorf("the page says %q: …%s…", bad, page[max(0, i-60):i+40])
		}
	}
}

func TestHTML_deterministic(t *testing.T) {
	if a, b := renderHTML(t, large(t, 2000)), renderHTML(t, large(t, 2000)); a != b {
		t.Error("the same input gives different pages")
	}
}

// TestHTML_structure checks what a reader without a mouse or a screen relies on:
// one first heading, landmarks, ids that are unique, links that lead somewhere,
// header cells with a scope.
func TestHTML_structure(t *testing.T) {
	page := renderHTML(t, sample(t))
	for _, one := range []string{"<h1", "<main", "<nav", "<header", "<footer"} {
		if n := strings.Count(page, one+" ") + strings.Count(page, one+">"); n != 1 {
			t.Errorf("%d of %s, want 1", n, one)
		}
	}
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if seen[m[1]] {
			t.Errorf("id %q is given twice", m[1])
		}
		seen[m[1]] = true
	}
	for _, m := range regexp.MustCompile(` href="#([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if !seen[m[1]] {
			t.Errorf("link to #%s leads nowhere", m[1])
		}
	}
	if n := strings.Count(page, "<th>"); n > 0 {
		t.Errorf("%d header cells without a scope", n)
	}
}

func TestHTML_limitsPlainRows(t *testing.T) {
	page := renderHTML(t, large(t, 5000))
	if n := strings.Count(page, `<tr id="f-`); n != plainFindings {
		t.Errorf("%d findings as plain rows, want %d", n, plainFindings)
	}
	if !strings.Contains(page, "500 of 5\u202f000 shown") {
		t.Error("the page does not say how many findings it shows")
	}
}

// BenchmarkHTML makes the page of 121,117 findings, the size at which others have
// failed to load; it reports the size of the page.
func BenchmarkHTML(b *testing.B) {
	in := large(b, 121117)
	var size int
	for b.Loop() {
		var page bytes.Buffer
		if err := HTML(io.MultiWriter(&page), Build(in)); err != nil {
			b.Fatal(err)
		}
		size = page.Len()
	}
	b.ReportMetric(float64(size), "page-bytes")
}

// TestHTML_data reads the embedded findings back as the page's script does.
func TestHTML_data(t *testing.T) {
	d := Build(sample(t))
	raw, err := base64.StdEncoding.DecodeString(between(t, renderHTML(t, sample(t)), `id="data">`, "<"))
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	var c columns
	if err := json.NewDecoder(z).Decode(&c); err != nil {
		t.Fatal(err)
	}
	if c.N != d.Findings.Len() || len(c.K) != anchorDigits*c.N {
		t.Fatalf("%d findings and %d digits of keys", c.N, len(c.K))
	}
	for i, f := range d.Findings.first(c.N) {
		got := []string{
			c.Outcomes[c.O[i]], c.Severities[c.S[i]], c.Rules[c.R[i]][0], c.Assets[c.A[i]][0], c.Endpoints[c.E[i]],
			c.Certificates[c.C[i]], c.Groups[c.G[i]], c.Details[c.D[i]],
		}
		want := []string{string(f.Outcome), string(f.Severity), f.Rule, f.Asset, f.Endpoint, f.Certificate, f.Group, f.Detail}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("finding %d (-want +got):\n%s", i, diff)
		}
	}
}
