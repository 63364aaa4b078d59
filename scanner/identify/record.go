package identify

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"net/netip"
	"slices"
	"strings"

	"probity/evidence"
)

// recordVersion is the first octet of a record. The maker of a base is part of
// it, so this only tells a record from what is none.
const recordVersion = 1

var errRecord = errors.New("not a whole record")

// recordWriter writes numbers and texts; each text once.
type recordWriter struct {
	b     []byte
	texts map[string]int
}

func (w *recordWriter) number(n int64) { w.b = binary.AppendVarint(w.b, n) }
func (w *recordWriter) count(n int)    { w.b = binary.AppendUvarint(w.b, uint64(n)) }

func (w *recordWriter) flag(v bool) {
	n := byte(0)
	if v {
		n = 1
	}
	w.b = append(w.b, n)
}

// text writes a text: a reference to an equal one before, or what it is. A digest
// takes half the room.
func (w *recordWriter) text(s string) {
	const raw, digits, first = 0, 1, 2
	if i, ok := w.texts[s]; ok {
		w.count(i + first)
		return
	}
	w.texts[s] = len(w.texts)
	if d, err := hex.DecodeString(s); err == nil && len(d) > 4 && strings.ToLower(s) == s {
		w.count(digits)
		w.count(len(d))
		w.b = append(w.b, d...)
		return
	}
	w.count(raw)
	w.count(len(s))
	w.b = append(w.b, s...)
}

func (w *recordWriter) addr(a netip.Addr) {
	b, _ := a.MarshalBinary() // never fails
	w.count(len(b))
	w.b = append(w.b, b...)
}

// encode writes the record of a place: what was seen there, what was decided
// about its values, and the asset of each of its stays. It is the same for the
// same evidence.
func (r *Resolver) encode(p *place) []byte {
	w := recordWriter{b: []byte{recordVersion}, texts: map[string]int{}}
	used, number := p.inOrder()
	w.count(len(used))
	var values []uint32
	for _, i := range used {
		values = r.encodeContent(&w, &p.contents[i], values)
	}
	w.count(len(values))
	for _, v := range values {
		r.encodeDecision(&w, r.val(v))
	}
	w.count(len(p.sights))
	var last sight
	for _, s := range p.sights {
		w.number(s.at - last.at)
		w.number(s.id - last.id)
		w.number(int64(s.run - last.run))
		w.count(int(number[s.content()]))
		w.flag(s.active())
		w.number(p.contents[s.content()].start)
		last = s
	}
	w.count(len(p.absent))
	for _, a := range p.absent {
		w.number(a.run)
		w.number(a.at)
		w.count(int(a.port))
	}
	w.count(len(p.stays))
	for _, s := range p.stays {
		w.text(s.id)
		w.text(s.assetOf())
	}
	return sealed(w.b)
}

// sealed appends a check sum.
func sealed(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// inOrder lists the contents in the order in which they were seen, and the number
// of each in it.
func (p *place) inOrder() (used, number []uint32) {
	number = make([]uint32, len(p.contents))
	seen := make([]bool, len(p.contents))
	for _, s := range p.sights {
		if !seen[s.content()] {
			seen[s.content()] = true
			number[s.content()] = uint32(len(used))
			used = append(used, s.content())
		}
	}
	return used, number
}

func (r *Resolver) encodeContent(w *recordWriter, c *content, values []uint32) []uint32 {
	w.b = append(w.b, c.sum[:]...)
	w.text(r.texts.of(c.name))
	w.text(r.texts.of(c.transport))
	w.count(int(c.port))
	w.flag(c.client)
	marks := r.held(c)
	w.count(len(marks))
	for _, m := range marks {
		v := r.val(m.value)
		w.b = append(w.b, byte(m.key.sort))
		w.text(r.texts.of(m.key.track))
		w.text(r.texts.of(v.text))
		if m.key.sort == sortCertificate {
			l := r.leafOf(v.text)
			w.text(l.key)
			w.text(l.subject)
			w.text(l.algorithm)
			w.number(l.notAfter)
		}
		if !slices.Contains(values, m.value) {
			values = append(values, m.value)
		}
	}
	claims := r.claimed(c)
	w.count(len(claims))
	for _, i := range claims {
		k := r.claim(i)
		w.text(string(k.Attribute))
		w.text(k.Value)
		w.count(k.Confidence)
		w.text(k.Layer)
		w.text(k.Source)
	}
	return values
}

// leafOf is what is known of a certificate by its digest.
func (r *Resolver) leafOf(digest text) leaf {
	l := r.byDigest[digest]
	return leaf{
		digest: r.texts.of(digest), key: r.texts.of(l.key), subject: r.texts.of(l.subject), algorithm: r.texts.of(l.algorithm), notAfter: l.notAfter,
	}
}

// keptLeaf is a leaf whose digest is known.
type keptLeaf struct {
	key, subject, algorithm text
	notAfter                int64
}

func (r *Resolver) keepLeaf(l leaf) {
	r.byDigest[r.texts.add(l.digest)] = keptLeaf{r.texts.add(l.key), r.texts.add(l.subject), r.texts.add(l.algorithm), l.notAfter}
}

func (r *Resolver) encodeDecision(w *recordWriter, v *value) {
	w.flag(v.shared)
	if !v.shared {
		return
	}
	w.number(v.proof.at)
	for i := range v.proof.ids {
		w.number(v.proof.ids[i])
		w.addr(v.proof.addrs[i])
	}
}

// recordReader reads what a recordWriter wrote. After a mistake it yields zeros.
type recordReader struct {
	b     []byte
	texts []string
	bad   bool
}

func (d *recordReader) number() int64 {
	n, used := binary.Varint(d.b)
	return int64(d.took(uint64(n), used))
}

func (d *recordReader) uint() uint64 {
	n, used := binary.Uvarint(d.b)
	return d.took(n, used)
}

func (d *recordReader) took(n uint64, used int) uint64 {
	if used <= 0 || d.bad {
		d.bad = true
		return 0
	}
	d.b = d.b[used:]
	return n
}

// count reads a number of things of which each takes an octet at least.
func (d *recordReader) count() int {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.bad = true
		return 0
	}
	return int(n)
}

func (d *recordReader) bytes(n int) []byte {
	if d.bad || n > len(d.b) {
		d.bad = true
		return make([]byte, min(n, len(Key{})))
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *recordReader) flag() bool { return d.bytes(1)[0] == 1 }

func (d *recordReader) text() string {
	kind := d.uint()
	switch {
	case d.bad:
		return ""
	case kind >= 2:
		if kind-2 >= uint64(len(d.texts)) {
			d.bad = true
			return ""
		}
		return d.texts[kind-2]
	}
	b := d.bytes(d.count())
	s := string(b)
	if kind == 1 {
		s = hex.EncodeToString(b)
	}
	d.texts = append(d.texts, s)
	return s
}

func (d *recordReader) addr() netip.Addr {
	var a netip.Addr
	if err := a.UnmarshalBinary(d.bytes(d.count())); err != nil {
		d.bad = true
	}
	return a
}

// decode reads the record of a place.
func (r *Resolver) decode(p *place, record []byte) error {
	const sumLen = 4
	n := len(record) - sumLen
	if n < 1 || record[0] != recordVersion || crc32.ChecksumIEEE(record[:n]) != binary.BigEndian.Uint32(record[n:]) {
		return errRecord
	}
	d := &recordReader{b: record[1:n]}
	var values []uint32
	for range d.count() {
		values = r.decodeContent(d, p, values)
	}
	if d.count() != len(values) {
		return errRecord
	}
	for _, v := range values {
		r.decodeDecision(d, r.val(v))
	}
	p.values = values
	slices.Sort(p.values)
	var last sight
	count := d.count()
	p.sights = make([]sight, 0, count+count/8+2)
	for range count {
		at, id, run, content, active, start := last.at+d.number(), last.id+d.number(), last.run+int32(d.number()), d.uint(), d.flag(), d.number()
		if content >= uint64(len(p.contents)) {
			return errRecord
		}
		s := newSight(at, id, run, uint32(content), active)
		p.contents[content].start = start
		p.sights = append(p.sights, s)
		last = s
	}
	for range d.count() {
		p.absent = append(p.absent, absence{run: d.number(), at: d.number(), port: uint16(d.uint())})
	}
	p.before = map[string]string{}
	for range d.count() {
		id := d.text()
		p.before[id] = d.text()
	}
	if d.bad || len(d.b) > 0 {
		return errRecord
	}
	return nil
}

func (r *Resolver) decodeContent(d *recordReader, p *place, values []uint32) []uint32 {
	c := content{sum: [16]byte(bytes.Clone(d.bytes(len(Key{}))))}
	c.name, c.transport = r.texts.add(d.text()), r.texts.add(d.text())
	c.port = uint16(d.uint())
	c.client = d.flag()
	var marks []held
	for range d.count() {
		m := held{key: trackKey{sort(d.bytes(1)[0]), r.texts.add(d.text())}}
		if m.key.sort >= numSorts {
			d.bad = true
			return values
		}
		text := d.text()
		m.value = r.value(m.key.sort, text)
		if m.key.sort == sortCertificate {
			r.keepLeaf(leaf{digest: text, key: d.text(), subject: d.text(), algorithm: d.text(), notAfter: d.number()})
		}
		if !slices.Contains(values, m.value) {
			values = append(values, m.value)
		}
		marks = append(marks, m)
	}
	c.marks = r.marks.add(marks)
	var claims []evidence.Claim
	for range d.count() {
		k := evidence.Claim{Attribute: evidence.Attribute(d.text()), Value: d.text(), Confidence: int(d.uint()), Layer: d.text(), Source: d.text()}
		claims = append(claims, k)
	}
	c.claims = r.shown.add(r.keepClaims(claims))
	p.addContent(c)
	return values
}

// decodeDecision reads what the base decided about a value, unless that is known.
func (r *Resolver) decodeDecision(d *recordReader, v *value) {
	shared := d.flag()
	var why *proof
	if shared {
		why = &proof{}
		why.at = d.number()
		for i := range why.ids {
			why.ids[i], why.addrs[i] = d.number(), d.addr()
		}
	}
	if !v.based {
		v.based, v.shared, v.proof = true, shared, why
	}
}
