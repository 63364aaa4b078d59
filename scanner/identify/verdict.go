package identify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"probity/evidence"
	"probity/scanner/identify/fingerprint"
)

// Bounds of a verdict. Confidences of independent layers add up as chances to be
// wrong do: two of 60 make 84.
const (
	leastSupport  = 25 // below this a claim supports nothing
	leastStrong   = 50 // below this a claim stands for nothing and contradicts nothing
	leastProbable = 55 // of one layer alone
	leastCombined = 70 // of two layers
	mostHints     = 35 // what hints alone amount to, however many there are
	mostVerdict   = 99
)

// conclude returns the claims with what they amount to together: how well the
// device is identified, which layers contradict each other, and what several
// layers agree on. It is a pure function of the claims, whatever their order, and
// drops what an earlier call concluded.
func conclude(claims []evidence.Claim) []evidence.Claim {
	claims = slices.DeleteFunc(slices.Clone(claims), func(c evidence.Claim) bool { return c.Layer == evidence.LayerVerdict })
	set, _ := fingerprint.Builtin()
	v := verdict{claims: claims, set: set}
	subject := v.tally(evidence.AttrManufacturer)
	if len(subject) == 0 {
		subject = v.tally(evidence.AttrFamily)
	}
	if len(subject) == 0 {
		subject = v.tally(evidence.AttrModel)
	}
	level := v.level(subject)
	if level != evidence.LevelNone {
		v.add(evidence.AttrIdentity, string(level), subject[0])
	}
	for _, a := range []evidence.Attribute{evidence.AttrManufacturer, evidence.AttrFamily, evidence.AttrClass} {
		all := v.tally(a)
		if len(all) > 0 && len(all[0].layers) > 1 {
			v.add(a, all[0].value, all[0])
		}
		if other := contradiction(all); other != nil {
			text := fmt.Sprintf("%s: %q by %s, but %q by %s", a, all[0].value, layersText(all[0]), other.value, layersText(*other))
			v.add(evidence.AttrConflict, text, *other)
		}
	}
	return append(claims, v.out...)
}

// verdict is what is worked out of the claims of one asset.
type verdict struct {
	claims []evidence.Claim
	set    *fingerprint.Set
	out    []evidence.Claim
}

func (v *verdict) add(a evidence.Attribute, value string, c candidate) {
	v.out = append(v.out, evidence.Claim{
		Attribute: a, Value: value, Confidence: c.score, Layer: evidence.LayerVerdict, Source: layersText(c), Observation: c.best.Observation,
	})
}

func layersText(c candidate) string {
	names := make([]string, len(c.layers))
	for i, l := range c.layers {
		names[i] = l.name
	}
	return strings.Join(names, "+")
}

// candidate is one value of an attribute with the layers that speak for it.
type candidate struct {
	value  string
	score  int
	layers []support // by name
	best   evidence.Claim
}

// support is the best that one independent layer says for a value.
type support struct {
	name       string
	confidence int
}

// strong reports whether a layer speaks for the candidate that is no hint.
func (c candidate) strong() bool {
	return slices.ContainsFunc(c.layers, func(s support) bool { return s.confidence >= leastStrong && !hints(s.name) })
}

// confirmed reports whether the device says so in the protocol that is made for
// it, or a person does.
func (c candidate) confirmed() bool {
	return slices.ContainsFunc(c.layers, func(s support) bool {
		return s.confidence >= confidenceSelf && (s.name == "sdc" || s.name == layerLabel)
	})
}

// independent names the source of knowledge behind a layer. What the same stack
// or the same setting says in two protocols is said once.
func independent(layer string) string {
	switch layer {
	case "ws-discovery":
		return "sdc"
	case "tls":
		return "x509"
	case "dhcp", "dhcpv6", "mdns", "nbns", "ssdp", "lldp", "cdp":
		return "announcement"
	case "arp", "nd":
		return "oui"
	case "fhir":
		return "http"
	}
	return layer
}

// hints reports whether a layer is one whose word is never enough: the maker of
// a network card is not that of the device, and a port is chosen.
func hints(name string) bool { return name == "oui" || name == "port" }

// tally lists the values of an attribute, the best first.
func (v *verdict) tally(a evidence.Attribute) []candidate {
	var out []candidate
	for _, c := range v.claims {
		if c.Attribute != a || c.Confidence < 1 {
			continue
		}
		key, name := v.key(a, c.Value), independent(c.Layer)
		i := slices.IndexFunc(out, func(o candidate) bool { return v.key(a, o.value) == key })
		if i < 0 {
			i, out = len(out), append(out, candidate{value: c.Value, best: c})
		}
		o := &out[i]
		if better(c, o.best) {
			o.value, o.best = c.Value, c
		}
		j := slices.IndexFunc(o.layers, func(s support) bool { return s.name == name })
		if j < 0 {
			j, o.layers = len(o.layers), append(o.layers, support{name: name})
		}
		o.layers[j].confidence = max(o.layers[j].confidence, c.Confidence)
	}
	for i := range out {
		slices.SortFunc(out[i].layers, func(x, y support) int { return cmp.Compare(x.name, y.name) })
		out[i].score = combined(out[i])
	}
	slices.SortFunc(out, func(x, y candidate) int {
		return cmp.Or(cmp.Compare(y.score, x.score), cmp.Compare(x.value, y.value))
	})
	if a == evidence.AttrClass {
		out = specific(out)
	}
	return out
}

// better prefers the claim of more confidence, then an order that does not depend
// on that of the claims.
func better(a, b evidence.Claim) bool {
	return cmp.Or(cmp.Compare(b.Confidence, a.Confidence), cmp.Compare(a.Value, b.Value), cmp.Compare(a.Layer, b.Layer),
		cmp.Compare(a.Observation, b.Observation)) < 0
}

// key is what equal values have in common: makers of one company agree.
func (v *verdict) key(a evidence.Attribute, value string) string {
	if a == evidence.AttrManufacturer {
		return strings.ToLower(v.set.Group(v.set.Told(value)))
	}
	return strings.ToLower(strings.TrimSpace(value))
}

// specific lets "medical device" speak for no class: it contradicts none, and a
// known class says more.
func specific(all []candidate) []candidate {
	known := slices.DeleteFunc(slices.Clone(all), func(c candidate) bool { return c.value == fingerprint.ClassMedical })
	if len(known) == 0 {
		return all
	}
	return known
}

// combined is how sure all layers together are.
func combined(c candidate) int {
	wrong, hintsOnly := 1.0, true
	for _, s := range c.layers {
		wrong *= 1 - float64(s.confidence)/100
		hintsOnly = hintsOnly && (hints(s.name) || s.confidence <= mostHints)
	}
	sure := int(100*(1-wrong) + 0.5)
	if hintsOnly {
		return min(sure, mostHints)
	}
	return min(sure, mostVerdict)
}

// contradiction returns the candidate that another layer speaks for as strongly
// as to be believed alone; nil without one.
func contradiction(all []candidate) *candidate {
	if len(all) < 2 || !all[0].strong() {
		return nil
	}
	for i := range all[1:] {
		o := &all[i+1]
		if o.strong() && slices.ContainsFunc(o.layers, func(s support) bool {
			return s.confidence >= leastStrong && !hints(s.name) && !speaks(all[0], s.name)
		}) {
			return o
		}
	}
	return nil
}

func speaks(c candidate, layer string) bool {
	return slices.ContainsFunc(c.layers, func(s support) bool { return s.name == layer })
}

// level says how well the best candidate is identified. What contradicts it, or
// makes the whole asset doubtful, bounds that.
func (v *verdict) level(all []candidate) evidence.Level {
	if len(all) == 0 {
		return evidence.LevelNone
	}
	c := all[0]
	supporting := 0
	for _, s := range c.layers {
		if s.confidence >= leastSupport && s.name != "port" {
			supporting++
		}
	}
	level := evidence.LevelPossible
	switch {
	case c.confirmed():
		level = evidence.LevelConfirmed
	case supporting >= 2 && c.strong() && c.score >= leastCombined:
		level = evidence.LevelIdentified
	case c.strong() && c.best.Confidence >= leastProbable:
		level = evidence.LevelProbable
	}
	switch {
	case v.hinted("honeypot"):
		return evidence.LevelPossible
	case contradiction(all) != nil:
		return lower(level, evidence.LevelProbable)
	case rivals(all) && len(c.layers) == 1:
		// One layer that speaks for several makers is a gateway, or made up.
		return evidence.LevelPossible
	}
	return level
}

func (v *verdict) hinted(hint string) bool {
	return slices.ContainsFunc(v.claims, func(c evidence.Claim) bool {
		return c.Attribute == evidence.AttrHint && c.Value == hint && c.Confidence >= leastStrong
	})
}

// rivals reports whether another value is as well supported as to be believed
// alone.
func rivals(all []candidate) bool { return slices.ContainsFunc(all[1:], candidate.strong) }

// lower returns the lower of two levels.
func lower(a, b evidence.Level) evidence.Level {
	order := []evidence.Level{evidence.LevelNone, evidence.LevelPossible, evidence.LevelProbable, evidence.LevelIdentified, evidence.LevelConfirmed}
	return order[min(slices.Index(order, a), slices.Index(order, b))]
}
