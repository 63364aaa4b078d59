//go:build !(pcap && linux && cgo)

package capture

import "golang.org/x/net/bpf"

// compileExpression is for programs built with libpcap.
func compileExpression(string) ([]bpf.RawInstruction, error) { return nil, errNoLibpcap }
