//go:build cgo

package passive

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/scanner/passive/capture"
)

// hear collects what comes out of the ward until all protocols were told, and
// returns the capture with what was told.
func hear(t *testing.T, live *capture.Live, protocols ...string) (path string, told []evidence.IdentityFacts) {
	t.Helper()
	var list []capture.Packet
	stop := time.AfterFunc(40*time.Second, live.Stop)
	defer stop.Stop()
	for {
		p, err := live.Next()
		if err != nil {
			t.Errorf("not all of %v was heard: %v", protocols, err)
			break
		}
		p.Data = bytes.Clone(p.Data)
		list = append(list, p)
		path, told = savePackets(t, list), nil
		observed, _ := readFile(t, path)
		missing := slices.Clone(protocols)
		for _, o := range observed {
			if f := o.Facts.Identity; f != nil {
				told = append(told, *f)
				missing = slices.DeleteFunc(missing, func(p string) bool { return p == f.Protocol })
			}
		}
		if len(missing) == 0 {
			break
		}
	}
	if err := live.Close(); err != nil {
		t.Error(err)
	}
	return path, told
}

// wardTap listens at the end of the ward.
func wardTap(t *testing.T) *capture.Live {
	t.Helper()
	ward(t)
	live, err := capture.OpenLive(capture.LiveOptions{Interfaces: []string{"b0"}, RingBytes: 8 << 20, Promiscuous: true, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return live
}

// values are the distinct values of fields in the packets that a filter of tshark
// passes.
func values(t *testing.T, tshark, path, filter string, fields ...string) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	for _, p := range tsharkPackets(t, tshark, path, "", filter, fields...) {
		for name, list := range p {
			all[name] = append(all[name], list...)
		}
	}
	return distinct(all)
}

func distinct(all map[string][]string) map[string][]string {
	for name, list := range all {
		slices.Sort(list)
		all[name] = slices.Compact(list)
	}
	return all
}

// TestPeer_lldpd hears Debian's lldpd speak LLDP and CDP, and compares what we take
// from it with tshark.
func TestPeer_lldpd(t *testing.T) {
	t.Parallel() // it waits for programs
	paths := peer.Require(t, "ip", "tshark", "lldpd")
	live := wardTap(t)
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // lldpd gives up root before it uses its socket
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// l and five times c: both protocols, also where nobody else speaks them.
	start(t, "", paths["lldpd"], "-d", "-l", "-ccccc", "-I", "a0", "-S", "Example pump, firmware 3.1", "-P", "Example platform", "-u", filepath.Join(dir, "lldpd.socket"))
	path, told := hear(t, live, "lldp", "cdp")
	ours := make(map[string][]string)
	for _, f := range told {
		switch f.Protocol {
		case "lldp":
			ours["lldp.tlv.system.name"] = append(ours["lldp.tlv.system.name"], f.Hostnames...)
			ours["lldp.tlv.system.desc"] = append(ours["lldp.tlv.system.desc"], f.Description)
			ours["lldp.chassis.id.mac"] = append(ours["lldp.chassis.id.mac"], f.MAC)
		case "cdp":
			ours["cdp.deviceid"] = append(ours["cdp.deviceid"], f.Hostnames...)
			ours["cdp.platform"] = append(ours["cdp.platform"], f.Model)
			ours["cdp.software_version"] = append(ours["cdp.software_version"], f.Description)
		}
	}
	want := values(t, paths["tshark"], path, "lldp", "lldp.tlv.system.name", "lldp.tlv.system.desc", "lldp.chassis.id.mac")
	maps.Copy(want, values(t, paths["tshark"], path, "cdp", "cdp.deviceid", "cdp.platform", "cdp.software_version"))
	if diff := cmp.Diff(want, distinct(ours)); diff != "" {
		t.Errorf("(-tshark +ours):\n%s", diff)
	}
	if got := ours["lldp.tlv.system.desc"]; !slices.Equal(got, []string{"Example pump, firmware 3.1"}) {
		t.Errorf("heard %q", got)
	}
}

// TestPeer_nmbd hears Debian's nmbd register its name, and dhclient ask for an
// address of version 6.
func TestPeer_nmbd(t *testing.T) {
	t.Parallel() // it waits for programs
	paths := peer.Require(t, "ip", "tshark", "nmbd", "dhclient")
	live := wardTap(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	start(t, "", paths["nmbd"], "--foreground", "--no-process-group", "--debug-stdout", "--configfile", file("smb.conf",
		"[global]\nnetbios name = MONITOR7\nworkgroup = WARD\ninterfaces = a0\nbind interfaces only = yes\n"+
			strings.Join([]string{"lock", "state", "cache", "pid", "private", "ncalrpc"}, " directory = "+dir+"\n")+" dir = "+dir+"\n"))
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		out, err := exec.CommandContext(t.Context(), paths["ip"], "-6", "-o", "addr", "show", "dev", "a0", "scope", "link").Output()
		if err == nil && len(out) > 0 && !bytes.Contains(out, []byte("tentative")) {
			break // the address may be used: nobody else has it
		}
	}
	start(t, "", paths["dhclient"], "-6", "-d", "-1", "-sf", "/bin/true", "-lf", filepath.Join(dir, "leases"), "-pf", filepath.Join(dir, "pid"), "-cf", file("dhclient6.conf",
		"send fqdn.fqdn \"pump-6.example\";\n"), "a0")
	path, told := hear(t, live, "nbns", "dhcpv6")
	var names, hosts []string
	for _, f := range told {
		switch f.Protocol {
		case "nbns":
			names = append(names, f.Hostnames...)
		case "dhcpv6":
			hosts = append(hosts, f.Hostnames...)
		}
	}
	var want []string
	for _, name := range values(t, paths["tshark"], path, "nbns.flags.opcode == 5 and nbns.nb_flags.group == 0", "nbns.name")["nbns.name"] {
		if at := strings.Index(name, "<00>"); at > 0 { // a workstation, and no service of a group
			want = append(want, strings.TrimSpace(name[:at]))
		}
	}
	slices.Sort(names)
	if diff := cmp.Diff(slices.Compact(want), slices.Compact(names)); diff != "" || !slices.Contains(names, "MONITOR7") {
		t.Errorf("names (-tshark +ours):\n%s", diff)
	}
	wantHosts := values(t, paths["tshark"], path, "dhcpv6.msgtype == 1", "dhcpv6.client_domain")["dhcpv6.client_domain"]
	for i := range wantHosts {
		wantHosts[i] = strings.TrimSuffix(wantHosts[i], ".")
	}
	slices.Sort(hosts)
	if diff := cmp.Diff(wantHosts, slices.Compact(hosts)); diff != "" || !slices.Contains(hosts, "pump-6.example") {
		t.Errorf("host names (-tshark +ours):\n%s", diff)
	}
}

// TestPeer_chronyd hears Debian's chronyd send the time, and compares what we take
// from it with tshark.
func TestPeer_chronyd(t *testing.T) {
	t.Parallel() // it waits for programs
	paths := peer.Require(t, "ip", "tshark", "chronyd")
	live := wardTap(t)
	dir := t.TempDir()
	conf := filepath.Join(dir, "chrony.conf")
	text := "local stratum 8\nallow\nbroadcast 1 10.77.0.255\ncmdport 0\nbindcmdaddress /\npidfile " + filepath.Join(dir, "pid") + "\n"
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, "", paths["chronyd"], "-d", "-x", "-U", "-u", "root", "-f", conf) // -x: the clock of the machine is left alone
	path, told := hear(t, live, "ntp")
	sent := tsharkPackets(t, paths["tshark"], path, "", "ntp", "ntp.xmt", "frame.time_epoch")
	i := slices.IndexFunc(told, func(f evidence.IdentityFacts) bool { return f.Protocol == "ntp" })
	if i < 0 || len(sent) == 0 {
		t.Fatalf("%d packets of NTP, heard %+v", len(sent), told)
	}
	want, err := time.Parse("Jan _2, 2006 15:04:05.999999999 MST", sent[0]["ntp.xmt"][0])
	if err != nil {
		t.Fatal(err)
	}
	c := told[i].Clock
	if c.Loose || c.Says.Sub(want).Abs() > time.Microsecond || c.Skew().Abs() > time.Second || told[i].Sender != evidence.RoleServer {
		t.Errorf("%+v, tshark says %v", c, want)
	}
}
