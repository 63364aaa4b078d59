package idwire

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
)

const statement = `{"resourceType":"CapabilityStatement","contact":[{"name":"MARKER"}],"fhirVersion":"4.0.1",` +
	`"software":{"name":"Ward FHIR","version":"7"},"implementation":{"url":"https://MARKER/"},` +
	`"rest":[{"mode":"server","security":{"service":[{"coding":[{"system":"x","code":"SMART-on-FHIR"}]},{"coding":[{"code":"OAuth"}],"text":"MARKER"}],"description":"MARKER"},` +
	`"resource":[{"type":"Patient","interaction":[{"code":"read"}]}]}]}`

func TestFHIR(t *testing.T) {
	want := evidence.FHIRFacts{Document: "capability", Version: "4.0.1", Software: "Ward FHIR", Release: "7", Services: []string{"OAuth", "SMART-on-FHIR"}}
	got, ok := FHIR([]byte(statement))
	if diff := cmp.Diff(want, got); diff != "" || !ok {
		t.Errorf("read: %t (-want +got):\n%s", ok, diff)
	}
	// Statements are long; what came before the end of the budget counts.
	cut := statement[:strings.Index(statement, `"resource":[`)+5]
	if got, ok := FHIR([]byte(cut)); !ok || cmp.Diff(want, got) != "" {
		t.Errorf("cut off: %+v, %t", got, ok)
	}
	if got, ok := FHIR([]byte(`{"resourceType":"Conformance","fhirVersion":"1.0.2"}`)); !ok || got.Version != "1.0.2" {
		t.Errorf("DSTU 2: %+v, %t", got, ok)
	}
	for _, bad := range []string{
		"", "[]", "null", `"CapabilityStatement"`, `{"resourceType":"Patient","software":{"name":"MARKER"}}`,
		`{"contained":[{"resourceType":"CapabilityStatement"}]}`, strings.Repeat("[", 1000), strings.Repeat(`{"a":`, 1000),
	} {
		if got, ok := FHIR([]byte(bad)); ok {
			t.Errorf("%.60q: read as %+v", bad, got)
		}
	}
}

func TestSMART(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "scanner", "probe", "testdata", "smart.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := evidence.FHIRFacts{
		Document: "smart", Capabilities: []string{"launch-ehr", "client-confidential-asymmetric", "permission-v2"},
		ClientAuth: []string{"private_key_jwt"}, Grants: []string{"authorization_code", "client_credentials"}, PKCE: []string{"S256"},
	}
	got, ok := SMART(data)
	if diff := cmp.Diff(want, got); diff != "" || !ok {
		t.Errorf("read: %t (-want +got):\n%s", ok, diff)
	}
	for _, bad := range []string{"", `{"capabilities":["x"]}`, `{"token_endpoint":"https://MARKER"}`, `{"x":{"token_endpoint":"a","capabilities":["b"]}}`} {
		if got, ok := SMART([]byte(bad)); ok {
			t.Errorf("%q: read as %+v", bad, got)
		}
	}
}

func FuzzFHIR(f *testing.F) {
	f.Add([]byte(statement))
	f.Add([]byte(`{"token_endpoint":"t","capabilities":["a","b"]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, read := range []func([]byte) (evidence.FHIRFacts, bool){FHIR, SMART} {
			facts, _ := read(b)
			if len(facts.Services) > maxServices || len(facts.Capabilities) > maxCapabilities || len(facts.Software) > maxText {
				t.Errorf("beyond the bounds: %+v", facts)
			}
		}
	})
}
