package batch

import (
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

// Place is where a certificate stands: the file, and its number in it from 1.
type Place struct {
	File   string
	Number int
}

// Compare orders places by file and number.
func (p Place) Compare(q Place) int {
	return cmp.Or(cmp.Compare(p.File, q.File), cmp.Compare(p.Number, q.Number))
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
	if c.X509 == nil || c.Key == nil {
		return f, false
	}
	f.digest = mark(c.Digest[:16])
	f.key = mark(c.Key.SPKI[:16])
	f.issuerSerial = markOf(c.X509.RawIssuer, c.X509.SerialNumber.Bytes(), []byte{byte(c.X509.SerialNumber.Sign())})
	if id := p.identifierOf(c.X509); id != "" {
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
type Uniqueness struct {
	perDevice int
	files     map[string]string // one copy of each name
	places    []Place
	earlier   int // places up to here are of earlier batches
	seen      [4]map[mark][]int32
	texts     map[mark]string
}

// NewUniqueness returns a collection for the profile.
func (p *Profile) NewUniqueness() *Uniqueness {
	u := &Uniqueness{perDevice: p.perDevice, files: make(map[string]string), texts: make(map[mark]string)}
	for i := range u.seen {
		u.seen[i] = make(map[mark][]int32)
	}
	return u
}

// Add takes a certificate. Those of earlier batches are added first, and counted by
// EndOfEarlier.
func (u *Uniqueness) Add(at Place, f Facts) {
	name, ok := u.files[at.File]
	if !ok {
		name = at.File
		u.files[name] = name
	}
	at.File = name
	n := int32(len(u.places))
	u.places = append(u.places, at)
	for i, m := range []mark{f.digest, f.key, f.issuerSerial, f.identifier} {
		if m == (mark{}) {
			continue
		}
		u.seen[i][m] = append(u.seen[i][m], n)
	}
	if f.Text != "" {
		u.texts[f.identifier] = f.Text
	}
}

// EndOfEarlier says that what follows is the batch itself.
func (u *Uniqueness) EndOfEarlier() { u.earlier = len(u.places) }

// Repeats returns what repeats in the batch, or in it and before it, ordered by kind
// and first place. A certificate that stands twice has its key, serial number and
// identifier twice, too; only the certificate is reported then.
func (u *Uniqueness) Repeats() []Repeat {
	var out []Repeat
	same := make(map[int32]int32) // a place to the first with the same certificate
	for _, places := range u.seen[0] {
		for _, n := range places {
			same[n] = places[0]
		}
	}
	for i, what := range []string{Certificate, Key, IssuerSerial, Identifier} {
		allowed := 1
		if what == Identifier {
			allowed = u.perDevice
		}
		for m, places := range u.seen[i] {
			distinct := make(map[any]bool)
			for _, n := range places {
				if what == Certificate {
					distinct[u.places[n]] = true // the same file read again is no repeat
				} else {
					distinct[same[n]] = true
				}
			}
			if len(distinct) <= allowed || int(slices.Max(places)) < u.earlier {
				continue
			}
			r := Repeat{What: what, Earlier: int(places[0]) < u.earlier}
			if what == Identifier {
				r.Text = u.texts[m]
			}
			for _, n := range places {
				r.Places = append(r.Places, u.places[n])
			}
			slices.SortFunc(r.Places, Place.Compare)
			r.Places = slices.Compact(r.Places)
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b Repeat) int {
		return cmp.Or(cmp.Compare(rank(a.What), rank(b.What)), slices.CompareFunc(a.Places, b.Places, Place.Compare))
	})
	return out
}

func rank(what string) int {
	return slices.Index([]string{Certificate, Key, IssuerSerial, Identifier}, what)
}
