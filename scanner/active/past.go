package active

import (
	"net/netip"
	"slices"
	"strings"

	"probity/evidence"
	"probity/scanner"
)

// What the reasons in the ledger begin or end with where a later part of the
// scan has to understand them.
const (
	reasonBreaker     = "breaker open: "
	reasonClass       = "class veto: "
	reasonInterrupted = "interrupted"
)

// Past is what earlier parts of a scan did, taken from their ledger and their
// observations. What is finished is not done again; an asset that was left alone
// stays alone. What was under way when a part was cut off has no row, and is done
// again.
type Past struct {
	endpoints map[evidence.Endpoint]*pastEndpoint
	assets    map[netip.Addr]*pastAsset
}

type pastEndpoint struct {
	finished []string // probers
	accepted bool
	obs      []evidence.Observation // without bytes
}

type pastAsset struct {
	open  string            // why it was left alone
	alive evidence.Endpoint // the last TCP endpoint that answered
}

// NewPast returns a past in which nothing was done.
func NewPast() *Past {
	return &Past{endpoints: map[evidence.Endpoint]*pastEndpoint{}, assets: map[netip.Addr]*pastAsset{}}
}

// AddProbe takes a row of the ledger of an earlier part, in their order.
func (p *Past) AddProbe(rec evidence.ProbeRecord) {
	a := p.assets[rec.Endpoint.Addr]
	if a == nil {
		a = &pastAsset{}
		p.assets[rec.Endpoint.Addr] = a
	}
	leftAlone := strings.HasPrefix(rec.Reason, reasonBreaker) || strings.HasPrefix(rec.Reason, reasonClass)
	if rec.Outcome == evidence.ProbeSkipped && leftAlone {
		a.open = rec.Reason
	}
	if _, why, found := strings.Cut(rec.Reason, "; "+reasonBreaker); found { // it opened by this probe
		a.open = reasonBreaker + why
	}
	if rec.BytesReceived > 0 && rec.Endpoint.Transport == evidence.TCP {
		a.alive = rec.Endpoint
	}
	e := p.endpoint(rec.Endpoint)
	e.accepted = e.accepted || rec.BytesSent > 0 && rec.Endpoint.Transport == evidence.TCP
	var finished bool
	switch rec.Outcome {
	case evidence.ProbeSent:
		finished = rec.Probe != scanner.AliveProbe && !strings.Contains(rec.Reason, "; "+reasonInterrupted)
	case evidence.ProbeSkipped:
		finished = leftAlone
	case evidence.ProbeNotNeeded:
		finished = true
	}
	if finished && !slices.Contains(e.finished, rec.Probe) {
		e.finished = append(e.finished, rec.Probe)
	}
}

// AddObservation takes an observation of an earlier part.
func (p *Past) AddObservation(o evidence.Observation) {
	e := p.endpoint(o.Endpoint)
	o.Raw, o.Certs, o.Keys = nil, nil, nil
	e.obs = append(e.obs, o)
}

func (p *Past) endpoint(ep evidence.Endpoint) *pastEndpoint {
	e := p.endpoints[ep]
	if e == nil {
		e = &pastEndpoint{}
		p.endpoints[ep] = e
	}
	return e
}

// finished reports whether a probe of an endpoint need not be done again. A nil
// past knows nothing.
func (p *Past) finished(ep evidence.Endpoint, prober string) bool {
	if p == nil || p.endpoints[ep] == nil {
		return false
	}
	return slices.Contains(p.endpoints[ep].finished, prober)
}

// remember puts an asset into the state in which earlier parts left it at one of
// its addresses.
func (p *Past) remember(a *asset, addr netip.Addr) {
	if p == nil || p.assets[addr] == nil {
		return
	}
	was := p.assets[addr]
	if a.open == "" {
		a.open = was.open
	}
	if was.alive.Addr.IsValid() {
		a.alive, a.answered = was.alive, true
	}
}

// recall returns what earlier parts observed at the endpoints of one address, and
// notes which of them accepted connections.
func (p *Past) recall(a *asset, probes []scanner.PlannedProbe) map[evidence.Endpoint][]evidence.Observation {
	prior := map[evidence.Endpoint][]evidence.Observation{}
	if p == nil || len(probes) == 0 {
		return prior
	}
	for _, pr := range probes {
		if e := p.endpoints[pr.Endpoint]; e != nil {
			a.accepted[pr.Endpoint] = e.accepted
			prior[pr.Endpoint] = slices.Clip(e.obs)
		}
	}
	return prior
}
