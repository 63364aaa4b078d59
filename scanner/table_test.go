package scanner

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadTargets_tables(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"comma": {
			"\ufeffAddress,Port,Server Name,Exclude Reason\n10.0.0.1,443,pump.example,\n10.0.0.2,,,in use\n\n# later\n10.0.0.3,,,no\n",
			[]string{`tcp/10.0.0.1-10.0.0.1:443 "pump.example"`, `tcp/10.0.0.2-10.0.0.2:0 "" excluded: in use`, `tcp/10.0.0.3-10.0.0.3:0 ""`},
		},
		"semicolon, other columns, quotes": {
			"asset;ip;transport;port;comment\n7;fd00::1;udp;161;\"a; b\"\n8;10.0.0.0/24;;;\n9;fe80::1%eth0;tcp;22;\n",
			[]string{`udp/fd00::1-fd00::1:161 ""`, `tcp/10.0.0.0-10.0.0.255:0 ""`, `tcp/fe80::1%eth0-fe80::1%eth0:22 ""`},
		},
		"tab, classes": {
			"# from the inventory\nhost\tclass\n10.0.0.1-9\tInfusion Pump\n10.0.0.20\tworkstation\n",
			[]string{`tcp/10.0.0.1-10.0.0.9:0 "" excluded: class "Infusion Pump" is not probed outside of a bench`, `tcp/10.0.0.20-10.0.0.20:0 ""`},
		},
		"one column":   {"address\n10.0.0.1\n", []string{`tcp/10.0.0.1-10.0.0.1:0 ""`}},
		"marked":       {"address,exclude,reason\n10.0.0.1,yes,ventilator\n", []string{`tcp/10.0.0.1-10.0.0.1:0 "" excluded: ventilator`}},
		"not a header": {"10.0.0.1\n10.0.0.2 # b\n", []string{`tcp/10.0.0.1-10.0.0.1:0 ""`, `tcp/10.0.0.2-10.0.0.2:0 ""`}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ReadTargets(strings.NewReader(tt.text), "ward")
			if err != nil {
				t.Fatal(err)
			}
			var rows []string
			for _, g := range got {
				row := fmt.Sprintf("%s/%s-%s:%d %q", g.Transport, g.From, g.To, g.Port, g.Name)
				if g.Excluded {
					row += " excluded: " + g.Reason
				}
				rows = append(rows, row)
			}
			if diff := cmp.Diff(tt.want, rows); diff != "" {
				t.Errorf("targets (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadTargets_badTables(t *testing.T) {
	for text, want := range map[string]string{
		"address,port\n10.0.0.1,99999\n":            "ward:2:",
		"address,port\n\n10.0.0.1,x\n":              "ward:3:",
		"address,ip\n10.0.0.1,10.0.0.2\n":           "two columns",
		"address,transport\n10.0.0.1,tcp\n":         "needs a port",
		"address,transport,port\n10.0.0.1,icmp,1\n": "neither tcp nor udp",
		"address,name\n10.0.0.1,Pump room 3\n":      "another header",
		"address,port\n10.0.0.0/24,443\n":           "a prefix has no port",
		"address\n,\n\"10.0.0.1\n":                  "ward",
		"address,port\n,443\n":                      "ward:2:",
	} {
		if got, err := ReadTargets(strings.NewReader(text), "ward"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want an error with %q", text, got, err, want)
		}
	}
}

// TestNewPlan_marked shows that a row that excludes beats one that asks, and is
// listed also where nothing asks.
func TestNewPlan_marked(t *testing.T) {
	ts, err := ReadTargets(strings.NewReader("address,exclude\n10.0.0.1-3,\n10.0.0.2,ventilator\n8.8.8.8,the vendor's\n"), "ward")
	if err != nil {
		t.Fatal(err)
	}
	p, err := makePlan(t, "22", Scope{Targets: ts})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"tcp/10.0.0.1:22 ssh", "tcp/10.0.0.3:22 ssh"}, rows(p)); diff != "" {
		t.Errorf("probes (-want +got):\n%s", diff)
	}
	want := []Exclusion{{"10.0.0.2", "ventilator", 1}, {"8.8.8.8", "the vendor's", 1}}
	if diff := cmp.Diff(want, p.Exclusions); diff != "" {
		t.Errorf("exclusions (-want +got):\n%s", diff)
	}
}

func TestReadClasses(t *testing.T) {
	for _, text := range []string{
		"10.0.0.1 infusion pump\n10.0.0.2 printer\n10.0.0.3-4 Patient-Monitor # ICU\n",
		"address,class\n10.0.0.1,infusion pump\n10.0.0.2,printer\n10.0.0.3-4,Patient-Monitor\n",
	} {
		got, err := ReadClasses(strings.NewReader(text), "classes")
		left := NewClasses(got).Exclusions()
		if err != nil || len(left) != 2 || left[0].Text != "10.0.0.1" || left[1].Text != "10.0.0.3-4" || !left[1].Excluded {
			t.Errorf("%q: %+v, %v", text, left, err)
		}
	}
	for _, text := range []string{"10.0.0.1\n", "address\n10.0.0.1\n", "address,class\n10.0.0.1,\n"} {
		if got, err := ReadClasses(strings.NewReader(text), "classes"); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
	for class, want := range map[string]bool{
		"pump": true, "Syringe Pumps": true, "ventilator": true, "patient_monitor": true, "haemodialysis": true, "anaesthesia machine": true,
		"": false, "imaging": false, "pumpkin": false, "monitoring gateway": false,
	} {
		if ProtectedClass(class) != want {
			t.Errorf("class %q: want %v", class, want)
		}
	}
	for class, mend := range map[string]string{
		"pmup": `"pump"`, "pum": `"pump"`, "Ventilatro": `"ventilator"`, "fetal_moniter": `"monitor"`, "dialyses": `"dialysis"`, "respirater": `"respirator"`, "dialysers": "",
		"jump server": "", "pulp tester": "", "pump, pmup": "", "": "", "printer": "", "infusion pumps": "", "monitoring gateway": "",
	} {
		err := CheckClass(class)
		if (err != nil) != (mend != "") || err != nil && !strings.Contains(err.Error(), mend) {
			t.Errorf("class %q: %v, want %q", class, err, mend)
		}
	}
}

// TestClasses holds which of several classes of an address counts.
func TestClasses(t *testing.T) {
	list, err := ReadClasses(strings.NewReader("10.0.0.0/24 printer\n10.0.0.16/28 server\n10.0.0.20 pump\n10.0.0.21 workstation\n"+
		"10.0.1.0/24 ventilator\n10.0.1.7 workstation\nward-7.example monitor\nfd00::1 archive\n"), "classes")
	if err != nil {
		t.Fatal(err)
	}
	c := NewClasses(list)
	for addr, want := range map[string]string{
		"10.0.0.1": "printer", "10.0.0.17": "server", "10.0.0.20": "pump", "10.0.0.21": "workstation",
		"10.0.1.7": "ventilator", "10.0.2.1": "", "fd00::1": "archive", "::ffff:10.0.0.20": "pump",
	} {
		if got := c.Of(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: class %q, want %q", addr, got, want)
		}
	}
	marked := c.Mark([]Target{{Name: "ward-7.example", From: netip.MustParseAddr("10.0.3.1"), To: netip.MustParseAddr("10.0.3.1")}, {Text: "10.0.0.1"}})
	if !marked[0].Excluded || marked[0].Reason == "" || marked[1].Excluded {
		t.Errorf("marked %+v", marked)
	}
	same := SameAsset(append(targets(t, "10.0.0.1"), Target{Asset: "A7", From: netip.MustParseAddr("fd00::1"), To: netip.MustParseAddr("fd00::1")}))
	if len(same) != 1 || same[netip.MustParseAddr("fd00::1")] != "A7" {
		t.Errorf("assets %v", same)
	}
}

func FuzzReadTargets_table(f *testing.F) {
	f.Add("address,port,exclude\n10.0.0.1,443,\n")
	f.Add("ip;class\nfd00::1;pump\n")
	f.Fuzz(func(t *testing.T, text string) {
		ts, err := ReadTargets(strings.NewReader(text), "fuzz")
		if err != nil {
			return
		}
		for _, target := range ts {
			if !target.From.IsValid() && target.Name == "" {
				t.Fatalf("%q: a target without address and name", text)
			}
		}
	})
}
