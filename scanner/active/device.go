package active

import (
	"net/netip"
	"slices"
)

// device is one asset that is known by several addresses. Its turn is a token:
// who holds it has the asset, one connection at a time.
type device struct {
	turn  chan struct{}
	asset *asset
}

// devices returns the devices that have several addresses, by address.
func (g *gate) devices(names map[netip.Addr]string, past *Past) map[netip.Addr]*device {
	byName := map[string][]netip.Addr{}
	for addr, name := range names {
		byName[name] = append(byName[name], addr)
	}
	out := map[netip.Addr]*device{}
	for _, addrs := range byName {
		if len(addrs) < 2 {
			continue
		}
		d := &device{turn: make(chan struct{}, 1), asset: g.newAsset()}
		slices.SortFunc(addrs, netip.Addr.Compare)
		for _, addr := range addrs {
			past.remember(d.asset, addr)
			out[addr] = d
		}
	}
	return out
}

// take returns the asset with an address once nobody else has it; release gives
// it back.
func (r *runner) take(addr netip.Addr) (a *asset, release func()) {
	d := r.devices[addr]
	if d == nil {
		a = r.gate.newAsset()
		r.opts.Past.remember(a, addr)
		return a, func() {}
	}
	d.turn <- struct{}{}
	return d.asset, func() { <-d.turn }
}
