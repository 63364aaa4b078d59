package fingerprint

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
)

func builtinSet(t testing.TB) *Set {
	t.Helper()
	s, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestBuiltin runs every example, and counts what is covered.
func TestBuiltin(t *testing.T) {
	s := builtinSet(t)
	n, failures := s.Check()
	for _, f := range failures {
		t.Error(f)
	}
	if n.Entries < 100 || n.Examples < 200 {
		t.Errorf("only %+v were checked", n)
	}
	makers := map[string]bool{} // of which a fingerprint or a row of a table tells
	clinical := map[string]bool{}
	for _, f := range s.families() {
		if f.class != "" && f.class != "infrastructure" && f.class != "workstation" && f.class != "gateway" {
			clinical[f.name] = true
		}
	}
	for _, e := range s.entries {
		for _, c := range e.claims {
			if c.attribute == evidence.AttrManufacturer {
				makers[c.value] = true
			}
		}
	}
	own := len(makers)
	for _, table := range []map[string]row{s.tables.uid, s.tables.pen} {
		for _, r := range table {
			if r.attribute == evidence.AttrManufacturer && r.confidence >= 50 { // what registries are sure of
				makers[r.value] = true
			}
		}
	}
	if len(makers) < 40 || len(clinical) < 25 {
		t.Errorf("%d manufacturers with a fingerprint or a registered number and %d clinical or laboratory product families are too few", len(makers), len(clinical))
	}
	t.Logf("%d manufacturers, %d of them with a fingerprint of their own; %d clinical or laboratory product families", len(makers), own, len(clinical))
}

// TestSet_Claims: what entries and tables say of a value.
func TestSet_Claims(t *testing.T) {
	s := builtinSet(t)
	for _, tt := range []struct {
		field Field
		value string
		want  []string
	}{
		{DICOMUID, "1.2.276.0.7230010.3.0.3.6.7", []string{"toolkit OFFIS DCMTK 70"}},
		{DICOMUID, "1.2.276.0.72300109", nil}, // whole components only
		{DICOMUID, "1.2.840.113619.6.388", []string{"manufacturer GE HealthCare 70"}},
		{DICOMUID, "1.2.840.113619.6.284.1", []string{
			"class imaging 65", "device_type CT system 65", "manufacturer GE HealthCare 70", "product_family LightSpeed 65",
		}},
		{DICOMUID, "1.2.826.0.1.3680043", nil},                                                                // a delegated root names nobody
		{DICOMUID, "1.3.6.1.4.1.54260.1", []string{"class monitor 35", "manufacturer Mindray 65"}},            // by the enterprise
		{SNMPObjectID, "1.3.6.1.4.1.3592.1.2", []string{"class medical device 35", "manufacturer Dräger 65"}}, // the class is a hint
		{SNMPObjectID, "1.3.6.1.4.1.8072.3.2.10", []string{"toolkit Net-SNMP 60"}},
		{SNMPObjectID, "1.3.6.1.4.1.99999999", nil},
		{MAC, "00:30:e6:01:02:03", []string{"class medical device 30", "manufacturer Dräger 30"}},
		{MAC, "50:a0:30:81:02:03", []string{"class medical device 30", "manufacturer GE HealthCare 30"}}, // 28 bits
		{MAC, "50:a0:30:91:02:03", nil},                                                                  // another holder of the same 24
		{MAC, "02:30:e6:01:02:03", nil},                                                                  // administered locally
		{MAC, "no address", nil},
		{CertSubjectOrg, "Drägerwerk AG & Co. KGaA", []string{"manufacturer Dräger 60"}},
		{CertSubjectOrg, "Dragon Healthcare", nil},
		{CertSubjectOrg, "Siemens AG", nil}, // not all of it is medical
		{Port, "tcp/104", []string{"role perhaps DICOM 10"}},
		{Port, "tcp/22", nil},
		{DICOMVersion, strings.Repeat("x", 5000), nil},
		{"no such field", "x", nil},
	} {
		var got []string
		for _, c := range s.Claims(Signal{Layer: "test", Field: tt.field, Value: tt.value}) {
			if c.Layer != "test" || c.Source == "" {
				t.Errorf("%s %q: claim without layer or source: %+v", tt.field, tt.value, c)
			}
			got = append(got, fmt.Sprintf("%s %s %d", c.Attribute, c.Value, c.Confidence))
		}
		less := cmp.Transformer("sort", func(in []string) map[string]bool {
			out := map[string]bool{}
			for _, s := range in {
				out[s] = true
			}
			return out
		})
		if diff := cmp.Diff(tt.want, got, less); diff != "" {
			t.Errorf("%s %q (-want +got):\n%s", tt.field, tt.value, diff)
		}
	}
	if c := s.Claims(Signal{Layer: "test", Field: DICOMUID, Value: "1.2.840.113619", Limit: 20}); len(c) != 1 || c[0].Confidence != 20 {
		t.Errorf("a limited signal claims %+v", c)
	}
}

// TestSet_hints: no hint is worth more than "possible".
func TestSet_hints(t *testing.T) {
	s := builtinSet(t)
	for prefix, r := range s.tables.oui {
		if r.confidence > hintLimit {
			t.Errorf("%s: confidence %d", prefix, r.confidence)
		}
	}
	for f, k := range fields() {
		if (f == MAC || f == Port || f == Hostname || f == DICOMTitle) && k.limit > hintLimit {
			t.Errorf("%s bears %d", f, k.limit)
		}
	}
}

func TestMakers(t *testing.T) {
	s := builtinSet(t)
	for text, want := range map[string]string{
		"DRÄGERWERK AG & Co. KGaA": "Dräger", "Draeger Medical GmbH": "Dräger", "draeger": "Dräger",
		"B.Braun Melsungen AG": "B. Braun", "Hospira, Inc.": "ICU Medical", "Philips": "Philips",
		"Philips Street Clinic": "", "Siemens": "", "Roche-la-Molière Hospital": "", "": "", "...": "",
	} {
		if got, _ := s.Manufacturer(text); got != want {
			t.Errorf("Manufacturer(%q) = %q, want %q", text, got, want)
		}
	}
	if got := s.Told("SIEMENS"); got != "Siemens Healthineers" {
		t.Errorf("told SIEMENS: %q", got)
	}
	if got := s.Told("Aldermere"); got != "Aldermere" {
		t.Errorf("an unknown name becomes %q", got)
	}
	if s.Group("SonoSite") != "Fujifilm" || s.Group("Dräger") != "Dräger" {
		t.Error("groups of companies")
	}
}

func TestCheckFile_mistakes(t *testing.T) {
	entry := func(lines ...string) string {
		return "family: x\ntitle: X\nentries:\n  - id: x/a\n    " + strings.Join(lines, "\n    ") + "\n"
	}
	const (
		field = "field: dicom.version_name"
		match = "match: {exact: A}"
		says  = "claims: {class: pump}"
		sure  = "confidence: 50"
		src   = "source: s"
		shows = "examples: [{value: A, claims: {class: pump}}]"
	)
	for _, tt := range []struct{ name, text, want string }{
		{"another family", "family: y\ntitle: X\n", `x.yaml:1:9: family "y": want "x", the name of the file`},
		{"no field", entry(match, says, sure, src, shows), `x.yaml:4:7: x/a: want a field, or fields`},
		{"two ways to match", entry(field, "match: {exact: A, prefix: B}", says, sure, src, shows), `x.yaml:6:12: x/a: want exactly one of exact, prefix, oid and re`},
		{"object identifier of text", entry(field, "match: {oid: 1.2}", says, sure, src, shows), `x.yaml:6:12: x/a: dicom.version_name is matched by oid, and nothing else is`},
		{"hint that is too sure", entry("field: dicom.ae_title", match, says, sure, src, shows), `x.yaml:8:17: x/a: confidence 50: want 1 to 35`},
		{"class", entry(field, match, "claims: {class: pumps}", sure, src, shows), `x.yaml:4:7: x/a: class "pumps": want one of`},
		{"attribute", entry(field, match, "claims: {hostname: x}", sure, src, shows), `x.yaml:4:7: x/a: an entry does not claim "hostname"`},
		{"group", entry(field, match, "claims: {version: '${v}'}", sure, src, shows), `the claim "version" names a group that the pattern does not have: write (?P<v>...)`},
		{"pattern", entry(field, "match: {re: '('}", says, sure, src, shows), `x.yaml:6:12: x/a: pattern "(": not an RE2 pattern`},
		{"large pattern", entry(field, "match: {re: 'abc(((a{99}){9}){9}){9}'}", says, sure, src, shows), `x.yaml:6:12: x/a: pattern`},
		{"source", entry(field, match, says, sure, shows), `x.yaml:4:7: x/a: "source" is missing or empty`},
		{"no example", entry(field, match, says, sure, src), `x.yaml:4:7: x/a: want an example that matches`},
		{"no near miss", entry(field, "match: {prefix: A}", says, sure, src, shows), `want an example that must not match`},
		{"key", entry(field, match, says, "confidences: 50", src, shows), `x.yaml:8:5: unknown key "confidences": did you mean "confidence"?`},
		{"id", "family: x\ntitle: X\nentries:\n  - id: y/a\n    field: protocol\n", `x.yaml:4:9: id "y/a": want "x/" and a name`},
		{"taken", "family: dicom2\ntitle: X\nentries:\n  - id: dicom/dcmtk\n    field: protocol\n", `id "dicom/dcmtk" is given twice`},
	} {
		_, _, err := CheckFile("x.yaml", []byte(tt.text))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v\nwant %s", tt.name, err, tt.want)
		}
	}
}

// TestIndex_findsWhatEachEntryMatches: no example of an entry is lost by looking
// only where its letters are.
func TestIndex_findsWhatEachEntryMatches(t *testing.T) {
	s := builtinSet(t)
	for _, e := range s.entries {
		for _, x := range e.Examples {
			if x.Claims == nil {
				continue
			}
			for _, f := range e.Fields {
				found := false
				s.fields[f].find(x.Value, func(hit *Entry, _ []string) { found = found || hit == e })
				if !found {
					t.Errorf("%s: %q is not found in the whole set: an entry with a longer prefix or root hides it", e.ID, x.Value)
				}
			}
		}
	}
}

// FuzzSet_Claims: any bytes are looked up without a panic, alike each time, and
// claim nothing above the limit.
func FuzzSet_Claims(f *testing.F) {
	names := fieldNames()
	f.Add(byte(0), "1.2.840.113619.6.284")
	f.Add(byte(3), "MR_VE11C")
	f.Add(byte(9), "ABL80^1")
	f.Add(byte(20), "SSH-2.0-OpenSSH_9.2p1 Debian-2")
	f.Add(byte(30), "00:30:e6:01:02:03")
	f.Fuzz(func(t *testing.T, n byte, value string) {
		s := builtinSet(t)
		sig := Signal{Layer: "x", Field: Field(names[int(n)%len(names)]), Value: value, Limit: 50}
		first := s.Claims(sig)
		for _, c := range first {
			if c.Confidence > 50 || c.Value == "" {
				t.Fatalf("claim %+v", c)
			}
		}
		if diff := cmp.Diff(first, s.Claims(sig)); diff != "" {
			t.Fatalf("another answer the second time:\n%s", diff)
		}
	})
}

// FuzzCheckFile: a contributor's file is checked or refused, and never a panic.
func FuzzCheckFile(f *testing.F) {
	f.Add("family: x\ntitle: X\nentries:\n  - id: x/a\n    field: dicom.version_name\n    match: {re: 'abc(?P<v>.)'}\n    claims: {version: '${v}'}\n    confidence: 1\n    source: s\n    examples: [{value: abcd, claims: {version: d}}, {value: x, none: true}]\n")
	f.Add("family: x\nentries: [{}]")
	f.Fuzz(func(t *testing.T, text string) {
		if _, _, err := CheckFile("x.yaml", []byte(text)); err != nil && !strings.Contains(err.Error(), "x.yaml") {
			t.Fatalf("a mistake without a place: %v", err)
		}
	})
}

// BenchmarkClaims looks up what an ordinary device shows among the built-in
// fingerprints, and among 2,000 more patterns of one field; "list" tries each of
// those in turn, as without an index.
func BenchmarkClaims(b *testing.B) {
	signals := []Signal{
		{Field: DICOMUID, Value: "1.2.276.0.7230010.3.0.3.6.7"},
		{Field: DICOMVersion, Value: "OFFIS_DCMTK_367"},
		{Field: SSHVersion, Value: "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3"},
		{Field: HTTPServer, Value: "Ward server 1.0 with a rather long name that nobody knows"},
		{Field: Product, Value: "Dräger Evita V800"},
		{Field: MAC, Value: "00:15:17:01:02:03"},
		{Field: SNMPDescr, Value: "Linux bed-7 6.1.0-18-amd64 #1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1 (2024-02-01) x86_64"},
		{Field: HL7Sender, Value: "MONITOR|ICU"},
	}
	b.Run("builtin", func(b *testing.B) {
		s := builtinSet(b)
		for b.Loop() {
			for _, sig := range signals {
				s.Claims(sig)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(signals)), "ns/value")
	})
	index, entries := newFieldIndex(fields()[DICOMVersion]), []*Entry{}
	for i := range 2000 {
		p, err := compile(fmt.Sprintf(`^MAKER%d_PRODUCT_V(?P<version>[0-9.]+)$`, i))
		if err != nil {
			b.Fatal(err)
		}
		e := &Entry{ID: fmt.Sprint(i), match: matcher{pattern: p}, order: i}
		entries = append(entries, e)
		index.add(e)
	}
	const value = "MAKER1234_PRODUCT_V3.1"
	b.Run("index_of_2000", func(b *testing.B) {
		for b.Loop() {
			index.find(value, func(*Entry, []string) {})
		}
	})
	b.Run("list_of_2000", func(b *testing.B) {
		for b.Loop() {
			for _, e := range entries {
				_ = e.match.pattern.re().FindStringSubmatch(value)
			}
		}
	})
	b.Run("load", func(b *testing.B) {
		data, err := fs.Sub(embedded, "data")
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := load(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
