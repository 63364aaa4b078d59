package scanner

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestNewPlan_flaws: trials of flaws follow hellos where the scan has them, and
// never where a listener must see hellos only.
func TestNewPlan_flaws(t *testing.T) {
	table, err := LoadPorts()
	if err != nil {
		t.Fatal(err)
	}
	set, err := table.Select("22,25,2575,8443")
	if err != nil {
		t.Fatal(err)
	}
	for trials, want := range map[int][]string{
		0: {"tcp/192.0.2.1:22 ssh", "tcp/192.0.2.1:2575 tls", "tcp/192.0.2.1:8443 tls then ssh,dicom"},
		2: {"tcp/192.0.2.1:22 ssh", "tcp/192.0.2.1:2575 tls", "tcp/192.0.2.1:8443 tls then ssh,dicom", "tcp/192.0.2.1:8443 flaws if"},
	} {
		p, err := NewPlan(Scope{Targets: targets(t, "192.0.2.1")}, table, set, Exhaustive, DefaultRates(), append(paperProbers(), paper{FlawProbe, trials}))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, rows(p)); diff != "" {
			t.Errorf("with %d trials (-want +got):\n%s", trials, diff)
		}
	}
}
