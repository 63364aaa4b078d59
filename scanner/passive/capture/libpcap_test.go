//go:build pcap && linux && cgo

package capture

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/bpf"
)

// TestFilter_libpcap: what the words of ours do not say libpcap does, and both say
// the same where both can.
func TestFilter_libpcap(t *testing.T) {
	all := frames(t)
	for expression, want := range map[string][]string{
		"tcp dst port 443 and ip src net 10.0.0.0/8": {"options", "tcp4"},
		"arp or ip proto 41":                         {"arp"},
		"tcp":                                        nil, // by ours
	} {
		f, err := ParseFilter(expression)
		if err != nil {
			t.Fatal(err)
		}
		if (f.compiled == nil) != (want == nil) {
			t.Errorf("%s: compiled by libpcap: %v", expression, f.compiled != nil)
		}
		if want == nil {
			continue
		}
		program, err := f.Program(true)
		if err != nil {
			t.Fatal(err)
		}
		list, _ := bpf.Disassemble(program)
		vm, err := bpf.NewVM(list)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if n, err := vm.Run(all[name]); err != nil {
				t.Fatal(err)
			} else if n > 0 {
				got = append(got, name)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", expression, diff)
		}
	}
	for _, bad := range []string{"tcp dst port nowhere at all", "vlan 7 and tcp dst port 443"} {
		if _, err := ParseFilter(bad); err == nil {
			t.Errorf("%q is no error", bad)
		}
	}
}
