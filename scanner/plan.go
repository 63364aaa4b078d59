package scanner

import (
	"cmp"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"

	"probity/evidence"
)

// generator names the rules by which a plan follows from its input; the order of
// assets and of probes is part of them.
const generator = "probity plan 2"

// maxShapes bounds the probes that a plan keeps ready, so that its size does not
// depend on how the targets are written.
const maxShapes = 1 << 16

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

// The most that rates and budgets may be: nobody needs more, and what is beyond is
// a slip of the pen.
const (
	maxRate = 1e6
	maxTime = time.Minute
)

// Validate names the first limit that makes no sense, by the flag that sets it.
func (r Rates) Validate() error {
	switch {
	case !(r.Global > 0 && r.Global <= maxRate): // neither holds for NaN
		return fmt.Errorf("--rate %g: must be above 0 and at most %g connections a second", r.Global, maxRate)
	case !(r.Asset > 0 && r.Asset <= maxRate):
		return fmt.Errorf("--asset-rate %g: must be above 0 and at most %g connections a second", r.Asset, maxRate)
	case r.Parallel < 1 || r.Parallel > 1024:
		return fmt.Errorf("--parallel %d: must be between 1 and 1024", r.Parallel)
	case r.MaxTime < time.Second || r.MaxTime > maxTime:
		return fmt.Errorf("--timeout %v: must be between 1s and %v", r.MaxTime, maxTime)
	case r.MaxBytes < 4096:
		return fmt.Errorf("a budget of %d bytes: must be at least 4096", r.MaxBytes)
	}
	return nil
}

// Gather is how long a row of the probe ledger may wait for others before it is
// written: its asset, which waits for it, would be given that time anyway.
func (r Rates) Gather() time.Duration {
	const most = 100 * time.Millisecond
	return min(most, time.Duration(float64(time.Second)/r.Asset/5))
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
	Follows []string `json:"follows,omitzero"`
	// URLs are what the operator gave to be asked, each by all exchanges of the
	// prober; empty: the endpoint itself is asked.
	URLs []string      `json:"urls,omitzero"`
	Time time.Duration `json:"time"` // bound of one connection
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

// ResponseProbe is the name under which the scan itself records how the endpoints
// of an asset answered from the first connection to the last and, above gentle,
// connects once more after the last probe.
const ResponseProbe = "response"

// Exclusion is a target, or a port of the port set, that the plan leaves out.
type Exclusion struct {
	Target    string `json:"target"` // as the operator gave it, or an endpoint
	Reason    string `json:"reason"`
	Addresses int    `json:"addresses"` // addresses left out, wholly or in part
}

// Plan is everything that a scan may send, in the order in which assets are
// begun. Making it sends nothing. Its size depends on the number of targets and
// exclusions, not on how many addresses they span.
type Plan struct {
	Level      Level
	Rates      Rates
	Exchanges  map[string][]Exchange // by prober, for the level
	Exclusions []Exclusion

	deny   *DenyList
	ports  *Ports
	set    []Port
	kinds  []kind
	shapes []*shape // of kinds; nil: made anew when needed
	layout layout
	totals Totals
	digest evidence.Digest
}

// Deny is the list that the plan was made under; the dialer enforces it again.
func (p *Plan) Deny() *DenyList { return p.deny }

// Digest identifies what may be sent, to whom, in which order and how fast: it
// is the SHA-256 of a canonical form of the input and of the version of the rules
// that turn it into probes, the same however the targets are written.
func (p *Plan) Digest() evidence.Digest { return p.digest }

// NewPlan plans the probes of scope on the port set. Probers that the level or
// the port set does not need may be missing.
func NewPlan(scope Scope, ports *Ports, set []Port, level Level, rates Rates, probers []Prober) (*Plan, error) {
	if err := rates.Validate(); err != nil {
		return nil, err
	}
	scope, marked := scope.divided()
	deny, err := NewDenyList(scope.Exclusions, ports)
	if err != nil {
		return nil, err
	}
	x, err := scope.expand(deny)
	if err != nil {
		return nil, err
	}
	p := &Plan{
		Level: level, Rates: rates, Exchanges: map[string][]Exchange{}, deny: deny, ports: ports, set: set,
		kinds: x.kinds, shapes: make([]*shape, len(x.kinds)),
	}
	p.Exchanges[AliveProbe] = []Exchange{{
		What: "TCP connection, closed at once", When: "only after several lost connections to an asset that answered before",
		Why: "whether the asset still answers",
	}}
	if level != Gentle {
		p.Exchanges[ResponseProbe] = []Exchange{{
			What: "TCP connection, closed at once", When: "only to the endpoint that answered last, after the last probe of an asset",
			Why: "whether the asset answers after the scan as it did at first",
		}, {
			What: "TCP connection, closed at once", When: "only if the one before was refused or not answered",
			Why: "whether that was chance",
		}}
	}
	for _, pr := range probers {
		p.Exchanges[pr.Name()] = pr.Exchanges(level)
	}
	if err := p.fill(x, marked); err != nil {
		return nil, err
	}
	if p.totals.Probes == 0 && len(p.Exclusions) == 0 {
		return nil, fmt.Errorf("nothing to scan: give at least one target")
	}
	return p, nil
}

// fill lays the segments out and sums them up; marked are the targets that were
// marked as excluded.
func (p *Plan) fill(x *expansion, marked []Target) error {
	sum := newSummer(p, x.left)
	ready := 0
	for _, g := range x.segments {
		s := p.shape(g.kind)
		if p.shapes[g.kind] == nil && ready+len(s.probes) <= maxShapes {
			ready += len(s.probes) + 1
			p.shapes[g.kind] = s
		}
		if err := sum.add(g, s); err != nil {
			return err
		}
		if len(s.probes) > 0 {
			p.layout.add(g)
		}
	}
	slices.SortStableFunc(p.layout.blocks, func(a, b block) int {
		if a.family.six != b.family.six {
			return map[bool]int{false: -1, true: 1}[a.family.six]
		}
		return cmp.Or(cmp.Compare(a.net, b.net), cmp.Compare(a.family.zone, b.family.zone))
	})
	sum.mark(marked)
	var err error
	p.totals, p.Exclusions, p.digest, err = sum.finish()
	return err
}

// Assets yields the probes of each asset, in the order of the plan. An asset is
// an address here: more is not known before anything was sent. The slice belongs
// to the consumer.
func (p *Plan) Assets() iter.Seq2[netip.Addr, []PlannedProbe] {
	return func(yield func(netip.Addr, []PlannedProbe) bool) {
		p.layout.each(func(addr netip.Addr, kind int) bool {
			probes := slices.Clone(p.shape(kind).probes)
			for i := range probes {
				probes[i].Endpoint.Addr = addr
			}
			return yield(addr, probes)
		})
	}
}

// Addresses yields the addresses of the plan in its order.
func (p *Plan) Addresses() iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		p.layout.each(func(addr netip.Addr, _ int) bool { return yield(addr) })
	}
}

// Probes yields all probes in the order of the plan.
func (p *Plan) Probes() iter.Seq[PlannedProbe] {
	return func(yield func(PlannedProbe) bool) {
		for _, probes := range p.Assets() {
			for _, pr := range probes {
				if !yield(pr) {
					return
				}
			}
		}
	}
}

// shape is what a plan holds for each address of one kind. The endpoints of its
// probes have no address.
type shape struct {
	probes   []PlannedProbe
	excluded []Exclusion
}

// shape returns the shape of a kind. It may be called by several goroutines.
func (p *Plan) shape(of int) *shape {
	if s := p.shapes[of]; s != nil {
		return s
	}
	return p.newShape(p.kinds[of])
}

// newShape plans all that is asked of one address.
func (p *Plan) newShape(k kind) *shape {
	s := &shape{}
	for _, w := range p.wishes(k.demands) {
		if e, no := k.excludes(w.port); no {
			if !slices.Contains(s.excluded, e) {
				s.excluded = append(s.excluded, e)
			}
			continue
		}
		ep := evidence.Endpoint{Port: w.port.Number, Transport: w.port.Transport, Name: w.name}
		if w.itself {
			s.probes = append(s.probes, p.probesOf(ep, w.port)...)
		}
		s.urlProbes(p, ep, w)
	}
	return s
}

// wish is a port under a server name, and what is wished of it.
type wish struct {
	port   Port
	name   string
	itself bool     // what the port table allows
	fhir   []string // URLs at which FHIR is asked
	sdc    []string // and SDC
}

// wishes collects what demands ask for, port by port.
func (p *Plan) wishes(demands []demand) []wish {
	var all []wish
	for _, d := range demands {
		switch {
		case d.prober == SDCProbe:
			all = append(all, wish{port: p.ports.Lookup(d.transport, d.port), name: d.name, sdc: []string{d.url}})
		case d.url != "":
			all = append(all, wish{port: p.ports.Lookup(d.transport, d.port), name: d.name, fhir: []string{d.url}})
		case d.port != 0:
			all = append(all, wish{port: p.ports.Lookup(d.transport, d.port), name: d.name, itself: true})
		default:
			for _, port := range p.set {
				all = append(all, wish{port: port, name: d.name, itself: true})
			}
		}
	}
	slices.SortStableFunc(all, func(x, y wish) int {
		return cmp.Or(comparePorts(x.port, y.port), cmp.Compare(x.name, y.name))
	})
	out := all[:0]
	for _, w := range all {
		if n := len(out); n > 0 && comparePorts(out[n-1].port, w.port) == 0 && out[n-1].name == w.name {
			out[n-1].itself = out[n-1].itself || w.itself
			out[n-1].fhir = append(out[n-1].fhir, w.fhir...)
			out[n-1].sdc = append(out[n-1].sdc, w.sdc...)
			continue
		}
		out = append(out, w)
	}
	return out
}

// excludes says why nothing may be sent to a port of the addresses of k.
func (k kind) excludes(port Port) (Exclusion, bool) {
	for _, t := range k.denials {
		if t.coversPort(port.Transport, port.Number) {
			return Exclusion{Target: t.Text, Reason: t.why(), Addresses: 1}, true
		}
	}
	if port.Action == ActionNever {
		return Exclusion{Target: fmt.Sprintf("port %s/%d", port.Transport, port.Number), Reason: port.Note, Addresses: 1}, true
	}
	return Exclusion{}, false
}

// probesOf turns what may be sent to a port into probes. Probers that the scan
// does not have are left out.
func (p *Plan) probesOf(ep evidence.Endpoint, port Port) []PlannedProbe {
	if bench, ok := p.benchProbe(ep, port); ok {
		return bench
	}
	first := PlannedProbe{Endpoint: ep, Prober: "tls", Service: port.Service, Time: p.Rates.MaxTime}
	first.Why = "certificate and parameters of TLS"
	clinical := min(ClinicalTime, p.Rates.MaxTime)
	var out []PlannedProbe
	switch port.Action {
	case ActionSSH:
		first.Prober, first.Why = "ssh", "host keys and algorithms of SSH"
	case ActionSNMP:
		first.Prober, first.Why, first.Time = "snmp", "engine id of the SNMPv3 agent", clinical
		follow := first
		follow.Prober, follow.Why = SNMPGetProbe, "description and product of the SNMP agent, by the community that the operator gave"
		out = append(out, follow)
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
			if _, have := p.Exchanges[name]; have {
				first.Follows = append(first.Follows, name)
			}
		}
		first, out = serviceProbes(first, port.Action, clinical)
	case ActionHTTP, ActionSDC, ActionBanner, ActionFTP, ActionRDP, ActionSMB, ActionStartTLS,
		ActionVNC, ActionOPCUA, ActionMQTT, ActionModbus, ActionBACnet, ActionDTLS:
		first, out = serviceProbes(first, port.Action, clinical)
	case ActionNever:
		return nil
	}
	out = slices.Insert(out, 0, first)
	out = append(out, p.flawProbes(first, port)...)
	return slices.DeleteFunc(out, func(pr PlannedProbe) bool {
		_, have := p.Exchanges[pr.Prober]
		return !have
	})
}
