package discover

import (
	"context"
	"net/netip"
	"time"

	"probity/evidence"
	"probity/scanner"
)

// answerTime is how long an address has to answer on its own link.
const answerTime = time.Second

// medium is a link on which addresses are asked for one by one.
type medium interface {
	// ask sends one question for addr and returns how many bytes it had.
	ask(addr netip.Addr) (int, error)
	// answer waits for the next answer, until the medium is closed.
	answer() (reply, error)
	Close() error
}

// reply is what came from an address.
type reply struct {
	addr  netip.Addr
	facts evidence.IdentityFacts
	bytes int
}

// open is a question that is not answered yet.
type open struct {
	addr netip.Addr
	at   time.Time
	sent int
}

// sweeper asks for addresses and matches the answers.
type sweeper struct {
	*runner
	method  Method
	replies chan reply
	waiting []open // in the order in which they were asked
	asked   map[netip.Addr]bool
}

// sweep asks for all addresses of the plan that are on the link.
func (r *runner) sweep(ctx context.Context, m Method, over medium, plan *scanner.Plan) error {
	s := &sweeper{runner: r, method: m, replies: make(chan reply, 64), asked: map[netip.Addr]bool{}}
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			got, err := over.answer()
			if err != nil {
				return
			}
			select {
			case s.replies <- got:
			case <-done:
				return
			}
		}
	}()
	err := s.askAll(ctx, over, plan)
	if err == nil {
		err = s.collect(ctx, answerTime)
	}
	if ferr := s.flush(ctx, true); err == nil {
		err = ferr
	}
	close(done)
	if cerr := over.Close(); err == nil {
		err = cerr
	}
	<-ended
	return err
}

func (s *sweeper) askAll(ctx context.Context, over medium, plan *scanner.Plan) error {
	for addr := range s.link.addresses(s.method, plan) {
		if err := s.collect(ctx, s.limiter.Reserve().Delay()); err != nil {
			return err
		}
		if err := s.allowed(ctx); err != nil {
			return err
		}
		n, err := over.ask(addr)
		if err != nil {
			return err
		}
		s.result.Sent++
		s.result.Bytes += int64(n)
		s.result.Asked[addr.WithZone("")] = true
		s.asked[addr.WithZone("")] = true
		s.waiting = append(s.waiting, open{addr, s.opts.Now(), n})
	}
	return nil
}

// collect takes answers for some time, and writes off what was asked long ago.
func (s *sweeper) collect(ctx context.Context, during time.Duration) error {
	timer := time.NewTimer(during)
	defer timer.Stop()
	for {
		select {
		case got := <-s.replies:
			if err := s.take(ctx, got); err != nil {
				return err
			}
		case <-timer.C:
			return s.flush(ctx, false)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take writes the row of an answered question. What was not asked for is not
// taken.
func (s *sweeper) take(ctx context.Context, got reply) error {
	key := got.addr.WithZone("")
	if !s.asked[key] {
		return nil
	}
	for i, w := range s.waiting {
		if w.addr.WithZone("") != key {
			continue
		}
		s.waiting = append(s.waiting[:i:i], s.waiting[i+1:]...)
		s.result.Found[key] = true
		facts := got.facts
		return s.row(ctx, w, int64(got.bytes), "the address answered", []evidence.Observation{{
			Method: evidence.Active, Kind: evidence.KindIdentity, Endpoint: evidence.Endpoint{Addr: w.addr, Transport: evidence.Link},
			At: s.opts.Now(), Result: evidence.ResultData, Facts: evidence.Facts{Identity: &facts},
		}})
	}
	return nil // a second answer
}

// flush writes the rows of questions that nobody answered in time; of all, if the
// sweep has ended.
func (s *sweeper) flush(ctx context.Context, ended bool) error {
	now := s.opts.Now()
	for len(s.waiting) > 0 && (ended || now.Sub(s.waiting[0].at) >= answerTime) {
		w := s.waiting[0]
		s.waiting = s.waiting[1:]
		why := "no answer"
		if ended && now.Sub(w.at) < answerTime {
			why = "ended before an answer"
		}
		if err := s.row(ctx, w, 0, why, nil); err != nil {
			return err
		}
	}
	return nil
}

// row writes one packet. The ledger knows no transport below IP: such a row has
// port 0.
func (s *sweeper) row(ctx context.Context, w open, received int64, why string, obs []evidence.Observation) error {
	return s.record(ctx, evidence.ProbeRecord{
		Endpoint: evidence.Endpoint{Addr: w.addr, Transport: evidence.UDP}, Probe: string(s.method),
		Started: w.at, Ended: s.opts.Now(), BytesSent: int64(w.sent), BytesReceived: received, Outcome: evidence.ProbeSent,
		Reason: "whether the address is in use on " + s.link.Interface.Name + ": " + why,
	}, obs)
}
