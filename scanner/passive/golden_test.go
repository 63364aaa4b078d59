package passive

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/scanner/passive/capture"
)

// collector keeps what a reading records.
type collector struct{ list []evidence.Observation }

func (c *collector) Record(_ context.Context, o evidence.Observation) error {
	c.list = append(c.list, o)
	return nil
}

func read(t testing.TB, src capture.Source, o Options) ([]evidence.Observation, Stats, error) {
	t.Helper()
	var c collector
	stats, err := Read(t.Context(), src, &c, o)
	return c.list, stats, err
}

// ours returns the path of a capture that is part of the project.
func ours(name string) string {
	return filepath.Join("..", "..", "fixtures", "data", "captures", name)
}

// theirs returns the path of a capture of others and skips the test if it is not
// there: their licences do not let it be part of the project.
func theirs(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join("..", "..", "..", "shared", "captures", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("capture of others is not here: %v", err)
	}
	return path
}

func readFile(t testing.TB, path string) ([]evidence.Observation, Stats) {
	t.Helper()
	f, err := capture.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, stats, err := read(t, f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return list, stats
}

// summary is one line for an observation, in words that a reader of the capture
// can check.
func summary(o evidence.Observation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", o.Kind, o.Endpoint)
	if o.Result != evidence.ResultData {
		fmt.Fprintf(&b, " %s", o.Result)
	}
	switch f := o.Facts; {
	case f.TLS != nil:
		fmt.Fprintf(&b, " 0x%04x suite 0x%04x group 0x%04x dh %d scheme 0x%04x %s",
			f.TLS.Version, f.TLS.CipherSuite, f.TLS.Group, f.TLS.DHBits, f.TLS.SignatureScheme, f.TLS.Handshake)
		if f.TLS.CertificateHidden {
			b.WriteString(" hidden")
		}
		if f.TLS.ClientAuth != "" {
			fmt.Fprintf(&b, " client-auth %s (%d authorities)", f.TLS.ClientAuth, len(f.TLS.Authorities))
		}
		n := map[evidence.Role]int{}
		for _, c := range o.Certs {
			n[c.Role]++
		}
		fmt.Fprintf(&b, " certs %d+%d", n[evidence.RoleServer], n[evidence.RoleClient])
	case f.DICOM != nil:
		d := f.DICOM
		fmt.Fprintf(&b, " %s %s>%s", d.PDU, d.CallingAE, d.CalledAE)
		if d.PDU == "rj" {
			fmt.Fprintf(&b, " %d/%d/%d", d.RejectResult, d.RejectSource, d.RejectReason)
		} else {
			fmt.Fprintf(&b, " %s %s %d", d.ImplementationUID, d.Implementation, d.MaxPDU)
		}
	case f.HL7 != nil:
		h := f.HL7
		fmt.Fprintf(&b, " %s %s|%s > %s|%s %s %s %s %s", h.Sender, h.SendingApplication, h.SendingFacility,
			h.ReceivingApplication, h.ReceivingFacility, h.MessageType, h.ProcessingID, h.VersionID, h.Segments)
	case f.SSH != nil:
		fmt.Fprintf(&b, " %s", f.SSH.Version)
	case f.SNMP != nil:
		fmt.Fprintf(&b, " %x %d %d", f.SNMP.EngineID, f.SNMP.EngineBoots, f.SNMP.EngineTime)
	case f.SDC != nil:
		fmt.Fprintf(&b, " %+v", *f.SDC)
	case f.Identity != nil:
		text, err := json.Marshal(f.Identity)
		if err != nil {
			return err.Error()
		}
		fmt.Fprintf(&b, " %s", text)
	}
	if o.Detail != "" {
		fmt.Fprintf(&b, " [%s]", o.Detail)
	}
	return b.String()
}

func TestGolden_captures(t *testing.T) {
	for _, tt := range []struct {
		file string
		want []string
	}{
		{"live_dicom_echo_dcmjs.pcap", []string{
			"dicom tcp/127.0.0.1:21108 rq ECHOSCU>X 1.2.276.0.7230010.3.0.3.6.7 OFFIS_DCMTK_367 16384",
			"dicom tcp/127.0.0.1:21108 ac ECHOSCU>X 1.2.826.0.1.3680043.10.854 DCMJS-DIMSE-V0.2 16384",
		}},
		{"live_dicom_echo_dcmtk.pcap", []string{ // storescp takes any called title
			"dicom tcp/127.0.0.1:21104 rq ECHOSCU>STORESCP 1.2.276.0.7230010.3.0.3.6.7 OFFIS_DCMTK_367 16384",
			"dicom tcp/127.0.0.1:21104 ac ECHOSCU>STORESCP 1.2.276.0.7230010.3.0.3.6.7 OFFIS_DCMTK_367 16384",
			"dicom tcp/127.0.0.1:21104 rq ECHOSCU>WRONGAE 1.2.276.0.7230010.3.0.3.6.7 OFFIS_DCMTK_367 16384",
			"dicom tcp/127.0.0.1:21104 ac ECHOSCU>WRONGAE 1.2.276.0.7230010.3.0.3.6.7 OFFIS_DCMTK_367 16384",
		}},
		{"live_dicom_echo_pynet_to_orthanc.pcap", []string{
			"dicom tcp/127.0.0.1:24242 rq ECHOSCU>ORTHANC 1.2.826.0.1.3680043.9.3811.3.1.0 PYNETDICOM_310 16382",
			"dicom tcp/127.0.0.1:24242 ac ECHOSCU>ORTHANC 1.2.276.0.7230010.3.0.3.6.7 OFFIS_DCMTK_367 16384",
		}},
		{"live_dicom_echo_pynetdicom.pcap", []string{
			"dicom tcp/127.0.0.1:21107 rq ECHOSCU>PYNET 1.2.276.0.7230010.3.0.3.6.7 OFFIS_DCMTK_367 16384",
			"dicom tcp/127.0.0.1:21107 ac ECHOSCU>PYNET 1.2.826.0.1.3680043.9.3811.3.1.0 PYNETDICOM_310 16382",
		}},
		{"live_dicom_orthanc.pcap", []string{
			"dicom tcp/127.0.0.1:24242 rq ECHOSCU>ORTHANC 1.2.276.0.7230010.3.0.3.6.7 OFFIS_DCMTK_367 16384",
			"dicom tcp/127.0.0.1:24242 ac ECHOSCU>ORTHANC 1.2.276.0.7230010.3.0.3.6.7 OFFIS_DCMTK_367 16384",
			"dicom tcp/127.0.0.1:24242 rq ECHOSCU>WRONG 1.2.276.0.7230010.3.0.3.6.7 OFFIS_DCMTK_367 16384",
			"dicom tcp/127.0.0.1:24242 rj ECHOSCU>WRONG 1/1/7",
		}},
		{"live_dicom_qr_dcmqrscp.pcap", []string{
			"dicom tcp/127.0.0.1:21106 rq ECHOSCU>QRAE 1.2.276.0.7230010.3.0.3.6.7 OFFIS_DCMTK_367 16384",
			"dicom tcp/127.0.0.1:21106 ac ECHOSCU>QRAE 1.2.276.0.7230010.3.0.3.6.7 OFFIS_DCMTK_367 16384",
			"dicom tcp/127.0.0.1:21106 rq ECHOSCU>NOPE 1.2.276.0.7230010.3.0.3.6.7 OFFIS_DCMTK_367 16384",
			"dicom tcp/127.0.0.1:21106 rj ECHOSCU>NOPE 1/1/7",
		}},
		{"live_dicom_reject_dcmtk.pcap", []string{
			"dicom tcp/127.0.0.1:21105 rq ECHOSCU>ANY 1.2.276.0.7230010.3.0.3.6.7 OFFIS_DCMTK_367 16384",
			"dicom tcp/127.0.0.1:21105 rj ECHOSCU>ANY 1/1/1",
		}},
		{"live_dicom_tls12_dcmtk_mtls.pcap", []string{
			"tls tcp/127.0.0.1:22762 0x0303 suite 0x009f group 0x0000 dh 2048 scheme 0x0804 complete client-auth requested (0 authorities) certs 2+2",
		}},
		{"live_dicom_tls12_orthanc_mtls.pcap", []string{
			"tls tcp/127.0.0.1:24243 0x0303 suite 0x009f group 0x0000 dh 2048 scheme 0x0804 complete client-auth requested (0 authorities) certs 2+2",
		}},
		{"live_dicom_tls_dcmtk_bcp195.pcap", []string{
			"tls tcp/127.0.0.1:22763 0x0304 suite 0x1302 group 0x0017 dh 0 scheme 0x0000 server-hello hidden certs 0+0",
		}},
		{"live_dicom_tls_dcmtk_mtls.pcap", []string{
			"tls tcp/127.0.0.1:22762 0x0304 suite 0x1302 group 0x0017 dh 0 scheme 0x0000 server-hello hidden certs 0+0",
		}},
		{"live_dicom_tls_orthanc_mtls.pcap", []string{ // two connections; TLS 1.3 does not show that one was refused
			"tls tcp/127.0.0.1:24243 0x0304 suite 0x1302 group 0x0017 dh 0 scheme 0x0000 server-hello hidden certs 0+0",
		}},
		{"live_bacnet_node.pcap", []string{
			`identity udp/127.0.0.32:47808 {"protocol":"bacnet"}`,
			`identity udp/127.0.0.31:47808 {"protocol":"bacnet"}`,
		}},
		{"live_ftp_vsftpd.pcap", []string{"banner tcp/127.0.0.34:21"}},
		{"live_tftp_atftp.pcap", []string{`identity udp/127.0.0.33:69 {"protocol":"tftp"}`}},
		{"live_hl7_mllp_simplehl7.pcap", []string{
			"hl7 tcp/127.0.0.1:22575 client MONITOR|ICU > EHR|HOSP ORU^R01^ORU_R01 P 2.6 [PID OBR OBX]",
			"hl7 tcp/127.0.0.1:22575 server EHR|HOSP > MONITOR|ICU ACK P 2.3 [MSA]",
		}},
		{"live_hl7_mllp_nodehl7.pcap", []string{
			"hl7 tcp/10.60.0.2:2575 client VENT-7|ICU > EHR|HOSP ORU^R01^ORU_R01 P 2.7 [PID OBX]",
			"hl7 tcp/10.60.0.2:2575 server EHR|HOSP > VENT-7|ICU ACK^R01^ACK_R01 P 2.7 [MSA]",
		}},
		{"live_hl7_mllp_pythonhl7.pcap", []string{
			"hl7 tcp/10.60.0.2:2576 client MON-3|ICU > EHR|HOSP ADT^A01 P 2.5 [PID PV1]",
			"hl7 tcp/10.60.0.2:2576 server EHR|HOSP > MON-3|ICU ACK^A01^ACK P 2.5 [MSA]",
		}},
		{"live_modbus_pymodbus.pcap", []string{`identity tcp/10.60.0.2:502 {"protocol":"modbus"}`}},
		{"live_opcua_gopcua.pcap", []string{`identity tcp/10.60.0.2:4840 {"protocol":"opcua"}`}},
		{"live_tds_tedious.pcap", []string{
			"tls tcp/10.60.0.2:1433 0x0303 suite 0xc02b group 0x001d dh 0 scheme 0x0403 complete client-auth not-asked (0 authorities) certs 1+0",
		}},
		{"live_mqtt_tls12_mtls.pcap", []string{
			"tls tcp/127.0.0.1:28883 0x0303 suite 0xc030 group 0x001d dh 0 scheme 0x0804 complete client-auth requested (0 authorities) certs 2+2",
		}},
		{"live_sdc_ws_discovery.pcap", []string{
			`identity udp/10.99.0.1:3702 {"protocol":"ws-discovery","types":["Device","MedicalDevice","sdc.cdc.type:/urn%3Aoid%3A1.2.840.10004.1.1.1.0.0.1//130535","sdc.mds.pkp:1.2.840.10004.20701.1.1"],"places":["http://10.99.0.1:44731/72313cab735251c983738b4031a66ec7"]}`,
			`identity tcp/10.99.0.1:44731 {"protocol":"http","software":"BaseHTTP/0.6 Python/3.11.2"}`,
			`sdc tcp/10.99.0.1:44731 {TLS:false Fault:false Manufacturer:Draeger ModelName:TestDevice ModelNumber:1.0 Firmware:Version1 Serial:12345 Clock:<nil>}`,
		}},
		{"live_snmp_monitor_sysgroup.pcap", []string{
			`identity udp/127.0.0.1:21161 {"protocol":"snmp","hostnames":["bed-12-monitor"],"description":"Example Patient Monitor, HW rev A, SW 1.2.3","object_id":"1.3.6.1.4.1.3592.1.2"}`,
		}},
	} {
		t.Run(tt.file, func(t *testing.T) {
			list, stats := readFile(t, ours(tt.file))
			var got []string
			for _, o := range list {
				got = append(got, summary(o))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if reasons := stats.Incomplete(); reasons != nil {
				t.Errorf("incomplete: %q", reasons)
			}
		})
	}
}

// TestGolden_tunnels reads a handshake out of every encapsulation that Open vSwitch
// makes, and out of those that scapy makes: the one certificate of it, at the inner
// address. tshark finds the same certificate in each, but for the IP packets in
// ERSPAN III, which it does not read.
func TestGolden_tunnels(t *testing.T) {
	for _, maker := range []struct {
		files       string
		atLeast     int
		server      []string // inner address: of IPv4, of IPv6
		certificate string
	}{
		{"ovs_*.pcap", 13, []string{"tcp/10.50.0.2:8443"}, "1b301554e0e83617bdf5583747b5ff9295b2881227c1279a08400c5e91e18a26"},
		{"scapy_*.pcap", 32, []string{"tcp/10.60.0.2:8443", "tcp/[fd60::2]:8443"}, "5dc88f210e4f138acc46a49cc3c4228d0161f78ab99fad3b311366591cba142b"},
	} {
		files, err := filepath.Glob(ours(maker.files))
		files = slices.DeleteFunc(files, func(path string) bool { return slices.Contains(notRead, filepath.Base(path)) })
		if err != nil || len(files) < maker.atLeast {
			t.Fatalf("captures %q, error %v", files, err)
		}
		for _, path := range files {
			t.Run(filepath.Base(path), func(t *testing.T) {
				list, stats := readFile(t, path)
				var at []string
				for _, o := range list {
					if o.Kind == evidence.KindTLS {
						at = append(at, o.Endpoint.String())
						if o.Facts.TLS.Possession != evidence.PossessionVerified {
							t.Errorf("possession %q", o.Facts.TLS.Possession)
						}
					}
				}
				if len(at) != 1 || !slices.Contains(maker.server, at[0]) {
					t.Errorf("handshakes at %q, want one of %q", at, maker.server)
				}
				if diff := cmp.Diff([]string{maker.certificate}, certificates(list)); diff != "" {
					t.Errorf("certificates (-want +got):\n%s", diff)
				}
				if reasons := stats.Incomplete(); reasons != nil {
					t.Errorf("incomplete: %q", reasons)
				}
			})
		}
	}
}

// notRead are captures of packets that are nested one deeper than is read, or in what
// is not.
var notRead = []string{"scapy_nested5.pcap", "scapy_pppoe.pcap"}

// TestGolden_notRead says of packets that are not read how many there are.
func TestGolden_notRead(t *testing.T) {
	for _, name := range notRead {
		list, stats := readFile(t, ours(name))
		want := []string{"14 packets carry others more than four deep or in a way that is not read"}
		if diff := cmp.Diff(want, stats.Incomplete()); diff != "" || len(list) != 0 {
			t.Errorf("%s: %d observations, incomplete (-want +got):\n%s", name, len(list), diff)
		}
	}
}

// certificates returns the SHA-256 of all certificates, sorted and each once.
func certificates(list []evidence.Observation) []string {
	var out []string
	for _, o := range list {
		for _, c := range o.Certs {
			out = append(out, evidence.DigestOf(c.DER).String())
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestCertificates_tshark compares the certificates of every capture with those
// that tshark finds in it.
func TestCertificates_tshark(t *testing.T) {
	tshark := peer.Require(t, "tshark")["tshark"]
	files, err := filepath.Glob(ours("*tls*.pcap"))
	if err != nil || len(files) < 5 {
		t.Fatalf("%d captures of ours, %v", len(files), err)
	}
	for _, name := range []string{"scapy_erspan_I.pcap", "scapy_6in4.pcap", "scapy_nested4.pcap"} {
		files = append(files, ours(name))
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) { compareWithTshark(t, tshark, path) })
	}
	for _, name := range []string{"zeek_client-certificate.pcap", "zeek_google-cert-repeat.pcap", "zeek_missing-intermediate.pcap", "suricata_tls_input.pcap"} {
		t.Run(name, func(t *testing.T) { compareWithTshark(t, tshark, theirs(t, name)) })
	}
}

func compareWithTshark(t *testing.T, tshark, path string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), tshark, "-r", path, "-o", "tcp.reassemble_out_of_order:TRUE",
		"-Y", "tls.handshake.certificate", "-T", "fields", "-e", "tls.handshake.certificate").Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, field := range strings.FieldsFunc(string(out), func(r rune) bool { return r == ',' || r == '\n' }) {
		der, err := hex.DecodeString(field)
		if err != nil {
			t.Fatalf("tshark: %v", err)
		}
		want = append(want, evidence.DigestOf(der).String())
	}
	slices.Sort(want)
	want = slices.Compact(want)
	list, _ := readFile(t, path)
	if diff := cmp.Diff(want, certificates(list)); diff != "" {
		t.Errorf("certificates (-tshark +ours):\n%s", diff)
	}
}

func TestGolden_others(t *testing.T) {
	for _, tt := range []struct {
		file                         string
		certs, observations, repeats int
	}{
		{"zeek_client-certificate.pcap", 5, 1, 0},
		{"zeek_google-cert-repeat.pcap", 4, 2, 6},
		{"zeek_missing-intermediate.pcap", 4, 2, 1},
		{"suricata_tls_input.pcap", 29, 41, 23},
	} {
		t.Run(tt.file, func(t *testing.T) {
			list, stats := readFile(t, theirs(t, tt.file))
			if got := len(certificates(list)); got != tt.certs || len(list) != tt.observations || stats.Repeats != tt.repeats {
				t.Errorf("%d certificates, %d observations, %d repeats; want %d, %d, %d", got, len(list), stats.Repeats, tt.certs, tt.observations, tt.repeats)
			}
		})
	}
}

// TestGolden_identity reads what devices say of themselves in captures of others.
func TestGolden_identity(t *testing.T) {
	for _, tt := range []struct {
		file string
		want []string // among the observations
	}{
		{"zeek_mdns.pcap", []string{`identity udp/10.0.2.7:5353 {"protocol":"mdns","hostnames":["johanna-QEMU-Virtual-Machine"]}`}},
		{"zeek_snmpwalk-short.pcap", []string{`identity udp/138.68.10.203:161 {"protocol":"snmp","object_id":"1.3.6.1.4.1.8072.3.2.10"}`}},
		{"suricata_snmp-v3-encrypted_SNMPv3.pcap", []string{`snmp udp/192.168.29.160:161 000039e7000000a1c0a81da0 752 196071`}},
		{"iti_bacnet_test.pcap", []string{`identity udp/10.1.1.165:47808 {"protocol":"bacnet"}`}},
		{"iti_EIP-IPAddressChangeAttempt.pcap", []string{
			`identity link/192.168.10.120 {"protocol":"arp","mac":"00:00:bc:3e:eb:e4"}`,
			`identity udp/192.168.10.131:68 {"protocol":"dhcp","mac":"00:e0:62:60:35:d0","parameters":[1,3,28,6]}`,
			`identity link/208.73.217.142 {"protocol":"lldp","mac":"00:21:91:06:f1:66"}`,
		}},
	} {
		list, _ := readFile(t, theirs(t, tt.file))
		got := summaries(list)
		for _, want := range tt.want {
			if !slices.Contains(got, want) {
				t.Errorf("%s: no %s in\n%s", tt.file, want, strings.Join(got, "\n"))
			}
		}
	}
}
