package reports

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
)

func TestAsset_identify(t *testing.T) {
	var x Asset
	x.identify([]evidence.Claim{
		{Attribute: evidence.AttrClass, Value: "medical device", Confidence: 70, Layer: "sdc"},
		{Attribute: evidence.AttrClass, Value: "pump", Confidence: 91, Layer: evidence.LayerVerdict},
		{Attribute: evidence.AttrIdentity, Value: "identified", Layer: "label"}, // no verdict
		{Attribute: evidence.AttrIdentity, Value: string(evidence.LevelProbable), Layer: evidence.LayerVerdict},
		{Attribute: evidence.AttrConflict, Value: `manufacturer: "A" by dicom, but "B" by x509`, Layer: evidence.LayerVerdict},
	})
	want := Asset{Identity: evidence.LevelProbable, Class: "pump", Conflicts: []string{`manufacturer: "A" by dicom, but "B" by x509`}}
	if diff := cmp.Diff(want, x); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var b bytes.Buffer
	x.Label = "bed 1"
	if err := identityText(&b, Document{Assets: []Asset{x, {Identity: evidence.LevelNone}}}, TableOptions{Width: 100}); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"IDENTITY of 2 assets: 1 probable, 1 unknown\n", `bed 1  manufacturer: "A" by dicom, but "B" by x509`} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("no %q in:\n%s", line, b.String())
		}
	}
}
