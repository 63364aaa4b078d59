package asset

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"probity/evidence"
	"probity/lint"
)

// unharmedByScan asks that the device answered the last connections of a scan as
// it answered the first.
//
// What a listener does with odd bytes is its own affair: only whether it still
// accepts connections counts, and how long that takes.
func unharmedByScan() lint.Check {
	return lint.Check{
		Name:   "asset/unharmed_by_scan",
		Source: "FDA premarket guidance 2026 appendix 1 section G; NIST SP 800-53 SC-5",
		Params: []lint.Param{
			{Name: "missed", Default: 2, Doc: "connections in a row that must be refused or unanswered before a service counts as lost: one may be chance"},
			{Name: "slower", Default: 3, Doc: "how many times slower connecting must have become"},
			{Name: "floor_ms", Default: 500, Doc: "milliseconds that it must have become slower by: a busy network or scanner adds some"},
		},
		Asset: func(env *lint.Env, s *lint.AssetSubject) lint.Verdict {
			var all []*evidence.Observation
			scanned := false
			for _, e := range s.Endpoints {
				for _, o := range e.Observations {
					if o.Facts.Response != nil {
						all = append(all, o)
					}
					scanned = scanned || o.Method == evidence.Active
				}
			}
			if !scanned {
				return lint.NotApplicablef("The device was not scanned actively.")
			}
			var lost, odd, sound []string
			var ids, bad []int64
			enough := false
			for _, o := range all {
				r := judgeResponse(env, o)
				enough = enough || r.enough
				switch {
				case r.lost != "":
					lost, bad = append(lost, r.lost), append(bad, o.ID)
				case r.odd != "":
					odd, bad = append(odd, r.odd), append(bad, o.ID)
				case r.enough:
					sound, ids = append(sound, r.sound), append(ids, o.ID)
				}
			}
			var v lint.Verdict
			switch {
			case len(lost) > 0:
				v = lint.Failf("%s", sentence(append(lost, odd...)))
			case len(odd) > 0:
				v = lint.Warnf("%s", sentence(odd))
			case enough:
				v = lint.Passf("%s", sentence(sound))
				bad = ids
			default:
				return lint.Inconclusivef("There were too few connections to compare the first with the last.")
			}
			slices.Sort(bad)
			v.Observations = slices.Compact(bad)
			return v
		},
	}
}

// response is what one endpoint's answers amount to; at most one text is set
// besides sound.
type response struct {
	lost, odd, sound string
	enough           bool // connections, to say that it is sound
}

func judgeResponse(env *lint.Env, o *evidence.Observation) response {
	f, at := o.Facts.Response, o.Endpoint.String()
	missed := env.Int("missed")
	accepted := fmt.Sprintf("the service at %s accepted %d connections", at, f.Accepted)
	var r response
	switch {
	case f.AtEnd >= missed:
		r.lost = fmt.Sprintf("%s, and then none of %d (%s)", accepted, f.AtEnd, how(f))
	case f.InARow >= missed:
		r.lost = fmt.Sprintf("%s, but %d in a row not (%s): it was away and came back", accepted, f.InARow, how(f))
	case f.Stopped != "":
		r.odd = fmt.Sprintf("the scan left the device alone: %s", text(f.Stopped))
	case f.Missed > 0:
		r.odd = fmt.Sprintf("%s, but %d not (%s)", accepted, f.Missed, how(f))
	}
	first, last, comparable := times(f)
	if slower := last - first; comparable && r.lost == "" && r.odd == "" &&
		last > time.Duration(env.Int("slower"))*first && slower >= time.Duration(env.Int("floor_ms"))*time.Millisecond {
		r.odd = fmt.Sprintf("connecting to %s took %v at first and %v at last", at, round(first), round(last))
	}
	r.enough = comparable || f.After == evidence.ResultData
	r.sound = accepted
	if comparable {
		r.sound += fmt.Sprintf(", at first in %v and at last in %v", round(first), round(last))
	}
	if f.After == evidence.ResultData {
		r.sound += ", one of them after all probes"
	}
	return r
}

// times are how long connecting took at first and at last: the medians of three
// each or, where there were fewer, the slowest of the first and the fastest of the
// last, of which there must be two, so that one lost packet decides nothing.
func times(f *evidence.ResponseFacts) (first, last time.Duration, ok bool) {
	const most = 3
	a, b := slices.Sorted(slices.Values(f.First)), slices.Sorted(slices.Values(f.Last))
	switch {
	case len(a) >= most && len(b) >= most:
		return micro(a[len(a)/2]), micro(b[len(b)/2]), true
	case len(a) > 0 && len(b) >= 2:
		return micro(a[len(a)-1]), micro(b[0]), true
	}
	return 0, 0, false
}

func micro(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

func round(d time.Duration) time.Duration {
	if d < time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}

// how says in what way connections were missed.
func how(f *evidence.ResponseFacts) string {
	switch f.Refused {
	case 0:
		return "no answer"
	case f.Missed:
		return "refused"
	}
	return fmt.Sprintf("%d refused, %d without an answer", f.Refused, f.Missed-f.Refused)
}

// sentence joins at most five statements.
func sentence(list []string) string {
	const most = 5
	out := strings.Join(list[:min(len(list), most)], "; ")
	if more := len(list) - most; more > 0 {
		out += fmt.Sprintf("; and %d more", more)
	}
	return strings.ToUpper(out[:1]) + out[1:] + "."
}
