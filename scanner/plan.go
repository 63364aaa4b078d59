package scanner

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"

	"probity/evidence"
)

// maxPlanned bounds the endpoints of a plan.
const maxPlanned = 1 << 20

// Rates are the limits of speed of a scan.
type Rates struct {
	Global   float64 `json:"global"`    // connections a second, all together
	Asset    float64 `json:"asset"`     // connections a second to one asset
	Parallel int     `json:"parallel"`  // assets at the same time
	MaxBytes int64   `json:"max_bytes"` // of one connection, each way
	// MaxTime bounds one connection; where a listener would be blocked by a
	// silent peer, ClinicalTime does.
	MaxTime time.Duration `json:"max_time"`
}

// ClinicalTime bounds a connection to a port of a clinical protocol: some
// archives serve one association at a time.
const ClinicalTime = 3 * time.Second

// DefaultRates are slow enough for an old network stack.
func DefaultRates() Rates {
	return Rates{Global: 50, Asset: 2, Parallel: 32, MaxBytes: 1 << 20, MaxTime: 10 * time.Second}
}

// Validate names the first limit that makes no sense.
func (r Rates) Validate() error {
	switch {
	case !(r.Global > 0), !(r.Asset > 0):
		return fmt.Errorf("rates %g/s and %g/s per asset must be above zero", r.Global, r.Asset)
	case r.Parallel < 1 || r.Parallel > 1024:
		return fmt.Errorf("parallel %d must be between 1 and 1024", r.Parallel)
	case r.MaxTime < time.Second || r.MaxBytes < 4096:
		return fmt.Errorf("budget of %v and %d bytes must be at least 1s and 4096 bytes", r.MaxTime, r.MaxBytes)
	}
	return nil
}

// PlannedProbe is one probe of a plan.
type PlannedProbe struct {
	Endpoint evidence.Endpoint `json:"endpoint"`
	Prober   string            `json:"prober"`
	Service  string            `json:"service,omitzero"`
	Why      string            `json:"why"`
	// When is the condition under which the probe is sent; empty: always.
	When string `json:"when,omitzero"`
	// Follows lists the probers that may follow if the peer answers in their
	// protocol.
	Follows []string      `json:"follows,omitzero"`
	Time    time.Duration `json:"time"` // bound of one connection
}

// The conditions of planned probes.
const (
	WhenNotTLS = "only if the peer accepts connections and does not speak TLS"
	WhenSpoke  = "only if the peer answers in this protocol"
)

// AliveProbe is the name under which the scan itself may connect once to each
// asset, without sending anything: after several connections that were lost, to
// the endpoint that answered last. It tells a packet filter from an asset that
// went down, which is then left alone.
const AliveProbe = "alive"

// Exclusion is a target, or a port of the port set, that the plan leaves out.
type Exclusion struct {
	Target    string `json:"target"` // as the operator gave it, or an endpoint
	Reason    string `json:"reason"`
	Addresses int    `json:"addresses"` // addresses left out, wholly or in part
}

// Plan is everything that a scan may send, in the order in which assets are
// begun. Making it sends nothing.
type Plan struct {
	Level      Level                 `json:"level"`
	Rates      Rates                 `json:"rates"`
	Exchanges  map[string][]Exchange `json:"exchanges"` // by prober, for the level
	Probes     []PlannedProbe        `json:"probes"`
	Exclusions []Exclusion           `json:"exclusions"`

	deny *DenyList
}

// Deny is the list that the plan was made under; the dialer enforces it again.
func (p *Plan) Deny() *DenyList { return p.deny }

// NewPlan plans the probes of scope on the port set. Probers that the level or
// the port set does not need may be missing.
func NewPlan(scope Scope, ports *Ports, set []Port, level Level, rates Rates, probers []Prober) (*Plan, error) {
	if err := rates.Validate(); err != nil {
		return nil, err
	}
	places, left, err := scope.expand()
	if err != nil {
		return nil, err
	}
	deny, err := NewDenyList(scope.Exclusions, ports)
	if err != nil {
		return nil, err
	}
	p := &Plan{Level: level, Rates: rates, Exchanges: map[string][]Exchange{}, Exclusions: left, deny: deny}
	p.Exchanges[AliveProbe] = []Exchange{{
		What: "TCP connection, closed at once", When: "only after several lost connections to an asset that answered before",
		Why: "whether the asset still answers",
	}}
	for _, pr := range probers {
		p.Exchanges[pr.Name()] = pr.Exchanges(level)
	}
	if asked(places, len(set)) > maxPlanned {
		return nil, fmt.Errorf("more than %d endpoints; narrow the targets or the ports", maxPlanned)
	}
	b := builder{plan: p, ports: ports, excluded: map[Exclusion]map[netip.Addr]bool{}}
	for _, at := range spread(places) {
		b.add(at, set)
	}
	b.finish()
	if len(p.Probes) == 0 && len(p.Exclusions) == 0 {
		return nil, fmt.Errorf("nothing to scan: give at least one target")
	}
	return p, nil
}

// asked counts the endpoints of places with a port set of the given size.
func asked(places []place, ports int) int {
	n := 0
	for _, pl := range places {
		if pl.port != 0 {
			n++
		} else {
			n += ports
		}
	}
	return n
}

// spread orders places so that neighbours in the plan are in different subnets
// (/24 or /64) where there are several: a subnet's equipment sees an even,
// slow load. All places of one address stay together.
func spread(places []place) [][]place {
	bySubnet := map[netip.Prefix][][]place{}
	var subnets []netip.Prefix
	for i := 0; i < len(places); {
		addr := places[i].addr
		n := i
		for n < len(places) && places[n].addr == addr {
			n++
		}
		bits := 24
		if addr.Is6() {
			bits = 64
		}
		net, err := addr.WithZone("").Prefix(bits)
		if err == nil {
			if bySubnet[net] == nil {
				subnets = append(subnets, net)
			}
			bySubnet[net] = append(bySubnet[net], places[i:n])
		}
		i = n
	}
	var out [][]place
	for round := 0; len(subnets) > 0; round++ {
		subnets = slices.DeleteFunc(subnets, func(net netip.Prefix) bool { return round >= len(bySubnet[net]) })
		for _, net := range subnets {
			out = append(out, bySubnet[net][round])
		}
	}
	return out
}

type builder struct {
	plan     *Plan
	ports    *Ports
	excluded map[Exclusion]map[netip.Addr]bool
}

// add plans all that is asked of one address.
func (b *builder) add(at []place, set []Port) {
	type key struct {
		port Port
		name string
	}
	var wanted []key
	for _, pl := range at {
		if pl.port != 0 {
			wanted = append(wanted, key{b.ports.Lookup(pl.transport, pl.port), pl.name})
			continue
		}
		for _, port := range set {
			wanted = append(wanted, key{port, pl.name})
		}
	}
	slices.SortStableFunc(wanted, func(x, y key) int {
		return cmp.Or(comparePorts(x.port, y.port), cmp.Compare(x.name, y.name))
	})
	wanted = slices.CompactFunc(wanted, func(x, y key) bool {
		return comparePorts(x.port, y.port) == 0 && x.name == y.name
	})
	for _, w := range wanted {
		ep := evidence.Endpoint{Addr: at[0].addr, Port: w.port.Number, Transport: w.port.Transport, Name: w.name}
		if b.exclude(ep, w.port) {
			continue
		}
		b.plan.Probes = append(b.plan.Probes, b.probesOf(ep, w.port)...)
	}
}

// exclude notes why ep is left out, once for each reason.
func (b *builder) exclude(ep evidence.Endpoint, port Port) bool {
	var e Exclusion
	if t, ok := b.plan.deny.match(ep); ok {
		e = Exclusion{Target: t.Text, Reason: exclusionReason(t)}
	} else if port.Action == ActionNever {
		e = Exclusion{Target: fmt.Sprintf("port %s/%d", port.Transport, port.Number), Reason: port.Note}
	} else {
		return false
	}
	if b.excluded[e] == nil {
		b.excluded[e] = map[netip.Addr]bool{}
	}
	b.excluded[e][ep.Addr] = true
	return true
}

func (b *builder) finish() {
	for e, addrs := range b.excluded {
		e.Addresses = len(addrs)
		b.plan.Exclusions = append(b.plan.Exclusions, e)
	}
	slices.SortFunc(b.plan.Exclusions, func(x, y Exclusion) int {
		return cmp.Or(cmp.Compare(x.Target, y.Target), cmp.Compare(x.Reason, y.Reason))
	})
	b.plan.Exclusions = slices.Compact(b.plan.Exclusions)
}

// probesOf turns what may be sent to a port into probes. Probers that the scan
// does not have are left out.
func (b *builder) probesOf(ep evidence.Endpoint, port Port) []PlannedProbe {
	if bench, ok := b.plan.benchProbe(ep, port); ok {
		return bench
	}
	first := PlannedProbe{Endpoint: ep, Prober: "tls", Service: port.Service, Time: b.plan.Rates.MaxTime}
	first.Why = "certificate and parameters of TLS"
	clinical := min(ClinicalTime, b.plan.Rates.MaxTime)
	var out []PlannedProbe
	switch port.Action {
	case ActionSSH:
		first.Prober, first.Why = "ssh", "host keys and algorithms of SSH"
	case ActionSNMP:
		first.Prober, first.Why, first.Time = "snmp", "engine id of the SNMPv3 agent", clinical
	case ActionDICOM:
		first.Time, first.Why = clinical, "certificate and parameters of TLS, before anything in DICOM is sent"
		follow := first
		follow.Prober, follow.When, follow.Why = "dicom", WhenNotTLS, "identity of the DICOM application, and that it answers in clear"
		out = append(out, follow)
	case ActionTLSOnly:
		first.Time, first.Why = clinical, "whether the listener speaks TLS; it never sees a byte of its own protocol"
	case ActionTLS, ActionWeb:
		for _, name := range []string{"ssh", "dicom", "http"} {
			if name == "http" && port.Action == ActionWeb { // planned by itself
				continue
			}
			if _, have := b.plan.Exchanges[name]; have {
				first.Follows = append(first.Follows, name)
			}
		}
		first, out = serviceProbes(first, port.Action, clinical)
	case ActionHTTP, ActionSDC, ActionBanner, ActionFTP, ActionRDP, ActionSMB, ActionStartTLS:
		first, out = serviceProbes(first, port.Action, clinical)
	case ActionNever:
		return nil
	}
	out = slices.Insert(out, 0, first)
	return slices.DeleteFunc(out, func(p PlannedProbe) bool {
		_, have := b.plan.Exchanges[p.Prober]
		return !have
	})
}

// Totals sum a plan up. The minimum holds if every port is closed.
type Totals struct {
	Assets         int           `json:"assets"`
	Endpoints      int           `json:"endpoints"`
	Probes         int           `json:"probes"`
	MinConnections int64         `json:"min_connections"`
	MaxConnections int64         `json:"max_connections"`
	MaxBytes       int64         `json:"max_bytes"` // sent
	MinDuration    time.Duration `json:"min_duration"`
	MaxDuration    time.Duration `json:"max_duration"` // by the rates; silent peers may add their time-outs
}

// Totals computes the sums. Durations are what the rates allow.
func (p *Plan) Totals() Totals {
	var t Totals
	var least, most load
	endpoints := map[evidence.Endpoint]bool{}
	for _, probes := range p.Assets() {
		var lo, hi int64
		for _, pr := range probes {
			endpoints[pr.Endpoint] = true
			if pr.When == "" {
				lo++
			}
			for _, name := range append([]string{pr.Prober}, pr.Follows...) {
				for _, x := range p.Exchanges[name] {
					hi++
					t.MaxBytes += x.MaxBytes
				}
			}
		}
		if len(probes) > 1 {
			hi += int64(len(p.Exchanges[AliveProbe]))
		}
		t.Assets++
		t.Probes += len(probes)
		t.MinConnections += lo
		t.MaxConnections += hi
		least.add(lo)
		most.add(hi)
	}
	t.Endpoints = len(endpoints)
	t.MinDuration, t.MaxDuration = least.duration(p.Rates), most.duration(p.Rates)
	return t
}

// load is what a set of assets asks for.
type load struct{ sum, longest int64 }

func (l *load) add(connections int64) {
	l.sum += connections
	l.longest = max(l.longest, connections)
}

// duration is the largest of three bounds: the global rate, the asset with most
// connections, and the assets shared out over the workers.
func (l *load) duration(r Rates) time.Duration {
	seconds := max(float64(l.sum)/r.Global, float64(l.longest)/r.Asset, float64(l.sum)/r.Asset/float64(r.Parallel))
	return time.Duration(seconds * float64(time.Second)).Round(time.Millisecond)
}

// Assets yields the probes of each asset, in the order of the plan. An asset is
// an address here: more is not known before anything was sent.
func (p *Plan) Assets() iter.Seq2[netip.Addr, []PlannedProbe] {
	return func(yield func(netip.Addr, []PlannedProbe) bool) {
		for i := 0; i < len(p.Probes); {
			addr := p.Probes[i].Endpoint.Addr
			n := i
			for n < len(p.Probes) && p.Probes[n].Endpoint.Addr == addr {
				n++
			}
			if !yield(addr, p.Probes[i:n]) {
				return
			}
			i = n
		}
	}
}

// Digest is the SHA-256 of the plan's JSON form, the same for the same input.
func (p *Plan) Digest() (evidence.Digest, error) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(p); err != nil {
		return evidence.Digest{}, fmt.Errorf("digest of the plan: %w", err)
	}
	return evidence.DigestOf(b.Bytes()), nil
}
