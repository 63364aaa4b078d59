// Package discover asks the local link who is there, before a scan connects to
// anything: one ARP request or neighbour solicitation for each address in scope,
// or one multicast question of mDNS, SSDP or WS-Discovery.
//
// It is used only where the operator names the method and the interface. It sends
// no gratuitous ARP, joins no group, answers nobody and asks nobody twice. A
// multicast question reaches every device of the link, in scope or not: that is
// why the plan names it.
//
// Invariant: every packet has its row in the ledger, with the bytes above the
// link layer; between two packets there is at least the interval of the rate; an
// address that is excluded is asked by no ARP and no solicitation.
package discover

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/scanner"
)

// Method is a way to find who is there.
type Method string

// The methods.
const (
	ARP         Method = "arp"
	ND          Method = "nd"
	MDNS        Method = "mdns"
	SSDP        Method = "ssdp"
	WSDiscovery Method = "ws-discovery"
)

func all() []Method { return []Method{ARP, ND, MDNS, SSDP, WSDiscovery} }

// ParseMethods reads a comma-separated list; each counts once, in the order of
// the constants.
func ParseMethods(text string) ([]Method, error) {
	var wanted, out []Method
	for item := range strings.SplitSeq(text, ",") {
		m := Method(strings.ToLower(strings.TrimSpace(item)))
		if !slices.Contains(all(), m) {
			return nil, fmt.Errorf("discovery %q: want arp, nd, mdns, ssdp or ws-discovery", safetext.Clean(item))
		}
		wanted = append(wanted, m)
	}
	for _, m := range all() {
		if slices.Contains(wanted, m) {
			out = append(out, m)
		}
	}
	return out, nil
}

// onLink reports whether a method asks addresses one by one, on the link itself.
func (m Method) onLink() bool { return m == ARP || m == ND }

// Ledger keeps what was sent and what came back; it is that of the scan.
type Ledger interface {
	RecordProbe(ctx context.Context, rec evidence.ProbeRecord, obs []evidence.Observation) error
}

// ErrPrivilege is the cause when the kernel does not let this process send on the
// link: it needs the capability CAP_NET_RAW.
var ErrPrivilege = errors.New("discovery by ARP or ND needs the capability CAP_NET_RAW")

// Link is an interface of this machine.
type Link struct {
	Interface net.Interface
	Prefixes  []netip.Prefix // of its addresses, each with the address
}

// OpenLink reads the addresses of an interface. It sends nothing.
func OpenLink(name string) (*Link, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w", safetext.Clean(name), err)
	}
	addrs, err := i.Addrs()
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w", name, err)
	}
	l := &Link{Interface: *i}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			l.Prefixes = append(l.Prefixes, netip.PrefixFrom(p.Addr().Unmap(), p.Bits()))
		}
	}
	return l, nil
}

// from returns an address of this machine from which addr is reached without a
// router.
func (l *Link) from(addr netip.Addr) (netip.Addr, bool) {
	for _, p := range l.Prefixes {
		if p.Contains(addr.WithZone("")) && p.Addr() != addr.WithZone("") {
			return p.Addr(), true
		}
	}
	return netip.Addr{}, false
}

// first returns the first address of a family, of IPv6 a link-local one.
func (l *Link) first(six bool) (netip.Addr, bool) {
	for _, p := range l.Prefixes {
		if p.Addr().Is6() == six && (!six || p.Addr().IsLinkLocalUnicast()) {
			return p.Addr(), true
		}
	}
	return netip.Addr{}, false
}

// Question is one packet that is sent.
type Question struct {
	Method Method            `json:"method"`
	To     evidence.Endpoint `json:"to"` // a group, or the address that is asked for
	Bytes  int               `json:"bytes"`
	Why    string            `json:"why"`
	text   []byte            // of a multicast question
}

// Questions yields all packets that a discovery of the addresses in plan sends, in
// their order.
func Questions(l *Link, methods []Method, plan *scanner.Plan) iter.Seq[Question] {
	return func(yield func(Question) bool) {
		for _, m := range methods {
			if !m.onLink() {
				for _, q := range l.multicast(m) {
					if !yield(q) {
						return
					}
				}
				continue
			}
			for addr := range l.addresses(m, plan) {
				q := Question{
					Method: m, To: evidence.Endpoint{Addr: addr, Transport: evidence.Link}, Bytes: map[Method]int{ARP: arpSize, ND: solicitationSize}[m],
					Why: "whether the address is in use on the link, before anything connects to it",
				}
				if !yield(q) {
					return
				}
			}
		}
	}
}

// addresses yields the planned addresses on the link that a method can ask for.
func (l *Link) addresses(m Method, plan *scanner.Plan) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		for addr := range plan.Addresses() {
			if addr.Is4() != (m == ARP) || addr.Zone() != "" && addr.Zone() != l.Interface.Name {
				continue
			}
			if _, on := l.from(addr); on && !yield(addr) {
				return
			}
		}
	}
}

// Options are what a discovery needs.
type Options struct {
	Ledger  Ledger
	Now     func() time.Time
	Rate    float64 // packets a second
	Windows scanner.Windows
}

// Result is who was found.
type Result struct {
	Found map[netip.Addr]bool // who answered, in scope or not
	Asked map[netip.Addr]bool // by ARP or ND
	Sent  int                 // packets
	Bytes int64               // sent
	// Narrow is true if only multicast questions were asked: who is not found was
	// not asked, either.
	Narrow bool
}

// Absent says why an address of the plan need not be probed; empty: it is to be.
func (r Result) Absent(addr netip.Addr) string {
	switch {
	case r.Found[addr.WithZone("")]:
	case r.Asked[addr.WithZone("")]:
		return "the address did not answer on the link"
	case r.Narrow:
		return "the address answered no multicast question"
	}
	return ""
}

// runner is one discovery.
type runner struct {
	link    *Link
	opts    Options
	limiter *rate.Limiter
	result  Result
}

// Media are open sockets for the methods that ask on the link.
type Media map[Method]medium

// Open opens what the methods need, so that a missing privilege shows before
// anything is recorded. It sends nothing.
func Open(l *Link, methods []Method) (Media, error) {
	media := Media{}
	for _, m := range methods {
		if !m.onLink() {
			continue
		}
		opened, err := openMedium(l, m)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s on %q: %w", m, l.Interface.Name, err), media.Close())
		}
		media[m] = opened
	}
	return media, nil
}

// Close closes the sockets.
func (m Media) Close() error {
	var errs []error
	for _, one := range m {
		errs = append(errs, one.Close())
	}
	return errors.Join(errs...)
}

// Run asks by ARP and ND, address by address, and then the groups. When ctx ends or the window closes, nothing
// more is sent; what was found until then is returned with the error of ctx.
func Run(ctx context.Context, l *Link, methods []Method, media Media, plan *scanner.Plan, opts Options) (Result, error) {
	r := &runner{link: l, opts: opts, limiter: rate.NewLimiter(rate.Limit(opts.Rate), 1)}
	r.result = Result{Found: map[netip.Addr]bool{}, Asked: map[netip.Addr]bool{}, Narrow: true}
	var groups []Method
	for _, m := range methods {
		if !m.onLink() {
			groups = append(groups, m)
			continue
		}
		r.result.Narrow = false
		if err := r.sweep(ctx, m, media[m], plan); err != nil {
			return r.result, err
		}
	}
	return r.result, r.askGroups(ctx, groups)
}

// allowed is the last word before a packet is sent.
func (r *runner) allowed(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(r.opts.Windows) > 0 {
		if _, open := r.opts.Windows.Open(r.opts.Now()); !open {
			return fmt.Errorf("discovery: outside of the scan window: %w", scanner.ErrRefused)
		}
	}
	return nil
}

// record writes the row of one packet.
func (r *runner) record(ctx context.Context, rec evidence.ProbeRecord, obs []evidence.Observation) error {
	if err := r.opts.Ledger.RecordProbe(context.WithoutCancel(ctx), rec, obs); err != nil {
		return fmt.Errorf("record %s of %s: %w", rec.Probe, rec.Endpoint, err)
	}
	return nil
}
