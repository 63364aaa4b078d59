package active

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"probity/evidence"
	"probity/scanner"
)

// pulse is how one endpoint has answered in this run.
type pulse struct {
	facts evidence.ResponseFacts
	times latency // of connecting
	row   int     // attempts missed since the last one that was accepted
}

func (p *pulse) accept(took time.Duration) {
	p.facts.Accepted++
	p.times.add(took)
	p.row = 0
}

func (p *pulse) miss(f fate) {
	if f != fateRefused && f != fateUnconnected {
		return
	}
	p.facts.Missed++
	if f == fateRefused {
		p.facts.Refused++
	}
	p.row++
	p.facts.InARow = max(p.facts.InARow, p.row)
}

// close returns what was seen.
func (p *pulse) close(stopped string) *evidence.ResponseFacts {
	f := p.facts
	f.AtEnd, f.Stopped = p.row, stopped
	f.First, f.Last = microseconds(p.times.first), microseconds(p.times.last)
	return &f
}

func microseconds(ds []time.Duration) []int64 {
	var out []int64
	for _, d := range ds {
		out = append(out, d.Microseconds())
	}
	return out
}

// accepts notes how long a connection took.
func (a *asset) accepts(ep evidence.Endpoint, took time.Duration) {
	if a.pulses[ep] == nil {
		a.pulses[ep] = &pulse{}
	}
	a.pulses[ep].accept(took)
}

// respond records how the endpoints at an address answered from first to last, if
// there were two connections to compare. Above gentle, the endpoint that answered
// last is connected to once more, and once again if that is missed.
func (r *runner) respond(ctx context.Context, a *asset, addr netip.Addr) {
	rec := evidence.ProbeRecord{
		Probe: scanner.ResponseProbe, Started: r.opts.Now(), Outcome: evidence.ProbeNotNeeded,
		Reason: "the connections of the other probes show how the device answered",
	}
	stopped := "" // before what follows, which the scan itself ends with
	if strings.HasPrefix(a.open, reasonBreaker) {
		stopped = a.open
	}
	most := len(r.gate.plan.Exchanges[scanner.ResponseProbe])
	if p := a.pulses[a.alive]; most > 0 && p != nil && a.alive.Addr == addr && a.open == "" && ctx.Err() == nil {
		s := &session{gate: r.gate, asset: a, endpoint: a.alive, budget: connectTime}
		p.facts.After = heartbeat(ctx, s, most)
		rec.Endpoint, rec.Connections = a.alive, s.dials
		if s.dials > 0 {
			rec.Outcome, rec.Reason = evidence.ProbeSent, "whether the device answers after the last probe as it did at first"
		}
	}
	var obs []evidence.Observation
	for _, ep := range slices.SortedFunc(maps.Keys(a.pulses), evidence.Endpoint.Compare) {
		p := a.pulses[ep]
		if ep.Addr != addr {
			continue
		}
		delete(a.pulses, ep)
		if p.facts.Answered == 0 || p.facts.Accepted+p.facts.Missed < 2 {
			continue
		}
		obs = append(obs, evidence.Observation{
			Method: evidence.Active, Kind: evidence.KindResponse, Endpoint: ep, At: r.opts.Now(), Result: evidence.ResultData,
			Facts: evidence.Facts{Response: p.close(stopped)}, // measured: there are no bytes that it was read from
		})
	}
	if len(obs) == 0 && rec.Connections == 0 {
		return
	}
	if !rec.Endpoint.Addr.IsValid() {
		rec.Endpoint = obs[0].Endpoint
	}
	rec.Ended = r.opts.Now()
	r.record(ctx, rec, obs, false, false)
}

// heartbeat connects, sends nothing and closes at once, again after a miss.
func heartbeat(ctx context.Context, s *session, most int) evidence.Result {
	result := evidence.Result("")
	for range most {
		c, err := s.Dial(ctx)
		if c != nil {
			err = c.Close()
		}
		switch {
		case ctx.Err() != nil || s.asset.open != "" && s.dials == 0:
			return ""
		case err == nil:
			return evidence.ResultData
		case dialFate(err) == fateRefused:
			result = evidence.ResultRefused
		case dialFate(err) == fateUnconnected:
			result = evidence.ResultTimeout
		default:
			return evidence.ResultError
		}
	}
	return result
}
