package scanner

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"probity/evidence"
)

// ErrRefused marks a request that the safety policy refuses. The caller must
// not retry it; exit code 4 of the command line is for it.
var ErrRefused = errors.New("refused by the safety policy")

// Bounds of the addresses of a plan: what it may hold unless the operator says
// more, and what the operator may say.
const (
	DefaultMaxAddresses = 65536
	mostAddresses       = 1 << 32
)

// maxCoverage bounds how often targets and exclusions may lie on top of one
// another.
const maxCoverage = 1 << 22

// Scope is what a scan may touch. Exclusions beat targets.
type Scope struct {
	Targets      []Target
	Exclusions   []Target
	AllowPublic  bool
	MaxAddresses int // 0: [DefaultMaxAddresses]
}

// divided moves targets that are marked as excluded to the exclusions, and
// returns them.
func (s Scope) divided() (divided Scope, marked []Target) {
	isExcluded := func(t Target) bool { return t.Excluded }
	for _, t := range s.Targets {
		if t.Excluded {
			marked = append(marked, t)
		}
	}
	s.Exclusions = slices.Concat(s.Exclusions, marked)
	s.Targets = slices.DeleteFunc(slices.Clone(s.Targets), isExcluded)
	return s, marked
}

// demand is what a target asks of each of its addresses: one port, or with port
// 0 the port set, under a server name or none.
type demand struct {
	port      uint16
	transport evidence.Transport
	name      string
	url       string // what is asked there instead of the port; empty: the port
	prober    string // that asks it
}

func (d demand) compare(o demand) int {
	return cmp.Or(cmp.Compare(d.transport, o.transport), cmp.Compare(d.port, o.port), cmp.Compare(d.name, o.name),
		cmp.Compare(d.url, o.url), cmp.Compare(d.prober, o.prober))
}

// kind is what is asked of an address, and which exclusions cover it. Few kinds
// serve many addresses.
type kind struct {
	demands []demand
	denials []Target // in the order in which they are looked up
}

// segment is a stretch of addresses of one kind.
type segment struct {
	family
	interval
	kind int
}

// scope is the expansion of a [Scope]: all addresses, as segments in the order
// of addresses.
type expansion struct {
	kinds    []kind
	segments []segment
	left     []Exclusion // what prefixes leave out
}

// expand checks the targets and cuts them into segments. It refuses what must
// not be scanned. Its cost depends on the number of targets and exclusions, not
// on how many addresses they span.
func (s Scope) expand(deny *DenyList) (*expansion, error) {
	x := &expansion{}
	targets := map[family][]Target{}
	for _, t := range s.Targets {
		if !t.From.IsValid() {
			return nil, fmt.Errorf("target %q is a name that was not resolved; give its address or --resolve", t.Text)
		}
		t, left := hosts(t)
		x.left = append(x.left, left...)
		if err := s.checkRange(t); err != nil {
			return nil, err
		}
		f := familyOf(t.From)
		targets[f] = append(targets[f], t)
	}
	families := make([]family, 0, len(targets))
	for f := range targets {
		families = append(families, f)
	}
	slices.SortFunc(families, func(a, b family) int {
		if a.six != b.six {
			return map[bool]int{false: -1, true: 1}[a.six]
		}
		return strings.Compare(a.zone, b.zone)
	})
	known := map[string]int{}
	for _, f := range families {
		if err := x.cut(f, targets[f], deny.within(f), known); err != nil {
			return nil, err
		}
	}
	return x, s.checkSize(x.segments)
}

func (s Scope) checkSize(segments []segment) error {
	limit := s.MaxAddresses
	if limit == 0 {
		limit = DefaultMaxAddresses
	}
	if limit < 0 || limit > mostAddresses {
		return fmt.Errorf("--max-addresses %d: must be between 1 and %d", limit, mostAddresses)
	}
	left := uint64(limit)
	for _, g := range segments {
		n := g.size()
		if n > left {
			return fmt.Errorf("more than %d addresses in all, counted to %s: narrow the targets or raise --max-addresses",
				limit, g.address(g.subnet(g.from.add(left))))
		}
		left -= n
	}
	return nil
}

// cut appends the segments of one family.
func (x *expansion) cut(f family, targets, denials []Target, known map[string]int) error {
	ivs := make([]interval, 0, len(targets)+len(denials))
	for _, t := range slices.Concat(targets, denials) {
		ivs = append(ivs, interval{numberOf(t.From), numberOf(t.To)})
	}
	covered := 0
	sweep(ivs, func(at interval, covering []int) {
		if covered += len(covering); covered > maxCoverage || covering[0] >= len(targets) {
			return
		}
		k := kind{}
		for _, i := range covering {
			if i < len(targets) {
				k.demands = append(k.demands, targets[i].demand())
			} else {
				k.denials = append(k.denials, denials[i-len(targets)])
			}
		}
		slices.SortFunc(k.demands, demand.compare)
		k.demands = slices.Compact(k.demands)
		x.append(f, at, k, known)
	})
	if covered > maxCoverage {
		return errors.New("too many targets and exclusions lie on top of one another; merge them")
	}
	return nil
}

// append adds a segment, or lengthens the last one if this goes on where it ends.
func (x *expansion) append(f family, at interval, k kind, known map[string]int) {
	key := k.key()
	i, ok := known[key]
	if !ok {
		i = len(x.kinds)
		known[key] = i
		x.kinds = append(x.kinds, k)
	}
	if n := len(x.segments); n > 0 {
		if last := &x.segments[n-1]; last.family == f && last.kind == i && last.to.add(1) == at.from {
			last.to = at.to
			return
		}
	}
	x.segments = append(x.segments, segment{f, at, i})
}

// key is equal for kinds that lead to the same probes and exclusions.
func (k kind) key() string {
	var b []byte
	for _, d := range k.demands {
		b = strconv.AppendUint(append(b, d.transport...), uint64(d.port), 10)
		b = append(append(b, '#'), d.name...)
		b = append(append(b, '#'), d.url...)
		b = append(append(b, '#'), d.prober...)
		b = append(b, 0)
	}
	for _, t := range k.denials {
		b = append(append(b, 1), t.Text...)
		b = append(append(b, 0), t.Reason...)
	}
	return string(b)
}

func (t Target) demand() demand {
	if t.Port == 0 {
		return demand{name: t.Name}
	}
	return demand{t.Port, t.Transport, t.Name, t.URL, t.Prober}
}

// hosts narrows an IPv4 prefix to its hosts (RFC 1122 section 3.2.1.3): a packet
// to its first and last address may reach every host of the subnet.
func hosts(t Target) (Target, []Exclusion) {
	if p := t.Prefix; !p.IsValid() || !p.Addr().Is4() || p.Bits() > 30 {
		return t, nil
	}
	left := []Exclusion{
		{Target: t.From.String(), Reason: "network address of " + t.Prefix.String(), Addresses: 1},
		{Target: t.To.String(), Reason: "broadcast address of " + t.Prefix.String(), Addresses: 1},
	}
	t.From, t.To = t.From.Next(), t.To.Prev()
	return t, left
}

// nobody lists addresses that are not one host: unspecified, multicast,
// broadcast and reserved ones (RFC 1122 section 3.2.1.3, RFC 1112 section 4, RFC
// 4291 section 2.4), and IPv4 in the form of IPv6.
var nobody = prefixes("0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/128", "ff00::/8", "::ffff:0:0/96")

// own lists the addresses that are the operator's own, or nobody's: loopback,
// private (RFC 1918, RFC 4193), link-local, and those of documentation (RFC
// 5737, RFC 3849).
var own = prefixes("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "::1/128", "fc00::/7", "fe80::/10",
	"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		out[i] = netip.MustParsePrefix(t)
	}
	return out
}

// IsOwn reports whether a is the operator's own by its kind: loopback, private,
// link-local or of documentation. Others are scanned only when asked for.
func IsOwn(a netip.Addr) bool {
	_, ok := within(own, a.Unmap().WithZone(""))
	return ok
}

func within(list []netip.Prefix, a netip.Addr) (netip.Prefix, bool) {
	if i := slices.IndexFunc(list, func(p netip.Prefix) bool { return p.Contains(a) }); i >= 0 {
		return list[i], true
	}
	return netip.Prefix{}, false
}

// checkRange refuses what is not one host, and what is not the operator's own
// by its address unless public addresses were allowed.
func (s Scope) checkRange(t Target) error {
	from, to := t.From.WithZone(""), t.To.WithZone("")
	for _, p := range nobody {
		if p.Addr().BitLen() == from.BitLen() && from.Compare(lastOf(p)) <= 0 && p.Addr().Compare(to) <= 0 {
			return fmt.Errorf("target %q: %s is an unspecified, multicast, broadcast or reserved address: %w",
				t.Text, maxAddr(from, p.Addr()), ErrRefused)
		}
	}
	if from.Is6() && from.IsLinkLocalUnicast() && t.From.Zone() == "" {
		return fmt.Errorf("target %q: a link-local address is reached by an interface: name it, as in %s%%eth0", t.Text, from)
	}
	for a := from; !s.AllowPublic && a.IsValid() && a.Compare(to) <= 0; {
		p, ok := within(own, a)
		if !ok {
			return fmt.Errorf("target %q: %s is a public address; scan only what you may, and say so with --allow-public: %w", t.Text, a, ErrRefused)
		}
		a = lastOf(p).Next()
	}
	return nil
}

func maxAddr(a, b netip.Addr) netip.Addr {
	if a.Less(b) {
		return b
	}
	return a
}
