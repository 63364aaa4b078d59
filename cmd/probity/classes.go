//go:build cgo

package main

import (
	"fmt"
	"net/netip"

	"probity/evidence"
	"probity/scanner"
	"probity/scanner/identify"
)

// leastConfidence is what a claim needs to keep a device from being probed: a
// banner is enough, the maker of a network card is not.
const leastConfidence = 40

// protection knows the devices that are not probed for their class.
type protection struct {
	known    map[netip.Addr]string
	declared *scanner.Classes
}

// newProtection takes the classes that are on record, from captures and imports,
// and those that the operator declares, which beat them.
func newProtection(assets []evidence.Asset, declared *scanner.Classes) *protection {
	p := &protection{known: map[netip.Addr]string{}, declared: declared}
	for _, a := range assets {
		if why := protectedBy(a.Claims); why != "" {
			for _, addr := range a.Addresses {
				p.known[addr] = why + ", on record"
			}
			for _, s := range a.Stays { // it may come back to where it was
				if !s.Ended {
					p.known[s.Addr] = why + ", on record"
				}
			}
		}
	}
	return p
}

// sameAsset names the assets that have several addresses: those on record, with
// the operator's name where there is one, and those of the operator.
func sameAsset(assets []evidence.Asset, declared map[netip.Addr]string) map[netip.Addr]string {
	out := map[netip.Addr]string{}
	for _, a := range assets {
		if len(a.Addresses) < 2 {
			continue
		}
		name := "on record: " + a.Addresses[0].String()
		for _, addr := range a.Addresses {
			if own := declared[addr]; own != "" {
				name = "declared: " + own
			}
		}
		for _, addr := range a.Addresses {
			out[addr] = name
		}
	}
	for addr, name := range declared {
		out[addr] = "declared: " + name
	}
	return out
}

// why implements active.Options.Protected.
func (p *protection) why(addr netip.Addr, obs []evidence.Observation) string {
	if class := p.declared.Of(addr); class != "" && !scanner.ProtectedClass(class) {
		return ""
	}
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
