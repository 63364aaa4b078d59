package batch

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"probity/evidence"
	"probity/lint"
)

// The rules that a batch decides.
const (
	RuleUnique  = "MD-DUP-007"
	RuleProfile = "MD-DUP-008"
)

// Entry is what is kept of one certificate.
type Entry struct {
	Place
	SHA256     evidence.Digest
	Identifier string // safe to show
	Deviations []Deviation
	Repeats    []string // sentences, one for each repeat
}

// Outcome is the worst of what was found.
func (e Entry) Outcome() evidence.Outcome {
	out := evidence.Pass
	for _, d := range e.Deviations {
		if d.Outcome == evidence.Fail {
			return evidence.Fail
		}
		out = evidence.Warn
	}
	if len(e.Repeats) > 0 {
		return evidence.Fail
	}
	return out
}

// Unreadable is a file, or a certificate in it, that could not be read.
type Unreadable struct {
	File   string
	Reason string
}

// Batch judges the certificates of a batch as they come. It is for one goroutine.
type Batch struct {
	Profile    *Profile
	Entries    []Entry
	Unreadable []Unreadable
	Repeats    []Repeat

	unique *Uniqueness
}

// New returns an empty batch.
func New(p *Profile) *Batch { return &Batch{Profile: p, unique: p.NewUniqueness()} }

// Judged is one certificate, judged alone; Judge makes it, on any goroutine.
type Judged struct {
	entry Entry
	facts Facts
	ok    bool
	// Key is the subject key; nil when it cannot be read.
	Key *lint.Key
}

// Judge judges one certificate alone.
func (p *Profile) Judge(at Place, der []byte) Judged {
	c := lint.ParseCertificate(der)
	f, ok := p.FactsOf(c)
	return Judged{
		entry: Entry{Place: at, SHA256: c.Digest, Identifier: f.Text, Deviations: p.Check(c)},
		facts: f, ok: ok, Key: c.Key,
	}
}

// AddEarlier takes a certificate of an earlier batch; all of them come first.
func (b *Batch) AddEarlier(j Judged) {
	if j.ok {
		b.unique.Add(j.entry.Place, j.facts)
	}
	b.unique.EndOfEarlier()
}

// Add takes a certificate of the batch.
func (b *Batch) Add(j Judged) {
	b.Entries = append(b.Entries, j.entry)
	if j.ok {
		b.unique.Add(j.entry.Place, j.facts)
	}
}

// Fail notes what could not be read.
func (b *Batch) Fail(file string, err error) {
	b.Unreadable = append(b.Unreadable, Unreadable{File: file, Reason: err.Error()})
}

// SharedDivisor notes, after Finish, that moduli at places have a divisor of some bits
// in common with each other and with those at remembered places. It is a prime of RSA
// keys if prime is set. Places of earlier runs, and remembered ones, are named but have
// no entry.
func (b *Batch) SharedDivisor(bits int, prime bool, places, remembered []string) {
	b.note(places, remembered, func(others string) string {
		if !prime {
			return fmt.Sprintf("The key shares a divisor of %d bits with %s: it is no product of two large primes.", bits, others)
		}
		return fmt.Sprintf("The key shares a prime of %d bits with %s: anyone can compute both.", bits, others)
	})
}

// RememberedKey notes, after Finish, that keys at places stand at remembered places,
// too. What Finish has found itself is not said again.
func (b *Batch) RememberedKey(places, remembered []string) {
	for _, p := range places {
		if e := b.entry(p); e == nil || slices.ContainsFunc(e.Repeats, func(s string) bool {
			return strings.HasPrefix(s, sameKey) || strings.HasPrefix(s, sameCertificate)
		}) {
			continue
		}
		b.note([]string{p}, remembered, func(others string) string { return sameKey + others + "." })
	}
}

// How the sentences of repeats begin that speak of a certificate or of its key.
const (
	sameCertificate = "The same certificate is "
	sameKey         = "The same key is in "
)

// Finish finds what repeats. Entries are in the order of their places after it.
func (b *Batch) Finish() {
	slices.SortFunc(b.Entries, func(x, y Entry) int { return x.Compare(y.Place) })
	b.Repeats = b.unique.Repeats()
	for _, r := range b.Repeats {
		places := make([]string, len(r.Places))
		for i, p := range r.Places {
			places[i] = p.String()
		}
		b.note(places, nil, func(others string) string {
			switch r.What {
			case Certificate:
				return sameCertificate + others + "."
			case Key:
				return sameKey + others + "."
			case IssuerSerial:
				return fmt.Sprintf("The same issuer gave the same serial number to %s.", others)
			default:
				return fmt.Sprintf("The identifier %q also names %s.", r.Text, others)
			}
		})
	}
}

// String is the place as text, such as "line3/0042.pem:1", and "line3/0042.pem:1 (run 7)"
// of an earlier batch.
func (p Place) String() string {
	text := p.File + ":" + strconv.Itoa(p.Number)
	if p.Run != 0 {
		text += fmt.Sprintf(" (run %d)", p.Run)
	}
	return text
}

// mostOthers is how many other places a sentence names.
const mostOthers = 5

// note adds a sentence to the entries at places; elsewhere are places without entries.
func (b *Batch) note(places, elsewhere []string, say func(others string) string) {
	var remembered []string
	for _, p := range elsewhere[:min(len(elsewhere), mostOthers)] {
		remembered = append(remembered, p+" (remembered)")
	}
	for i, p := range places {
		others := slices.Concat(places[:min(i, mostOthers+1)], places[i+1:min(len(places), i+1+mostOthers+1)], remembered)
		text := strings.Join(others[:min(len(others), mostOthers)], ", ")
		if more := len(places) + len(elsewhere) - 1 - mostOthers; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		if e := b.entry(p); e != nil {
			e.Repeats = append(e.Repeats, say(text))
		}
	}
}

// entry returns the entry at a place; nil if it is of an earlier batch.
func (b *Batch) entry(place string) *Entry {
	i := strings.LastIndexByte(place, ':')
	n, err := strconv.Atoi(place[i+1:])
	if err != nil { // it goes on with the run
		return nil
	}
	at, found := slices.BinarySearchFunc(b.Entries, Place{File: place[:max(i, 0)], Number: n}, func(e Entry, p Place) int { return e.Compare(p) })
	if !found {
		return nil
	}
	return &b.Entries[at]
}

// Outcomes returns the verdicts of the two rules.
func (b *Batch) Outcomes() map[string]evidence.Outcome {
	fail, warn, repeats := false, false, false
	for _, e := range b.Entries {
		for _, d := range e.Deviations {
			fail = fail || d.Outcome == evidence.Fail
			warn = true
		}
		repeats = repeats || len(e.Repeats) > 0
	}
	unreadable := len(b.Unreadable) > 0
	return map[string]evidence.Outcome{
		RuleProfile: outcome(len(b.Entries), fail, warn, unreadable),
		RuleUnique:  outcome(len(b.Entries), repeats, false, unreadable),
	}
}

// outcome ranks fail before inconclusive before warn; an empty batch has nothing to
// apply to.
func outcome(certificates int, fail, warn, unreadable bool) evidence.Outcome {
	switch {
	case fail:
		return evidence.Fail
	case unreadable:
		return evidence.Inconclusive
	case certificates == 0:
		return evidence.NotApplicable
	case warn:
		return evidence.Warn
	default:
		return evidence.Pass
	}
}

// Place is where the certificate stands.
func (j Judged) Place() Place { return j.entry.Place }
