package batch

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"maps"
	"slices"

	"probity/internal/safetext"
	"probity/lint"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// What may not repeat.
const (
	Certificate  = "certificate"
	Key          = "key"
	IssuerSerial = "issuer-serial"
	Identifier   = "identifier"
)

// Place is where a certificate stands: the file, and its number in it from 1. Run is
// that of an earlier batch, whose files may have the names of this one's; 0 is this batch.
type Place struct {
	Run    int64
	File   string
	Number int
}

// Compare orders places by run, file and number.
func (p Place) Compare(q Place) int {
	return cmp.Or(cmp.Compare(p.Run, q.Run), cmp.Compare(p.File, q.File), cmp.Compare(p.Number, q.Number))
}

// Facts are what uniqueness rests on; they are small, so that a million fit memory.
type Facts struct {
	digest, key, issuerSerial, identifier mark
	Text                                  string // the identifier, safe to show
}

// mark stands for a value: the first half of its SHA-256. Two of a million differ
// with a probability of 1-2^-88.
type mark [16]byte

func markOf(parts ...[]byte) mark {
	h := sha256.New()
	for _, p := range parts {
		// The length keeps the parts apart.
		h.Write([]byte{byte(len(p) >> 24), byte(len(p) >> 16), byte(len(p) >> 8), byte(len(p))})
		h.Write(p)
	}
	return mark(h.Sum(nil)[:16])
}

// FactsOf returns what is unique about a certificate under the profile; ok is
// false for one that cannot be decoded.
func (p *Profile) FactsOf(c *lint.Certificate) (f Facts, ok bool) {
	if !c.Decoded() || c.Key == nil {
		return f, false
	}
	f.digest = mark(c.Digest[:16])
	f.key = mark(c.Key.SPKI[:16])
	f.issuerSerial = markOf(c.RawIssuer(), c.X509().SerialNumber.Bytes(), []byte{byte(c.X509().SerialNumber.Sign())})
	if id := p.identifierOf(c.X509()); id != "" {
		f.identifier, f.Text = markOf([]byte(id)), safetext.CleanN(id, 80)
	}
	return f, true
}

// Repeat is a value that several certificates have.
type Repeat struct {
	What   string // one of the constants
	Text   string // the identifier, where that repeats
	Places []Place
	// Earlier says that one of the places is in an earlier batch.
	Earlier bool
}

// Uniqueness collects certificates and finds what repeats. It is for one goroutine.
// It takes some 120 bytes a certificate.
type Uniqueness struct {
	perDevice int
	places    []Place
	earlier   int       // places up to here are of earlier batches
	marks     [4][]mark // by place; zero where a certificate has none
	texts     []string  // identifiers by place
}

// NewUniqueness returns a collection for the profile.
func (p *Profile) NewUniqueness() *Uniqueness { return &Uniqueness{perDevice: p.perDevice} }

// Add takes a certificate. Those of earlier batches are added first, and counted by
// EndOfEarlier.
func (u *Uniqueness) Add(at Place, f Facts) {
	u.places = append(u.places, at)
	for i, m := range []mark{f.digest, f.key, f.issuerSerial, f.identifier} {
		u.marks[i] = append(u.marks[i], m)
	}
	u.texts = append(u.texts, f.Text)
}

// EndOfEarlier says that what follows is the batch itself.
func (u *Uniqueness) EndOfEarlier() { u.earlier = len(u.places) }

// Repeats returns what repeats in the batch, or in it and before it, ordered by kind
// and first place. A certificate that stands twice has its key, serial number and
// identifier twice, too; only the certificate is reported then. One that an earlier run
// found in the same file at the same place is the same file read again, and no repeat.
func (u *Uniqueness) Repeats() []Repeat {
	var out []Repeat
	same := make([]int32, len(u.places)) // a place to the first with the same certificate
	u.groups(0, func(places []int32) {
		for _, n := range places {
			same[n] = places[0]
		}
	})
	for i, what := range []string{Certificate, Key, IssuerSerial, Identifier} {
		allowed := 1
		if what == Identifier {
			allowed = u.perDevice
		}
		u.groups(i, func(places []int32) {
			if len(places) <= allowed || int(places[len(places)-1]) < u.earlier {
				return
			}
			r := Repeat{What: what, Earlier: int(places[0]) < u.earlier}
			var differ int
			if r.Places, differ = u.apart(places, same); what == Certificate {
				differ = len(r.Places)
			}
			if differ <= allowed {
				return
			}
			if what == Identifier {
				r.Text = u.texts[places[0]]
			}
			out = append(out, r)
		})
	}
	slices.SortStableFunc(out, func(a, b Repeat) int {
		return cmp.Or(cmp.Compare(rank(a.What), rank(b.What)), slices.CompareFunc(a.Places, b.Places, Place.Compare))
	})
	return out
}

// apart returns the places of certificates, in order and without those that are the
// same file read again, and how many certificates differ; same has the first place of
// each.
func (u *Uniqueness) apart(places, same []int32) (out []Place, differ int) {
	type read struct {
		file        string
		number      int
		certificate int32
	}
	seen, distinct := make(map[read]bool), make(map[int32]bool)
	for _, n := range slices.SortedFunc(slices.Values(places), func(a, b int32) int { return u.places[a].Compare(u.places[b]) }) {
		p := u.places[n]
		distinct[same[n]] = true
		if r := (read{p.File, p.Number, same[n]}); !seen[r] {
			seen[r] = true
			out = append(out, p)
		}
	}
	return out, len(distinct)
}

// groups calls take for the places of each mark, in the order in which they came.
func (u *Uniqueness) groups(kind int, take func(places []int32)) {
	marks := u.marks[kind]
	order := make([]int32, 0, len(marks))
	for n, m := range marks {
		if m != (mark{}) {
			order = append(order, int32(n))
		}
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Or(bytes.Compare(marks[a][:], marks[b][:]), cmp.Compare(a, b)) })
	for len(order) > 0 {
		n := 1
		for n < len(order) && marks[order[n]] == marks[order[0]] {
			n++
		}
		take(order[:n])
		order = order[n:]
	}
}

func rank(what string) int {
	return slices.Index([]string{Certificate, Key, IssuerSerial, Identifier}, what)
}
