package scanner

import (
	"errors"
	"fmt"

	"probity/evidence"
)

// BenchProbe is the name of the one prober that tries client certificates. A
// plan with it is the plan of a bench test, and holds nothing else.
const BenchProbe = "mtls"

// NewBenchPlan plans the trials of client certificates at one TCP endpoint: a
// device on a bench, where a test may do what no scan of a ward does. The
// deny-list, the port table and the rates hold as in any plan; a target that they
// deny is an error that wraps [ErrRefused].
func NewBenchPlan(scope Scope, ports *Ports, rates Rates, prober Prober) (*Plan, error) {
	one := len(scope.Targets) == 1
	if one {
		t := scope.Targets[0]
		one = t.From.IsValid() && t.From == t.To && t.Port != 0 && t.Transport == evidence.TCP
	}
	if !one || prober.Name() != BenchProbe {
		return nil, errors.New("a bench test is of one device: give one address with one TCP port, such as 192.0.2.1:2762")
	}
	p, err := NewPlan(scope, ports, nil, Exhaustive, rates, []Prober{prober})
	if err != nil {
		return nil, err
	}
	for _, e := range p.Exclusions {
		return nil, fmt.Errorf("%s: %s: %w", e.Target, e.Reason, ErrRefused)
	}
	return p, nil
}

// benchProbe returns the one probe of a bench test; ok is false for other plans.
func (p *Plan) benchProbe(ep evidence.Endpoint, port Port) (probes []PlannedProbe, ok bool) {
	if _, ok := p.Exchanges[BenchProbe]; !ok {
		return nil, false
	}
	b := PlannedProbe{
		Endpoint: ep, Prober: BenchProbe, Service: port.Service, Time: p.Rates.MaxTime,
		Why: "whether the server refuses clients without a valid certificate",
	}
	if port.Action == ActionDICOM || port.Action == ActionTLSOnly {
		b.Time = min(ClinicalTime, p.Rates.MaxTime)
	}
	return []PlannedProbe{b}, true
}
