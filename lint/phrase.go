package lint

import (
	"sync"

	"probity/evidence"
	"probity/internal/safetext"
)

// phrase stands for an outcome with its detail, among those of one check.
type phrase uint32

// phrases are what a check said, each once: a check has few things to say, of
// however many subjects.
type phrases struct {
	mu    sync.Mutex
	known map[spoken]phrase
	list  []spoken // cleaned, by phrase
}

// spoken is a verdict without the observations.
type spoken struct {
	outcome evidence.Outcome
	detail  string
}

func newPhrases() *phrases { return &phrases{known: make(map[spoken]phrase)} }

// number returns what stands for a verdict.
func (p *phrases) number(v Verdict) phrase {
	s := spoken{v.Outcome, v.Detail}
	p.mu.Lock()
	defer p.mu.Unlock()
	n, ok := p.known[s]
	if !ok {
		n = phrase(len(p.list))
		p.list = append(p.list, spoken{s.outcome, safetext.Clean(s.detail)})
		p.known[s] = n
	}
	return n
}

// verdict returns what a phrase stands for, with its detail as safe text.
func (p *phrases) verdict(n phrase) Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Verdict{Outcome: p.list[n].outcome, Detail: p.list[n].detail}
}

// cleaned returns the verdict with its detail as safe text, which equal ones share.
func (p *phrases) cleaned(v Verdict) Verdict {
	out := p.verdict(p.number(v))
	out.Observations = v.Observations
	return out
}
