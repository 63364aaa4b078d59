package inventory

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// worksheet is an export as a spreadsheet writes it: titles and headings between
// the questions, references beside the notes.
const worksheet = "Manufacturer Disclosure Statement for Medical Device Security -- MDS2,,,,,\n" +
	"Question ID,Question,Answer,See note,,IEC TR 80001-2-2:2012\n" +
	"DOC-1,Manufacturer Name,Acmed Inc.,,,\n" +
	"DOC-2,Device Description,\"Pump, for the ward\",,,\n" +
	"DOC-3,Device Model,\"Pump 3, Pump 4\",,,\n" +
	"DOC-4,Document ID,MDS2-17,,,\n" +
	"DOC-7,Document Release Date,2026-03-20,,,\n" +
	"DOC-8,Coordinated Vulnerability Disclosure,Yes,Note 1,,\n" +
	",CONNECTIVITY CAPABILITIES,,,,\n" +
	"CONN-7,Does the device support Transport Layer Security (TLS)?,Yes,,,CONN\n" +
	"CONN-7.1,Is TLS configurable?,\"No, always on\",,,CONN\n" +
	"NAUT-3,Does the device use certificate-based network connection authentication?,__,,,NAUT\n" +
	"SHAD-15,Can the system prevent access to BIOS?,Yes,,,\n" +
	"SAHD-13,Scanning?,See Notes,Note 2,,\n" +
	"TXCF-2.1,If not?,N/A,,,\n"

func TestReadMDS2(t *testing.T) {
	want := Form{
		Row: Row{Line: 1, Key: "mds2=acmed inc. pump 3, pump 4", Values: map[string]string{
			"manufacturer": "Acmed Inc.", "model": "Pump 3, Pump 4", "mds2": "MDS2-17", "released": "2026-03-20",
			"DOC-8": "yes", "DOC-8 note": "Note 1", "CONN-7": "yes", "CONN-7.1": "no", "CONN-7.1 note": "always on",
			"SAHD-13": "see notes", "SAHD-13 note": "Note 2", "TXCF-2.1": "n/a",
		}},
		Answers: 5, Unknown: []string{"SHAD-15"},
	}
	for name, in := range map[string]string{
		"comma": worksheet, "semicolon": semicolons(worksheet), "byte order mark": "\xef\xbb\xbf" + worksheet,
	} {
		got, err := ReadMDS2("form.csv", strings.NewReader(in))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
	// The header decides which column has the answers; without one it is the third.
	for _, in := range []string{
		"ID,Answer\nDOC-1,Acmed\nDOC-3,P\nCONN-7,no\n",
		"DOC-1,Manufacturer,Acmed\nDOC-3,Model,P\nCONN-7,TLS?,no\n",
	} {
		got, err := ReadMDS2("form.csv", strings.NewReader(in))
		if err != nil || got.Values["CONN-7"] != "no" || got.Values["model"] != "P" || got.Values["mds2"] != "MDS2" {
			t.Errorf("%q: %v, %v", in, got.Values, err)
		}
	}
}

// semicolons writes a form as spreadsheets of other countries do.
func semicolons(s string) string {
	out, quoted := []byte(nil), false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
			out = append(out, s[i])
		case s[i] == ',' && !quoted:
			out = append(out, ';')
		default:
			out = append(out, s[i])
		}
	}
	return string(out)
}

func TestReadMDS2_refuses(t *testing.T) {
	const doc = "DOC-1,Manufacturer,Acmed\nDOC-3,Model,P\n"
	for name, tt := range map[string]struct{ in, want string }{
		"nothing":        {"", "form.csv: no answer to DOC-1; fill in the manufacturer"},
		"no model":       {"DOC-1,Manufacturer,Acmed\nCONN-7,TLS?,Yes\n", "no answer to DOC-3; fill in the model"},
		"an answer":      {doc + "CONN-7,TLS?,maybe\n", `form.csv:3: CONN-7: answer "maybe"; write Yes, No, N/A or See Notes`},
		"no answers":     {doc + "CONN-7,TLS?,\n", "no question is answered; the answers belong into the third column"},
		"twice":          {doc + "CONN-7,TLS?,Yes\nconn-7,TLS?,No\n", "form.csv:4: CONN-7 is also on line 3"},
		"a spreadsheet":  {"PK\x03\x04\xff\xfe", "not UTF-8; export it as CSV"},
		"bad quotes":     {doc + "CONN-7,\"TLS?,Yes\n", "quote fields"},
		"too long":       {doc + "CONN-7,TLS?,Yes " + strings.Repeat("x", 600) + "\n", "longer than"},
		"an inventory":   {"serial,address\nA,192.0.2.1\n", "no answer to DOC-1"},
		"too many lines": {strings.Repeat(",,\n", 4001), "more than 4000 rows"},
	} {
		got, err := ReadMDS2("form.csv", strings.NewReader(tt.in))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", name, err, tt.want)
		}
		if got.Answers > 0 || got.Values != nil {
			t.Errorf("%s: something was taken: %v", name, got.Values)
		}
	}
}

func FuzzReadMDS2(f *testing.F) {
	f.Add([]byte(worksheet))
	f.Add([]byte("ID;Answer\nDOC-1;A\nDOC-3;B\nCONN-7;Yes\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		form, err := ReadMDS2("x", bytes.NewReader(data))
		if (err == nil) != (form.Answers > 0) {
			t.Errorf("%d answers, %v", form.Answers, err)
		}
		for k, v := range form.Values {
			if len(v) > 4*maxText || strings.ContainsAny(v, "\x1b\n") {
				t.Errorf("%s: %q", k, v)
			}
		}
	})
}
