package passive

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"probity/evidence"
)

// TestHTTP_bodies reads metadata in every form in which a server may send a body.
func TestHTTP_bodies(t *testing.T) {
	const document = `{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1","software":{"name":"HAPI","version":"7.2"},"rest":[` + "\n"
	rest := strings.Repeat(`{"mode":"server"},`, 20_000) + `{}]}`
	chunks := func(text string, size int) string {
		var b strings.Builder
		for piece := range slices.Chunk([]byte(text), size) {
			fmt.Fprintf(&b, "%x;name=value\r\n%s\r\n", len(piece), piece)
		}
		return b.String() + "0\r\n\r\n"
	}
	for name, tt := range map[string]struct {
		header, body string
		none         bool
	}{
		"length":                {"Content-Length: " + fmt.Sprint(len(document)) + "\r\n", document, false},
		"long":                  {"Content-Length: " + fmt.Sprint(len(document+rest)) + "\r\n", document + rest, false},
		"chunks":                {"Transfer-Encoding: chunked\r\n", chunks(document, 30), false},
		"chunks of one":         {"Transfer-Encoding: Chunked\r\n", chunks(document, 1), false},
		"many chunks":           {"Transfer-Encoding: chunked\r\n", chunks(document+rest, 4000), false},
		"a chunk and an answer": {"Transfer-Encoding: chunked\r\n", chunks(document, 4000) + "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("MARKER", 20_000), false},
		"to the end":            {"", document, false},
		"damaged chunk":         {"Transfer-Encoding: chunked\r\n", "zz\r\n" + document, true},
		"compressed":            {"Content-Encoding: gzip\r\n", document, true},
		"compressed on the way": {"Transfer-Encoding: gzip, chunked\r\n", chunks(document, 100), true},
		"empty":                 {"Content-Length: 0\r\n", "", true},
		"negative":              {"Content-Length: -5\r\n", document, true},
	} {
		for _, size := range []int{1400, 7} {
			k := newTalk(t, "10.0.0.1:40000", "10.0.0.2:80").open().say(fromClient, "GET /metadata HTTP/1.1\r\n\r\n")
			said := "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\n" + tt.header + "\r\n" + tt.body
			for piece := range slices.Chunk([]byte(said), size) {
				k.say(fromServer, string(piece))
			}
			list, stats, err := read(t, &packets{list: k.list}, Options{})
			if err != nil || stats.Panics > 0 {
				t.Fatalf("%+v, %v", stats, err)
			}
			got := slices.IndexFunc(list, func(o evidence.Observation) bool { return o.Facts.FHIR != nil })
			switch {
			case tt.none && got >= 0, !tt.none && got < 0:
				t.Errorf("%s, pieces of %d: %q", name, size, summaries(list))
			case got >= 0 && (list[got].Facts.FHIR.Software != "HAPI" || list[got].Facts.FHIR.Release != "7.2" || list[got].Facts.FHIR.Version != "4.0.1"):
				t.Errorf("%s, pieces of %d: %+v", name, size, list[got].Facts.FHIR)
			}
		}
	}
}
