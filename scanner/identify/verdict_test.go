package identify

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
)

// said makes claims about the manufacturer, or of another attribute.
func said(layer, value string, confidence int, a ...evidence.Attribute) evidence.Claim {
	c := evidence.Claim{Attribute: evidence.AttrManufacturer, Value: value, Confidence: confidence, Layer: layer}
	if len(a) > 0 {
		c.Attribute = a[0]
	}
	return c
}

// verdictOf is the text of what is concluded.
func verdictOf(claims []evidence.Claim) []string {
	var out []string
	for _, c := range conclude(claims) {
		if c.Layer == evidence.LayerVerdict {
			out = append(out, string(c.Attribute)+" "+c.Value+" by "+c.Source)
		}
	}
	return out
}

func TestConclude(t *testing.T) {
	const class = evidence.AttrClass
	for _, tt := range []struct {
		name   string
		claims []evidence.Claim
		want   []string
	}{
		{"nothing", nil, nil},
		{"a network card", []evidence.Claim{said("oui", "Dräger", 30)}, []string{"identity possible by oui"}},
		{
			"a card and a port, however sure",
			[]evidence.Claim{said("oui", "Dräger", 80), said("port", "Dräger", 80)},
			[]string{"identity possible by oui+port", "manufacturer Dräger by oui+port"},
		},
		{"one layer", []evidence.Claim{said("dicom", "GE HealthCare", 70)}, []string{"identity probable by dicom"}},
		{"free text", []evidence.Claim{said("http", "Lantronix", 45)}, []string{"identity possible by http"}},
		{
			"one layer twice adds nothing",
			[]evidence.Claim{said("dicom", "GE HealthCare", 70), said("dicom", "GE HealthCare", 65)},
			[]string{"identity probable by dicom"},
		},
		{
			"two protocols of one setting are one layer",
			[]evidence.Claim{said("dhcp", "Philips", 60), said("lldp", "Philips", 60)},
			[]string{"identity probable by announcement"},
		},
		{
			"two layers",
			[]evidence.Claim{said("dicom", "GE HealthCare", 70), said("snmp", "GE HealthCare", 65)},
			[]string{"identity identified by dicom+snmp", "manufacturer GE HealthCare by dicom+snmp"},
		},
		{
			"a layer and a card",
			[]evidence.Claim{said("dicom", "GE HealthCare", 70), said("oui", "GE HealthCare", 30)},
			[]string{"identity identified by dicom+oui", "manufacturer GE HealthCare by dicom+oui"},
		},
		{
			"weak free text and a card",
			[]evidence.Claim{said("http", "Moxa", 45), said("oui", "Moxa", 30)},
			[]string{"identity possible by http+oui", "manufacturer Moxa by http+oui"},
		},
		{
			"names of one company agree",
			[]evidence.Claim{said("dicom", "SonoSite", 70), said("x509", "Fujifilm", 60)},
			[]string{"identity identified by dicom+x509", "manufacturer SonoSite by dicom+x509"},
		},
		{"the protocol made for it", []evidence.Claim{said("sdc", "Dräger", 95)}, []string{"identity confirmed by sdc"}},
		{"a person", []evidence.Claim{said("label", "Dräger", 100)}, []string{"identity confirmed by label"}},
		{
			"layers contradict each other",
			[]evidence.Claim{said("dicom", "GE HealthCare", 70), said("snmp", "GE HealthCare", 65), said("x509", "Philips", 60)},
			[]string{
				"identity probable by dicom+snmp", "manufacturer GE HealthCare by dicom+snmp",
				`conflict manufacturer: "GE HealthCare" by dicom+snmp, but "Philips" by x509 by x509`,
			},
		},
		{
			"even the protocol made for it",
			[]evidence.Claim{said("sdc", "Dräger", 95), said("x509", "Philips", 60)},
			[]string{"identity probable by sdc", `conflict manufacturer: "Dräger" by sdc, but "Philips" by x509 by x509`},
		},
		{
			"a card contradicts nothing",
			[]evidence.Claim{said("dicom", "GE HealthCare", 70), said("oui", "Dell", 80)},
			[]string{"identity probable by dicom"},
		},
		{
			"a gateway speaks for several",
			[]evidence.Claim{said("hl7", "Mindray", 60), said("hl7", "Nihon Kohden", 55)},
			[]string{"identity possible by hl7"},
		},
		{
			"a honeypot",
			[]evidence.Claim{said("dicom", "GE HealthCare", 70), said("x509", "GE HealthCare", 60), said("dicom", "honeypot", 60, evidence.AttrHint)},
			[]string{"identity possible by dicom+x509", "manufacturer GE HealthCare by dicom+x509"},
		},
		{"a toolkit is no manufacturer", []evidence.Claim{said("dicom", "OFFIS DCMTK", 70, evidence.AttrToolkit)}, nil},
		{"a product without a maker", []evidence.Claim{said("http", "Orthanc", 60, evidence.AttrFamily)}, []string{"identity probable by http"}},
		{
			"class by two layers",
			[]evidence.Claim{said("sdc", "pump", 70, class), said("snmp", "pump", 65, class), said("dicom", "medical device", 50, class)},
			[]string{"class pump by sdc+snmp"},
		},
		{"medical device contradicts no class", []evidence.Claim{said("sdc", "medical device", 70, class), said("x509", "pump", 60, class)}, nil},
		{
			"classes contradict each other",
			[]evidence.Claim{said("sdc", "pump", 70, class), said("dicom", "archive", 70, class)},
			[]string{`conflict class: "archive" by dicom, but "pump" by sdc by sdc`},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, verdictOf(tt.claims)); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}

// TestConclude_again: what was concluded is not taken for evidence, and the order
// of claims does not matter.
func TestConclude_again(t *testing.T) {
	claims := []evidence.Claim{
		said("dicom", "GE HealthCare", 70), said("snmp", "GE HealthCare", 65), said("x509", "Philips", 60), said("oui", "Dell", 30),
		said("sdc", "pump", 70, evidence.AttrClass), said("dicom", "archive", 70, evidence.AttrClass), said("snmp", "archive", 70, evidence.AttrClass),
	}
	want := conclude(claims)
	if diff := cmp.Diff(want, conclude(want)); diff != "" {
		t.Errorf("concluded again (-first +second):\n%s", diff)
	}
	r := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		shuffled := slices.Clone(claims)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if diff := cmp.Diff(verdictOf(claims), verdictOf(shuffled)); diff != "" {
			t.Fatalf("in another order (-first +second):\n%s", diff)
		}
	}
}
