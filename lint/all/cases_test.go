package all_test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"probity/evidence"
	"probity/lint"
	"probity/lint/all"
)

var (
	update   = flag.Bool("update", false, "rewrite the want section of every case")
	generate = flag.Bool("generate", false, "write the inputs of the cases that are not there yet, and their want sections")
)

// A case is a txtar archive lint/<package>/testdata/<lint>/<case>.txtar. Its
// comment holds the instant of judgement ("at: ..."), its files are
//
//	input.pem          certificates with the headers Endpoint, Role and Position
//	observations.json  []evidence.Observation
//	assets.json        []evidence.Asset
//	policy.json        lint.Policy
//	params.json        parameters of the check the case is about
//	want               the outcome of every check on every subject, and the
//	                   details of the check the case is about
type testCase struct {
	at     time.Time
	obs    []evidence.Observation
	assets []evidence.Asset
	policy lint.Policy
	params map[string]any
	want   string
}

func TestCases(t *testing.T) {
	if *generate {
		writeInputs(t)
	}
	files, err := filepath.Glob(filepath.Join("..", "*", "testdata", "*", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	checks := all.Checks()
	for _, file := range files {
		name := checkName(file)
		t.Run(name+"/"+strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c := readCase(t, archive)
			got := report(t, checks, name, c)
			if *update || *generate {
				writeWant(t, file, archive, got)
				return
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// checkName is "<package>/<lint>" of a case's path.
func checkName(file string) string {
	parts := strings.Split(filepath.ToSlash(file), "/")
	return parts[1] + "/" + parts[3]
}

// TestCases_cover asks of every check for a case that passes, one that does not,
// and one that it has no answer for.
func TestCases_cover(t *testing.T) {
	outcomes := make(map[string]map[string]bool)
	files, err := filepath.Glob(filepath.Join("..", "*", "testdata", "*", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := checkName(file)
		if outcomes[name] == nil {
			outcomes[name] = make(map[string]bool)
		}
		_, details, _ := strings.Cut(string(section(archive, "want")), "\n\n")
		for line := range strings.Lines(details) {
			outcome, _, _ := strings.Cut(line, ":")
			outcomes[name][outcome] = true
		}
	}
	for _, c := range all.Checks() {
		o := outcomes[c.Name]
		if c.Name == "cert/public_web_validity" {
			continue // its own test has a root of its own: no public CA issues what fails
		}
		if !o["pass"] || !o["fail"] && !o["warn"] {
			t.Errorf("%s: the cases show %v, want a pass and a fail or warn", c.Name, o)
		}
		if !o["not-applicable"] && !o["inconclusive"] && c.Name != "cert/rfc_profile" {
			t.Errorf("%s: the cases show %v, want a not-applicable or inconclusive", c.Name, o)
		}
	}
}

func section(a *txtar.Archive, name string) []byte {
	for _, f := range a.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

func readCase(t *testing.T, a *txtar.Archive) testCase {
	t.Helper()
	at, err := time.Parse("at: "+time.RFC3339, strings.TrimSpace(string(a.Comment)))
	if err != nil {
		t.Fatal(err)
	}
	c := testCase{at: at, want: string(section(a, "want"))}
	for name, into := range map[string]any{
		"observations.json": &c.obs, "assets.json": &c.assets, "policy.json": &c.policy, "params.json": &c.params,
	} {
		if data := section(a, name); data != nil {
			if err := json.Unmarshal(data, into); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	c.obs = append(c.obs, readPEM(t, section(a, "input.pem"), at)...)
	return c
}

// readPEM makes one observation of the certificates of an endpoint and role.
func readPEM(t *testing.T, data []byte, at time.Time) []evidence.Observation {
	t.Helper()
	var out []evidence.Observation
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return out
		}
		role := evidence.Role(block.Headers["Role"])
		e := endpointOf(t, block.Headers["Endpoint"])
		position, err := strconv.Atoi(block.Headers["Position"])
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(out, func(o evidence.Observation) bool { return o.Endpoint == e && o.Certs[0].Role == role })
		if i < 0 || position == 0 {
			o := evidence.Observation{
				ID: int64(len(out) + 1), Run: 1, Method: evidence.Active, Kind: evidence.KindTLS, Endpoint: e, At: at,
				Result: evidence.ResultData,
			}
			if role == evidence.RoleFile {
				o.Kind, o.Method = evidence.KindArtefact, evidence.Import
				o.Facts.Artefact = &evidence.ArtefactFacts{Format: "pem"}
			}
			if block.Type == "CERTIFICATE REQUEST" {
				o.Facts.Artefact = &evidence.ArtefactFacts{Format: "csr", Request: block.Bytes}
				out = append(out, o)
				continue
			}
			out = append(out, o)
			i = len(out) - 1
		}
		out[i].Certs = append(out[i].Certs, evidence.Presented{Role: role, Position: position, DER: block.Bytes})
	}
}

func endpointOf(t *testing.T, s string) evidence.Endpoint {
	t.Helper()
	if name, ok := strings.CutPrefix(s, "file/"); ok {
		return evidence.Endpoint{Transport: evidence.File, Name: name}
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		t.Fatal(err)
	}
	return evidence.Endpoint{Addr: ap.Addr(), Port: ap.Port(), Transport: evidence.TCP}
}

// run applies every check; params are those of the named check.
func run(t testing.TB, checks []lint.Check, c testCase, name string) []lint.Result {
	t.Helper()
	corpus := lint.NewCorpus(c.obs, c.assets)
	var out []lint.Result
	for _, check := range checks {
		var params map[string]any
		if check.Name == name {
			params = c.params
		}
		results, err := lint.Run(corpus, []lint.Job{{Check: check, Params: params}}, c.at, &c.policy)
		if err != nil {
			t.Fatal(err)
		}
		out = slices.AppendSeq(out, results[0])
	}
	return out
}

// report lists, for each subject, the checks by outcome, and then the details of
// the check that the case is about.
func report(t *testing.T, checks []lint.Check, name string, c testCase) string {
	t.Helper()
	bySubject := make(map[string]map[evidence.Outcome][]string)
	var details []string
	for _, r := range run(t, checks, c, name) {
		locus := shorten(r.Subject.Locus())
		if bySubject[locus] == nil {
			bySubject[locus] = make(map[evidence.Outcome][]string)
		}
		bySubject[locus][r.Outcome] = append(bySubject[locus][r.Outcome], r.Check)
		if r.Check == name {
			details = append(details, fmt.Sprintf("%s: %s: %s\n", r.Outcome, locus, r.Detail))
		}
	}
	var b strings.Builder
	loci := make([]string, 0, len(bySubject))
	for l := range bySubject {
		loci = append(loci, l)
	}
	slices.Sort(loci)
	for _, l := range loci {
		fmt.Fprintf(&b, "%s\n", l)
		for _, o := range evidence.Outcomes() {
			if names := bySubject[l][o]; len(names) > 0 {
				fmt.Fprintf(&b, "\t%s: %s\n", o, strings.Join(names, " "))
			}
		}
	}
	return b.String() + "\n" + strings.Join(details, "")
}

// shorten cuts the digests of a locus to eight digits.
func shorten(s string) string {
	words := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' })
	for i, w := range words {
		if at := strings.LastIndex(w, "/"); at >= 0 && len(w)-at > 40 {
			words[i] = w[:at+9]
		}
	}
	return strings.Join(words, " ")
}

func writeWant(t *testing.T, file string, a *txtar.Archive, got string) {
	t.Helper()
	a.Files = slices.DeleteFunc(a.Files, func(f txtar.File) bool { return f.Name == "want" })
	a.Files = append(a.Files, txtar.File{Name: "want", Data: []byte(got)})
	out := txtar.Format(a)
	if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, out) {
		return
	}
	if err := os.WriteFile(file, out, 0o644); err != nil {
		t.Fatal(err)
	}
}
