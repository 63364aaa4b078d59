package active

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
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

// maxUnsent bounds the rows that an ended run writes about what it did not send,
// so that stopping a large scan does not take longer than the scan. What has no
// row was not sent.
const maxUnsent = 1_000

// GCPercent is the setting of the garbage collector (see runtime/debug.SetGCPercent) at
// which a run spends the least on it and stays under 50 MiB: what it keeps is
// little, whatever the number of targets, and what it lets go is much.
const GCPercent = 300

// Ledger keeps what a scan did. RecordProbe is called by several goroutines, for
// one asset at a time: once for every planned probe, sent or not (but see [Run]),
// for every probe that followed from an answer, and for every check that an asset
// is still there. The asset waits for it: nothing more is sent to it until its row
// is kept. Its context does not end with the scan's. An error stops the scan.
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
	BreakerAfter int // 0: [DefaultBreakerAfter]
	// Windows are the times in which anything may be sent; none: at any time.
	Windows scanner.Windows
	// Begun says that something was sent before, in the same run: a window that has
	// closed since ends the run, and does not refuse it.
	Begun bool
	// Past is what earlier parts of this scan did; nil: this is the first.
	Past *Past
	// SameAsset names the asset of addresses that are known to belong to one with
	// several: addresses with the same name share one connection at a time, one rate
	// and one breaker. An address without a name is an asset of its own.
	SameAsset map[netip.Addr]string
	// Absent says why the probes of an address are not needed, because nobody has
	// it; empty: they are. Nil knows of none.
	Absent func(netip.Addr) string
	// Protected says why an asset must not be probed, before its first probe
	// (without observations) and with those of each probe; empty: it may. It is
	// called by several goroutines. Nil protects nothing.
	Protected func(addr netip.Addr, obs []evidence.Observation) string
	Progress  func(Progress) // called after each row of the ledger; may be nil
	Dialer    Dialer         // nil: the network
}

// Progress is how far a run is.
type Progress struct {
	Done, Planned int // probes
	Connections   int64
}

// Summary is what a run did.
type Summary struct {
	Started, Ended time.Time
	Assets         int // in the plan
	Endpoints      int // in the plan
	Reached        int // endpoints that answered with data
	Planned        int // probes in the plan
	Earlier        int // probes that earlier parts had finished
	Sent           int // probes that ran to their end, with those that followed from an answer
	Skipped        int // probes that were not sent, or cut short: breaker, class, window, interruption, fault
	NotNeeded      int // probes whose condition was not met
	Connections    int64
	BytesSent      int64
	BytesReceived  int64
	Tripped        []netip.Addr // assets left alone by the breaker, in this part or before, in order
	Vetoed         []netip.Addr // assets left alone for their class
	WindowClosed   bool         // the run ended because its window closed
	Interrupted    bool
}

// runner is one run. The mutex guards everything below it.
type runner struct {
	gate    *gate
	devices map[netip.Addr]*device // those with several addresses
	probers map[string]scanner.Prober
	opts    Options
	cancel  context.CancelCauseFunc
	slots   chan struct{} // holds one for each asset that is probed

	mu      sync.Mutex
	done    int // planned probes
	unsent  int // rows about what was not sent because the run ended
	summary Summary
	err     error // of the ledger
}

// perSlot is how many assets there may be for each that is probed: the others wait
// until the ledger has kept their rows. The more of them wait, the fewer
// transactions their rows take.
const perSlot = 4

// errWindowClosed ends a run.
var errWindowClosed = errors.New("the scan window closed")

// Run sends the probes of plan, concurrently over assets and one connection at
// a time to each. It returns when every planned probe has its row in the ledger.
//
// When ctx ends or the window closes, nothing more is sent. The rows of what was
// not sent say so, up to a thousand of them; Summary counts all. If ctx ended,
// Summary.Interrupted is true. The error is that of the ledger, or says what is
// wrong with plan and options.
func Run(ctx context.Context, plan *scanner.Plan, opts Options) (Summary, error) {
	r, err := newRunner(plan, opts)
	if err != nil {
		return Summary{}, err
	}
	sending, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.cancel = cancel
	r.summary.Started = opts.Now()
	if len(opts.Windows) > 0 {
		until, open := opts.Windows.Open(r.summary.Started)
		switch {
		case open:
		case opts.Begun:
			cancel(errWindowClosed)
		default:
			return Summary{}, fmt.Errorf("run: outside of the scan window: %w", scanner.ErrRefused)
		}
		timer := time.AfterFunc(until.Sub(r.summary.Started), func() { cancel(errWindowClosed) })
		defer timer.Stop()
	}
	r.feed(sending, plan)

	r.summary.Ended = opts.Now()
	if r.err == nil {
		r.summary.Skipped += r.summary.Planned - r.done
	}
	r.summary.Interrupted = ctx.Err() != nil
	r.summary.WindowClosed = errors.Is(context.Cause(sending), errWindowClosed)
	if len(opts.Windows) > 0 && r.summary.Skipped > 0 {
		// The gate may see the end of the window before the timer's turn comes.
		_, open := opts.Windows.Open(opts.Now())
		r.summary.WindowClosed = r.summary.WindowClosed || !open
	}
	slices.SortFunc(r.summary.Tripped, netip.Addr.Compare)
	slices.SortFunc(r.summary.Vetoed, netip.Addr.Compare)
	return r.summary, r.err
}

// feed hands the assets of the plan to the workers and waits for them.
func (r *runner) feed(ctx context.Context, plan *scanner.Plan) {
	jobs := make(chan []scanner.PlannedProbe)
	var workers sync.WaitGroup
	r.slots = make(chan struct{}, plan.Rates.Parallel)
	for range min(perSlot*plan.Rates.Parallel, r.summary.Assets) {
		workers.Go(func() {
			for probes := range jobs {
				r.runAsset(ctx, probes)
			}
		})
	}
	for _, probes := range plan.Assets() {
		if ctx.Err() != nil && r.enough() {
			break
		}
		jobs <- probes
	}
	close(jobs)
	workers.Wait()
}

// enough reports whether nothing more is written about what is not sent.
func (r *runner) enough() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unsent >= maxUnsent || r.err != nil
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
			plan: plan, dialer: opts.Dialer, now: opts.Now, breaker: opts.BreakerAfter, windows: opts.Windows,
			global: rate.NewLimiter(rate.Limit(plan.Rates.Global), 1),
		},
		probers: map[string]scanner.Prober{}, opts: opts,
	}
	r.devices = r.gate.devices(opts.SameAsset, opts.Past)
	t := plan.Totals()
	r.summary.Assets, r.summary.Endpoints, r.summary.Planned = t.Assets, t.Endpoints, t.Probes
	for _, p := range opts.Probers {
		r.probers[p.Name()] = p
	}
	for name := range plan.Exchanges {
		if r.probers[name] == nil && name != scanner.AliveProbe && name != scanner.ResponseProbe {
			return nil, fmt.Errorf("run: the plan needs the prober %q", name)
		}
	}
	return r, nil
}

// runAsset runs the probes of one asset, one after the other.
func (r *runner) runAsset(ctx context.Context, probes []scanner.PlannedProbe) {
	// The turn comes before the slot: who waited for a turn with a slot in hand would
	// keep it from the one who has the turn.
	a, release := r.take(probes[0].Endpoint.Addr)
	defer release()
	r.slots <- struct{}{}
	defer func() { <-r.slots }()
	prior := r.opts.Past.recall(a, probes)
	r.protect(a, probes[0].Endpoint.Addr, nil)
	reached := map[evidence.Endpoint]bool{}
	for _, p := range probes {
		if r.opts.Past.finished(p.Endpoint, p.Prober) {
			r.earlier()
		} else {
			obs := r.step(ctx, a, p, prior[p.Endpoint])
			prior[p.Endpoint] = append(prior[p.Endpoint], obs...)
			for _, o := range obs {
				reached[p.Endpoint] = reached[p.Endpoint] || o.Result == evidence.ResultData
			}
		}
		next := follow(p, prior[p.Endpoint])
		if next != "" && ctx.Err() == nil && a.open == "" && !r.opts.Past.finished(p.Endpoint, next) {
			q := p
			q.Prober, q.When, q.Follows = next, scanner.WhenSpoke, nil
			q.Why = "the peer answered a TLS hello in " + next
			prior[p.Endpoint] = append(prior[p.Endpoint], r.probe(ctx, a, q, prior[p.Endpoint], false)...)
		}
	}
	r.respond(ctx, a, probes[0].Endpoint.Addr)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, answered := range reached {
		if answered {
			r.summary.Reached++
		}
	}
	switch addr := probes[0].Endpoint.Addr; {
	case strings.HasPrefix(a.open, reasonClass):
		r.summary.Vetoed = append(r.summary.Vetoed, addr)
	case a.open != "":
		r.summary.Tripped = append(r.summary.Tripped, addr)
	}
}

// step does one planned probe, or records why it is not done.
func (r *runner) step(ctx context.Context, a *asset, p scanner.PlannedProbe, prior []evidence.Observation) []evidence.Observation {
	if ctx.Err() == nil && a.suspect(r.gate.breaker) {
		r.checkAlive(ctx, a)
	}
	outcome := skip{}
	switch {
	case ctx.Err() != nil:
		outcome = skip{reason: interruption(ctx), lost: true}
	case a.open != "":
		outcome = skip{reason: a.open, lost: true}
	case r.absent(p.Endpoint.Addr) != "":
		outcome.reason = r.absent(p.Endpoint.Addr)
	case p.When == scanner.WhenNotTLS:
		outcome.reason = notTLS(prior, a.accepted[p.Endpoint])
	case p.When == scanner.WhenOpen:
		outcome.reason = notOpen(prior, a.accepted[p.Endpoint])
	case p.When == scanner.WhenTLS:
		outcome.reason = notSpeaking(prior)
	case p.When == scanner.WhenAnswered:
		outcome.reason = notAnswered(prior)
	}
	if outcome.reason != "" {
		r.skip(ctx, p, outcome)
		return nil
	}
	obs := r.probe(ctx, a, p, prior, true)
	r.protect(a, p.Endpoint.Addr, obs)
	return obs
}

func (r *runner) absent(addr netip.Addr) string {
	if r.opts.Absent == nil {
		return ""
	}
	return r.opts.Absent(addr)
}

// protect leaves an asset alone if it is of a kind that is not probed.
func (r *runner) protect(a *asset, addr netip.Addr, obs []evidence.Observation) {
	if r.opts.Protected == nil || a.open != "" {
		return
	}
	if why := r.opts.Protected(addr, obs); why != "" {
		a.open = reasonClass + why
	}
}

// earlier counts a probe that an earlier part has finished.
func (r *runner) earlier() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	r.summary.Earlier++
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
	wasOpen := a.open
	if ctx.Err() == nil {
		a.judge(err == nil)
	}
	if err != nil {
		rec.Reason += ": " + safetext.Clean(err.Error())
	}
	rec.Reason += opened(wasOpen, a)
	rec.Ended, rec.Connections = r.opts.Now(), s.dials
	if s.dials == 0 {
		rec.Outcome = evidence.ProbeSkipped
	}
	r.record(ctx, rec, nil, false, false)
}

// opened is what the row of a probe says if the breaker opened by it: a later part
// of the scan leaves the asset alone for it, also when there is no other row.
func opened(was string, a *asset) string {
	if was != "" || a.open == "" {
		return ""
	}
	return "; " + a.open
}

func interruption(ctx context.Context) string {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return reasonInterrupted + " before it was sent: " + cause.Error()
	}
	return reasonInterrupted + " before it was sent"
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
	s := &session{gate: r.gate, asset: a, endpoint: p.Endpoint, urls: p.URLs, service: p.Service, budget: p.Time}
	wasOpen := a.open
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
		rec.Reason += "; " + reasonInterrupted
	case err != nil:
		rec.Reason += "; stopped: " + safetext.Clean(err.Error())
	}
	rec.Reason += opened(wasOpen, a)
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
	if ctx.Err() != nil {
		if r.enough() {
			return
		}
		r.mu.Lock()
		r.unsent++
		r.mu.Unlock()
	}
	now := r.opts.Now()
	r.record(ctx, evidence.ProbeRecord{
		Endpoint: p.Endpoint, Probe: p.Prober, Started: now, Ended: now,
		Outcome: why.outcome(), Reason: why.reason,
	}, nil, why.lost, true)
}

// failed reports whether the ledger failed. The first error of it ends the run.
func (r *runner) failed(err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil && r.err == nil {
		r.err = err
		r.cancel(err)
	}
	return r.err != nil
}

// record writes one row and counts it.
func (r *runner) record(ctx context.Context, rec evidence.ProbeRecord, obs []evidence.Observation, lost, planned bool) {
	if r.failed(nil) {
		return
	}
	<-r.slots
	err := r.opts.Ledger.RecordProbe(context.WithoutCancel(ctx), rec, obs)
	r.slots <- struct{}{}
	if err != nil {
		r.failed(fmt.Errorf("record probe %q of %s: %w", rec.Probe, rec.Endpoint, err))
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case lost:
		r.summary.Skipped++
	case rec.Outcome == evidence.ProbeSent:
		r.summary.Sent++
	case planned:
		r.summary.NotNeeded++
	}
	r.summary.Connections += rec.Connections
	r.summary.BytesSent += rec.BytesSent
	r.summary.BytesReceived += rec.BytesReceived
	if planned {
		r.done++
	}
	if r.opts.Progress != nil {
		r.opts.Progress(Progress{Done: r.done, Planned: r.summary.Planned, Connections: r.summary.Connections})
	}
}
