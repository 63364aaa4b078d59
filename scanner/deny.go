package scanner

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"probity/evidence"
)

// DenyList says what is never touched, whatever else is asked for.
type DenyList struct {
	single []Target // of one address each, in the order given
	exact  map[netip.Addr][]Target
	ranges []Target
	ports  *Ports
}

// NewDenyList returns the list of exclusions and of the ports in the table that
// nothing may be sent to. An exclusion by name needs resolving first.
func NewDenyList(exclusions []Target, ports *Ports) (*DenyList, error) {
	d := &DenyList{exact: map[netip.Addr][]Target{}, ports: ports}
	for _, t := range exclusions {
		switch {
		case !t.From.IsValid():
			return nil, fmt.Errorf("exclusion %q is a name that was not resolved; give its address or --resolve", t.Text)
		case t.From == t.To:
			a := t.From.WithZone("")
			d.single = append(d.single, t)
			d.exact[a] = append(d.exact[a], t)
		default:
			d.ranges = append(d.ranges, t)
		}
	}
	return d, nil
}

// Denies returns why ep must not be touched.
func (d *DenyList) Denies(ep evidence.Endpoint) (reason string, denied bool) {
	if t, ok := d.match(ep); ok {
		return fmt.Sprintf("excluded by %q: %s", t.Text, t.why()), true
	}
	if p := d.ports.Lookup(ep.Transport, ep.Port); p.Action == ActionNever {
		return p.Note, true
	}
	return "", false
}

// why is the reason of an exclusion.
func (t Target) why() string { return cmp.Or(t.Reason, "no reason given") }

// match finds the first exclusion that covers ep; one with a port covers that
// port alone. A zone is ignored: fe80::1 is excluded on every interface.
func (d *DenyList) match(ep evidence.Endpoint) (Target, bool) {
	addr := ep.Addr.Unmap().WithZone("")
	covers := func(t Target) bool {
		return t.coversPort(ep.Transport, ep.Port) &&
			t.From.WithZone("").Compare(addr) <= 0 && addr.Compare(t.To.WithZone("")) <= 0
	}
	for _, list := range [][]Target{d.exact[addr], d.ranges} {
		if i := slices.IndexFunc(list, covers); i >= 0 {
			return list[i], true
		}
	}
	return Target{}, false
}

// coversPort reports whether an exclusion holds for a port: one without a port
// holds for all.
func (t Target) coversPort(transport evidence.Transport, port uint16) bool {
	return t.Port == 0 || t.Port == port && t.Transport == transport
}

// within lists the exclusions that can cover addresses of a family, in the
// order in which [DenyList.Denies] looks them up. Zones are taken off.
func (d *DenyList) within(f family) []Target {
	var out []Target
	for _, t := range slices.Concat(d.single, d.ranges) {
		if t.From, t.To = t.From.WithZone(""), t.To.WithZone(""); t.From.Is6() == f.six {
			out = append(out, t)
		}
	}
	return out
}
