package idwire

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/internal/safetext"
)

const marker = "MARKER"

// dhcp is a request with a marker in every field that must not be kept.
func dhcp() string {
	b := "\x01\x01\x06\x00abcd\x00\x00\x00\x00" + "\x00\x00\x00\x00" + strings.Repeat("\x00", 12) + "\x02\x00\x00\x00\x00\x07" + strings.Repeat("\x00", 10)
	b += marker + strings.Repeat("\x00", 58) + marker + strings.Repeat("\x00", 122) + "\x63\x82\x53\x63"
	return b + "\x35\x01\x03\x0c\x06pump-1\x32\x04\x0a\x00\x00\x09\x37\x03\x01\x03\x06\x3c\x04MSFT\x3d\x03\x01ab\x38\x06" + marker + "\xff"
}

// mdns is a response with an instance named by a person.
func mdns() string {
	return "\x00\x00\x84\x00\x00\x00\x00\x02\x00\x00\x00\x01" +
		"\x06_dicom\x04_tcp\x05local\x00\x00\x0c\x00\x01\x00\x00\x00\x01\x00\x09\x06MARKER\xc0\x0c" +
		"\xc0\x29\x00\x10\x80\x01\x00\x00\x00\x01\x00\x15\x0bmodel=MX800\x08x=MARKER" +
		"\x04ward\x05local\x00\x00\x01\x80\x01\x00\x00\x00\x01\x00\x04\x0a\x00\x00\x05"
}

// nbns is a registration of the name and suffix.
func nbns(name string, suffix byte, group bool) string {
	padded := name + strings.Repeat(" ", 15-len(name)) + string([]byte{suffix})
	encoded := ""
	for i := range len(padded) {
		encoded += string([]byte{'A' + padded[i]>>4, 'A' + padded[i]&15})
	}
	flags := "\x00\x00"
	if group {
		flags = "\x80\x00"
	}
	return "\x00\x01\x29\x10\x00\x01\x00\x00\x00\x00\x00\x01\x20" + encoded + "\x00\x00\x20\x00\x01\xc0\x0c\x00\x20\x00\x01\x00\x00\x00\x00\x00\x06" + flags + "\x0a\x00\x00\x01"
}

const (
	ssdp  = "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250\r\nLOCATION: http://10.0.0.1/MARKER\r\nSERVER: Linux/3 UPnP/1.0 X/2\r\nNT: urn:schemas-upnp-org:device:Basic:1\r\nUSN: uuid:MARKER\r\n\r\n"
	lldp  = "\x02\x07\x04\x02\x00\x00\x00\x00\x01\x04\x07\x05MARKER\x06\x02\x00\x78\x08\x06MARKER\x0a\x04sw-1\x0c\x05Linux\x10\x0c\x05\x01\x0a\x00\x00\x02\x02\x00\x00\x00\x01\x00\xfe\x08\x00\x12\xbb\x08S123\xfe\x08\x00\x12\xbb\x09ACME\x00\x00"
	cdp   = "\x02\xb4\x00\x00\x00\x01\x00\x08sw-2\x00\x02\x00\x11\x00\x00\x00\x01\x01\x01\xcc\x00\x04\x0a\x00\x00\x03\x00\x03\x00\x0aMARKER\x00\x06\x00\x08C950"
	snmp  = "\x30\x3a\x02\x01\x01\x04\x06MARKER\xa2\x2d\x02\x01\x01\x02\x01\x00\x02\x01\x00\x30\x22\x30\x0e\x06\x08\x2b\x06\x01\x02\x01\x01\x01\x00\x04\x02HP\x30\x10\x06\x08\x2b\x06\x01\x02\x01\x01\x06\x00\x04\x04MARK"
	wsd   = `<e:Envelope xmlns:e="x"><e:Body><d:Hello><d:Types>dpws:Device mdpws:MedicalDevice</d:Types><d:Scopes>sdc.ctxt.loc:/MARKER?bed=MARKER sdc.mds.pkp:1.2</d:Scopes><d:XAddrs>https://10.0.0.1:443/MARKER https://10.0.0.1:6464/72313CAB735251c983738b4031a66ec7 http://10.0.0.1/72313cab-7352-51c9-8373-8b4031a66ec7/ http://10.0.0.1:81/72313cab-7352-51c9-8373-8b4031a66ec7/MARKER http://10.0.0.1:82/72313cab-7352-51c9-8373-8b4031a66eMA</d:XAddrs></d:Hello></e:Body></e:Envelope>`
	dpws  = `<e><d:ThisModel><d:Manufacturer>ACME</d:Manufacturer><d:ModelName>M1</d:ModelName></d:ThisModel><d:ThisDevice><d:FriendlyName>MARKER</d:FriendlyName><d:SerialNumber>S1</d:SerialNumber></d:ThisDevice></e>`
	poct1 = `<?xml version="1.0"?><HEL.R01><HDR><HDR.control_id V="MARKER"/></HDR><DEV><DEV.device_id V="MARKER"/><DEV.vendor_id V="ACME"/><DEV.model_id V="G1"/><DEV.serial_id V="77"/></DEV></HEL.R01>`
	lis2  = "\x05\x021H|\\^&|MARKER|MARKER|Analyzer^A77001^1.2|MARKER||||||P|1|2026\r"
	fhir  = `{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1","publisher":"MARKER","software":{"name":"HAPI","version":"6"},"contact":[{"name":"MARKER"}]}`
	arp   = "\x00\x01\x08\x00\x06\x04\x00\x02\x02\x00\x00\x00\x00\x01\x0a\x00\x00\x01\x02\x00\x00\x00\x00\x02\x0a\x00\x00\x02"
	nd    = "\x88\x00\x00\x00\x60\x00\x00\x00\xfe\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09\x02\x01\x02\x00\x00\x00\x00\x07"
)

// gePresence is what a monitor at 10.0.0.1 says, with a ward, a bed and a patient.
const gePresence = "\x01\x04\x00\x00\x0a\x00\x00\x01\x5a\x40\xcd\xc0" + "MARKER|MARKER\x00\x00\x00" + "MARKER,MARKER\x00\x00\x07" +
	"\x00\x03\x07\xd0\x00\x11\x00\x20\x00\x09\x07\xd0\x00\x13\x0b\xb8\x00\x1c\x0b\xb9\x00\x0d\x07\xd0\x00\x0c\x07\xd0" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// geUnity is a time synchronisation of 10.0.0.1 with a unit and a room.
const geUnity = "\x00\x00\x00\x00\x00\x00\x0a\x00\x00\x01" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + "MARKER\x00|MARKE" +
	"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + "\xee\x00\x00\x00"

// intellivue is a connect indication with a label.
func intellivue() string {
	u16 := func(n int) string { return string([]byte{byte(n >> 8), byte(n)}) }
	attr := func(id int, v string) string { return u16(id) + u16(len(v)) + v }
	list := func(n int, v string) string { return u16(n) + u16(len(v)) + v }
	label := func(v string) string { return u16(len(v)) + v }
	attributes := attr(0x0986, "\x00\x01\x11\x4d") + attr(0xf135, label("M\x00A\x00R\x00K\x00"+marker)) +
		attr(0xf100, "\x02\x00\x00\x00\x00\x09\x0a\x00\x00\x09\xff\x00\x00\x00") +
		attr(0xf101, list(2, "\x00\x01\x00\x03\x5d\xc0\x00\x00"+"\x00\x05\x00\x01\x5e\x29\x00\x00")) +
		attr(0x092d, list(3, "\x00\x01\x00\x08"+label("DE1\x00")+"\x00\x02\x00\x08"+label(marker)+"\x00\x04\x00\x58"+label("G.01 "))) +
		attr(0x0928, label("ACME\x00")+label("M1\x00")+"\x00")
	event := "\x00\x23\x00\x00\x00\x00" + "\x00\xd6\xd4\x00" + "\x0d\x17" + label(list(6, attributes))
	invoke := "\x00\x00\x00\x00" + label(event)
	return "\x00\x00\x01\x00" + "\x00\x01" + label(invoke)
}

// said runs every parser and returns what it gives as text; "" for nothing.
func said(which string, b []byte) string {
	var f any
	var addr netip.Addr
	var ok bool
	switch which {
	case "arp":
		f, addr, ok = ARP(b)
	case "nd":
		f, addr, ok = ND(b, netip.MustParseAddr("fe80::1"), 255)
	case "dhcp":
		f, addr, ok = DHCP(b)
	case "dhcpv6":
		f, ok = DHCPv6(b)
	case "lldp":
		f, addr, ok = LLDP(b)
	case "cdp":
		f, addr, ok = CDP(b)
	case "mdns":
		f, ok = MDNS(b)
	case "nbns":
		f, ok = NBNS(b)
	case "ssdp":
		f, ok = SSDP(b)
	case "snmp":
		f, _, ok = SNMP(b)
	case "wsd":
		f, ok = WSDiscovery(b)
	case "dpws":
		f, ok = DPWS(b)
	case "poct1":
		f, ok = POCT1(b)
	case "lis2":
		f, ok = LIS2(b)
	case "fhir":
		f, ok = FHIR(b)
	case "smart":
		f, ok = SMART(b)
	case "intellivue":
		f, ok = IntelliVue(b)
	case "ge-presence":
		f, ok = GEUnityPresence(b, netip.MustParseAddr("10.0.0.1"))
	case "ge-unity":
		f, ok = GEUnity(b, netip.MustParseAddr("10.0.0.1"))
	}
	if !ok {
		return ""
	}
	text, err := json.Marshal(f)
	if err != nil {
		return err.Error()
	}
	if addr.IsValid() {
		return string(text) + " at " + addr.String()
	}
	return string(text)
}

func messages() map[string]string {
	return map[string]string{
		"arp": arp, "nd": nd, "dhcp": dhcp(), "lldp": lldp, "cdp": cdp, "mdns": mdns(), "nbns": nbns("PUMP7", 0x20, false), "ssdp": ssdp,
		"snmp": snmp, "wsd": wsd, "dpws": dpws, "poct1": poct1, "lis2": lis2, "fhir": fhir, "intellivue": intellivue(), "ge-unity": geUnity, "ge-presence": gePresence,
		"dhcpv6": "\x01abc\x00\x01\x00\x04\x00\x03\x00\x01\x00\x27\x00\x08\x00\x06pump-3\x00\x10\x00\x0a\x00\x00\x00\x01\x00\x04MSFT\x00\x63\x00\x06MARKER",
	}
}

func TestParsers(t *testing.T) {
	want := map[string]string{
		"arp":         `{"protocol":"arp","mac":"02:00:00:00:00:01"} at 10.0.0.1`,
		"nd":          `{"protocol":"nd","mac":"02:00:00:00:00:07"} at fe80::9`,
		"dhcp":        `{"protocol":"dhcp","mac":"02:00:00:00:00:07","hostnames":["pump-1"],"vendor_class":"MSFT","client_id":"AWFi","parameters":[1,3,6]} at 10.0.0.9`,
		"dhcpv6":      `{"protocol":"dhcpv6","hostnames":["pump-3"],"vendor_class":"MSFT","client_id":"AAMAAQ=="}`,
		"lldp":        `{"protocol":"lldp","mac":"02:00:00:00:00:01","hostnames":["sw-1"],"manufacturer":"ACME","serial":"S123","description":"Linux"} at 10.0.0.2`,
		"cdp":         `{"protocol":"cdp","hostnames":["sw-2"],"model":"C950"} at 10.0.0.3`,
		"mdns":        `{"protocol":"mdns","hostnames":["ward"],"model":"MX800","types":["_dicom._tcp"]}`,
		"nbns":        `{"protocol":"nbns","hostnames":["PUMP7"]}`,
		"ssdp":        `{"protocol":"ssdp","software":"Linux/3 UPnP/1.0 X/2","types":["urn:schemas-upnp-org:device:Basic:1"]}`,
		"snmp":        `{"protocol":"snmp","description":"HP"}`,
		"wsd":         `{"protocol":"ws-discovery","types":["Device","MedicalDevice","sdc.mds.pkp:1.2"],"places":["https://10.0.0.1:443","https://10.0.0.1:6464/72313CAB735251c983738b4031a66ec7","http://10.0.0.1/72313cab-7352-51c9-8373-8b4031a66ec7/","http://10.0.0.1:81","http://10.0.0.1:82"]}`,
		"dpws":        `{"manufacturer":"ACME","model_name":"M1","serial":"S1"}`,
		"poct1":       `{"protocol":"poct1","manufacturer":"ACME","model":"G1","serial":"77"}`,
		"lis2":        `{"protocol":"lis2","experimental":true,"model":"Analyzer","version":"1.2","serial":"A77001","description":"Analyzer^A77001^1.2"}`,
		"fhir":        `{"document":"capability","status":0,"version":"4.0.1","software":"HAPI","release":"6"}`,
		"intellivue":  `{"protocol":"intellivue","experimental":true,"mac":"02:00:00:00:00:09","manufacturer":"ACME","model":"M1","version":"G.01","serial":"DE1","places":["udp://10.0.0.9:24105"]}`,
		"ge-unity":    `{"protocol":"ge-unity","experimental":true}`,
		"ge-presence": `{"protocol":"ge-unity","experimental":true}`,
	}
	got := map[string]string{}
	for name, b := range messages() {
		got[name] = said(name, []byte(b))
		if strings.Contains(got[name], "MARK") {
			t.Errorf("%s keeps what it must not: %s", name, got[name])
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestParsers_refuse: messages of the same protocols that say nothing of their
// sender, or of another sender.
func TestParsers_refuse(t *testing.T) {
	for _, tt := range [][2]string{
		{"arp", arp[:14] + "\x00\x00\x00\x00" + arp[18:]},          // a probe for an address
		{"arp", arp[:8] + "\x01" + arp[9:]},                        // a group address as sender
		{"dhcp", "\x02" + dhcp()[1:]},                              // of the server
		{"mdns", mdns()[:2] + "\x00\x00" + mdns()[4:]},             // a question
		{"nbns", nbns("JOHN DOE", 0x03, false)},                    // the name of a user
		{"nbns", nbns("WORKGROUP", 0x00, true)},                    // a group
		{"ssdp", strings.Replace(ssdp, "NOTIFY", "M-SEARCH", 1)},   // a question
		{"snmp", strings.Replace(snmp, "\xa2\x2d", "\xa0\x2d", 1)}, // a question
		{"wsd", strings.ReplaceAll(wsd, "Hello", "Probe")},         // a question
		{"wsd", "<!DOCTYPE x [<!ENTITY a \"b\">]>" + wsd},          // a document type
		{"fhir", strings.Replace(fhir, "CapabilityStatement", "Patient", 1)},
		{"poct1", strings.ReplaceAll(poct1, "HEL.R01", "OBS.R01")},                        // results
		{"lis2", strings.Replace(lis2, "1H", "1P", 1)},                                    // a patient record
		{"intellivue", strings.Replace(intellivue(), "\x0d\x17", "\x0d\x06", 1)},          // another event
		{"intellivue", strings.Replace(intellivue(), "\x00\x23", "\x00\x2a", 1)},          // of a patient
		{"ge-unity", strings.Replace(geUnity, "\x0a\x00\x00\x01", "\x0a\x00\x00\x02", 1)}, // of another sender
		{"ge-unity", geUnity[:60] + "\x00\x00\x00\x01"},                                   // not a time
		{"ge-presence", strings.Replace(gePresence, "\x0a\x00\x00\x01", "\x0a\x00\x00\x02", 1)},
		{"ge-presence", strings.Replace(gePresence, "\x5a\x40", "\x00\x00", 1)},
		{"ge-presence", gePresence[:43]},
	} {
		if got := said(tt[0], []byte(tt[1])); got != "" {
			t.Errorf("%s %q gives %s", tt[0], tt[1], got)
		}
	}
	if _, _, ok := ND([]byte(nd), netip.MustParseAddr("fe80::1"), 64); ok {
		t.Error("a neighbour advertisement from beyond the link is taken")
	}
}

func FuzzParsers(f *testing.F) {
	names := []string{"arp", "nd", "dhcp", "dhcpv6", "lldp", "cdp", "mdns", "nbns", "ssdp", "snmp", "wsd", "dpws", "poct1", "lis2", "fhir", "intellivue", "ge-unity", "ge-presence", "smart"}
	all := messages()
	for i, name := range names {
		f.Add(uint8(i), []byte(all[name]))
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		got := said(names[int(which)%len(names)], b)
		if len(got) > 64<<10 {
			t.Fatalf("%d bytes out of %d", len(got), len(b))
		}
		f, _ := MDNS(b)
		for _, s := range append(f.Hostnames, f.Model) {
			if safetext.CleanN(s, maxText) != s && !strings.Contains(s, "\\") {
				t.Fatalf("%q is not clean", s)
			}
		}
		if len(f.Hostnames) > maxNames || len(f.Types) > maxTypes || reflect.DeepEqual(f, evidence.IdentityFacts{}) {
			t.Fatalf("%+v", f)
		}
	})
}
