package asset

import (
	_ "embed" // the table of platforms
	"strings"
	"sync"
	"time"

	"probity/evidence"
	"probity/lint"
)

// platformsTSV lists platforms with the last day of support by their maker, what
// kind of support that is, and where the row is from.
//
//go:embed data/platforms.tsv
var platformsTSV string

type platform struct {
	name  string // lower case
	until time.Time
	kind  string
}

// platforms parses the table once; its form is held by a test.
var platforms = sync.OnceValue(func() []platform {
	var out []platform
	for line := range strings.Lines(platformsTSV) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 || strings.HasPrefix(line, "#") || f[0] == "platform" {
			continue
		}
		if until, err := time.Parse(time.DateOnly, f[1]); err == nil {
			out = append(out, platform{strings.ToLower(f[0]), until, f[2]})
		}
	}
	return out
})

// lookupPlatform returns the row whose name is a prefix of a text by whole words,
// the longest first.
func lookupPlatform(s string) (best platform, ok bool) {
	s = strings.ToLower(s)
	for _, p := range platforms() {
		rest, match := strings.CutPrefix(s, p.name)
		if match && (rest == "" || rest[0] == ' ' || rest[0] == '.') && len(p.name) > len(best.name) {
			best, ok = p, true
		}
	}
	return best, ok
}

// platformSupported asks that the maker of the operating system still mends it. A
// fingerprint can be wrong, so the check never fails.
func platformSupported() lint.Check {
	return lint.Check{
		Name:   "asset/platform_supported",
		Source: "NIST SP 800-53 SA-22; table lint/asset/data/platforms.tsv",
		Asset: func(env *lint.Env, s *lint.AssetSubject) lint.Verdict {
			unknown := ""
			var best evidence.Claim
			for _, c := range s.Claims {
				if c.Attribute != evidence.AttrOS {
					continue
				}
				if _, ok := lookupPlatform(c.Value); ok && c.Confidence > best.Confidence {
					best = c
				} else if !ok {
					unknown = c.Value
				}
			}
			switch {
			case best.Value == "" && unknown == "":
				return lint.NotApplicablef("Nothing tells the platform of the device.")
			case best.Value == "":
				return lint.Inconclusivef("The table has no date for the platform %q, as far as it is known.", text(unknown))
			}
			p, _ := lookupPlatform(best.Value)
			if env.At.Before(p.until.AddDate(0, 0, 1)) {
				v := lint.Passf("%q (by %s) has %s until %s.", text(best.Value), text(best.Layer), p.kind, day(p.until))
				v.Observations = []int64{best.Observation}
				return v
			}
			v := lint.Warnf("%q (by %s) had %s until %s.", text(best.Value), text(best.Layer), p.kind, day(p.until))
			v.Observations = []int64{best.Observation}
			return v
		},
	}
}
