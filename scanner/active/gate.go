package active

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/time/rate"

	"probity/evidence"
	"probity/scanner"
)

// connectTime bounds the wait for a connection: a listener answers at once or
// not at all.
const connectTime = 3 * time.Second

// Dialer opens connections; [net.Dialer] is one.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// gate is what all connections of a scan pass through.
type gate struct {
	plan    *scanner.Plan
	dialer  Dialer
	now     func() time.Time
	global  *rate.Limiter
	breaker int
	windows scanner.Windows
}

// asset is the state of one asset while it is scanned. One goroutine has it.
type asset struct {
	limiter  *rate.Limiter
	answered bool    // some connection brought at least a byte
	failures int     // in a row
	open     string  // why it is left alone; empty: it is not
	connects latency // of TCP connections
	answers  map[evidence.Endpoint]*latency
	accepted map[evidence.Endpoint]bool // endpoints that accepted a connection
	pulses   map[evidence.Endpoint]*pulse

	// A packet filter drops what is sent to closed ports, and so does an asset
	// that went down: lost counts in a row the unanswered attempts to reach
	// endpoints never reached before, and at the limit the last endpoint that
	// answered is asked whether it is still there.
	lost   int
	alive  evidence.Endpoint // the last TCP endpoint that answered
	filter bool              // it was still there: losses say nothing here
}

func (g *gate) newAsset() *asset {
	// A burst of one: two connections are always a full interval apart.
	return &asset{
		limiter: rate.NewLimiter(rate.Limit(g.plan.Rates.Asset), 1), accepted: map[evidence.Endpoint]bool{},
		answers: map[evidence.Endpoint]*latency{}, pulses: map[evidence.Endpoint]*pulse{},
	}
}

// observe counts failures of an asset that worked before, and opens the breaker
// at the limit. A closed port is no failure, nor is an unanswered datagram. Hanging
// up without a byte counts for the first connection of a probe only: what
// follows is odder, and hanging up on it is an answer.
func (a *asset) observe(ep evidence.Endpoint, f fate, followUp bool, limit int) {
	failed := false
	switch f {
	case fateAnswered:
		a.answered, a.failures, a.lost = true, 0, 0
		if ep.Transport == evidence.TCP {
			a.alive = ep
		}
	case fateRefused:
		if failed = a.accepted[ep]; !failed {
			a.failures, a.lost = 0, 0 // its stack answers
		}
	case fateUnconnected:
		if failed = a.accepted[ep]; !failed {
			a.lost++
		}
	case fateSilent:
		failed = ep.Transport == evidence.TCP
	case fateReset:
		failed = a.answered && !followUp
	case fateUnused:
	}
	if !failed {
		return
	}
	if a.failures++; a.failures >= limit && a.open == "" {
		a.open = fmt.Sprintf(reasonBreaker+"%d failed connections in a row, the last to %s", a.failures, ep)
	}
}

// timed takes how long connecting took, or the first byte of an answer, and opens
// the breaker if the asset has slowed down. Answers are compared with those of
// the same endpoint: another service may always have been slower.
func (a *asset) timed(ep evidence.Endpoint, answer bool, took time.Duration) {
	l, what := &a.connects, "connecting"
	if answer {
		if what = "an answer"; a.answers[ep] == nil {
			a.answers[ep] = &latency{}
		}
		l = a.answers[ep]
	}
	if was, is, slower := l.add(took); slower && a.open == "" {
		a.open = fmt.Sprintf(reasonBreaker+"%s took %v, at first %v, the last time from %s",
			what, is.Round(time.Millisecond), was.Round(time.Millisecond), ep)
	}
}

// suspect reports whether the asset has to be asked if it is still there.
func (a *asset) suspect(limit int) bool {
	return a.lost >= limit && !a.filter && a.alive.Addr.IsValid() && a.open == ""
}

// judge takes the answer of the last endpoint that answered before.
func (a *asset) judge(there bool) {
	if a.filter = there; !there && a.open == "" {
		a.open = fmt.Sprintf(reasonBreaker+"%d connections unanswered, the last to %s, which had answered before", a.lost+1, a.alive)
	}
}

// session implements [scanner.Session] for one probe.
type session struct {
	gate     *gate
	asset    *asset
	endpoint evidence.Endpoint
	urls     []string // of the plan
	service  string   // of the plan
	budget   time.Duration

	current  *conn
	dials    int64
	sent     int64
	received int64
}

func (s *session) Endpoint() evidence.Endpoint { return s.endpoint }
func (s *session) Level() scanner.Level        { return s.gate.plan.Level }
func (s *session) Now() time.Time              { return s.gate.now() }

// URLs implements [scanner.Located].
func (s *session) URLs() []string { return s.urls }

// Service implements [scanner.Served].
func (s *session) Service() string { return s.service }

// Dial opens the next connection once the rates allow it.
func (s *session) Dial(ctx context.Context) (net.Conn, error) {
	if s.current != nil {
		return nil, errors.New("the prober has not closed its last connection")
	}
	if err := s.allowed(); err != nil {
		return nil, err
	}
	if err := s.pace(ctx); err != nil {
		return nil, err
	}
	if err := s.allowed(); err != nil { // it may have waited long
		return nil, err
	}
	s.dials++
	budget := s.budget
	dialCtx, cancel := context.WithTimeout(ctx, min(budget, connectTime))
	defer cancel()
	began := s.gate.now()
	c, err := s.gate.dialer.DialContext(dialCtx, string(s.endpoint.Transport), s.endpoint.HostPort())
	if err != nil {
		if ctx.Err() != nil { // ours, and no sign of the asset's health
			return nil, fmt.Errorf("connect to %s: %w", s.endpoint, ctx.Err())
		}
		s.asset.observe(s.endpoint, dialFate(err), s.dials > 1, s.gate.breaker)
		if p := s.asset.pulses[s.endpoint]; p != nil {
			p.miss(dialFate(err))
		}
		return nil, err
	}
	if s.endpoint.Transport == evidence.TCP {
		took := s.gate.now().Sub(began)
		s.asset.accepted[s.endpoint] = true
		s.asset.timed(s.endpoint, false, took)
		s.asset.accepts(s.endpoint, took)
	}
	current, err := newConn(ctx, c, began.Add(budget), s.gate, s.closed)
	if err != nil { // gone before it could be used
		if ctx.Err() == nil {
			s.asset.observe(s.endpoint, fateReset, s.dials > 1, s.gate.breaker)
		}
		return nil, err
	}
	s.current = current
	return current, nil
}

// pace waits until both buckets allow a connection. The asset's token is taken
// last, when the connection is really made: taken before the wait for the global
// rate, it would let the next connection follow too soon.
func (s *session) pace(ctx context.Context) error {
	limiter := s.asset.limiter
	if missing := 1 - limiter.Tokens(); missing > 0 {
		timer := time.NewTimer(time.Duration(missing / float64(limiter.Limit()) * float64(time.Second)))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := s.gate.global.Wait(ctx); err != nil {
		return fmt.Errorf("wait for the global rate: %w", err)
	}
	limiter.Reserve()
	return ctx.Err()
}

// allowed is the last word before anything is sent.
func (s *session) allowed() error {
	if reason, denied := s.gate.plan.Deny().Denies(s.endpoint); denied {
		return fmt.Errorf("%w: %s", scanner.ErrVetoed, reason)
	}
	if s.asset.open != "" {
		return fmt.Errorf("%w: %s", scanner.ErrVetoed, s.asset.open)
	}
	if len(s.gate.windows) > 0 {
		// The end of a window cancels the run; this holds if the clock was set, or
		// the machine slept.
		if _, open := s.gate.windows.Open(s.gate.now()); !open {
			return fmt.Errorf("%w: outside of the scan window", scanner.ErrVetoed)
		}
	}
	return nil
}

// closed takes the counts of a connection that ended.
func (s *session) closed(c *conn) {
	s.current = nil
	s.sent += c.sent
	s.received += c.received
	s.asset.observe(s.endpoint, c.fate(), s.dials > 1, s.gate.breaker)
	if p := s.asset.pulses[s.endpoint]; p != nil && c.received > 0 {
		p.facts.Answered++
	}
	if !c.asked.IsZero() && c.answered.After(c.asked) {
		s.asset.timed(s.endpoint, true, c.answered.Sub(c.asked))
	}
}

// end closes what the prober left open.
func (s *session) end() error {
	if s.current == nil {
		return nil
	}
	return s.current.Close()
}
