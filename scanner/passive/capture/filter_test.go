package capture

import (
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"golang.org/x/net/bpf"
)

// frame builds an Ethernet frame of the layers after the Ethernet header.
func frame(t *testing.T, kind layers.EthernetType, list ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	all := append([]gopacket.SerializableLayer{&layers.Ethernet{SrcMAC: make([]byte, 6), DstMAC: make([]byte, 6), EthernetType: kind}}, list...)
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, append(all, gopacket.Payload("payload"))...); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func frames(t *testing.T) map[string][]byte {
	t.Helper()
	tcp := &layers.TCP{SrcPort: 40000, DstPort: 443}
	udp := &layers.UDP{SrcPort: 161, DstPort: 50000}
	four := func(p layers.IPProtocol) *layers.IPv4 {
		return &layers.IPv4{Version: 4, Protocol: p, SrcIP: []byte{10, 0, 0, 1}, DstIP: []byte{10, 0, 5, 2}}
	}
	options := four(layers.IPProtocolTCP)
	options.Options = []layers.IPv4Option{{OptionType: 1}, {OptionType: 1}, {OptionType: 1}, {OptionType: 1}}
	later := four(layers.IPProtocolUDP)
	later.FragOffset = 100
	six := &layers.IPv6{Version: 6, NextHeader: layers.IPProtocolTCP, SrcIP: make([]byte, 16), DstIP: make([]byte, 16)}
	six.SrcIP[0], six.SrcIP[15], six.DstIP[0] = 0xfd, 1, 0xfe
	tag := func(id uint16, kind layers.EthernetType) *layers.Dot1Q {
		return &layers.Dot1Q{VLANIdentifier: id, Priority: 5, Type: kind}
	}
	return map[string][]byte{
		"tcp4":     frame(t, layers.EthernetTypeIPv4, four(layers.IPProtocolTCP), tcp),
		"options":  frame(t, layers.EthernetTypeIPv4, options, tcp),
		"udp4":     frame(t, layers.EthernetTypeIPv4, four(layers.IPProtocolUDP), udp),
		"fragment": frame(t, layers.EthernetTypeIPv4, later, udp),
		"tcp6":     frame(t, layers.EthernetTypeIPv6, six, tcp),
		"vlan7":    frame(t, layers.EthernetTypeDot1Q, tag(7, layers.EthernetTypeIPv4), four(layers.IPProtocolTCP), tcp),
		"qinq":     frame(t, layers.EthernetTypeQinQ, tag(7, layers.EthernetTypeDot1Q), tag(9, layers.EthernetTypeIPv4), four(layers.IPProtocolTCP), tcp),
		"arp":      frame(t, layers.EthernetTypeARP),
	}
}

func TestFilter(t *testing.T) {
	all := frames(t)
	for expression, want := range map[string]string{
		"tcp":                           "options qinq tcp4 tcp6 vlan7",
		"udp":                           "fragment udp4",
		"not ( tcp or udp )":            "arp",
		"host 10.0.0.1":                 "fragment options qinq tcp4 udp4 vlan7",
		"host 10.0.5.2 and not vlan":    "fragment options tcp4 udp4",
		"host ::ffff:10.0.0.1 and udp":  "fragment udp4",
		"host 10.0.0.9":                 "",
		"net 10.0.4.0/23":               "fragment options qinq tcp4 udp4 vlan7",
		"net 10.0.6.0/24":               "",
		"net 0.0.0.0/0 and vlan 9":      "qinq",
		"net fd00::/8":                  "tcp6",
		"net fe00::/8":                  "tcp6",
		"host fd00::1":                  "tcp6",
		"host fd00::2":                  "",
		"port 443":                      "options qinq tcp4 tcp6 vlan7",
		"port 161":                      "udp4",
		"tcp port 443 and not vlan":     "options tcp4 tcp6",
		"udp port 443":                  "",
		"tcp port 80 or udp port 161":   "udp4",
		"port 50000 or port 80":         "udp4",
		"vlan":                          "qinq vlan7",
		"vlan 7":                        "qinq vlan7",
		"vlan 8 or vlan 9 and port 443": "qinq",
		"not not (vlan 7) and vlan 9":   "qinq",
	} {
		t.Run(expression, func(t *testing.T) {
			f, err := ParseFilter(expression)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := f.Program(false)
			if err != nil {
				t.Fatal(err)
			}
			program, ok := bpf.Disassemble(raw)
			if !ok {
				t.Fatal("the program has unknown instructions")
			}
			vm, err := bpf.NewVM(program)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, name := range []string{"arp", "fragment", "options", "qinq", "tcp4", "tcp6", "udp4", "vlan7"} {
				n, err := vm.Run(all[name])
				if err != nil {
					t.Fatal(err)
				}
				if n > 0 {
					got = append(got, name)
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("takes %q, want %q", got, want)
			}
		})
	}
}

func TestParseFilter_errors(t *testing.T) {
	if _, err := compileExpression("arp"); err == nil {
		t.Skip("built with libpcap, which takes more expressions")
	}
	for expression, want := range map[string]string{
		"":                          "ends where a test should be",
		"host":                      `"" is no IP address`,
		"host 10.0.0.1 10.0.0.2":    `"10.0.0.2" is out of place`,
		"host fe80::1%eth0":         "no IP address",
		"net 10.0.0.1":              "no network",
		"port 70000":                "no port",
		"tcp port":                  "no port",
		"vlan 4096":                 "more than 4095",
		"(tcp":                      "not closed",
		"tcp and":                   "ends where",
		"src host 10.0.0.1":         `"src" is unknown`,
		strings.Repeat("tcp ", 300): "300 words",
	} {
		if _, err := ParseFilter(expression); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", expression, err, want)
		}
	}
}

// FuzzParseFilter: what can be parsed is a program that the kernel would take.
func FuzzParseFilter(f *testing.F) {
	f.Add("tcp and (port 443 or not vlan 7) or net fd00::/9")
	f.Add(strings.Repeat("not host 10.0.0.1 and ", 40) + "tcp")
	f.Fuzz(func(t *testing.T, expression string) {
		filter, err := ParseFilter(expression)
		if err != nil {
			return
		}
		for _, offloaded := range []bool{false, true} {
			program, err := filter.Program(offloaded)
			if err != nil || len(program) > 4096 {
				t.Errorf("%d instructions, %v", len(program), err)
			}
		}
	})
}
