package lint

import (
	"bytes"
	"cmp"
	"errors"
	"iter"
	"slices"
	"time"

	"probity/evidence"
	"probity/internal/inorder"
	"probity/internal/safetext"
)

// Run applies the jobs to all that the stream has taken, and calls take with the
// results of each job on some subjects, each subject once. Those of one subject come
// one after the other. A nil policy declares nothing. Nothing is added any more.
//
// left is how many certificates have the name of an issuer and were not tried as such,
// because there are too many.
func (s *Stream) Run(jobs []Job, at time.Time, p *Policy, take func(job int, r Result) error) (left int, err error) {
	if p == nil {
		p = &Policy{}
	}
	r := &streamRun{Stream: s, jobs: jobs, take: take, children: make(map[evidence.Digest][]Below)}
	r.sort()
	if left, err = r.authorities(at); err != nil {
		return 0, err
	}
	for _, j := range jobs {
		values, err := ParamsFor(j.Check, j.Params)
		if err != nil {
			return 0, err
		}
		if s.network && j.Check.Fleet == nil {
			return 0, errors.New("what a network showed is compared, not judged one by one: " + j.Check.Name)
		}
		r.envs = append(r.envs, &Env{At: at, Policy: p, Corpus: r.corpus, params: values, memo: &Memo{}})
	}
	r.env = &Env{At: at, Policy: p, Corpus: r.corpus}
	if err := r.certificates(); err != nil {
		return 0, err
	}
	for i, j := range jobs {
		if j.Check.Certificate != nil {
			continue
		}
		results, err := runOther(r.corpus, j.Check, r.envs[i])
		if err != nil {
			return 0, err
		}
		for res := range results {
			if err := take(i, res); err != nil {
				return 0, err
			}
		}
	}
	return left, nil
}

// streamRun is one Run.
type streamRun struct {
	*Stream
	jobs     []Job
	envs     []*Env // of the jobs
	env      *Env   // of none
	take     func(job int, r Result) error
	order    []int32 // items by digest, place and observation
	corpus   *Corpus // of the authorities, lists and responses
	children map[evidence.Digest][]Below
	records  []Record
	first    []int32 // of the items of each record, in order
}

func (r *streamRun) sort() {
	r.order = make([]int32, len(r.items))
	for i := range r.order {
		r.order[i] = narrow(i)
	}
	slices.SortFunc(r.order, func(a, b int32) int {
		x, y := &r.items[a], &r.items[b]
		return cmp.Or(bytes.Compare(x.digest[:], y.digest[:]), r.places[x.place].Compare(r.places[y.place]), cmp.Compare(x.observation, y.observation))
	})
}

// authorities makes the corpus in which issuers are looked for: of every certificate
// whose subject is the issuer of another, or of a list or a response.
func (r *streamRun) authorities(at time.Time) (left int, err error) {
	type named struct {
		by   evidence.Digest
		more bool // by others, too
	}
	issuers := make(map[uint64]named)
	for i := range r.items {
		it := &r.items[i]
		if it.issuer == 0 {
			continue
		}
		n, known := issuers[it.issuer]
		issuers[it.issuer] = named{it.digest, known && (n.more || n.by != it.digest)}
	}
	var chosen []int32
	for n, i := range r.order {
		it := &r.items[i]
		if n > 0 && r.items[r.order[n-1]].digest == it.digest || it.subject == 0 {
			continue
		}
		by, known := issuers[it.subject]
		if known && (by.more || by.by != it.digest) || r.signers[it.subject] || it.ca && len(r.kept) > 0 {
			chosen = append(chosen, i)
		}
	}
	if len(chosen) > mostAuthorities {
		slices.SortStableFunc(chosen, func(a, b int32) int { return cmp.Compare(ranked(r.items[a].ca), ranked(r.items[b].ca)) })
		left = len(chosen) - mostAuthorities
		chosen = chosen[:mostAuthorities]
	}
	obs := slices.Clone(r.kept)
	for _, i := range chosen {
		der, err := r.read(&r.items[i])
		if err != nil {
			return 0, err
		}
		obs = append(obs, r.observation(&r.items[i], der))
	}
	for i := range obs {
		obs[i].At = at
	}
	r.corpus = NewCorpus(obs, r.assets)
	r.corpus.Scratch = r.Scratch
	r.corpus.subjects, r.corpus.below = nil, r.children // those of the stream
	return left, nil
}

func ranked(first bool) int {
	if first {
		return 0
	}
	return 1
}

// piece is a range of the order, all or part of the items of several certificates.
type piece struct{ start, end int }

// pieceItems is about how many items a piece has.
const pieceItems = 128

// pieces cuts the order between two places.
func (r *streamRun) pieces() iter.Seq[piece] {
	return func(yield func(piece) bool) {
		for start := 0; start < len(r.order); {
			end := min(start+pieceItems, len(r.order))
			for end < len(r.order) && r.same(end-1, end) {
				end++
			}
			if !yield(piece{start, end}) {
				return
			}
			start = end
		}
	}
}

// same reports whether two items of the order are one certificate at one place.
func (r *streamRun) same(a, b int) bool {
	x, y := &r.items[r.order[a]], &r.items[r.order[b]]
	return x.digest == y.digest && r.places[x.place] == r.places[y.place]
}

// of returns the end of the items that have the digest of the one at start.
func (r *streamRun) of(start, limit int) int {
	end := start + 1
	for end < limit && r.items[r.order[end]].digest == r.items[r.order[start]].digest {
		end++
	}
	return end
}

// judgedPiece is what comes of a piece.
type judgedPiece struct {
	records  []Record
	first    []int32
	children []child
	results  [][]Result // of each subject, by job
	err      error
}

// child is a certificate below an authority.
type child struct {
	authority evidence.Digest
	Below
}

// certificates judges all but authorities, then the fleet is known, and then the
// authorities, of which checks ask what is below them.
func (r *streamRun) certificates() error {
	for j := range inorder.Map(r.pieces(), r.judge) {
		if j.err != nil {
			return j.err
		}
		r.records, r.first = append(r.records, j.records...), append(r.first, j.first...)
		for _, c := range j.children {
			r.children[c.authority] = append(r.children[c.authority], c.Below)
		}
		if err := r.hand(j.results); err != nil {
			return err
		}
	}
	r.corpus.fleet = r.fleet()
	r.corpus.load = func(sum evidence.Digest) *Certificate {
		i, found := slices.BinarySearchFunc(r.records, sum, func(x Record, sum evidence.Digest) int { return x.Digest.Compare(sum) })
		if !found {
			return nil
		}
		return r.corpus.fleet.Certificate(narrow(i))
	}
	for j := range inorder.Map(slices.Values(r.corpus.order), func(c *Certificate) judgedPiece {
		var j judgedPiece
		at, found := slices.BinarySearchFunc(r.order, c.Digest, func(i int32, sum evidence.Digest) int { return r.items[i].digest.Compare(sum) })
		if found {
			r.subjects(c, at, r.of(at, len(r.order)), true, &j)
		}
		return j
	}) {
		if err := r.hand(j.results); err != nil {
			return err
		}
	}
	return nil
}

func (r *streamRun) hand(results [][]Result) error {
	for _, of := range results {
		for i := range of {
			if r.jobs[i].Check.Certificate != nil {
				if err := r.take(i, of[i]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// judge decodes and judges a piece.
func (r *streamRun) judge(p piece) (j judgedPiece) {
	for start := p.start; start < p.end; {
		end := r.of(start, p.end)
		it := &r.items[r.order[start]]
		c, authority := r.corpus.certs[it.digest], true
		if c == nil {
			der, err := r.read(it)
			if err != nil {
				j.err = err
				return j
			}
			c, authority = it.parse(der), false
		}
		begins := start == 0 || r.items[r.order[start-1]].digest != it.digest
		if begins {
			j.records, j.first = append(j.records, recordOf(c)), append(j.first, narrow(start))
			j.children = r.below(j.children, c)
		}
		if !authority {
			r.subjects(c, start, end, begins, &j)
		}
		start = end
	}
	return j
}

// below adds c to what is below its issuers, as [Corpus.IssuedBy] has it.
func (r *streamRun) below(to []child, c *Certificate) []child {
	if !c.Decoded() || c.SelfIssued() || !r.judgesCertificates() {
		return to
	}
	for _, ca := range r.corpus.bySubject[string(c.RawIssuer())] {
		if ca.Digest == c.Digest {
			continue
		}
		if err := r.corpus.SignedBy(c, ca); err == nil || errors.Is(err, ErrUnverifiable) {
			to = append(to, child{ca.Digest, r.env.belowOf(c)})
		}
	}
	return to
}

func (r *streamRun) judgesCertificates() bool {
	return slices.ContainsFunc(r.jobs, func(j Job) bool { return j.Check.Certificate != nil })
}

// subjects judges c at the items from start to end: as one subject, where it is of an
// authority and they begin with its first item, else as one at each place.
func (r *streamRun) subjects(c *Certificate, start, end int, begins bool, j *judgedPiece) {
	if !r.judgesCertificates() {
		return
	}
	if ca := c.IsCA(); ca {
		if begins {
			j.results = append(j.results, r.subject(c, start, r.of(start, len(r.order)), true))
		}
		return
	}
	for start < end {
		next := start + 1
		for next < end && r.same(start, next) {
			next++
		}
		j.results = append(j.results, r.subject(c, start, next, false))
		start = next
	}
}

// subject judges one subject by all jobs.
func (r *streamRun) subject(c *Certificate, start, end int, ca bool) []Result {
	it := &r.items[r.order[start]]
	place := r.places[it.place]
	s := &CertificateSubject{Certificate: c, CA: ca}
	if !ca {
		s.Endpoint = place
	}
	// One sighting stands for all, as nothing tells files apart.
	s.Sightings = []Sighting{{
		Certificate: c, Endpoint: place, Role: itemRoles()[it.role], Position: int(it.position), Method: evidence.Import,
		Observation: it.observation, At: r.env.At,
	}}
	s.complete()
	s.ids = make([]int64, 0, end-start)
	for _, i := range r.order[start:end] {
		s.ids = append(s.ids, r.items[i].observation)
	}
	s.ids = recorded(s.ids)
	out := make([]Result, len(r.jobs))
	for i, j := range r.jobs {
		if j.Check.Certificate != nil {
			v := j.Check.Certificate(r.envs[i], s)
			v.Detail = safetext.Clean(v.Detail)
			out[i] = result(j.Check, &s.subject, "", v, s.ids)
		}
	}
	return out
}

// fleet is what the checks of the fleet compare.
func (r *streamRun) fleet() *Fleet {
	f := r.shown
	f.Records, f.Spots = r.records, make([]Spot, len(r.order))
	at := make([]int32, len(r.order)) // items, as spots are ordered
	record := make([]int32, len(r.items))
	for n := range r.first {
		end := len(r.order)
		if n+1 < len(r.first) {
			end = int(r.first[n+1])
		}
		for i := int(r.first[n]); i < end; i++ {
			record[r.order[i]] = narrow(n)
		}
	}
	copy(at, r.order)
	roles := itemRoles()
	slices.SortFunc(at, func(a, b int32) int {
		x, y := &r.items[a], &r.items[b]
		return cmp.Or(r.places[x.place].Compare(r.places[y.place]), cmp.Compare(roles[x.role], roles[y.role]), cmp.Compare(x.position, y.position),
			cmp.Compare(record[a], record[b]), cmp.Compare(x.observation, y.observation))
	})
	for n, i := range at {
		it := &r.items[i]
		s := Spot{
			Certificate: record[i], Forgeable: it.forgeable, Role: roles[it.role],
			Endpoint: r.places[it.place], Observation: it.observation,
		}
		switch {
		case it.kind != itemCertificate:
		case s.Role == evidence.RoleFile:
			s.Leaf = !f.Records[s.Certificate].CA
		default:
			s.Leaf = it.position == 0
		}
		f.Spots[n] = s
	}
	slices.SortStableFunc(f.signed, func(a, b *evidence.Observation) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.ID, b.ID)) })
	f.load = func(i int32) *Certificate {
		it := &r.items[r.order[r.first[i]]]
		der, err := r.read(it)
		if err != nil {
			return &Certificate{Digest: it.digest, ParseError: err}
		}
		return it.parse(der)
	}
	f.index()
	return &f
}
