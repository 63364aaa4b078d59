package passive

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"

	"probity/evidence"
	"probity/scanner"
)

// Bounds of the signatures that are checked: one costs as much as some hundred
// packets, so that they must not be more than those can pay for.
const (
	proofBurst   = 4096
	proofPackets = 64 // for each of them beyond
)

// emission is what came of one connection or announcement.
type emission struct {
	list    []evidence.Observation
	prove   func() // completes list by checking signatures; may be nil
	packets int    // that were read by then
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
	proofs int   // signatures that were checked
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
	if e.prove != nil {
		r.prove(e)
	}
	for _, o := range e.list {
		if r.err = r.record(o); r.err != nil {
			r.failed.Store(true)
			return
		}
	}
}

// prove checks the signatures of a handshake, as far as there are packets enough
// to pay for it: which ones depends on the capture alone.
func (r *emitter) prove(e emission) {
	defer func() {
		if recover() != nil {
			r.stats.Panics++
		}
	}()
	if r.proofs >= proofBurst+e.packets/proofPackets {
		r.stats.Unproven++
		return
	}
	r.proofs++
	e.prove()
}

// record hands o to the sink, unless the same was observed before between the
// same addresses.
func (r *emitter) record(o evidence.Observation) error {
	r.signed.compare(&o)
	d, err := contentDigest(o)
	if err != nil {
		return err
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
