package identify

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"probity/evidence"
)

// Base is what an earlier resolution left behind, so that the next one works out
// only what new observations touch. All of it can be dropped: without a base
// everything is worked out from the observations.
type Base interface {
	// Place returns the record that [Update.Places] gave for an address; nil for
	// none.
	Place(netip.Addr) ([]byte, error)
	// Places lists the addresses that have one.
	Places() ([]netip.Addr, error)
	// Holders lists the addresses at which an identifier was seen.
	Holders(Key) ([]netip.Addr, error)
	// StayAt returns the address of the stay that has or had an id; the zero
	// address for none.
	StayAt(id string) (netip.Addr, error)
	// PlacesOf lists the addresses of the stays of an asset.
	PlacesOf(asset string) ([]netip.Addr, error)
	// Named lists the assets that an inventory may mean by a name; NamesOf the
	// names of an asset.
	Named(name string) ([]string, error)
	NamesOf(asset string) ([]string, error)
	// Stated is the id of the last statement that was taken up.
	Stated() int64
}

// Key stands for an identifier.
type Key = [16]byte

// Update is what changed since the base. Each sequence can be read once.
type Update struct {
	// Gone are the ids of assets of the base that Assets replace.
	Gone []string
	// Assets are those that are new or may have changed, each with the names by
	// which an inventory may mean it.
	Assets iter.Seq2[evidence.Asset, []string]
	// Places are records of addresses, which replace those of the base.
	Places iter.Seq2[netip.Addr, []byte]
	// Held are identifiers with an address at which they were not seen before.
	Held iter.Seq2[Key, netip.Addr]
	// Former are ids that no stay has any more, with their addresses.
	Former map[string]netip.Addr
}

// ErrBase means that the base contradicts itself, or cannot be read. What it
// holds must be worked out anew.
var ErrBase = errors.New("what was worked out before is damaged")

// fail notes the first error; the resolution ends with it.
func (r *Resolver) fail(err error) {
	if r.err == nil && err != nil {
		r.err = fmt.Errorf("%w: %w", ErrBase, err)
	}
}

// key is the value as a base knows it.
func (r *Resolver) key(v *value) Key {
	sum := sha256.Sum256(append([]byte{byte(v.sort)}, r.texts.of(v.text)...))
	return Key(sum[:len(Key{})])
}

// place returns what is known of an address, with what the base has of it.
func (r *Resolver) place(addr netip.Addr) *place {
	p := r.places[addr]
	if p != nil {
		return p
	}
	p = &place{addr: addr, since: never}
	r.places[addr] = p
	if r.base == nil {
		return p
	}
	record, err := r.base.Place(addr)
	if err == nil && record != nil {
		err = r.decode(p, record)
	}
	if err != nil {
		r.fail(fmt.Errorf("record of %s: %w", addr, err))
		*p = place{addr: addr, since: never}
		return p
	}
	p.ordered = true
	r.link(p)
	if r.cutting {
		r.cut(p)
	}
	return p
}

// all makes sure that every place that has a value is known.
func (r *Resolver) all(index uint32) {
	v := r.val(index)
	if v.complete || r.base == nil {
		return
	}
	v.complete = true
	addrs, err := r.base.Holders(r.key(v))
	r.fail(err)
	for _, addr := range addrs {
		p := r.place(addr)
		if _, ok := slices.BinarySearch(p.values, index); !ok {
			r.fail(fmt.Errorf("the record of %s lacks the %s that it is listed for", addr, r.val(index).sort))
		}
	}
}

// known makes sure that what the base decided about a value is known.
func (r *Resolver) known(index uint32) {
	v := r.val(index)
	if v.based || r.base == nil {
		return
	}
	v.based = true // also where the base has none
	addrs, err := r.base.Holders(r.key(v))
	r.fail(err)
	if len(addrs) > 0 {
		r.place(addrs[0])
	}
}

// find returns the stay that has an id or, if what had it was later shown to be
// part of a longer stay, the stay that holds its first sight. It is called once
// the places are cut.
func (r *Resolver) find(id string) *stay {
	if s := r.byID[id]; s != nil || id == "" {
		return s
	}
	addr := r.stayAt(id)
	if !addr.IsValid() {
		return nil
	}
	p := r.place(addr)
	if s := r.byID[id]; s != nil {
		return s
	}
	for _, s := range p.stays {
		if p.began(id, s.lo, s.hi) {
			r.former[id] = addr
			return s
		}
	}
	return nil
}

// stayAt returns the address of a stay that is not known yet, or is no more.
func (r *Resolver) stayAt(id string) netip.Addr {
	addr, ok := r.former[id]
	if !ok && r.base != nil {
		var err error
		addr, err = r.base.StayAt(id)
		r.fail(err)
	}
	return addr
}

// began reports whether an id is that of a stay that began in a part of the
// sights.
func (p *place) began(id string, lo, hi int32) bool {
	last := int64(-1)
	for _, x := range p.sights[lo:hi] {
		if x.at != last && lateID(p.addr, x.at) == id {
			return true
		}
		last = x.at
	}
	return false
}

// search finds the ids in statements that no stay has any more. Those that the
// base did not find can only be at the places to which something was added.
func (r *Resolver) search(facts []evidence.AssetFact) {
	wanted, everywhere := map[string]bool{}, false
	for _, f := range facts {
		for _, id := range append([]string{f.Asset, f.Other}, named(f)...) {
			if f.Kind == evidence.FactInventory || id == "" || wanted[id] || r.byID[id] != nil {
				continue
			}
			fresh := r.base == nil || f.ID > r.base.Stated()
			if addr := r.stayAt(id); addr.IsValid() {
				if fresh || r.places[addr] != nil {
					r.find(id) // notes where it was, should it be no stay's any more
				}
				continue
			}
			wanted[id], everywhere = true, everywhere || fresh
		}
	}
	if len(wanted) == 0 {
		return
	}
	if everywhere && r.base != nil {
		addrs, err := r.base.Places()
		r.fail(err)
		for _, addr := range addrs {
			r.place(addr)
		}
	}
	for _, p := range r.places {
		last := int64(-1)
		for _, x := range p.sights {
			if x.at == last {
				continue
			}
			last = x.at
			if id := lateID(p.addr, x.at); wanted[id] {
				r.former[id] = p.addr
			}
		}
	}
}
