package asset

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"probity/lint"
)

// clockWithinTolerance asks that the clock of the device agrees with that of the
// observer, in each protocol in which it tells the time.
//
// The time that some servers put into the random of a TLS handshake counts only
// where it cannot be chance: within the tolerance (one random value in 18 million
// is, for 120 s), or with one and the same error in handshakes some seconds apart.
func clockWithinTolerance() lint.Check {
	return lint.Check{
		Name: "asset/clock_within_tolerance",
		Source: "NIST SP 800-53 AU-8; RFC 9110 section 6.6.1, RFC 5905 section 7.3, RFC 5246 section 7.4.1.2, " +
			"MS-SMB2 section 2.2.4, OPC 10000-4 section 7.34",
		Params: []lint.Param{{
			Name: "max_skew_s", Default: 120,
			Doc: "seconds that the clocks may differ by; Kerberos bears 300 (RFC 4120 section 8.2), and the observer's own clock is not perfect",
		}},
		Asset: func(env *lint.Env, s *lint.AssetSubject) lint.Verdict {
			most := time.Duration(env.Int("max_skew_s")) * time.Second
			all := readings(s, most)
			if len(all) == 0 {
				if len(s.Endpoints) == 0 {
					return lint.NotApplicablef("Nothing of the device was observed.")
				}
				return lint.Inconclusivef("The device told the time in no protocol.")
			}
			var wrong, right []reading
			for _, r := range all {
				if r.skew.Abs() > most {
					wrong = append(wrong, r)
				} else {
					right = append(right, r)
				}
			}
			if len(wrong) == 0 {
				v := lint.Passf("The clocks differ by at most %d s: %s.", env.Int("max_skew_s"), tell(right))
				v.Observations = observations(right)
				return v
			}
			v := lint.Warnf("The clock is more than %d s from that of the observer: %s.", env.Int("max_skew_s"), tell(wrong))
			if len(right) > 0 {
				v.Detail += " Another agrees: " + tell(right) + "."
			}
			v.Observations = observations(all)
			return v
		},
	}
}

// reading is what one protocol at one endpoint says of a clock.
type reading struct {
	from string // "HTTP at tcp/192.0.2.1:80"
	skew time.Duration
	said time.Time
	ids  []int64
}

// readings are those that mean something, the last of each protocol and endpoint,
// in the order of the endpoints.
func readings(s *lint.AssetSubject, most time.Duration) []reading {
	var out []reading
	for _, e := range s.Endpoints {
		loose := map[string][]reading{}
		for _, o := range e.Observations {
			var r reading
			c, from := o.Facts.Clock()
			may := c != nil && c.Loose
			switch t := o.Facts.TLS; {
			case c != nil:
				r.skew = c.Skew()
			case t != nil && t.UnixTime != 0:
				from, may = "TLS", true
				r.skew = time.Unix(int64(t.UnixTime), 0).Sub(o.At)
			default:
				continue
			}
			r.from, r.ids = fmt.Sprintf("%s at %s", from, e.Endpoint), []int64{o.ID}
			if may {
				r, may = corroborated(loose, r, o.At, most)
				if !may {
					continue
				}
			}
			if i := slices.IndexFunc(out, func(other reading) bool { return other.from == r.from }); i >= 0 {
				out[i] = r
			} else {
				out = append(out, r)
			}
		}
	}
	return out
}

// corroborated reports whether a field that need not be a clock is one: it is
// right, or another one some seconds apart has the same error. A constant is not
// taken for a clock that way, nor is a random value.
func corroborated(before map[string][]reading, r reading, at time.Time, most time.Duration) (reading, bool) {
	const (
		apart = 3 * time.Second
		same  = 2 * time.Second
	)
	if r.skew.Abs() <= most {
		return r, true
	}
	said := at.Add(r.skew)
	for _, b := range before[r.from] {
		gap := said.Sub(b.said)
		if (r.skew-b.skew).Abs() <= same && gap.Abs() >= apart {
			r.ids = append(slices.Clone(b.ids), r.ids...)
			return r, true
		}
	}
	r.said = said
	before[r.from] = append(before[r.from], r)
	return r, false
}

func observations(all []reading) []int64 {
	var ids []int64
	for _, r := range all {
		ids = append(ids, r.ids...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// tell says of each reading how far it is off, at most five of them.
func tell(all []reading) string {
	const most = 5
	var out []string
	for _, r := range all[:min(len(all), most)] {
		skew := r.skew.Round(time.Second)
		switch {
		case skew > 0:
			out = append(out, fmt.Sprintf("%s is %v ahead", r.from, skew))
		case skew < 0:
			out = append(out, fmt.Sprintf("%s is %v behind", r.from, -skew))
		default:
			out = append(out, r.from+" is the same")
		}
	}
	if more := len(all) - most; more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(out, ", ")
}
