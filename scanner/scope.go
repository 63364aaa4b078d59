package scanner

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"probity/evidence"
)

// ErrRefused marks a request that the safety policy refuses. The caller must
// not retry it; exit code 4 of the command line is for it.
var ErrRefused = errors.New("refused by the safety policy")

// DefaultMaxAddresses bounds the expansion of targets.
const DefaultMaxAddresses = 65536

// Scope is what a scan may touch. Exclusions beat targets.
type Scope struct {
	Targets      []Target
	Exclusions   []Target
	AllowPublic  bool
	MaxAddresses int // 0: [DefaultMaxAddresses]
}

// place is one address of the expansion, with the server name and the port that
// the target gave.
type place struct {
	addr      netip.Addr
	name      string
	port      uint16
	transport evidence.Transport
}

// expand lists the distinct places of all targets in the order of addresses,
// and what was left out of prefixes. It refuses what must not be scanned.
func (s Scope) expand() ([]place, []Exclusion, error) {
	limit := s.MaxAddresses
	if limit == 0 {
		limit = DefaultMaxAddresses
	}
	seen := map[place]bool{}
	addrs := map[netip.Addr]bool{}
	var out []place
	var left []Exclusion
	for _, t := range s.Targets {
		if !t.From.IsValid() {
			return nil, nil, fmt.Errorf("target %q is a name that was not resolved; give its address or --resolve", t.Text)
		}
		for a := t.From; a.IsValid() && a.Compare(t.To) <= 0; a = a.Next() {
			if why := notAHost(t.Prefix, a); why != "" {
				left = append(left, Exclusion{Target: a.String(), Reason: why, Addresses: 1})
				continue
			}
			if err := s.checkAddress(t, a); err != nil {
				return nil, nil, err
			}
			if addrs[a] = true; len(addrs) > limit {
				return nil, nil, fmt.Errorf("target %q: more than %d addresses in all; narrow the targets or raise --max-addresses", t.Text, limit)
			}
			p := place{addr: a, name: t.Name, port: t.Port, transport: t.Transport}
			if !seen[p] {
				seen[p] = true
				out = append(out, p)
			}
		}
	}
	slices.SortFunc(out, func(a, b place) int { return a.endpoint().Compare(b.endpoint()) })
	return out, left, nil
}

func (p place) endpoint() evidence.Endpoint {
	return evidence.Endpoint{Addr: p.addr, Port: p.port, Transport: p.transport, Name: p.name}
}

// notAHost names the addresses of an IPv4 prefix that are no host (RFC 1122
// section 3.2.1.3): a packet to them may reach every host of the subnet.
func notAHost(p netip.Prefix, a netip.Addr) string {
	if !p.IsValid() || !p.Addr().Is4() || p.Bits() > 30 {
		return ""
	}
	switch a {
	case p.Addr():
		return "network address of " + p.String()
	case lastOf(p):
		return "broadcast address of " + p.String()
	}
	return ""
}

// checkAddress refuses what is not one host, and what is not the operator's own
// by its address unless public addresses were allowed.
func (s Scope) checkAddress(t Target, a netip.Addr) error {
	a = a.WithZone("")
	switch {
	case a.IsUnspecified() || a.IsMulticast() || a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240): // RFC 1122 section 3.2.1.3, RFC 1112 section 4
		return fmt.Errorf("target %q: %s is an unspecified, multicast, broadcast or reserved address: %w", t.Text, a, ErrRefused)
	case s.AllowPublic || a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast():
		return nil
	case inAny(a, "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"): // RFC 5737, RFC 3849: nobody's
		return nil
	}
	return fmt.Errorf("target %q: %s is a public address; scan only what you may, and say so with --allow-public: %w", t.Text, a, ErrRefused)
}

func inAny(a netip.Addr, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return netip.MustParsePrefix(p).Contains(a) })
}

// DenyList says what is never touched, whatever else is asked for.
type DenyList struct {
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
		return exclusionReason(t), true
	}
	if p := d.ports.Lookup(ep.Transport, ep.Port); p.Action == ActionNever {
		return p.Note, true
	}
	return "", false
}

func exclusionReason(t Target) string {
	why := t.Reason
	if why == "" {
		why = "no reason given"
	}
	return fmt.Sprintf("excluded by %q: %s", t.Text, why)
}

// match finds the first exclusion that covers ep; one with a port covers that
// port alone. A zone is ignored: fe80::1 is excluded on every interface.
func (d *DenyList) match(ep evidence.Endpoint) (Target, bool) {
	addr := ep.Addr.Unmap().WithZone("")
	covers := func(t Target) bool {
		return (t.Port == 0 || t.Port == ep.Port && t.Transport == ep.Transport) &&
			t.From.WithZone("").Compare(addr) <= 0 && addr.Compare(t.To.WithZone("")) <= 0
	}
	for _, list := range [][]Target{d.exact[addr], d.ranges} {
		if i := slices.IndexFunc(list, covers); i >= 0 {
			return list[i], true
		}
	}
	return Target{}, false
}
