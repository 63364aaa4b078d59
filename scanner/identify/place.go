package identify

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"probity/evidence"
	"probity/internal/safetext"
)

// Bounds of what counts as one time, in milliseconds.
const (
	// sweepGap ends a sweep: what was seen of an address without such a gap, in one
	// run, is taken together before it is decided which device it was.
	sweepGap = int64(15 * time.Minute / time.Millisecond)
	// atOnce is how far apart two sightings are that count as simultaneous.
	atOnce = int64(10 * time.Minute / time.Millisecond)
	// bracket is how far two sightings at one address may lie apart, so that one at
	// another address between them is simultaneous.
	bracket = int64(24 * time.Hour / time.Millisecond)
)

// sight is one observation at an address, without what many have in common.
type sight struct {
	at      int64 // Unix milliseconds
	id, run int64
	content uint32
	active  bool
}

// content is what observations of one endpoint have in common: identifiers and
// claims, each kept once.
type content struct {
	sum      [16]byte // orders contents
	endpoint evidence.Endpoint
	client   bool // of the caller; the endpoint has no port
	marks    []uint32
	claims   []uint32
}

// held is an interned mark.
type held struct {
	mark
	value uint32 // into Resolver.values
}

type valueKey struct {
	sort sort
	text string
}

// value is one identifier and where it was seen.
type value struct {
	sort   sort
	text   string
	places []*place // rising by address
	stays  []*stay
	edges  []edge
	apart  []apartness
	// shared is true if it was seen in several places at once that nothing shows to
	// be one device: a clone, a default, a gateway. It then tells nothing.
	shared bool
	proof  [2]int64 // two observations that show it
}

// absence is a failed attempt to reach a service of an address.
type absence struct {
	run, at int64
	port    uint16
}

// place is one address with all that was seen of it.
type place struct {
	addr   netip.Addr
	sights []sight
	absent []absence
	dirty  bool
	sorted bool
	stays  []*stay
	many   map[trackKey]bool // told for many devices: a gateway
}

type trackKey struct {
	sort  sort
	track string
}

// seen is the time in which a stay or sweep had a value in a track.
type seen struct {
	key         trackKey
	value       uint32
	mark        uint32
	first, last int32 // into place.sights
	inferred    inference
}

// inference says how a value is known.
type inference uint8

const (
	own       inference = iota // seen
	bracketed                  // seen before and after
	nearby                     // seen shortly before or after
)

// stay is a time in which one device answered at an address.
type stay struct {
	place       *place
	lo, hi      int // of place.sights
	first, last int64
	birth       sight
	id          string
	seen        []seen
	cut         string // why it is another device than the stay before
	cutAt       [2]int64
	asset       *asset
}

// Resolver joins observations into assets. It keeps of an observation only what
// it needs for that. It is not safe for use by several goroutines.
type Resolver struct {
	places    map[netip.Addr]*place
	contents  []content
	contentOf map[[16]byte]uint32
	marks     []held
	markOf    map[[16]byte]uint32
	values    []value
	valueOf   map[valueKey]uint32
	claims    []evidence.Claim
	claimOf   map[evidence.Claim]uint32
	leafs     map[evidence.Digest]leaf
	byDigest  map[string]leaf
	read      memo // of certificates
	byID      map[string]*stay
	assets    map[*asset]*evidence.Asset // built; nil while they are formed
	stale     map[*stay]bool             // their assets name one that changed
	stated    int                        // statements that were taken up
	buf       []byte
}

// New returns a resolver that knows nothing.
func New() *Resolver {
	return &Resolver{
		places: map[netip.Addr]*place{}, contentOf: map[[16]byte]uint32{}, markOf: map[[16]byte]uint32{},
		valueOf: map[valueKey]uint32{}, claimOf: map[evidence.Claim]uint32{},
		leafs: map[evidence.Digest]leaf{}, byDigest: map[string]leaf{}, read: memo{},
		byID: map[string]*stay{}, assets: map[*asset]*evidence.Asset{}, stale: map[*stay]bool{},
	}
}

// Add takes up an observation. The order of observations does not matter, but
// each must come once.
func (r *Resolver) Add(o *evidence.Observation) {
	if !o.Endpoint.Addr.IsValid() {
		return
	}
	if o.Result != evidence.ResultData {
		if o.Method == evidence.Active && (o.Result == evidence.ResultTimeout || o.Result == evidence.ResultRefused) {
			p := r.place(o.Endpoint.Addr)
			p.absent = append(p.absent, absence{o.Run, o.At.UnixMilli(), o.Endpoint.Port})
			p.dirty, p.sorted = true, false
		}
		return
	}
	marks := serverMarks(o)
	if o.Facts.TLS != nil {
		marks = append(marks, r.leafMarks(o)...)
	}
	r.see(o, o.Endpoint, false, marks, serverClaims(*o, r.read))
	if o.Peer.Addr.IsValid() {
		// A client's port is ephemeral and names no endpoint.
		r.see(o, evidence.Endpoint{Addr: o.Peer.Addr, Transport: o.Peer.Transport}, true, clientMarks(o), clientClaims(*o, r.read))
	}
}

func (r *Resolver) place(addr netip.Addr) *place {
	p := r.places[addr]
	if p == nil {
		p = &place{addr: addr}
		r.places[addr] = p
	}
	return p
}

// leafMarks are the identifiers in the certificate of a server that was seen to
// hold its key. What was only presented in traffic, anyone can forge.
func (r *Resolver) leafMarks(o *evidence.Observation) []mark {
	if o.Method == evidence.Passive && o.Facts.TLS.Possession != evidence.PossessionVerified {
		return nil
	}
	for _, p := range o.Certs {
		if p.Role != evidence.RoleServer || p.Position != 0 {
			continue
		}
		d := evidence.DigestOf(p.DER)
		l, ok := r.leafs[d]
		if !ok {
			l = readLeaf(p.DER)
			r.leafs[d], r.byDigest[l.digest] = l, l
		}
		return leafMarks(l, portText(o.Endpoint.Port), o.Facts.TLS.ServerName)
	}
	return nil
}

// see notes a sighting at an address.
func (r *Resolver) see(o *evidence.Observation, e evidence.Endpoint, client bool, marks []mark, claims []evidence.Claim) {
	p := r.place(e.Addr)
	p.dirty, p.sorted = true, false
	p.sights = append(p.sights, sight{
		at: o.At.UnixMilli(), id: o.ID, run: o.Run, content: r.content(e, client, marks, claims), active: o.Method == evidence.Active,
	})
}

// content interns what observations have in common.
func (r *Resolver) content(e evidence.Endpoint, client bool, marks []mark, claims []evidence.Claim) uint32 {
	b := append(r.buf[:0], e.String()...)
	if client {
		b = append(b, 0)
	}
	for _, m := range marks {
		b = appendMark(append(b, 1), m)
	}
	for i := range claims {
		claims[i].Value = safetext.Clean(claims[i].Value)
		claims[i].Observation = 0
		c := claims[i]
		b = append(b, 2, byte(c.Confidence))
		for _, s := range []string{string(c.Attribute), c.Value, c.Layer, c.Source} {
			b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
		}
	}
	r.buf = b
	sum := sha256.Sum256(b)
	key := [16]byte(sum[:16])
	if i, ok := r.contentOf[key]; ok {
		return i
	}
	c := content{sum: key, endpoint: e, client: client}
	for _, m := range marks {
		c.marks = append(c.marks, r.mark(m))
	}
	for _, k := range claims {
		i, ok := r.claimOf[k]
		if !ok {
			i = uint32(len(r.claims))
			r.claims = append(r.claims, k)
			r.claimOf[k] = i
		}
		c.claims = append(c.claims, i)
	}
	i := uint32(len(r.contents))
	r.contents = append(r.contents, c)
	r.contentOf[key] = i
	return i
}

func (r *Resolver) mark(m mark) uint32 {
	r.buf = appendMark(r.buf[:0], m)
	sum := sha256.Sum256(r.buf)
	key := [16]byte(sum[:16])
	if i, ok := r.markOf[key]; ok {
		return i
	}
	vkey := valueKey{m.sort, m.value}
	v, ok := r.valueOf[vkey]
	if !ok {
		v = uint32(len(r.values))
		r.values = append(r.values, value{sort: m.sort, text: m.value})
		r.valueOf[vkey] = v
	}
	i := uint32(len(r.marks))
	r.marks = append(r.marks, held{mark: m, value: v})
	r.markOf[key] = i
	return i
}

// order sorts what was seen of a place and links it to its values.
func (r *Resolver) order(p *place) {
	if p.sorted {
		return
	}
	p.sorted = true
	slices.SortFunc(p.sights, func(a, b sight) int {
		if c := cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.run, b.run), cmp.Compare(a.id, b.id)); c != 0 {
			return c
		}
		x, y := &r.contents[a.content], &r.contents[b.content]
		return bytes.Compare(x.sum[:], y.sum[:])
	})
	slices.SortFunc(p.absent, func(a, b absence) int {
		return cmp.Or(cmp.Compare(a.run, b.run), cmp.Compare(a.port, b.port), cmp.Compare(a.at, b.at))
	})
	// One failure a run says as much as many.
	p.absent = slices.CompactFunc(p.absent, func(a, b absence) bool { return a.run == b.run && a.port == b.port })
	done := map[uint32]bool{}
	for _, s := range p.sights {
		if done[s.content] {
			continue
		}
		done[s.content] = true
		for _, m := range r.contents[s.content].marks {
			v := &r.values[r.marks[m].value]
			at, found := slices.BinarySearchFunc(v.places, p, func(x, y *place) int { return x.addr.Compare(y.addr) })
			if !found {
				v.places = slices.Insert(v.places, at, p)
			}
		}
	}
}

// sweep is what was seen of a place in one go.
type sweep struct {
	lo, hi int
	seen   []seen
}

// sweeps cuts the sights of a place into sweeps.
func (r *Resolver) sweeps(p *place, do func(sweep)) {
	mac := uint32(0)
	lo := 0
	for i, s := range p.sights {
		next := r.macOf(s.content)
		if i > lo {
			before := p.sights[i-1]
			if s.run != before.run || s.at-before.at > sweepGap || next != 0 && mac != 0 && next != mac {
				do(r.sweep(p, lo, i))
				lo, mac = i, 0
			}
		}
		if next != 0 {
			mac = next
		}
	}
	if lo < len(p.sights) {
		do(r.sweep(p, lo, len(p.sights)))
	}
}

// macOf returns 1 more than the MAC address of a content, 0 for none.
func (r *Resolver) macOf(c uint32) uint32 {
	for _, m := range r.contents[c].marks {
		if r.marks[m].sort == sortMAC {
			return r.marks[m].value + 1
		}
	}
	return 0
}

// sweep collects the values of each track. A track with several has none: many
// devices answer in it.
func (r *Resolver) sweep(p *place, lo, hi int) sweep {
	w := sweep{lo: lo, hi: hi}
	var many []trackKey
	for at, s := range p.sights[lo:hi] {
		at := int32(lo + at)
		for _, m := range r.contents[s.content].marks {
			h := &r.marks[m]
			if h.sort == sortCertificate {
				continue
			}
			k := trackKey{h.sort, h.track}
			if p.many[k] {
				continue
			}
			i := slices.IndexFunc(w.seen, func(x seen) bool { return x.key == k })
			switch {
			case i < 0:
				w.seen = append(w.seen, seen{key: k, value: h.value, mark: m, first: at, last: at})
			case w.seen[i].value != h.value:
				many = append(many, k)
			default:
				w.seen[i].last = at
			}
		}
	}
	if len(many) > 0 {
		w.seen = slices.DeleteFunc(w.seen, func(x seen) bool { return slices.Contains(many, x.key) })
	}
	return w
}
