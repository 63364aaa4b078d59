//go:build cgo

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/fixtures/peer"
)

// junitGrammar is the form of a report of one suite that Apache Ant writes, which is the
// strictest of those that CI systems accept (RELAX NG): what must be there, of which
// type, and in which order.
const junitGrammar = `<element name="testsuite" xmlns="http://relaxng.org/ns/structure/1.0" datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">
 <attribute name="name"><data type="token"><param name="minLength">1</param></data></attribute>
 <attribute name="hostname"><data type="token"><param name="minLength">1</param></data></attribute>
 <attribute name="timestamp"><data type="dateTime"><param name="pattern">[^Z+]{19}</param></data></attribute>
 <attribute name="time"><data type="decimal"/></attribute>
 <attribute name="tests"><data type="int"/></attribute>
 <attribute name="failures"><data type="int"/></attribute>
 <attribute name="errors"><data type="int"/></attribute>
 <optional><attribute name="skipped"><data type="int"/></attribute></optional>
 <element name="properties"><zeroOrMore><element name="property">
  <attribute name="name"><data type="token"><param name="minLength">1</param></data></attribute><attribute name="value"/>
 </element></zeroOrMore></element>
 <zeroOrMore><element name="testcase">
  <attribute name="name"/><attribute name="classname"/><attribute name="time"><data type="decimal"/></attribute>
  <optional><choice><element name="skipped"><empty/></element><element><choice><name>error</name><name>failure</name></choice>
   <attribute name="type"/><optional><attribute name="message"/></optional><text/>
  </element></choice></optional>
 </element></zeroOrMore>
 <element name="system-out"><text/></element>
 <element name="system-err"><text/></element>
</element>`

// readReports reads both reports with the parsers of Python and the JUnit one with
// junitparser, too, and holds its counts against its cases.
const readReports = `
import csv, json, sys, xml.etree.ElementTree as xml
from junitparser import JUnitXml, Error, Failure
rows = list(csv.DictReader(open(sys.argv[1], newline="")))
suite = xml.parse(sys.argv[2]).getroot()
cases = suite.findall("testcase")
assert len(cases) == int(suite.get("tests"))
for kind, count in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
    problems = suite.findall("testcase/" + kind)
    assert len(problems) == int(suite.get(count)), (kind, len(problems))
read = JUnitXml.fromfile(sys.argv[2])
counts = [read.tests, read.failures, read.errors]
read.update_statistics() # from the cases
assert counts == [read.tests, read.failures, read.errors], counts
kinds = {c.classname: [type(r) for r in c.result] for c in read}
assert kinds == {r["file"]: [Failure] if r["outcome"] == "fail" else [] for r in rows}, kinds
print(json.dumps([[r["file"], r["identifier"], r["outcome"]] for r in rows]))
`

// TestPeer_batch judges certificates that OpenSSL and GnuTLS made, with subjects that
// are formulas to a spreadsheet and markup to a browser, and reads the reports with
// Python and SQLite.
func TestPeer_batch(t *testing.T) {
	at := peer.Require(t, "openssl", "certtool", "sqlite3", "xmllint")
	at["python3"] = peer.RequireModule(t, "junitparser")
	dir := t.TempDir()
	run := func(program string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), at[program], args...) //nolint:gosec // programs of the test
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", program, args, err, out)
		}
		return string(out)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("profile.yaml", "name: \"<pump> & co\"\nkeys: [{algorithm: EC, curve: P-256}]\nsubject: {CN: \".+\"}\nidentifier: CN\n")
	if err := os.Mkdir(filepath.Join(dir, "line"), 0o700); err != nil {
		t.Fatal(err)
	}
	names := []string{`=cmd|' /C calc'!A0`, `＝SUM(1)`, `plain, "quoted"`, `]]><script>&amp;`}
	for i, name := range names {
		file := string(rune('a'+i)) + ".pem"
		run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "k.pem",
			"-subj", "/CN="+strings.ReplaceAll(name, "/", `\/`), "-out", "line/"+file, "-addext", "basicConstraints=critical,CA:FALSE", "-utf8")
	}
	run("certtool", "--generate-privkey", "--key-type", "ecdsa", "--curve", "secp384r1", "--outfile", "g.key")
	write("g.cfg", "cn = \"+1 GnuTLS\"\nserial = 77\nexpiration_days = 100\n")
	run("certtool", "--generate-self-signed", "--load-privkey", "g.key", "--template", "g.cfg", "--outfile", "line/g.pem")

	batch := func(format, output string) {
		t.Helper()
		probity(t, exitNegative, "lint", "--batch", filepath.Join(dir, "line"), "--profile", filepath.Join(dir, "profile.yaml"),
			"--format", format, "--output", filepath.Join(dir, output))
	}
	batch("csv", "batch.csv")
	batch("junit", "batch.xml")
	write("junit.rng", junitGrammar)
	run("xmllint", "--noout", "--relaxng", "junit.rng", "batch.xml")
	var got [][]string
	if err := json.Unmarshal([]byte(run("python3", "-c", readReports, "batch.csv", "batch.xml")), &got); err != nil {
		t.Fatal(err)
	}
	var want [][]string
	for i, outcome := range []string{"pass", "pass", "pass", "pass", "fail"} {
		name := append(slices.Clone(names), "+1 GnuTLS")[i]
		if strings.ContainsAny(name[:1], "=+@-") || strings.HasPrefix(name, "＝") {
			name = "'" + name
		}
		want = append(want, []string{filepath.Join(dir, "line", string("abcdg"[i])+".pem"), name, outcome})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows that Python reads (-want +got):\n%s", diff)
	}
	write("import.sql", ".import --csv batch.csv batch\n.mode list\nselect count(*), sum(outcome = 'fail'), min(length(sha256)), max(length(sha256)) from batch;\nselect identifier from batch where number = 1 and outcome = 'fail';\n")
	if got, want := run("sqlite3", ":memory:", ".read import.sql"), "5|1|64|64\n'+1 GnuTLS\n"; got != want {
		t.Errorf("SQLite imports %q, want %q", got, want)
	}
}
