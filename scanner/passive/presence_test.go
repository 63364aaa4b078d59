package passive

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/fixtures/peer"
)

// TestGolden_tshark compares what is said of protocols that are only known to be
// spoken, and of the messages of HL7, with tshark: of which side, and of which type.
func TestGolden_tshark(t *testing.T) {
	tshark := peer.Require(t, "tshark")["tshark"]
	for _, tt := range []struct{ file, decode, filter, port, field string }{
		{"live_bacnet_node.pcap", "", "bacnet and bvlc.type == 0x81", "udp.srcport", ""},
		{"live_ftp_vsftpd.pcap", "", "ftp.response.code == 220", "tcp.srcport", ""},
		{"live_modbus_pymodbus.pcap", "", "mbtcp.prot_id == 0", "tcp.srcport", ""},
		{"live_opcua_gopcua.pcap", "", `opcua.transport.type == "ACK"`, "tcp.srcport", ""},
		{"live_tftp_atftp.pcap", "", "tftp.opcode == 1", "udp.dstport", ""},
		{"live_hl7_mllp_nodehl7.pcap", "", "hl7.message.type", "tcp.dstport", "hl7.message.type"},
		{"live_hl7_mllp_pythonhl7.pcap", "tcp.port==2576,hl7", "hl7.message.type", "tcp.dstport", "hl7.message.type"},
		{"live_hl7_mllp_simplehl7.pcap", "tcp.port==22575,hl7", "hl7.message.type", "tcp.dstport", "hl7.message.type"},
	} {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel() // it waits for tshark
			list, _ := readFile(t, ours(tt.file))
			server := list[0].Endpoint.Port
			var want, got []string
			for _, p := range tsharkPackets(t, tshark, ours(tt.file), tt.decode, tt.filter, tt.port, "hl7.message.type") {
				at := last(p[tt.port])
				switch {
				case tt.field != "" && at == fmt.Sprint(server):
					want = append(want, "client "+last(p[tt.field]))
				case tt.field != "":
					want = append(want, "server "+last(p[tt.field]))
				case at == fmt.Sprint(server):
					want = append(want, "spoken")
				}
			}
			for _, o := range list {
				switch f := o.Facts; {
				case f.HL7 != nil:
					kind, _, _ := strings.Cut(f.HL7.MessageType, "^")
					got = append(got, string(f.HL7.Sender)+" "+kind)
				case o.Kind == evidence.KindIdentity || o.Kind == evidence.KindBanner:
					got = append(got, "spoken")
				}
			}
			for _, l := range []*[]string{&want, &got} {
				slices.Sort(*l)
				*l = slices.Compact(*l)
			}
			if diff := cmp.Diff(want, got); diff != "" || len(got) == 0 {
				t.Errorf("(-tshark +ours):\n%s", diff)
			}
		})
	}
}
