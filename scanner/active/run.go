package active

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/scanner"
)

// DefaultBreakerAfter is how many failed connections in a row end the probing
// of an asset.
const DefaultBreakerAfter = 3

// Ledger keeps what a scan did. RecordProbe is called by one goroutine at a
// time, once for every planned probe, sent or not, for every probe that followed
// from an answer, and for every check that an asset is still there; its context does not end with the scan's. An error
// stops the scan.
type Ledger interface {
	RecordProbe(ctx context.Context, rec evidence.ProbeRecord, obs []evidence.Observation) error
}

// Options are what a run needs beside its plan. Level, rates and budgets are the
// plan's.
type Options struct {
	Probers []scanner.Prober
	Ledger  Ledger
	// Now is the clock of observations and of deadlines; it must agree with the
	// timers of the runtime.
	Now          func() time.Time
	BreakerAfter int            // 0: [DefaultBreakerAfter]
	Progress     func(Progress) // called after each row of the ledger; may be nil
	Dialer       Dialer         // nil: the network
}

// Progress is how far a run is.
type Progress struct {
	Done, Planned int // probes
	Connections   int64
}

// Summary is what a run did.
type Summary struct {
	Started, Ended time.Time
	Assets         int
	Endpoints      int // in the plan
	Reached        int // endpoints that answered with data
	Planned        int // probes in the plan
	Sent           int // probes that ran to their end, with those that followed from an answer
	Skipped        int // probes that were not sent, or cut short: breaker, interruption, fault
	NotNeeded      int // probes whose condition was not met
	Connections    int64
	BytesSent      int64
	BytesReceived  int64
	Tripped        []netip.Addr // assets left alone by the breaker, in order
	Interrupted    bool
}

// runner is one run. The mutex guards the ledger and everything below it.
type runner struct {
	gate    *gate
	probers map[string]scanner.Prober
	opts    Options
	cancel  context.CancelCauseFunc

	mu      sync.Mutex
	done    int
	summary Summary
	reached map[evidence.Endpoint]bool
	err     error // of the ledger
}

// Run sends the probes of plan, concurrently over assets and one connection at
// a time to each. It returns when every planned probe has its row in the ledger.
//
// When ctx ends, nothing more is sent; the rows of what was not sent say so,
// Summary.Interrupted is true and the error is nil. The error is that of the
// ledger, or says what is wrong with plan and options.
func Run(ctx context.Context, plan *scanner.Plan, opts Options) (Summary, error) {
	r, err := newRunner(plan, opts)
	if err != nil {
		return Summary{}, err
	}
	sending, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.cancel = cancel
	r.summary.Started = opts.Now()

	type job struct {
		addr   netip.Addr
		probes []scanner.PlannedProbe
	}
	jobs := make(chan job)
	var workers sync.WaitGroup
	for range plan.Rates.Parallel {
		workers.Go(func() {
			for j := range jobs {
				r.runAsset(sending, j.addr, j.probes)
			}
		})
	}
	endpoints := map[evidence.Endpoint]bool{}
	for addr, probes := range plan.Assets() {
		r.summary.Assets++ // read by no worker
		for _, p := range probes {
			endpoints[p.Endpoint] = true
		}
		jobs <- job{addr, probes}
	}
	close(jobs)
	workers.Wait()

	r.summary.Ended = opts.Now()
	r.summary.Endpoints = len(endpoints)
	r.summary.Reached = len(r.reached)
	r.summary.Interrupted = ctx.Err() != nil
	slices.SortFunc(r.summary.Tripped, netip.Addr.Compare)
	return r.summary, r.err
}

func newRunner(plan *scanner.Plan, opts Options) (*runner, error) {
	if plan.Deny() == nil {
		return nil, errors.New("run: the plan was not made by scanner.NewPlan")
	}
	if opts.Ledger == nil || opts.Now == nil {
		return nil, errors.New("run: a ledger and a clock are needed")
	}
	if opts.BreakerAfter == 0 {
		opts.BreakerAfter = DefaultBreakerAfter
	}
	if opts.Dialer == nil {
		opts.Dialer = &net.Dialer{KeepAlive: -1} // a keep-alive would be a packet that no ledger shows
	}
	r := &runner{
		gate: &gate{
			plan: plan, dialer: opts.Dialer, now: opts.Now, breaker: opts.BreakerAfter,
			global: rate.NewLimiter(rate.Limit(plan.Rates.Global), 1),
		},
		probers: map[string]scanner.Prober{}, opts: opts, reached: map[evidence.Endpoint]bool{},
	}
	r.summary.Planned = len(plan.Probes)
	for _, p := range opts.Probers {
		r.probers[p.Name()] = p
	}
	for _, p := range plan.Probes {
		if r.probers[p.Prober] == nil {
			return nil, fmt.Errorf("run: the plan needs the prober %q", p.Prober)
		}
	}
	return r, nil
}

// runAsset runs the probes of one asset, one after the other.
func (r *runner) runAsset(ctx context.Context, addr netip.Addr, probes []scanner.PlannedProbe) {
	a := r.gate.newAsset()
	prior := map[evidence.Endpoint][]evidence.Observation{}
	for _, p := range probes {
		if ctx.Err() == nil && a.suspect(r.gate.breaker) {
			r.checkAlive(ctx, a)
		}
		outcome := skip{}
		switch {
		case ctx.Err() != nil:
			outcome = skip{reason: interruption(ctx), lost: true}
		case a.open != "":
			outcome = skip{reason: a.open, lost: true}
		case p.When == scanner.WhenNotTLS:
			outcome.reason = notTLS(prior[p.Endpoint], a.accepted[p.Endpoint])
		case p.When == scanner.WhenOpen:
			outcome.reason = notOpen(prior[p.Endpoint], a.accepted[p.Endpoint])
		case p.When == scanner.WhenAnswered:
			outcome.reason = notAnswered(prior[p.Endpoint])
		}
		if outcome.reason != "" {
			r.skip(ctx, p, outcome)
			continue
		}
		obs := r.probe(ctx, a, p, prior[p.Endpoint], true)
		prior[p.Endpoint] = append(prior[p.Endpoint], obs...)
		if next := follow(p, obs); next != "" && ctx.Err() == nil && a.open == "" {
			q := p
			q.Prober, q.When, q.Follows = next, scanner.WhenSpoke, nil
			q.Why = "the peer answered a TLS hello in " + next
			prior[p.Endpoint] = append(prior[p.Endpoint], r.probe(ctx, a, q, prior[p.Endpoint], false)...)
		}
	}
	if a.open != "" {
		r.mu.Lock()
		r.summary.Tripped = append(r.summary.Tripped, addr)
		r.mu.Unlock()
	}
}

// checkAlive connects to the endpoint of an asset that answered last, and closes
// at once: nothing is sent, and the socket is never idle.
func (r *runner) checkAlive(ctx context.Context, a *asset) {
	rec := evidence.ProbeRecord{
		Endpoint: a.alive, Probe: scanner.AliveProbe, Started: r.opts.Now(), Outcome: evidence.ProbeSent,
		Reason: "whether the asset still answers, after connections that were lost",
	}
	s := &session{gate: r.gate, asset: a, endpoint: a.alive, budget: connectTime}
	c, err := s.Dial(ctx)
	if c != nil {
		err = c.Close()
	}
	if ctx.Err() == nil {
		a.judge(err == nil)
	}
	if err != nil {
		rec.Reason += ": " + safetext.Clean(err.Error())
	}
	rec.Ended, rec.Connections = r.opts.Now(), s.dials
	if s.dials == 0 {
		rec.Outcome = evidence.ProbeSkipped
	}
	r.record(ctx, rec, nil, false, false)
}

func interruption(ctx context.Context) string {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return "interrupted before it was sent: " + cause.Error()
	}
	return "interrupted before it was sent"
}

// notTLS says why the second prober of an endpoint is not needed; it returns ""
// if the endpoint accepts connections and showed no sign of TLS.
func notTLS(prior []evidence.Observation, accepted bool) string {
	for _, o := range prior {
		if t := o.Facts.TLS; t != nil && (t.Version != 0 || t.Alert != nil) {
			return "the peer speaks TLS"
		}
	}
	if !accepted {
		return "the endpoint accepts no connection"
	}
	return ""
}

// follow names the prober that the peer's own answer asks for.
func follow(p scanner.PlannedProbe, obs []evidence.Observation) string {
	for _, o := range obs {
		if t := o.Facts.TLS; t != nil && t.NotTLS && slices.Contains(p.Follows, t.Spoke) {
			return t.Spoke
		}
	}
	return ""
}

// probe runs one prober and records its row.
func (r *runner) probe(ctx context.Context, a *asset, p scanner.PlannedProbe, prior []evidence.Observation, planned bool) []evidence.Observation {
	s := &session{gate: r.gate, asset: a, endpoint: p.Endpoint, budget: p.Time}
	rec := evidence.ProbeRecord{Endpoint: p.Endpoint, Probe: p.Prober, Started: r.opts.Now(), Outcome: evidence.ProbeSent, Reason: p.Why}
	obs, err := safely(ctx, r.probers[p.Prober], s, prior)
	if cerr := s.end(); err == nil && cerr != nil {
		err = cerr
	}
	rec.Ended, rec.Connections, rec.BytesSent, rec.BytesReceived = r.opts.Now(), s.dials, s.sent, s.received
	switch {
	case s.dials == 0:
		rec.Outcome, rec.Reason = evidence.ProbeSkipped, "not sent"
		if ctx.Err() != nil {
			rec.Reason = interruption(ctx)
		} else if err != nil {
			rec.Reason += ": " + safetext.Clean(err.Error())
		}
	case ctx.Err() != nil:
		rec.Reason += "; interrupted"
	case err != nil:
		rec.Reason += "; stopped: " + safetext.Clean(err.Error())
	}
	r.record(ctx, rec, obs, s.dials == 0 || err != nil || ctx.Err() != nil, planned)
	return obs
}

// safely keeps the fault of one prober from ending the scan. Hostile bytes reach
// code that is not ours; what was observed before is lost, the row stays.
func safely(ctx context.Context, p scanner.Prober, s *session, prior []evidence.Observation) (obs []evidence.Observation, err error) {
	defer func() {
		if v := recover(); v != nil {
			obs, err = nil, fmt.Errorf("prober %q failed: %v", p.Name(), v)
		}
	}()
	return p.Probe(ctx, s, prior)
}

// skip is why a planned probe is not sent. lost means that it should have been.
type skip struct {
	reason string
	lost   bool
}

func (s skip) outcome() evidence.ProbeOutcome {
	if s.lost {
		return evidence.ProbeSkipped
	}
	return evidence.ProbeNotNeeded
}

func (r *runner) skip(ctx context.Context, p scanner.PlannedProbe, why skip) {
	now := r.opts.Now()
	r.record(ctx, evidence.ProbeRecord{
		Endpoint: p.Endpoint, Probe: p.Prober, Started: now, Ended: now,
		Outcome: why.outcome(), Reason: why.reason,
	}, nil, why.lost, true)
}

// record writes one row and counts it.
func (r *runner) record(ctx context.Context, rec evidence.ProbeRecord, obs []evidence.Observation, lost, planned bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return
	}
	if err := r.opts.Ledger.RecordProbe(context.WithoutCancel(ctx), rec, obs); err != nil {
		r.err = fmt.Errorf("record probe %q of %s: %w", rec.Probe, rec.Endpoint, err)
		r.cancel(r.err)
		return
	}
	switch {
	case lost:
		r.summary.Skipped++
	case rec.Outcome == evidence.ProbeSent:
		r.summary.Sent++
	default:
		r.summary.NotNeeded++
	}
	r.summary.Connections += rec.Connections
	r.summary.BytesSent += rec.BytesSent
	r.summary.BytesReceived += rec.BytesReceived
	for _, o := range obs {
		if o.Result == evidence.ResultData {
			r.reached[rec.Endpoint] = true
		}
	}
	if planned {
		r.done++
	}
	if r.opts.Progress != nil {
		r.opts.Progress(Progress{Done: r.done, Planned: r.summary.Planned, Connections: r.summary.Connections})
	}
}
