package endpoint

import (
	"fmt"
	"slices"
	"strings"

	"probity/evidence"
	"probity/lint"
)

// noKnownFlaws asks that the trials of a lab found none of the known flaws of TLS
// software.
func noKnownFlaws() lint.Check {
	return lint.Check{
		Name:   "endpoint/no_known_flaws",
		Source: "CVE-2014-0160 (Heartbleed); CVE-2014-0224 (CCS injection); CVE-2017-13099 (ROBOT)",
		Endpoint: overTLS(func(_ *lint.Env, e *lint.EndpointSubject) lint.Verdict {
			if !e.Asked(evidence.KindFlaw) {
				return lint.NotApplicablef("The trials belong into a lab and were not made.")
			}
			var open []string
			for _, flaw := range []evidence.Flaw{evidence.FlawHeartbleed, evidence.FlawCCS, evidence.FlawROBOT} {
				shown, why := trial(e, flaw)
				switch shown {
				case evidence.ShownYes:
					return lint.Failf("%s: %s.", flawName(flaw), why)
				case evidence.ShownNo:
				case evidence.ShownUnknown:
					open = append(open, fmt.Sprintf("%s: %s", flawName(flaw), why))
				}
			}
			if len(open) > 0 {
				return lint.Inconclusivef("%s.", strings.Join(open, "; "))
			}
			return lint.Passf("The server showed neither Heartbleed nor CCS injection nor ROBOT.")
		}),
	}
}

func flawName(f evidence.Flaw) string {
	switch f {
	case evidence.FlawHeartbleed:
		return "Heartbleed"
	case evidence.FlawCCS:
		return "CCS injection"
	case evidence.FlawROBOT:
		return "ROBOT"
	}
	return string(f)
}

// trial is what the connections of one flaw show together.
func trial(e *lint.EndpointSubject, flaw evidence.Flaw) (evidence.Shown, string) {
	var facts []*evidence.FlawFacts
	for _, o := range e.Of(evidence.KindFlaw) {
		if f := o.Facts.Flaw; f.Flaw == flaw {
			facts = append(facts, f)
		}
	}
	if len(facts) == 0 {
		return evidence.ShownUnknown, "the trial was not made, or not answered"
	}
	if flaw != evidence.FlawROBOT || facts[0].Answer == "" {
		return facts[0].Shown, facts[0].Reason
	}
	return oracle(facts)
}

// oracle compares the answers to the messages of ROBOT. Answers that differ, and
// in the same way when asked again, tell right padding from wrong.
func oracle(facts []*evidence.FlawFacts) (evidence.Shown, string) {
	const messages = 5
	whole := 0
	for _, followed := range []bool{true, false} {
		first, second := answersOf(facts, followed, 1), answersOf(facts, followed, 2)
		if len(first) < messages {
			continue
		}
		whole++
		distinct := slices.Compact(slices.Sorted(slices.Values(first)))
		switch {
		case len(distinct) == 1:
		case slices.Equal(first, second):
			return evidence.ShownYes, "the answers tell how the padding is wrong: " + strings.Join(distinct, ", ")
		case len(second) < messages:
			return evidence.ShownUnknown, "the answers differ, and were not asked for again: " + strings.Join(distinct, ", ")
		default:
			return evidence.ShownUnknown, "the answers differ, but not in the same way when asked again"
		}
	}
	if whole < 2 {
		return evidence.ShownUnknown, "not all messages were answered"
	}
	return evidence.ShownNo, "all messages were answered alike"
}

// answersOf lists the answers of one round, by message.
func answersOf(facts []*evidence.FlawFacts, followed bool, round int) []string {
	var out []string
	for _, f := range facts {
		if f.Followed == followed && f.Round == round && f.Answer != "" && f.Message == len(out)+1 {
			out = append(out, f.Answer)
		}
	}
	return out
}
