package scanner

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"slices"
	"time"

	"probity/evidence"
)

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

// Totals returns the sums. Durations are what the rates allow.
func (p *Plan) Totals() Totals { return p.totals }

// summer sums a plan up, segment by segment: the cost does not depend on how
// many addresses there are.
type summer struct {
	plan        *Plan
	totals      Totals
	least, most load
	excluded    map[Exclusion]int
	hash        hash.Hash
	last        stretch
}

// stretch is a row of addresses with equal probes, in canonical form.
type stretch struct {
	family
	interval
	probes []byte // JSON
}

func newSummer(p *Plan, left []Exclusion) *summer {
	s := &summer{plan: p, excluded: map[Exclusion]int{}, hash: sha256.New()}
	for _, e := range left {
		s.excluded[e] = 1
	}
	return s
}

func (s *summer) add(g segment, at *shape) error {
	n := int64(g.size()) //nolint:gosec // at most 2^32 addresses are planned
	for _, e := range at.excluded {
		e.Addresses = 0
		s.excluded[e] += int(n)
	}
	if len(at.probes) == 0 {
		return nil
	}
	probes, err := json.Marshal(at.probes)
	if err != nil {
		return fmt.Errorf("digest of the plan: %w", err)
	}
	if l := &s.last; l.family == g.family && l.to.add(1) == g.from && bytes.Equal(l.probes, probes) {
		l.to = g.to
	} else {
		s.flush()
		s.last = stretch{g.family, g.interval, probes}
	}
	lo, hi, size := s.plan.cost(at.probes)
	endpoints := 0
	for i, pr := range at.probes {
		if i == 0 || pr.Endpoint != at.probes[i-1].Endpoint {
			endpoints++
		}
	}
	s.totals.Assets += int(n)
	s.totals.Endpoints += int(n) * endpoints
	s.totals.Probes += int(n) * len(at.probes)
	s.totals.MinConnections += n * lo
	s.totals.MaxConnections += n * hi
	s.totals.MaxBytes += n * size
	s.least.add(lo, n)
	s.most.add(hi, n)
	return nil
}

// cost is what the probes of one asset connect and send.
func (p *Plan) cost(probes []PlannedProbe) (least, most, sent int64) {
	for _, pr := range probes {
		if pr.When == "" {
			least++
		}
		n, bytes := p.Cost(pr)
		most, sent = most+n, sent+bytes
		for _, name := range pr.Follows {
			n, bytes := p.Cost(PlannedProbe{Prober: name})
			most, sent = most+n, sent+bytes
		}
	}
	if len(probes) > 1 {
		most += int64(len(p.Exchanges[AliveProbe]))
	}
	if len(probes) > 0 {
		most += int64(len(p.Exchanges[ResponseProbe]))
	}
	return least, most, sent
}

// Cost is what one probe may connect and send at most, without what may follow
// from its answer.
func (p *Plan) Cost(pr PlannedProbe) (connections, sent int64) {
	times := max(1, int64(len(pr.URLs)))
	for _, x := range p.Exchanges[pr.Prober] {
		if x.InPlace {
			continue
		}
		connections += times
		sent += times * x.MaxBytes
	}
	return connections, sent
}

// mark lists targets that were marked as excluded, also where no other target
// asks for them.
func (s *summer) mark(marked []Target) {
	for _, t := range marked {
		e := Exclusion{Target: t.Text, Reason: t.why()}
		if s.excluded[e] == 0 {
			n := interval{numberOf(t.From), numberOf(t.To)}.size()
			s.excluded[e] = int(min(n, mostAddresses)) //nolint:gosec // bounded
		}
	}
}

// flush puts the last stretch into the digest.
func (s *summer) flush() {
	if l := s.last; l.probes != nil {
		_, _ = fmt.Fprintf(s.hash, "%s %s %s\n", l.address(l.subnet(l.from)), l.address(l.subnet(l.to)), l.probes) // a hash takes all
	}
}

func (s *summer) finish() (Totals, []Exclusion, evidence.Digest, error) {
	t := s.totals
	t.MinDuration, t.MaxDuration = s.least.duration(s.plan.Rates), s.most.duration(s.plan.Rates)
	left := make([]Exclusion, 0, len(s.excluded))
	for e, n := range s.excluded {
		e.Addresses = max(n, e.Addresses)
		left = append(left, e)
	}
	slices.SortFunc(left, func(x, y Exclusion) int {
		return cmp.Or(cmp.Compare(x.Target, y.Target), cmp.Compare(x.Reason, y.Reason))
	})
	s.flush()
	head, err := json.Marshal([]any{generator, s.plan.Level, s.plan.Rates, s.plan.Exchanges, left})
	if err != nil {
		return t, nil, evidence.Digest{}, fmt.Errorf("digest of the plan: %w", err)
	}
	_, _ = s.hash.Write(head)
	return t, left, evidence.Digest(s.hash.Sum(nil)), nil
}

// load is what a set of assets asks for.
type load struct{ sum, longest int64 }

func (l *load) add(connections, assets int64) {
	l.sum += connections * assets
	l.longest = max(l.longest, connections)
}

// duration is the largest of three bounds: the global rate, the asset with most
// connections, and the assets shared out over the workers.
func (l *load) duration(r Rates) time.Duration {
	seconds := max(float64(l.sum)/r.Global, float64(l.longest)/r.Asset, float64(l.sum)/r.Asset/float64(r.Parallel))
	const century = 100 * 365 * 24 * time.Hour // more is not told apart
	return time.Duration(min(seconds, century.Seconds()) * float64(time.Second)).Round(time.Millisecond)
}
