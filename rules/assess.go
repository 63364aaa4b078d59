package rules

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"probity/evidence"
	"probity/internal/strictyaml"
	"probity/lint"
	"probity/rules/catalogue"
)

// Check reports every disagreement between the catalogue and the checks: a rule
// that names a check that does not exist, a check that no rule or more than one
// rule names, a parameter that the check does not declare or that has another
// type.
func Check(cat *catalogue.Catalogue, checks []lint.Check) error {
	byName := make(map[string]lint.Check, len(checks))
	var errs []error
	for _, c := range checks {
		if _, twice := byName[c.Name]; twice {
			errs = append(errs, fmt.Errorf("check %s is listed twice", c.Name))
		}
		byName[c.Name] = c
	}
	users := map[string]string{}
	for _, r := range cat.Rules() {
		if r.Lint == "" {
			continue
		}
		c, ok := byName[r.Lint]
		if !ok {
			errs = append(errs, fmt.Errorf("rule %s: no check %q", r.ID, r.Lint))
			continue
		}
		if other := users[r.Lint]; other != "" {
			errs = append(errs, fmt.Errorf("check %s is named by both %s and %s", r.Lint, other, r.ID))
		}
		users[r.Lint] = r.ID
		if _, err := lint.ParamsFor(c, r.Params); err != nil {
			errs = append(errs, fmt.Errorf("rule %s: %w", r.ID, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		if users[name] == "" {
			errs = append(errs, fmt.Errorf("check %s: no rule names it", name))
		}
	}
	return errors.Join(errs...)
}

// Assess judges a corpus: every rule with a check, on every subject of the
// check, at an instant. There is one finding for each rule and subject; where a
// check answers twice for one subject the more urgent outcome stands. Findings
// come ordered by rule, then subject, while later rules are still judged. An
// error is the last that is yielded; it is that of [Check] or [Policy.Validate].
func Assess(cat *catalogue.Catalogue, checks []lint.Check, corpus *lint.Corpus, policy Policy, at time.Time) iter.Seq2[evidence.Finding, error] {
	return func(yield func(evidence.Finding, error) bool) {
		if err := agree(cat, checks, policy); err != nil {
			yield(evidence.Finding{}, err)
			return
		}
		some, stop := judge(cat, checks, corpus, policy, at)
		defer stop()
		for j := range some {
			if j.err != nil {
				yield(evidence.Finding{}, j.err)
				return
			}
			for _, f := range j.findings {
				if !yield(f, nil) {
					return
				}
			}
		}
	}
}

// Ahead judges by the rules on certificates what a corpus will be made of, before its
// assets are known; [Assess] of the corpus with the same policy and instant takes that.
// It does nothing where there are too many certificates to keep what is said of them.
func Ahead(cat *catalogue.Catalogue, checks []lint.Check, reading lint.Reading, policy Policy, at time.Time) error {
	if err := agree(cat, checks, policy); err != nil {
		return err
	}
	all := decided(cat)
	if len(all) > together(reading.CertificateSubjects()) {
		return nil
	}
	return reading.Ahead(policy.jobs(all, named(checks)), at, &policy.Site)
}

// AssessStream calls take with the findings that [Assess] has of what a stream took,
// in another order. See [lint.Stream.Run] for what is left.
func AssessStream(cat *catalogue.Catalogue, checks []lint.Check, s *lint.Stream, policy Policy, at time.Time, take func(evidence.Finding) error) (left int, err error) {
	if err := agree(cat, checks, policy); err != nil {
		return 0, err
	}
	decided := decided(cat)
	jobs := policy.jobs(decided, named(checks))
	// The results of a check on one subject come one after the other.
	last, lastJob := evidence.Finding{}, -1
	left, err = s.Run(jobs, at, &policy.Site, func(job int, res lint.Result) error {
		f := finding(decided[job], res, policy.strict(decided[job]))
		switch {
		case lastJob < 0:
		case lastJob == job && last.Key == f.Key:
			f = merged(last, f)
		default:
			err = take(last)
		}
		last, lastJob = f, job
		return err
	})
	if err == nil && lastJob >= 0 {
		err = take(last)
	}
	return left, err
}

// agree reports what keeps rules from being judged by checks.
func agree(cat *catalogue.Catalogue, checks []lint.Check, policy Policy) error {
	if err := Check(cat, checks); err != nil {
		return fmt.Errorf("catalogue and checks disagree: %w", err)
	}
	return policy.Validate(cat, checks)
}

// decided are the rules that have a check.
func decided(cat *catalogue.Catalogue) []catalogue.Rule {
	return slices.DeleteFunc(slices.Clone(cat.Rules()), func(r catalogue.Rule) bool { return r.Lint == "" })
}

func named(checks []lint.Check) map[string]lint.Check {
	out := make(map[string]lint.Check, len(checks))
	for _, c := range checks {
		out[c.Name] = c
	}
	return out
}

const (
	// answersAtOnce bounds the answers that are in memory while rules on certificates
	// are judged together, which is faster than one after the other (see [lint.Run]):
	// four bytes each.
	answersAtOnce = 4 << 20
	// findingsAtOnce is how many findings are handed on together.
	findingsAtOnce = 256
)

// together is how many rules are judged together on certificates.
func together(subjects []*lint.CertificateSubject) int {
	return max(1, answersAtOnce/(1+len(subjects)))
}

// judged are findings in their order.
type judged struct {
	findings []evidence.Finding
	err      error
}

// judge sends the findings of the rules in their order, a little ahead of what is
// received. The caller is done with some findings when it receives the next, and
// calls stop when it takes no more.
func judge(cat *catalogue.Catalogue, checks []lint.Check, corpus *lint.Corpus, policy Policy, at time.Time) (all <-chan judged, stop func()) {
	byName := named(checks)
	out, enough := make(chan judged), make(chan struct{})
	send := func(j judged) bool {
		select {
		case out <- j:
			return true
		case <-enough:
			return false
		}
	}
	var worker sync.WaitGroup
	worker.Go(func() {
		defer close(out)
		spare, used := make([]evidence.Finding, 0, findingsAtOnce), make([]evidence.Finding, 0, findingsAtOnce) // one is filled while the other is read
		for some := range slices.Chunk(decided(cat), together(corpus.CertificateSubjects())) {
			results, err := lint.Run(corpus, policy.jobs(some, byName), at, &policy.Site)
			if err != nil {
				send(judged{err: err})
				return
			}
			for i, r := range some {
				for f := range findings(r, results[i], policy.strict(r)) {
					if spare = append(spare, f); len(spare) < findingsAtOnce {
						continue
					}
					if !send(judged{findings: spare}) {
						return
					}
					spare, used = used[:0], spare
				}
				results[i] = nil
			}
		}
		send(judged{findings: spare})
	})
	return out, func() {
		close(enough)
		worker.Wait()
	}
}

// findings yields one finding of each subject. The results are ordered by subject,
// and so are the findings.
func findings(r catalogue.Rule, results iter.Seq[lint.Result], strict bool) iter.Seq[evidence.Finding] {
	return func(yield func(evidence.Finding) bool) {
		var last evidence.Finding
		for res := range results {
			f := finding(r, res, strict)
			switch {
			case last.Rule == "":
			case last.Key == f.Key:
				f = merged(last, f)
			case !yield(last):
				return
			}
			last = f
		}
		if last.Rule != "" {
			yield(last)
		}
	}
}

// finding is a result as a finding of a rule.
func finding(r catalogue.Rule, res lint.Result, strict bool) evidence.Finding {
	f := evidence.Finding{
		Key:  evidence.FindingKey(r.ID, *res.Subject),
		Rule: r.ID, Severity: r.Severity, Outcome: res.Outcome, Subject: *res.Subject,
		Asset: res.Asset, Title: r.Title, Detail: res.Detail, Observations: res.Observations,
	}
	if strict && f.Outcome == evidence.Warn {
		f.Outcome = evidence.Fail
		f.Detail += " The profile in force raises this warn to a fail."
	}
	return f
}

// merged makes one of two findings of a rule on one subject.
func merged(a, b evidence.Finding) evidence.Finding {
	ids := slices.Concat(a.Observations, b.Observations)
	slices.Sort(ids)
	if urgency(b) < urgency(a) {
		a = b
	}
	a.Observations = slices.Compact(ids)
	return a
}

// urgency is lower for a more urgent outcome.
func urgency(f evidence.Finding) int { return slices.Index(evidence.Outcomes(), f.Outcome) }

// Validate reports every rule setting of the policy that the catalogue and the
// checks do not know, with its place in the policy file.
func (p Policy) Validate(cat *catalogue.Catalogue, checks []lint.Check) error {
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(p.Rules)) {
		s := p.Rules[id]
		r, err := cat.Rule(id)
		if err != nil {
			errs = append(errs, strictyaml.Errorf(p.File, s.at, "%v", err))
			continue
		}
		if s.Strict != nil && !r.Strict {
			errs = append(errs, strictyaml.Errorf(p.File, s.at, "%s: this rule cannot be strict", r.ID))
		}
		i := slices.IndexFunc(checks, func(c lint.Check) bool { return c.Name == r.Lint })
		if i < 0 {
			errs = append(errs, strictyaml.Errorf(p.File, s.at, "%s: no check decides this rule yet, so it takes no parameters", r.ID))
			continue
		}
		if _, err := lint.ParamsFor(checks[i], s.Params); err != nil {
			errs = append(errs, strictyaml.Errorf(p.File, s.at, "%s: %v", r.ID, err))
		}
	}
	return errors.Join(errs...)
}

// jobs are the checks of rules.
func (p Policy) jobs(all []catalogue.Rule, byName map[string]lint.Check) []lint.Job {
	var jobs []lint.Job
	for _, r := range all {
		jobs = append(jobs, lint.Job{Check: byName[r.Lint], Params: p.params(r)})
	}
	return jobs
}

// params are the parameters of a rule: those of the catalogue, replaced by those
// of the policy.
func (p Policy) params(r catalogue.Rule) map[string]any {
	params := maps.Clone(r.Params)
	if params == nil {
		params = map[string]any{}
	}
	maps.Copy(params, p.Rules[r.ID].Params)
	return params
}

// strict says whether a warn of a rule is a fail: by default for the marked
// rules in the premarket profile.
func (p Policy) strict(r catalogue.Rule) bool {
	if s := p.Rules[r.ID].Strict; s != nil {
		return *s
	}
	return r.Strict && p.Profile == Premarket
}
