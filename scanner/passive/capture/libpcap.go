//go:build pcap && linux && cgo

package capture

import (
	"errors"
	"slices"
	"strings"

	"github.com/google/gopacket/layers"
	libpcap "github.com/google/gopacket/pcap"
	"golang.org/x/net/bpf"
)

// compileExpression compiles an expression of pcap-filter(7) for Ethernet frames.
// Linux takes the outermost VLAN tag off before a filter sees a frame, so that the
// other words reach into tagged frames too and the word vlan would never match.
func compileExpression(text string) ([]bpf.RawInstruction, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("libpcap: an empty expression says nothing")
	}
	if slices.Contains(strings.Fields(text), "vlan") {
		return nil, errors.New("vlan goes with host, net, port, tcp and udp only, not with expressions of libpcap")
	}
	list, err := libpcap.CompileBPFFilter(layers.LinkTypeEthernet, wholePacket, text)
	if err != nil {
		return nil, errors.New("libpcap: " + err.Error())
	}
	program := make([]bpf.RawInstruction, len(list))
	for i, in := range list {
		program[i] = bpf.RawInstruction{Op: in.Code, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	return program, nil
}
