package asset

import (
	"slices"

	"probity/evidence"
	"probity/lint"
)

// unclassified are classes that say of no device which it is.
func unclassified(class string) bool {
	return class == "" || class == "medical device" || class == "unknown"
}

// classified asks that the class of a device rests on more than one source: what
// is required of it depends on that.
func classified() lint.Check {
	return lint.Check{
		Name:   "asset/classified",
		Source: "NIST SP 800-53 CM-8",
		Params: []lint.Param{
			{Name: "min_score_pct", Doc: "least confidence of the class, in a hundred", Default: 70},
		},
		Asset: func(env *lint.Env, s *lint.AssetSubject) lint.Verdict {
			var class, together, conflict evidence.Claim
			for _, c := range s.Claims {
				switch {
				case c.Attribute == evidence.AttrConflict && conflictsInClass(c.Value):
					conflict = c
				case c.Attribute != evidence.AttrClass || unclassified(c.Value):
				case c.Layer == evidence.LayerVerdict:
					together = c
				case c.Confidence > class.Confidence:
					class = c
				}
			}
			switch {
			case len(s.Endpoints) == 0 && len(s.Called) == 0 && class.Value == "":
				return lint.NotApplicablef("The device has no service and no session was seen.")
			case class.Value == "":
				return lint.Inconclusivef("Nothing tells of which class the device is.")
			case conflict.Value != "":
				return on(lint.Warnf("Layers contradict each other: %s.", text(conflict.Value)), class, conflict)
			case together.Confidence >= env.Int("min_score_pct"):
				return on(lint.Passf("Several sources (%s) agree that it is of class %s.", text(together.Source), text(together.Value)), class, together)
			case said(class):
				return on(lint.Passf("A person says that it is of class %s.", text(class.Value)), class)
			case class.Confidence < leastClass:
				return on(lint.Inconclusivef("Only a hint (%s) says that it is of class %s.", text(class.Layer), text(class.Value)), class)
			}
			return on(lint.Warnf("Only one source (%s) says that it is of class %s.", text(class.Layer), text(class.Value)), class)
		},
	}
}

// leastClass is the confidence below which a claim is a hint.
const leastClass = 40

// conflictsInClass reports whether a contradiction is about the class.
func conflictsInClass(v string) bool { return len(v) > 6 && v[:6] == string(evidence.AttrClass)+":" }

// said reports whether a claim is a label or of an inventory.
func said(c evidence.Claim) bool { return slices.Contains([]string{"label", "inventory"}, c.Layer) }

// on names the observations that a verdict rests on.
func on(v lint.Verdict, claims ...evidence.Claim) lint.Verdict {
	for _, c := range claims {
		if c.Observation != 0 {
			v.Observations = append(v.Observations, c.Observation)
		}
	}
	return v
}
