//go:build cgo

package main

import (
	"context"
	"fmt"
	"net/netip"

	"probity/evidence"
	"probity/evidence/store"
	"probity/scanner"
	"probity/scanner/identify"
)

// leastConfidence is what a claim needs to keep a device from being probed: a
// banner is enough, the maker of a network card is not.
const leastConfidence = 40

// protection knows the devices that are not probed for their class.
type protection struct{ known map[netip.Addr]string }

// newProtection takes the classes that the store has on record, from captures
// and imports.
func newProtection(ctx context.Context, st *store.Store) (*protection, error) {
	assets, err := st.Assets(ctx)
	if err != nil {
		return nil, err
	}
	p := &protection{known: map[netip.Addr]string{}}
	for _, a := range assets {
		if why := protectedBy(a.Claims); why != "" {
			for _, addr := range a.Addresses {
				p.known[addr] = why + ", on record"
			}
		}
	}
	return p, nil
}

// why implements active.Options.Protected.
func (p *protection) why(addr netip.Addr, obs []evidence.Observation) string {
	if obs == nil {
		return p.known[addr]
	}
	// Several answers of one server bear the same certificate, which is costly to
	// read.
	seen := map[evidence.Digest]bool{}
	var fresh []evidence.Observation
	for _, o := range obs {
		if len(o.Certs) > 0 {
			d := evidence.DigestOf(o.Certs[0].DER)
			if seen[d] {
				continue
			}
			seen[d] = true
		}
		fresh = append(fresh, o)
	}
	for _, a := range identify.Resolve(fresh) {
		if why := protectedBy(a.Claims); why != "" {
			return why
		}
	}
	return ""
}

func protectedBy(claims []evidence.Claim) string {
	for _, c := range claims {
		if c.Attribute == evidence.AttrClass && c.Confidence >= leastConfidence && scanner.ProtectedClass(c.Value) {
			return fmt.Sprintf("%s by %s (confidence %d); it is not probed outside of a bench", c.Value, c.Layer, c.Confidence)
		}
	}
	return ""
}
