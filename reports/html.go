package reports

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	_ "embed" // for the parts of the page
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"probity/evidence"
)

// The parts of the HTML page.
var (
	//go:embed page/report.html
	pageTemplate string
	//go:embed page/report.css
	pageStyle string
	//go:embed page/report.js
	pageScript string
)

// Rows of each kind that the page holds as plain HTML. All findings are embedded
// besides, as data that the page's script shows.
const (
	plainFindings     = 500
	plainActions      = 12 // further ones are folded
	plainAssets       = 300
	plainDuplicates   = 200
	plainNotReached   = 200
	plainObservations = 500
	plainServices     = 300
	plainClients      = 100
	// embeddedFindings is the number of findings that the page embeds, the most urgent of
	// all: what a browser can still show.
	embeddedFindings = 500_000
	// embeddedDigests is the number of observations up to which the page embeds
	// the digests of all raw bytes: they do not compress.
	embeddedDigests = 20000
	// anchorDigits is the length of the part of a finding key that names it within
	// the page. 48 bits: two of 250,000 findings collide with probability 1 in 9,000.
	anchorDigits = 12
)

// page is what the template sees.
type page struct {
	D            Document
	Policy       string // of the content, as the meta element states it
	Style        template.CSS
	Script       template.JS
	Data         template.HTML // base64, holds no character that HTML knows
	DataDigest   string
	Findings     []Finding
	Embedded     int               // findings within Data
	Subjects     map[string]string // of the certificates of Findings, with issuer and end
	Assets       []Asset
	Duplicates   []Duplicate
	Services     []Service
	Clients      []Client
	NotReached   []Unreached
	Observations []Observation
	Observed     int // all that findings rest on
	Areas        []string
	Sources      []sourceGroup
}

type sourceGroup struct {
	Source  Source
	Clauses []Clause
	Fails   int
}

// HTML writes a report as one self-contained page. It makes no network request
// and runs no script but its own: a content security policy names the digests of
// its one style and one script. Without JavaScript it shows the summary and the
// first findings, with it all of them; of more than half a million, the most urgent.
func HTML(w io.Writer, d Document) error {
	shown := d.Findings.first(plainFindings)
	observations, observed, raw, err := observationsOf(d, shown)
	if err != nil {
		return fmt.Errorf("write HTML report: %w", err)
	}
	subjects, err := subjectsOf(d, shown)
	if err != nil {
		return fmt.Errorf("write HTML report: %w", err)
	}
	data, err := embed(d, raw)
	if err != nil {
		return fmt.Errorf("write HTML report: %w", err)
	}
	p := page{
		D: d, Style: template.CSS(pageStyle), Script: template.JS(pageScript), //nolint:gosec // our own embedded files
		Policy: fmt.Sprintf("default-src 'none'; script-src '%s'; style-src '%s'; base-uri 'none'; form-action 'none'",
			sourceDigest(pageScript), sourceDigest(pageStyle)),
		Data:       template.HTML(base64.StdEncoding.EncodeToString(data)), //nolint:gosec // base64
		DataDigest: evidence.DigestOf(data).String(),
		Findings:   shown, Embedded: min(d.Findings.Len(), embeddedFindings), Subjects: subjects, Observations: observations, Observed: observed, Assets: first(d.Assets, plainAssets),
		Duplicates: first(d.Duplicates, plainDuplicates), NotReached: first(d.Coverage.NotReached, plainNotReached),
		Services: first(d.Traffic.Services, plainServices), Clients: first(d.Traffic.Clients, plainClients),
		Areas: areas(d.Rules), Sources: bySource(d),
	}
	t, err := template.New("report").Funcs(functions(p)).Parse(pageTemplate)
	if err != nil {
		return fmt.Errorf("write HTML report: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return fmt.Errorf("write HTML report: %w", err)
	}
	return flush(w, &b)
}

func first[T any](list []T, n int) []T { return list[:min(n, len(list))] }

// sourceDigest is the hash source of CSP level 2 for an inline element.
func sourceDigest(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func areas(rules []Rule) []string {
	var out []string
	for _, r := range rules {
		if parts := strings.Split(r.ID, "-"); len(parts) == 3 && !slices.Contains(out, parts[1]) {
			out = append(out, parts[1])
		}
	}
	return out
}

func bySource(d Document) []sourceGroup {
	var out []sourceGroup
	for _, s := range d.Sources {
		g := sourceGroup{Source: s}
		for _, c := range d.Clauses {
			if c.Source != s.ID {
				continue
			}
			g.Clauses = append(g.Clauses, c)
			if c.Outcomes.Fail > 0 && (c.Relation == evidence.RelationTests || c.Relation == evidence.RelationSupports) {
				g.Fails++
			}
		}
		if len(g.Clauses) > 0 {
			out = append(out, g)
		}
	}
	return out
}

// observationsOf lists the observations that the given findings rest on, with the number
// of all, and the digests of the raw bytes of all, unless there are too many.
func observationsOf(d Document, findings []Finding) (out []Observation, all int, raw map[string]string, err error) {
	named := map[int64]bool{}
	for _, f := range findings {
		for _, id := range f.Observations {
			named[id] = true
		}
	}
	raw = map[string]string{}
	for o, err := range d.Observations.All() {
		if err != nil {
			return nil, 0, nil, err
		}
		if named[o.ID] && len(out) < plainObservations {
			out = append(out, o)
		}
		if all++; all <= embeddedDigests {
			raw[strconv.FormatInt(o.ID, 10)] = strings.Join(o.Raw, " ")
		}
	}
	if all > embeddedDigests {
		raw = map[string]string{}
	}
	return out, all, raw, nil
}

// subjectsOf says of the certificates of findings what they are, by their SHA-256.
func subjectsOf(d Document, findings []Finding) (map[string]string, error) {
	out := make(map[string]string)
	for _, f := range findings {
		out[f.Certificate] = ""
	}
	for c, err := range d.Certificates.All() {
		if err != nil {
			return nil, err
		}
		if _, named := out[c.SHA256]; named {
			out[c.SHA256] = c.Subject + ", issued by " + c.Issuer + ", until " + day(c.NotAfter) + " "
		}
	}
	return out, nil
}

// columns is the embedded form of all findings: a dictionary for each field and
// one index a finding.
type columns struct {
	N            int               `json:"n"`
	Outcomes     []string          `json:"outcomes"`
	Severities   []string          `json:"severities"`
	Rules        [][2]string       `json:"rules"`
	Assets       [][2]string       `json:"assets"`
	Endpoints    []string          `json:"endpoints"`
	Certificates []string          `json:"certificates"`
	Groups       []string          `json:"groups"`
	Details      []string          `json:"details"`
	Observations []string          `json:"observations"`
	Raw          map[string]string `json:"raw"`
	O            []int             `json:"o"`
	S            []int             `json:"s"`
	R            []int             `json:"r"`
	A            []int             `json:"a"`
	E            []int             `json:"e"`
	C            []int             `json:"c"`
	G            []int             `json:"g"`
	D            []int             `json:"d"`
	B            []int             `json:"b"`
	K            string            `json:"k"` // keys, anchorDigits each
}

// dictionary gives each distinct value a number, in the order of appearance.
type dictionary[T comparable] struct {
	values []T
	index  map[T]int
}

func newDictionary[T comparable](values ...T) *dictionary[T] {
	d := &dictionary[T]{index: map[T]int{}}
	for _, v := range values {
		d.number(v)
	}
	return d
}

func (d *dictionary[T]) number(v T) int {
	n, ok := d.index[v]
	if !ok {
		n = len(d.values)
		d.index[v] = n
		d.values = append(d.values, v)
	}
	return n
}

// embed returns the findings as gzipped JSON columns, with the digests of raw bytes by
// observation.
func embed(d Document, raw map[string]string) ([]byte, error) {
	labels := make(map[string]string, len(d.Assets))
	for _, a := range d.Assets {
		labels[a.ID] = a.Label
	}
	outcomes, severities := newDictionary[string](), newDictionary[string]()
	for _, o := range evidence.Outcomes() {
		outcomes.number(string(o))
	}
	for _, s := range evidence.Severities() {
		severities.number(string(s))
	}
	rules, assets := newDictionary[[2]string](), newDictionary([2]string{})
	endpoints, certificates, groups := newDictionary(""), newDictionary(""), newDictionary("")
	details, observations := newDictionary[string](), newDictionary[string]()
	c := columns{N: min(d.Findings.Len(), embeddedFindings), Raw: raw}
	var keys strings.Builder
	for f := range d.Findings.All() {
		if len(c.O) == c.N {
			break
		}
		c.O = append(c.O, outcomes.number(string(f.Outcome)))
		c.S = append(c.S, severities.number(string(f.Severity)))
		c.R = append(c.R, rules.number([2]string{f.Rule, f.Title}))
		c.A = append(c.A, assets.number([2]string{f.Asset, labels[f.Asset]}))
		c.E = append(c.E, endpoints.number(f.Endpoint))
		c.C = append(c.C, certificates.number(f.Certificate))
		c.G = append(c.G, groups.number(f.Group))
		c.D = append(c.D, details.number(detailText(f)))
		c.B = append(c.B, observations.number(ids(f.Observations, len(f.Observations)+1)))
		keys.WriteString(anchor(f.Key))
	}
	c.Outcomes, c.Severities, c.Rules, c.Assets = outcomes.values, severities.values, rules.values, assets.values
	c.Endpoints, c.Certificates, c.Groups = endpoints.values, certificates.values, groups.values
	c.Details, c.Observations, c.K = details.values, observations.values, keys.String()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := json.NewEncoder(z).Encode(c); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func anchor(key string) string { return key[:min(anchorDigits, len(key))] }

// functions are the helpers of the template.
func functions(p page) template.FuncMap {
	labels, clauses := map[string]string{}, map[string]string{}
	for _, a := range p.D.Assets {
		labels[a.ID] = a.Label
	}
	for _, r := range p.D.Rules {
		var tests []string
		for _, c := range r.Clauses {
			if c.Relation == evidence.RelationTests || c.Relation == evidence.RelationSupports {
				tests = append(tests, c.Source+" "+c.Clause)
			}
		}
		clauses[r.ID] = strings.Join(tests, "; ")
	}
	listed := map[int64]bool{}
	for _, o := range p.Observations {
		listed[o.ID] = true
	}
	return template.FuncMap{
		"num": thousands, "time": moment, "short": short, "sentence": sentence, "anchor": anchor, "place": where, "detail": detailText,
		"first": func(list []Action) []Action { return first(list, plainActions) },
		"rest":  func(list []Action) []Action { return list[min(plainActions, len(list)):] },
		"bars":  bars, "verdicts": verdictRows,
		"label":   func(id string) string { return cmp.Or(labels[id], id) },
		"subject": func(digest string) string { return p.Subjects[digest] },
		"clauses": func(rule string) string { return clauses[rule] },
		"known":   func(id int64) bool { return listed[id] },
		"ruled":   func(rule string) bool { _, ok := clauses[rule]; return ok },
	}
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func day(t time.Time) string {
	if t.Year() >= 9999 {
		return "no expiry"
	}
	return t.UTC().Format(time.DateOnly)
}

// thousands writes a whole number with a thin space between groups of digits.
func thousands(n any) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// sentence gives a note of the catalogue a capital and a full stop.
func sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(r)) + strings.TrimSuffix(s[n:], ".") + "."
}

type barPart struct {
	Outcome  evidence.Outcome
	X, Width int
}

// bars divides 1000 units among the outcomes; none that occurs is invisible.
func bars(c Counts) []barPart {
	byOutcome := map[evidence.Outcome]int{
		evidence.Fail: c.Fail, evidence.Warn: c.Warn, evidence.Inconclusive: c.Inconclusive,
		evidence.Pass: c.Pass, evidence.NotApplicable: c.NotApplicable,
	}
	var out []barPart
	x := 0
	for _, o := range evidence.Outcomes() {
		if n := byOutcome[o]; n > 0 {
			width := max(6, n*1000/c.Total())
			out = append(out, barPart{Outcome: o, X: x, Width: width})
			x += width
		}
	}
	return out
}

type verdictRow struct {
	Outcome evidence.Outcome
	Text    string
}

func verdictRows(m map[evidence.Outcome]string) []verdictRow {
	var out []verdictRow
	for _, o := range evidence.Outcomes() {
		if m[o] != "" {
			out = append(out, verdictRow{o, m[o]})
		}
	}
	return out
}
