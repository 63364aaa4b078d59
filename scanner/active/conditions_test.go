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

func TestNotSpeaking(t *testing.T) {
	alert := uint8(40)
	for name, tt := range map[string]struct {
		facts evidence.TLSFacts
		want  bool
	}{
		"chose a version": {evidence.TLSFacts{Version: 0x303}, true},
		"sent an alert":   {evidence.TLSFacts{Alert: &alert}, true},
		"no answer":       {evidence.TLSFacts{}, false},
	} {
		if got := notSpeaking([]evidence.Observation{{Facts: evidence.Facts{TLS: &tt.facts}}}) == ""; got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
