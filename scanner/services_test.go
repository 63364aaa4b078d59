package scanner

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestNewPlan_services holds what follows what, and under which condition.
func TestNewPlan_services(t *testing.T) {
	table, err := LoadPorts()
	if err != nil {
		t.Fatal(err)
	}
	set, err := table.Select("21,23,25,80,443,445,3389,5432,6464,8000")
	if err != nil {
		t.Fatal(err)
	}
	probers := append(paperProbers(), paper{"http", 1}, paper{"sdc", 1}, paper{"banner", 1}, paper{"rdp", 1}, paper{"smb", 1}, paper{StartTLSProbe, 5})
	p, err := NewPlan(Scope{Targets: targets(t, "192.0.2.1")}, table, set, Gentle, DefaultRates(), probers)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"tcp/192.0.2.1:21 banner", "tcp/192.0.2.1:21 starttls if",
		"tcp/192.0.2.1:23 banner",
		"tcp/192.0.2.1:25 starttls",
		"tcp/192.0.2.1:80 http",
		"tcp/192.0.2.1:443 tls then ssh,dicom", "tcp/192.0.2.1:443 http if",
		"tcp/192.0.2.1:445 smb",
		"tcp/192.0.2.1:3389 rdp", "tcp/192.0.2.1:3389 starttls if",
		"tcp/192.0.2.1:5432 starttls",
		"tcp/192.0.2.1:6464 tls", "tcp/192.0.2.1:6464 sdc if",
		"tcp/192.0.2.1:8000 tls then ssh,dicom,http",
	}
	if diff := cmp.Diff(want, rows(p)); diff != "" {
		t.Errorf("probes (-want +got):\n%s", diff)
	}
	for pr := range p.Probes() {
		known := map[string]string{"http": WhenOpen, "sdc": WhenOpen, StartTLSProbe: WhenAnswered}
		if pr.When != "" && pr.When != known[pr.Prober] {
			t.Errorf("%s %s: %s", pr.Endpoint, pr.Prober, pr.When)
		}
	}
}
