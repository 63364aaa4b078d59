package lint

import (
	"fmt"
	"iter"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"probity/evidence"
)

// Job is a check with the parameters that a rule sets.
type Job struct {
	Check  Check
	Params map[string]any
}

// Run applies each check to every subject of its kind, several at a time, and
// returns the results of each, ordered by their subjects. A nil policy declares
// nothing; params are checked as by [ParamsFor].
//
// A certificate goes through all checks while it is at hand, which is faster than
// one check after the other on certificates that no cache holds. What they say is
// kept in four bytes a certificate and check, because most say the same of most. All
// other checks run while their results are taken, so take each sequence once.
func Run(c *Corpus, jobs []Job, at time.Time, p *Policy) ([]iter.Seq[Result], error) {
	if p == nil {
		p = &Policy{}
	}
	out, onCertificates := make([]iter.Seq[Result], len(jobs)), make([]*certificateRun, 0, len(jobs))
	for i, j := range jobs {
		env, err := newEnv(c, j, at, p)
		if err != nil {
			return nil, err
		}
		if j.Check.Certificate == nil {
			if out[i], err = runOther(c, j.Check, env); err != nil {
				return nil, err
			}
			continue
		}
		r := c.ahead[j.Check.Name]
		if r == nil || !r.env.sameAs(env) {
			r = newCertificateRun(j.Check, env)
			onCertificates = append(onCertificates, r)
		}
		delete(c.ahead, j.Check.Name)
		out[i] = r.results(c.subjects)
	}
	if len(onCertificates) > 0 {
		runCertificates(c, onCertificates)
	}
	return out, nil
}

// Ahead applies the checks on certificates among jobs, which take most of the time, for
// who does not know the assets yet: no such check asks for them. [Run] on the corpus
// then takes what they said, once, where it is asked the same.
func (r Reading) Ahead(jobs []Job, at time.Time, p *Policy) error {
	ahead := make(map[string]*certificateRun)
	var runs []*certificateRun
	for _, j := range jobs {
		if j.Check.Certificate == nil {
			continue
		}
		env, err := newEnv(r.c, j, at, p)
		if err != nil {
			return err
		}
		run := newCertificateRun(j.Check, env)
		ahead[j.Check.Name], runs = run, append(runs, run)
	}
	runCertificates(r.c, runs)
	r.c.ahead = ahead
	return nil
}

func newEnv(c *Corpus, j Job, at time.Time, p *Policy) (*Env, error) {
	values, err := ParamsFor(j.Check, j.Params)
	if err != nil {
		return nil, err
	}
	return &Env{At: at, Policy: p, Corpus: c, params: values, memo: &Memo{}}, nil
}

// sameAs reports whether a check hears the same from both.
func (e *Env) sameAs(other *Env) bool {
	return e.At.Equal(other.At) && e.Corpus == other.Corpus && reflect.DeepEqual(e.params, other.params) && reflect.DeepEqual(e.Policy, other.Policy)
}

func newCertificateRun(check Check, env *Env) *certificateRun {
	return &certificateRun{check: check, env: env, said: newPhrases(), answers: make([]phrase, len(env.Corpus.subjects))}
}

// certificateRun is a check on certificates with what it said.
type certificateRun struct {
	check   Check
	env     *Env
	said    *phrases
	answers []phrase // of each subject

	mu   sync.Mutex
	more map[int][]int64 // observations besides those of a subject; few have any
}

// runCertificates applies checks to all certificates, and lets go of each when it was
// judged everywhere.
func runCertificates(c *Corpus, runs []*certificateRun) {
	subjects := make(map[*Certificate][]int, len(c.order))
	var all []*Certificate
	for i, s := range c.subjects {
		if subjects[s.Certificate] == nil {
			all = append(all, s.Certificate)
		}
		subjects[s.Certificate] = append(subjects[s.Certificate], i)
	}
	chunks(len(all), func(start, end int) {
		for _, cert := range all[start:end] {
			cert.hold()
			for _, at := range subjects[cert] {
				for _, r := range runs {
					r.judge(at, r.check.Certificate(r.env, c.subjects[at]))
				}
			}
			cert.letGo()
		}
	})
}

func (r *certificateRun) judge(subject int, v Verdict) {
	r.answers[subject] = r.said.number(v)
	if len(v.Observations) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.more == nil {
		r.more = make(map[int][]int64)
	}
	r.more[subject] = v.Observations
}

// results yields what was said.
func (r *certificateRun) results(subjects []*CertificateSubject) iter.Seq[Result] {
	return func(yield func(Result) bool) {
		for i, s := range subjects {
			v := r.said.verdict(r.answers[i])
			v.Observations = r.more[i]
			if !yield(result(r.check, &s.subject, s.Asset, v, s.ids)) {
				return
			}
		}
	}
}

// runOther applies a check whose subjects are no certificates, when its results are
// taken.
func runOther(c *Corpus, check Check, env *Env) (iter.Seq[Result], error) {
	said := newPhrases()
	say := func(s *evidence.Subject, asset string, v Verdict, ids []int64) Result {
		return result(check, s, asset, said.cleaned(v), ids)
	}
	switch {
	case check.List != nil:
		return sorted(func() []Result {
			return each(c.ListSubjects(), func(s *ListSubject) Result {
				subject := s.subject()
				return say(&subject, "", check.List(env, s), s.ids)
			})
		}), nil
	case check.Endpoint != nil:
		return eachOf(c.Endpoints, func(s *EndpointSubject) Result {
			return say(&evidence.Subject{Endpoint: s.Endpoint}, s.Asset, check.Endpoint(env, s), s.ids)
		}), nil
	case check.Asset != nil:
		return eachOf(c.AssetSubjects, func(s *AssetSubject) Result {
			return say(&evidence.Subject{Asset: s.ID}, s.ID, check.Asset(env, s), nil)
		}), nil
	case check.Fleet != nil:
		return sorted(func() []Result {
			var out []Result
			for _, g := range check.Fleet(env, c) {
				s := new(evidence.Subject)
				if g.Group.Kind != "" {
					s.Group = &g.Group
				}
				out = append(out, say(s, "", g.Verdict, nil))
			}
			return out
		}), nil
	}
	return nil, fmt.Errorf("check %s judges nothing", check.Name)
}

// sorted yields results by their subjects, once they are all there.
func sorted(all func() []Result) iter.Seq[Result] {
	return func(yield func(Result) bool) {
		for _, r := range slices.SortedStableFunc(slices.Values(all()), func(a, b Result) int { return a.Subject.Compare(*b.Subject) }) {
			if !yield(r) {
				return
			}
		}
	}
}

// eachOf yields what do makes of subjects, which are in the order of the results: of
// some hundred at a time.
func eachOf[S any](subjects func() []S, do func(S) Result) iter.Seq[Result] {
	const together = 16 * atOnce
	return func(yield func(Result) bool) {
		for some := range slices.Chunk(subjects(), together) {
			for _, r := range each(some, do) {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// atOnce is how many subjects one goroutine takes at a time.
const atOnce = 32

// each does the same with all subjects, on all processors. The results are in the
// order of the subjects, whoever made them.
func each[S, R any](subjects []S, do func(S) R) []R {
	out := make([]R, len(subjects))
	chunks(len(subjects), func(start, end int) {
		for i := start; i < end; i++ {
			out[i] = do(subjects[i])
		}
	})
	return out
}

// chunks calls do for ranges of the numbers below n, on all processors.
func chunks(n int, do func(start, end int)) {
	var next atomic.Int64
	work := func() {
		for {
			end := int(next.Add(atOnce))
			start := end - atOnce
			if start >= n {
				return
			}
			do(start, min(end, n))
		}
	}
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), (n+atOnce-1)/atOnce) - 1 {
		workers.Go(work)
	}
	work()
	workers.Wait()
}

// result makes the result of a verdict with a clean detail; ids are the observations of the subject,
// rising and unique, which results may share.
func result(check Check, s *evidence.Subject, asset string, v Verdict, ids []int64) Result {
	if len(v.Observations) > 0 {
		ids = recorded(slices.Concat(ids, v.Observations))
	}
	return Result{
		Check: check.Name, Subject: s, Asset: asset, Outcome: v.Outcome,
		Detail: v.Detail, Observations: ids,
	}
}

// recorded sorts ids in place and leaves out repeats, and those of observations
// that were not recorded.
func recorded(ids []int64) []int64 {
	slices.Sort(ids)
	ids = slices.DeleteFunc(ids, func(id int64) bool { return id == 0 })
	return slices.Compact(ids)
}

// Passf returns a pass. The arguments must be safe text.
func Passf(format string, a ...any) Verdict { return verdict(evidence.Pass, format, a) }

// Failf returns a fail.
func Failf(format string, a ...any) Verdict { return verdict(evidence.Fail, format, a) }

// Warnf returns a warn.
func Warnf(format string, a ...any) Verdict { return verdict(evidence.Warn, format, a) }

// NotApplicablef returns a not-applicable verdict with its reason.
func NotApplicablef(format string, a ...any) Verdict {
	return verdict(evidence.NotApplicable, format, a)
}

// Inconclusivef returns an inconclusive verdict with what is missing.
func Inconclusivef(format string, a ...any) Verdict { return verdict(evidence.Inconclusive, format, a) }

func verdict(o evidence.Outcome, format string, a []any) Verdict {
	if len(a) == 0 && !strings.Contains(format, "%") {
		return Verdict{Outcome: o, Detail: format}
	}
	return Verdict{Outcome: o, Detail: fmt.Sprintf(format, a...)}
}

// Decoded wraps a check that needs a decoded certificate: any other is
// inconclusive, a certification request not applicable.
func Decoded(check func(*Env, *CertificateSubject) Verdict) func(*Env, *CertificateSubject) Verdict {
	return func(env *Env, s *CertificateSubject) Verdict {
		switch {
		case s.Request:
			return s.NotCertificate()
		case !s.Decoded():
			return Inconclusivef("The certificate cannot be decoded: %v.", s.ParseError)
		}
		return check(env, s)
	}
}

// DecodedLeaf is [Decoded] for a check that applies to leafs only.
func DecodedLeaf(check func(*Env, *CertificateSubject) Verdict) func(*Env, *CertificateSubject) Verdict {
	return Decoded(func(env *Env, s *CertificateSubject) Verdict {
		if s.CA {
			return NotApplicablef("The certificate is a CA certificate.")
		}
		return check(env, s)
	})
}

// WithKey wraps a check that needs the subject key, of a certificate or of a
// certification request.
func WithKey(check func(*Env, *CertificateSubject, *Key) Verdict) func(*Env, *CertificateSubject) Verdict {
	return func(env *Env, s *CertificateSubject) Verdict {
		if s.Key == nil {
			return Inconclusivef("The subject key cannot be read.")
		}
		return check(env, s, s.Key)
	}
}

// Count renders a number with its noun in the right form: "1 key", "2 keys".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
