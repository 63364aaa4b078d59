//go:build cgo

package passive

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/scanner/passive/capture"
)

// ward moves the test to a network of its own with a device at a0, whose frames
// come out of b0.
func ward(t *testing.T) {
	t.Helper()
	peer.Network(t,
		"link add a0 address 02:00:00:00:00:aa type veth peer name b0", "link set b0 arp off up", "addr add 10.77.0.1/24 dev a0",
		"link set a0 up", "link set lo up", "route add default via 10.77.0.254")
}

// TestPeer_announcements hears the kernel, dhclient and avahi tell of themselves,
// and compares what we take from it with tshark.
func TestPeer_announcements(t *testing.T) {
	t.Parallel() // it waits for programs
	paths := peer.Require(t, "ip", "tshark", "dhclient", "avahi-daemon")
	ward(t)
	live, err := capture.OpenLive(capture.LiveOptions{Interfaces: []string{"b0"}, RingBytes: 8 << 20, Promiscuous: true, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	start(t, "", paths["avahi-daemon"], "--no-drop-root", "--no-chroot", "--no-rlimits", "-f", file("avahi.conf",
		"[server]\nhost-name=monitor-7\nenable-dbus=no\nallow-interfaces=a0\n[publish]\npublish-hinfo=yes\npublish-workstation=yes\n"))
	start(t, "", paths["dhclient"], "-4", "-d", "-1", "-sf", "/bin/true", "-lf", filepath.Join(dir, "leases"), "-pf", filepath.Join(dir, "pid"), "-cf", file("dhclient.conf",
		"send host-name \"pump-3\";\nsend vendor-class-identifier \"Example pump\";\nsend dhcp-client-identifier \"MARKERno\";\nrequest subnet-mask, routers, time-offset;\ninitial-delay 0;\n"), "a0")

	want := []string{"arp", "cdp", "dhcp", "lldp", "mdns", "nd"}
	var list []capture.Packet // of LLDP and CDP frames that we made
	for _, p := range announcements() {
		if length := p.Data[12:14]; string(length) == "\x88\xcc" || string(length) == "\x00\x24" {
			list = append(list, p)
		}
	}
	packets := make(chan capture.Packet, 4096)
	go func() {
		defer close(packets)
		for {
			p, err := live.Next()
			if err != nil {
				return
			}
			p.Data = bytes.Clone(p.Data)
			packets <- p
		}
	}()
	said := func() []evidence.IdentityFacts {
		var out []evidence.IdentityFacts
		observed, _ := readFile(t, savePackets(t, list))
		for _, o := range observed {
			if o.Facts.Identity != nil {
				out = append(out, *o.Facts.Identity)
			}
		}
		return out
	}
	deadline := time.After(40 * time.Second)
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case p := <-packets:
			list = append(list, p)
		case <-tick.C:
			for _, to := range []string{"10.77.0.9:9", "[fe80::9%a0]:9"} { // so that the kernel asks for the neighbour
				if c, err := net.Dial("udp", to); err == nil {
					_, _ = c.Write([]byte("x"))
					_ = c.Close()
				}
			}
			var got []string
			for _, f := range said() {
				got = append(got, f.Protocol)
			}
			slices.Sort(got)
			done = slices.Equal(slices.Compact(got), want)
		case <-deadline:
			t.Errorf("not all of %v was heard", want)
			done = true
		}
	}
	live.Stop()
	for p := range packets {
		list = append(list, p)
	}
	if err := live.Close(); err != nil {
		t.Error(err)
	}
	path := savePackets(t, list)

	ours := map[string][]string{}
	add := func(name string, values ...string) {
		for _, v := range values {
			if v != "" {
				ours[name] = append(ours[name], v)
			}
		}
	}
	for _, f := range said() {
		switch f.Protocol {
		case "arp":
			add("arp.src.hw_mac", f.MAC)
		case "nd":
			add("icmpv6.opt.src_linkaddr", f.MAC)
		case "lldp":
			add("lldp.tlv.system.name", f.Hostnames...)
			add("lldp.tlv.system.desc", f.Description)
			add("lldp.chassis.id.mac", f.MAC)
		case "cdp":
			add("cdp.deviceid", f.Hostnames...)
			add("cdp.platform", f.Model)
			add("cdp.software_version", f.Description)
		case "dhcp":
			add("dhcp.option.hostname", f.Hostnames...)
			add("dhcp.option.vendor_class_id", f.VendorClass)
			add("dhcp.hw.mac_addr", f.MAC)
			for _, p := range f.Parameters {
				add("dhcp.option.request_list_item", strconv.Itoa(p))
			}
		case "mdns":
			for _, name := range f.Hostnames {
				add("dns.resp.name", name+".local")
			}
		}
	}
	judge := map[string][]string{}
	for _, q := range []struct{ filter, fields string }{
		{"arp", "arp.src.hw_mac"},
		{"icmpv6.type == 135 and icmpv6.opt.src_linkaddr", "icmpv6.opt.src_linkaddr"},
		{"lldp", "lldp.tlv.system.name lldp.tlv.system.desc lldp.chassis.id.mac"},
		{"cdp", "cdp.deviceid cdp.platform cdp.software_version"},
		{"dhcp.type == 1", "dhcp.option.hostname dhcp.option.vendor_class_id dhcp.hw.mac_addr dhcp.option.request_list_item"},
		{"mdns and dns.flags.response == 1 and dns.a", "dns.resp.name dns.resp.type"},
	} {
		for _, p := range tsharkPackets(t, paths["tshark"], path, "", q.filter, strings.Fields(q.fields)...) {
			for i, name := range p["dns.resp.name"] { // only of addresses
				if kind := p["dns.resp.type"][i]; (kind == "1" || kind == "28") && !strings.HasPrefix(name, "_") {
					judge["dns.resp.name"] = append(judge["dns.resp.name"], name)
				}
			}
			for name, values := range p {
				if !strings.HasPrefix(name, "dns.") {
					judge[name] = append(judge[name], values...)
				}
			}
		}
	}
	for _, m := range []map[string][]string{ours, judge} {
		for name, values := range m {
			slices.Sort(values)
			m[name] = slices.Compact(values)
		}
	}
	if diff := cmp.Diff(judge, ours); diff != "" {
		t.Errorf("(-tshark +ours):\n%s", diff)
	}
	if got := fmt.Sprint(ours["dhcp.option.hostname"], ours["dhcp.option.vendor_class_id"], ours["dns.resp.name"], ours["lldp.tlv.system.desc"]); got != "[pump-3] [Example pump] [monitor-7.local] [Linux]" {
		t.Errorf("heard %s", got)
	}
}
