package all_test

import (
	"net/netip"
	"testing"

	"probity/evidence"
	"probity/lint"
	"probity/lint/all"
)

// BenchmarkFleet measures every check on 2,000 devices with two endpoints each.
func BenchmarkFleet(b *testing.B) {
	w := newWorld(b)
	var obs []evidence.Observation
	var assets []evidence.Asset
	for i := range 2000 {
		addr := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		der := w.leafOf(i, w.ec(addr.String()).Public(), nil)
		for _, port := range []uint16{443, 2762} {
			for _, o := range good(port).obs {
				o.ID, o.Endpoint.Addr = int64(len(obs)+1), addr
				if o.Facts.TLS.Version != 0 {
					o.Certs = []evidence.Presented{{Role: evidence.RoleServer, DER: der}, {Role: evidence.RoleServer, Position: 1, DER: w.site.DER}}
				}
				obs = append(obs, o)
			}
		}
		assets = append(assets, asset(addr.String(), addr.String(), addr.String()))
	}
	checks := all.Checks()
	for b.Loop() {
		c := lint.NewCorpus(obs, assets)
		for _, check := range checks {
			results, err := lint.Run(c, []lint.Job{{Check: check}}, now, w.anchors())
			if err != nil {
				b.Fatal(err)
			}
			for range results[0] { // some are made only now
			}
		}
	}
}
