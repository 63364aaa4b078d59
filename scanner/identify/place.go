package identify

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
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

// sight is one observation at an address, without what many have in common. Like
// all that there are many of, it holds no pointer for the garbage collector to
// follow.
type sight struct {
	at, id int64 // at: Unix milliseconds
	run    int32
	what   uint32 // see newSight
}

// activeSight marks the sights of a scan.
const activeSight = 1 << 31

func newSight(at, id int64, run int32, content uint32, active bool) sight {
	s := sight{at: at, id: id, run: run, what: content}
	if active {
		s.what |= activeSight
	}
	return s
}

// content is the place of what was seen in place.contents.
func (s sight) content() uint32 { return s.what &^ activeSight }

// active reports whether a scan saw it.
func (s sight) active() bool { return s.what&activeSight != 0 }

// content is what observations of one endpoint have in common: identifiers and
// claims, each kept once.
type content struct {
	sum       [16]byte // orders contents
	start     int64    // of the SNMP engine that was seen, Unix milliseconds; 0 for none
	name      text     // TLS server name of the endpoint
	transport text
	marks     span // of Resolver.marks
	claims    span // of Resolver.shown
	port      uint16
	client    bool // of the caller; the endpoint has no port
}

// endpoint is the one that the content was seen at.
func (r *Resolver) endpoint(p *place, c *content) evidence.Endpoint {
	return evidence.Endpoint{Addr: p.addr, Port: c.port, Transport: evidence.Transport(r.texts.of(c.transport)), Name: r.texts.of(c.name)}
}

// held is an identifier and the place in the device at which it was seen.
type held struct {
	key   trackKey
	value uint32 // into Resolver.values
}

// held are the identifiers of a content, and claimed its claims, as numbers of
// Resolver.claims.
func (r *Resolver) held(c *content) []held      { return r.marks.list(c.marks) }
func (r *Resolver) claimed(c *content) []uint32 { return r.shown.list(c.claims) }

type valueKey struct {
	sort sort
	text text
}

// claim is an [evidence.Claim] without its observation.
type claim struct {
	attribute, value, layer, source text
	confidence                      int32
}

// value is one identifier and where it was seen.
type value struct {
	sort   sort
	text   text
	places []*place // rising by address; all of them once complete
	stays  []*stay
	why    *reasons
	// shared is true if it was seen in several places at once that nothing shows to
	// be one device: a clone, a default, a gateway. It then tells nothing.
	shared bool
	proof  *proof // of that; nil for none
	// What is known of it: whether what the base decided, whether all places, and
	// whether its edges.
	based, complete, related bool
}

// reasons for and against taking stays that hold a value for one device.
type reasons struct {
	edges []edge
	apart []apartness
}

// proof are the two observations that show that a value is shared, and where.
type proof struct {
	at    int64 // of the later one, Unix milliseconds
	ids   [2]int64
	addrs [2]netip.Addr
}

// absence is a failed attempt to reach a service of an address.
type absence struct {
	run, at int64
	port    uint16
}

// Times before and after all others.
const (
	always = int64(math.MinInt64)
	never  = int64(math.MaxInt64)
)

// place is one address with all that was seen of it.
type place struct {
	addr     netip.Addr
	contents []content
	bySum    map[[16]byte]uint32 // of contents, where there are many
	sights   []sight
	absent   []absence
	// since is the earliest time of what is new; never, if nothing is.
	since   int64
	ordered bool
	stays   []*stay
	many    map[trackKey]bool // told for many devices: a gateway; nil for none
	// What the base had: the asset of each stay, and the values.
	before map[string]string
	values []uint32
}

// dirty reports whether the place is to be cut anew.
func (p *place) dirty() bool { return p.since != never }

// add notes that something of a time is new.
func (p *place) add(at int64) { p.since, p.ordered = min(p.since, at), false }

// trackKey is a place within a device at which there is one identifier at a time.
type trackKey struct {
	sort  sort
	track text
}

// seen is the time in which a stay or sweep had a value in a track.
type seen struct {
	key         trackKey
	value       uint32
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
	lo, hi      int32 // of place.sights
	birth       int32 // that which was recorded first
	first, last int64
	id          string
	seen        []seen
	cut         string // why it is another device than the stay before
	cutAt       [2]int64
	asset       *asset // nil: not worked out anew
}

// sights are those of the stay.
func (s *stay) sights() []sight { return s.place.sights[s.lo:s.hi] }

// born is the sight of the stay that was recorded first.
func (s *stay) born() sight { return s.place.sights[s.birth] }

// Resolver joins observations into assets. It keeps of an observation only what
// it needs for that. It is used once, by one goroutine.
type Resolver struct {
	base    Base
	places  map[netip.Addr]*place
	texts   texts
	values  blocks[value]
	valueOf map[valueKey]uint32
	claims  blocks[claim]
	claimOf map[claim]uint32
	marks   slab[held]
	shown   slab[uint32] // claims of contents
	// byDigest has what the history tells of a certificate.
	byDigest    map[text]keptLeaf
	read        *memo // of certificates
	cutting     bool  // places are cut as they become known
	byID        map[string]*stay
	former      map[string]netip.Addr // ids that no stay has any more
	formed      []*asset
	reasonsKept map[string]string
	replaced    map[string]bool // assets of the base that are worked out anew
	buf         []byte
	numbers     []uint32
	err         error
}

// New returns a resolver that knows what the base has; nil for nothing.
func New(base Base) *Resolver {
	r := &Resolver{
		base: base, places: map[netip.Addr]*place{}, texts: newTexts(), valueOf: map[valueKey]uint32{}, claimOf: map[claim]uint32{},
		byDigest: map[text]keptLeaf{}, read: newMemo(),
		byID: map[string]*stay{}, former: map[string]netip.Addr{}, replaced: map[string]bool{}, reasonsKept: map[string]string{},
	}
	r.claims.add(claim{}) // no claim has the number 0
	return r
}

// DecodeWith has certificates decoded by d, for who decodes them for more than this.
func (r *Resolver) DecodeWith(d Decoder) { r.read.decode = d }

// Add takes up an observation that the base does not have. The order of
// observations does not matter, but each must come once.
func (r *Resolver) Add(o *evidence.Observation) {
	if !o.Endpoint.Addr.IsValid() {
		return
	}
	if o.Result != evidence.ResultData {
		if o.Method == evidence.Active && (o.Result == evidence.ResultTimeout || o.Result == evidence.ResultRefused) {
			p := r.place(o.Endpoint.Addr)
			p.absent = append(p.absent, absence{o.Run, o.At.UnixMilli(), o.Endpoint.Port})
			p.add(o.At.UnixMilli())
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
		s := r.read.certificate(p.DER)
		if !s.kept {
			s.kept = true
			r.keepLeaf(s.leaf)
		}
		return leafMarks(s.leaf, portText(o.Endpoint.Port), o.Facts.TLS.ServerName)
	}
	return nil
}

// see notes a sighting at an address.
func (r *Resolver) see(o *evidence.Observation, e evidence.Endpoint, client bool, marks []mark, claims []evidence.Claim) {
	p := r.place(e.Addr)
	x := newSight(o.At.UnixMilli(), o.ID, int32(o.Run), r.content(p, e, client, marks, claims), o.Method == evidence.Active)
	p.add(x.at)
	p.sights = append(p.sights, x)
}

// content keeps what observations have in common.
func (r *Resolver) content(p *place, e evidence.Endpoint, client bool, marks []mark, claims []evidence.Claim) uint32 {
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
	if i, ok := p.contentOf(key); ok {
		return i
	}
	c := content{sum: key, port: e.Port, transport: r.texts.add(string(e.Transport)), name: r.texts.add(e.Name), client: client}
	var kept [8]held
	all := kept[:0]
	for _, m := range marks {
		all = append(all, held{trackKey{m.sort, r.texts.add(m.track)}, r.value(m.sort, m.value)})
		if m.sort == sortBoot {
			c.start = m.start
		}
	}
	c.marks = r.marks.add(all)
	c.claims = r.shown.add(r.keepClaims(claims))
	return p.addContent(c)
}

// fewContents is up to how many are looked through.
const fewContents = 12

func (p *place) contentOf(sum [16]byte) (uint32, bool) {
	if p.bySum != nil {
		i, ok := p.bySum[sum]
		return i, ok
	}
	i := slices.IndexFunc(p.contents, func(c content) bool { return c.sum == sum })
	return uint32(max(i, 0)), i >= 0
}

func (p *place) addContent(c content) uint32 {
	i := uint32(len(p.contents))
	p.contents = append(p.contents, c)
	if p.bySum == nil && len(p.contents) > fewContents {
		p.bySum = map[[16]byte]uint32{}
		for j := range p.contents {
			p.bySum[p.contents[j].sum] = uint32(j)
		}
	}
	if p.bySum != nil {
		p.bySum[c.sum] = i
	}
	return i
}

// keepClaims interns claims. The result is good until the next call.
func (r *Resolver) keepClaims(claims []evidence.Claim) []uint32 {
	out := r.numbers[:0]
	for i := range claims {
		c := &claims[i]
		k := claim{
			r.texts.add(string(c.Attribute)), r.texts.add(c.Value), r.texts.add(c.Layer), r.texts.add(c.Source), int32(c.Confidence),
		}
		n, ok := r.claimOf[k]
		if !ok {
			n = r.claims.add(k)
			r.claimOf[k] = n
		}
		out = append(out, n)
	}
	r.numbers = out
	return out
}

// claim is an interned claim.
func (r *Resolver) claim(i uint32) evidence.Claim {
	c := r.claims.at(i)
	return evidence.Claim{
		Attribute: evidence.Attribute(r.texts.of(c.attribute)), Value: r.texts.of(c.value), Confidence: int(c.confidence),
		Layer: r.texts.of(c.layer), Source: r.texts.of(c.source),
	}
}

// value interns a value.
func (r *Resolver) value(s sort, text string) uint32 {
	k := valueKey{s, r.texts.add(text)}
	i, ok := r.valueOf[k]
	if !ok {
		i = r.values.add(value{sort: s, text: k.text})
		r.valueOf[k] = i
	}
	return i
}

// val is an interned value.
func (r *Resolver) val(i uint32) *value { return r.values.at(i) }

// order sorts what was seen of a place and links it to its values.
func (r *Resolver) order(p *place) {
	if p.ordered {
		return
	}
	p.ordered = true
	slices.SortFunc(p.sights, func(a, b sight) int {
		if c := cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.run, b.run), cmp.Compare(a.id, b.id)); c != 0 {
			return c
		}
		return bytes.Compare(p.contents[a.content()].sum[:], p.contents[b.content()].sum[:])
	})
	slices.SortFunc(p.absent, func(a, b absence) int {
		return cmp.Or(cmp.Compare(a.run, b.run), cmp.Compare(a.port, b.port), cmp.Compare(a.at, b.at))
	})
	// One failure a run says as much as many.
	p.absent = slices.CompactFunc(p.absent, func(a, b absence) bool { return a.run == b.run && a.port == b.port })
	r.link(p)
}

// link makes the place known to its values.
func (r *Resolver) link(p *place) {
	for i := range p.contents {
		for _, m := range r.held(&p.contents[i]) {
			v := r.val(m.value)
			at, found := slices.BinarySearchFunc(v.places, p, func(x, y *place) int { return x.addr.Compare(y.addr) })
			if !found {
				v.places = slices.Insert(v.places, at, p)
			}
		}
	}
}

// identifiers lists the values that were seen at a place, each once.
func (r *Resolver) identifiers(p *place) []uint32 {
	var out []uint32
	for i := range p.contents {
		for _, m := range r.held(&p.contents[i]) {
			out = append(out, m.value)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
