package passive

import (
	"fmt"
	"net/netip"
	"testing"

	"probity/evidence"
)

// handshakes gives n emissions with a signature to check, each after so many more
// packets, and returns how many were checked.
func handshakes(t *testing.T, n, packets int) (checked int, stats Stats) {
	t.Helper()
	r := newReader(t.Context(), &collector{}, Options{})
	for i := range n {
		e := evidence.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Transport: evidence.TCP}
		o := evidence.Observation{Kind: evidence.KindTLS, Endpoint: e, Facts: evidence.Facts{TLS: &evidence.TLSFacts{ServerName: fmt.Sprint(i)}}}
		r.emit(emission{list: []evidence.Observation{o}, prove: func() { checked++ }, packets: (i + 1) * packets})
	}
	return checked, r.total()
}

// TestEmitter_signatures: a flood of handshakes must not take more time for
// signatures than its packets take; all of them are recorded.
func TestEmitter_signatures(t *testing.T) {
	const n = 10_000
	for _, tt := range []struct{ packets, checked int }{
		{2, proofBurst + 2*n/proofPackets + 1},
		{proofPackets, n},
	} {
		checked, stats := handshakes(t, n, tt.packets)
		if checked > tt.checked || checked < tt.checked-100 || stats.Unproven != n-checked || stats.Observations != n {
			t.Errorf("%d packets each: %d of %d checked, want %d; %+v", tt.packets, checked, n, tt.checked, stats)
		}
		if len(stats.Incomplete()) > 0 || (len(stats.Remarks()) > 0) != (checked < n) {
			t.Errorf("%q, %q", stats.Incomplete(), stats.Remarks())
		}
	}
}
