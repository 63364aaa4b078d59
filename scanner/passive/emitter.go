package passive

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"

	"probity/evidence"
	"probity/scanner"
)

// Bounds of the signatures that are checked, in what one of P-256 costs: as much as
// some hundred packets, so that they must not be more than those can pay for.
const (
	proofBurst   = 4096
	proofPackets = 64   // for each of them beyond
	againPackets = 4096 // for each handshake that says the same as a verified one
)

// emission is what came of one connection or announcement.
type emission struct {
	list    []evidence.Observation
	pledges func() []*pledge // the signatures to check, which complete list; may be nil
	packets int              // that were read by then
}

// emitter hands observations to the sink, each once. It works beside the reader,
// so that neither signatures nor the sink hold up the packets.
type emitter struct {
	ctx    context.Context //nolint:containedctx // lives as long as the call of Read
	sink   scanner.Sink
	limit  int // of seen
	seen   map[evidence.Digest]struct{}
	failed atomic.Bool // err is set: no more is wanted
	err    error
	stats  Stats // of it: Observations, Repeats, Unproven, Panics
	proofs int   // what the signatures cost that were checked
	again  int   // handshakes that said what a verified one did, and were checked all the same
	signed signatures
}

// run takes emissions until there are no more.
func (r *emitter) run(queue <-chan emission, ended chan<- struct{}) {
	defer close(ended)
	for e := range queue {
		r.take(e)
	}
}

func (r *emitter) take(e emission) {
	if r.failed.Load() {
		return
	}
	digest := evidence.Digest{}
	if e.pledges != nil {
		var repeat bool
		if digest, repeat = r.prove(e); repeat {
			r.stats.Repeats++
			return
		}
	}
	for _, o := range e.list {
		if r.err = r.record(o, digest); r.err != nil {
			r.failed.Store(true)
			return
		}
	}
}

// prove checks the signatures of a handshake, as far as there are packets enough
// to pay for it: which ones depends on the capture alone. It reports whether the
// handshake need not be looked at any further, and else its [contentDigest] where that
// is known.
func (r *emitter) prove(e emission) (digest evidence.Digest, repeat bool) {
	defer func() {
		if recover() != nil {
			r.stats.Panics++
		}
	}()
	pledges := e.pledges()
	if len(pledges) == 0 {
		return digest, false
	}
	verified, err := r.verified(e, pledges)
	if err == nil && r.repeats(e, pledges, verified) {
		return digest, true
	}
	if r.proofs >= proofBurst+e.packets/proofPackets {
		r.stats.Unproven++
		return digest, false
	}
	all := true
	for _, p := range pledges {
		r.proofs += p.cost()
		*p.held, *p.signature = p.check()
		all = all && *p.held == evidence.PossessionVerified
	}
	if all && err == nil {
		digest = verified
	}
	return digest, false
}

// verified is the digest that a handshake has if all its signatures are verified.
func (*emitter) verified(e emission, pledges []*pledge) (evidence.Digest, error) {
	for _, p := range pledges {
		*p.held = evidence.PossessionVerified
	}
	defer func() {
		for _, p := range pledges {
			*p.held = ""
		}
	}()
	return contentDigest(e.list[0]) // a handshake is one observation
}

// repeats reports whether a handshake, which has a digest if it is verified, says what
// another between the same addresses said, of which the signatures were verified. To verify its own would tell only that
// nobody else pretends to be the same two: it is done for as many as the packets pay
// for, and where a signature has the number of another one.
func (r *emitter) repeats(e emission, pledges []*pledge, verified evidence.Digest) bool {
	if _, known := r.seen[verified]; !known {
		return false
	}
	if r.again < e.packets/againPackets {
		r.again++
		return false
	}
	return !slices.ContainsFunc(pledges, r.signed.repeated)
}

// record hands o to the sink, unless the same was observed before between the
// same addresses. The digest is that of its content, where that is known.
func (r *emitter) record(o evidence.Observation, d evidence.Digest) error {
	if again := r.signed.compare(&o); again || d.IsZero() {
		var err error
		if d, err = contentDigest(o); err != nil {
			return err
		}
	}
	if _, ok := r.seen[d]; ok {
		r.stats.Repeats++
		return nil
	}
	if len(r.seen) >= r.limit {
		clear(r.seen) // repeats are then recorded again, which is only wasteful
	}
	r.seen[d] = struct{}{}
	// What was read before an interruption is evidence too.
	if err := r.sink.Record(context.WithoutCancel(r.ctx), o); err != nil {
		return err
	}
	r.stats.Observations++
	return nil
}

// contentDigest is equal for observations that say the same: not the time, not
// the client's port and not the random values in the raw bytes, nor a signature over
// them unless it repeats another one's number.
func contentDigest(o evidence.Observation) (evidence.Digest, error) {
	content := struct {
		Endpoint evidence.Endpoint
		Peer     string
		Kind     evidence.Kind
		Result   evidence.Result
		Detail   string
		Certs    []evidence.Digest
		Roles    []evidence.Role
		Keys     []evidence.HostKey
		Facts    evidence.Facts
	}{Endpoint: o.Endpoint, Peer: o.Peer.Addr.String(), Kind: o.Kind, Result: o.Result, Detail: o.Detail, Keys: o.Keys, Facts: withoutVolatile(o.Facts)}
	for _, c := range o.Certs {
		content.Certs, content.Roles = append(content.Certs, evidence.DigestOf(c.DER)), append(content.Roles, c.Role)
	}
	b, err := json.Marshal(content)
	if err != nil {
		return evidence.Digest{}, fmt.Errorf("digest of observation: %w", err)
	}
	return evidence.DigestOf(b), nil
}
