package lint

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"probity/evidence"
	"probity/internal/safetext"
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
// one check after the other on certificates that no cache holds; but all results are
// in memory.
func Run(c *Corpus, jobs []Job, at time.Time, p *Policy) ([][]Result, error) {
	if p == nil {
		p = &Policy{}
	}
	envs := make([]*Env, len(jobs))
	for i, j := range jobs {
		values, err := ParamsFor(j.Check, j.Params)
		if err != nil {
			return nil, err
		}
		envs[i] = &Env{At: at, Policy: p, Corpus: c, params: values, memo: &Memo{}}
	}
	out := make([][]Result, len(jobs))
	subjects := c.CertificateSubjects()
	for i, j := range jobs {
		if j.Check.Certificate != nil {
			out[i] = make([]Result, len(subjects))
		}
	}
	chunks(len(subjects), func(start, end int) {
		for at := start; at < end; at++ {
			s := subjects[at]
			for i, j := range jobs {
				if j.Check.Certificate != nil {
					out[i][at] = result(j.Check, &s.subject, s.Asset, j.Check.Certificate(envs[i], s), s.ids)
				}
			}
		}
	})
	for i, j := range jobs {
		if j.Check.Certificate != nil {
			continue
		}
		var err error
		if out[i], err = runOther(c, j.Check, envs[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// runOther applies a check whose subjects are no certificates.
func runOther(c *Corpus, check Check, env *Env) ([]Result, error) {
	var out []Result
	switch {
	case check.List != nil:
		out = each(c.ListSubjects(), func(s *ListSubject) Result {
			subject := s.subject()
			return result(check, &subject, "", check.List(env, s), s.ids)
		})
	case check.Endpoint != nil:
		out = each(c.Endpoints(), func(s *EndpointSubject) Result {
			return result(check, &evidence.Subject{Endpoint: s.Endpoint}, s.Asset, check.Endpoint(env, s), s.ids)
		})
	case check.Asset != nil:
		out = each(c.AssetSubjects(), func(s *AssetSubject) Result {
			return result(check, &evidence.Subject{Asset: s.ID}, s.ID, check.Asset(env, s), nil)
		})
	case check.Fleet != nil:
		for _, g := range check.Fleet(env, c) {
			s := new(evidence.Subject)
			if g.Group.Kind != "" {
				s.Group = &g.Group
			}
			out = append(out, result(check, s, "", g.Verdict, nil))
		}
	default:
		return nil, fmt.Errorf("check %s judges nothing", check.Name)
	}
	slices.SortStableFunc(out, func(a, b Result) int { return a.Subject.Compare(*b.Subject) })
	return out, nil
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

// result makes the result of a verdict; ids are the observations of the subject,
// rising and unique, which results may share.
func result(check Check, s *evidence.Subject, asset string, v Verdict, ids []int64) Result {
	if len(v.Observations) > 0 {
		ids = recorded(slices.Concat(ids, v.Observations))
	}
	return Result{
		Check: check.Name, Subject: s, Asset: asset, Outcome: v.Outcome,
		Detail: safetext.Clean(v.Detail), Observations: ids,
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
		case s.X509 == nil:
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
