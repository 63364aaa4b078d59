package reports

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"probity/evidence"
)

// Batch is a report on a manufacturing batch of certificates.
type Batch struct {
	Tool      string      `json:"tool"`
	Generated time.Time   `json:"generated"`
	Profile   string      `json:"profile"`
	SHA256    string      `json:"profile_sha256"`
	Count     int         `json:"certificates"`
	Earlier   int         `json:"earlier_certificates"` // compared with
	Rules     []BatchRule `json:"rules"`
	Failures  []BatchFile `json:"unreadable"`
	// Entries yields the certificates in the order of their places; it can be called
	// more than once.
	Entries iter.Seq[BatchEntry] `json:"-"`
}

// BatchRule is the verdict of a rule on the whole batch.
type BatchRule struct {
	Rule    string           `json:"rule"`
	Title   string           `json:"title"`
	Outcome evidence.Outcome `json:"outcome"`
}

// BatchFile is a file that could not be read.
type BatchFile struct {
	File   string `json:"file"`
	Reason string `json:"reason"`
}

// BatchEntry is one certificate of a batch.
type BatchEntry struct {
	File       string           `json:"file"`
	Number     int              `json:"number"` // in the file, from 1
	SHA256     string           `json:"sha256"`
	Identifier string           `json:"identifier"`
	Outcome    evidence.Outcome `json:"outcome"`
	Reasons    []BatchReason    `json:"reasons"`
}

// BatchReason is one thing that is wrong with a certificate.
type BatchReason struct {
	Rule    string           `json:"rule"`
	Outcome evidence.Outcome `json:"outcome"`
	Field   string           `json:"field"`
	Detail  string           `json:"detail"`
}

func (r BatchReason) text() string {
	if r.Field == "" {
		return r.Detail
	}
	return r.Field + ": " + r.Detail
}

// BatchTable writes the report for a terminal: the verdicts, and at most limit of the
// certificates that have something wrong; 0 is all.
func BatchTable(w io.Writer, b Batch, width, limit int) error {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%d certificates against profile %s (SHA-256 %s), and %d of earlier batches.\n\n", b.Count, b.Profile, b.SHA256, b.Earlier)
	var rows [][]string
	for _, r := range b.Rules {
		rows = append(rows, []string{string(r.Outcome), r.Rule, r.Title})
	}
	if err := Grid(&out, []string{"OUTCOME", "RULE", "TITLE"}, rows, width); err != nil {
		return err
	}
	rows = nil
	for _, f := range b.Failures {
		rows = append(rows, []string{f.File, "unreadable", f.Reason})
	}
	bad := 0
	for e := range b.Entries {
		if e.Outcome == evidence.Pass {
			continue
		}
		if bad++; limit > 0 && bad > limit {
			continue
		}
		for i, r := range e.Reasons {
			row := []string{"", string(r.Outcome), r.text()}
			if i == 0 {
				row[0] = fmt.Sprintf("%s:%d", e.File, e.Number)
			}
			rows = append(rows, row)
		}
	}
	if len(rows) > 0 {
		out.WriteByte('\n')
		if err := Grid(&out, []string{"CERTIFICATE", "OUTCOME", "REASON"}, rows, width); err != nil {
			return err
		}
	}
	if limit > 0 && bad > limit {
		fmt.Fprintf(&out, "%d of %d certificates with something wrong are shown (--max).\n", limit, bad)
	}
	closing := "A pass says only that the files differ in nothing that the profile names, and repeat nothing. It says nothing of how the keys were made and where they are kept."
	if width == 0 {
		width = 100
	}
	out.WriteString("\n" + wrap(closing, width) + "\n")
	_, err := out.WriteTo(w)
	return err
}

// stream writes text; the first error is that of Flush.
type stream struct{ *bufio.Writer }

func (s stream) put(texts ...string) {
	for _, t := range texts {
		_, _ = s.WriteString(t)
	}
}

// BatchJSON writes the report as one JSON document.
func BatchJSON(w io.Writer, b Batch) error {
	buf := stream{bufio.NewWriter(w)}
	head, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return err
	}
	// The entries follow the other members, one a line, without being held together.
	buf.put(fmt.Sprintf("%s,\n  \"entries\": [", strings.TrimSuffix(string(head), "\n}")))
	sep := "\n    "
	for e := range b.Entries {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		buf.put(sep, string(line))
		sep = ",\n    "
	}
	buf.put("\n  ]\n}\n")
	return buf.Flush()
}

// BatchCSV writes one line a certificate (RFC 4180). Text that a spreadsheet would
// take for a formula begins with an apostrophe.
func BatchCSV(w io.Writer, b Batch) error {
	c := csv.NewWriter(w)
	c.UseCRLF = true
	if err := c.Write([]string{"file", "number", "sha256", "identifier", "outcome", "reasons"}); err != nil {
		return err
	}
	for _, f := range b.Failures {
		if err := c.Write([]string{cell(f.File), "", "", "", string(evidence.Inconclusive), cell(f.Reason)}); err != nil {
			return err
		}
	}
	for e := range b.Entries {
		var reasons []string
		for _, r := range e.Reasons {
			reasons = append(reasons, r.Rule+" "+r.text())
		}
		if err := c.Write([]string{cell(e.File), strconv.Itoa(e.Number), e.SHA256, cell(e.Identifier), string(e.Outcome), cell(strings.Join(reasons, " "))}); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

// cell defuses text that a spreadsheet would run (OWASP, CSV injection), also where it
// takes the wide forms of the signs for them.
func cell(s string) string {
	if first, _ := utf8.DecodeRuneInString(s); s != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) {
		return "'" + s
	}
	return s
}

// The shape of a JUnit report: that of Apache Ant, the strictest of those that CI
// systems read. Its elements have a fixed order: properties, cases, output, errors.
type (
	junitSuite struct {
		XMLName  xml.Name `xml:"testsuite"`
		Name     string   `xml:"name,attr"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Errors   int      `xml:"errors,attr"`
		Skipped  int      `xml:"skipped,attr"`
		Took     string   `xml:"time,attr"`      // seconds; a certificate takes none
		Time     string   `xml:"timestamp,attr"` // without a zone
		Host     string   `xml:"hostname,attr"`  // "localhost" where it is not told

		Properties []junitProperty `xml:"properties>property"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		XMLName xml.Name      `xml:"testcase"`
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Took    string        `xml:"time,attr"`
		Failure *junitProblem `xml:"failure,omitempty"`
		Error   *junitProblem `xml:"error,omitempty"`
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"` // the rule
		Text    string `xml:",chardata"`
	}
)

// BatchJUnit writes one test case a certificate. A file that could not be read is an
// error; what only warns is in the output of the suite.
func BatchJUnit(w io.Writer, b Batch) error {
	suite := junitSuite{
		Name: b.Profile, Tests: b.Count + len(b.Failures), Errors: len(b.Failures), Took: "0",
		Time: b.Generated.UTC().Format("2006-01-02T15:04:05"), Host: "localhost",
		Properties: []junitProperty{
			{"tool", b.Tool}, {"profile_sha256", b.SHA256}, {"certificates", strconv.Itoa(b.Count)}, {"earlier_certificates", strconv.Itoa(b.Earlier)},
		},
	}
	for e := range b.Entries {
		if e.Outcome == evidence.Fail {
			suite.Failures++
		}
	}
	buf := stream{bufio.NewWriter(w)}
	buf.put(xml.Header)
	head, err := xml.Marshal(suite)
	if err != nil {
		return err
	}
	buf.put(strings.TrimSuffix(string(head), "</testsuite>") + "\n")
	put := func(c junitCase) error {
		line, err := xml.Marshal(c)
		if err != nil {
			return err
		}
		buf.put(string(line), "\n")
		return nil
	}
	for _, f := range b.Failures {
		if err := put(junitCase{Class: "file", Name: f.File, Took: "0", Error: &junitProblem{Message: f.Reason, Type: "unreadable"}}); err != nil {
			return err
		}
	}
	for e := range b.Entries {
		if err := put(junitCaseOf(e)); err != nil {
			return err
		}
	}
	buf.put("<system-out>")
	for e := range b.Entries {
		for _, r := range e.Reasons {
			if r.Outcome == evidence.Fail {
				continue
			}
			line := fmt.Sprintf("%s %s: %s\n", e.File, caseName(e), r.line())
			if err := xml.EscapeText(buf, []byte(line)); err != nil {
				return err
			}
		}
	}
	buf.put("</system-out>\n<system-err></system-err>\n</testsuite>\n")
	return buf.Flush()
}

func junitCaseOf(e BatchEntry) junitCase {
	c := junitCase{Class: e.File, Name: caseName(e), Took: "0"}
	var lines []string
	for _, r := range e.Reasons {
		lines = append(lines, r.line())
		if r.Outcome == evidence.Fail && c.Failure == nil {
			c.Failure = &junitProblem{Message: r.line(), Type: r.Rule}
		}
	}
	if c.Failure != nil {
		c.Failure.Text = strings.Join(lines, "\n")
	}
	return c
}

func caseName(e BatchEntry) string {
	return strings.TrimSpace(fmt.Sprintf("certificate %d %s", e.Number, e.Identifier))
}

func (r BatchReason) line() string { return r.Rule + " " + string(r.Outcome) + " " + r.text() }
