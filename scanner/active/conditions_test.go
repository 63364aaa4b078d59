package active

import (
	"testing"

	"probity/evidence"
)

func TestConditions(t *testing.T) {
	seen := func(r evidence.Result, a evidence.ClientAuth) []evidence.Observation {
		return []evidence.Observation{{Result: r, Facts: evidence.Facts{TLS: &evidence.TLSFacts{ClientAuth: a}}}}
	}
	for name, tt := range map[string]struct {
		prior    []evidence.Observation
		accepted bool
		open     bool
		answered bool
	}{
		"nothing known":      {nil, true, true, false},
		"closed":             {seen(evidence.ResultRefused, ""), false, false, false},
		"no wish":            {seen(evidence.ResultData, evidence.ClientAuthNotAsked), true, true, true},
		"certificate asked":  {seen(evidence.ResultData, evidence.ClientAuthRequested), true, true, true},
		"certificate wanted": {seen(evidence.ResultData, evidence.ClientAuthRequired), true, false, true},
		"time-out":           {seen(evidence.ResultTimeout, ""), true, true, false},
	} {
		if got := notOpen(tt.prior, tt.accepted) == ""; got != tt.open {
			t.Errorf("%s: open %v, want %v", name, got, tt.open)
		}
		if got := notAnswered(tt.prior) == ""; got != tt.answered {
			t.Errorf("%s: answered %v, want %v", name, got, tt.answered)
		}
	}
}
