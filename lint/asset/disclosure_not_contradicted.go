package asset

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"probity/evidence"
	"probity/lint"
)

// disclosureNotContradicted compares what the manufacturer answers in its MDS2 form
// of the model with what was observed of the device.
//
// An answer is about what a model can do, and an observation about how one unit is
// set up: they contradict each other only where the one rules the other out.
func disclosureNotContradicted() lint.Check {
	return lint.Check{
		Name:   "asset/disclosure_not_contradicted",
		Source: "ANSI/NEMA HN 1-2019 section 5; FDA premarket guidance 2026 section VI.A",
		Asset: func(env *lint.Env, s *lint.AssetSubject) lint.Verdict {
			if len(env.Policy.Disclosures) == 0 {
				return lint.NotApplicablef("No MDS2 form was imported.")
			}
			model := lint.Told(s.Asset, evidence.AttrModel).Value
			if model == "" {
				return lint.NotApplicablef("The model of the device is not known, by which it would have a form.")
			}
			form := formOf(env, s)
			if form == nil {
				return lint.NotApplicablef("No MDS2 form (%d imported) is about the model %q.", len(env.Policy.Disclosures), text(model))
			}
			var against, agree []string
			var ids, same []int64
			for _, q := range questions() {
				said := form.Values[q.id]
				if said != "yes" && said != "no" {
					continue
				}
				seen := q.look(env, s)
				switch claim := said == "yes"; {
				case seen.what == "":
				case claim && seen.against == "yes", !claim && seen.against == "no":
					against = append(against, fmt.Sprintf("%s says %s, but %s", q.id, said, seen.what))
					ids = append(ids, seen.ids...)
				default:
					agree = append(agree, q.id)
					same = append(same, seen.ids...)
				}
			}
			name := fmt.Sprintf("%s of %s", text(form.Values[evidence.ValueMDS2]), text(form.Values[string(evidence.AttrModel)]))
			var v lint.Verdict
			switch {
			case len(against) > 0:
				v = lint.Warnf("The form %s does not agree with what was seen: %s.", name, strings.Join(against, "; "))
			case len(agree) > 0:
				v = lint.Passf("What was seen does not contradict the form %s (compared: %s).", name, strings.Join(agree, ", "))
				ids = same
			default:
				return lint.Inconclusivef("Nothing was seen that the answers of the form %s speak of.", name)
			}
			slices.Sort(ids)
			v.Observations = slices.Compact(ids)
			return v
		},
	}
}

// formOf is the newest form about the model of the device: the names of the models
// are the same but for blanks and signs, and so are those of the manufacturers as
// far as both are told, up to a legal form at the end.
func formOf(env *lint.Env, s *lint.AssetSubject) *evidence.AssetFact {
	model, maker := letters(lint.Told(s.Asset, evidence.AttrModel).Value), letters(lint.Told(s.Asset, evidence.AttrManufacturer).Value)
	var found *evidence.AssetFact
	for i := range env.Policy.Disclosures {
		f := &env.Policy.Disclosures[i]
		of := letters(f.Values[string(evidence.AttrManufacturer)])
		if maker != "" && !strings.HasPrefix(of, maker) && !strings.HasPrefix(maker, of) {
			continue
		}
		models := strings.FieldsFunc(f.Values[string(evidence.AttrModel)], func(r rune) bool { return r == ',' || r == ';' || r == '/' })
		if slices.ContainsFunc(models, func(m string) bool { return letters(m) == model || letters(m) == maker+model }) &&
			(found == nil || f.ID > found.ID) {
			found = f
		}
	}
	return found
}

func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

// seen is what was observed that an answer speaks of; against is the answer that
// it rules out, empty for neither.
type seen struct {
	what    string
	against string
	ids     []int64
}

// question is one of the form that observation can contradict.
type question struct {
	id   string
	look func(*lint.Env, *lint.AssetSubject) seen
}

// questions are in the order of the form's sections.
func questions() []question {
	return []question{
		{"NAUT-3", certificateAuthentication}, // uses certificate-based network connection authentication
		{"CONN-7", transportSecurity},         // supports TLS
		{"RMOT-1", remoteService},             // permits remote service connections
		{"SAHD-8", neededPorts},               // ports and protocols that are not needed are disabled
		{"SAHD-9", neededServices},            // services that are not needed are deleted or disabled
		{"TXCF-2", encryptedTransmission},     // personal data is encrypted prior to transmission
		{"TXCF-4", authenticatedSystems},      // connections are limited to authenticated systems
	}
}

func certificateAuthentication(env *lint.Env, s *lint.AssetSubject) seen {
	var asks, open seen
	for _, e := range s.Endpoints {
		clinical := slices.Contains([]string{lint.ServiceDICOMTLS, lint.ServiceHL7TLS, lint.ServiceSDC}, env.Service(e))
		for _, o := range e.Of(evidence.KindTLS) {
			t := o.Facts.TLS
			switch {
			case t == nil || t.Version == 0:
			case t.ClientAuth == evidence.ClientAuthRequired:
				asks = seen{fmt.Sprintf("%s demands a certificate of who calls", e.Endpoint), "no", append(asks.ids, o.ID)}
			case t.ClientAuth == evidence.ClientAuthNotAsked && clinical:
				open = seen{fmt.Sprintf("%s asks nobody for a certificate", e.Endpoint), "yes", append(open.ids, o.ID)}
			}
		}
	}
	for _, g := range s.Leafs {
		if g.Role == evidence.RoleClient {
			asks = seen{"the device presents a certificate when it calls", "no", append(asks.ids, g.Observation)}
		}
	}
	if asks.what != "" {
		return asks
	}
	return open
}

func transportSecurity(_ *lint.Env, s *lint.AssetSubject) seen {
	for _, e := range s.Endpoints {
		for _, o := range e.Of(evidence.KindTLS) {
			if t := o.Facts.TLS; t != nil && t.Version != 0 {
				return seen{fmt.Sprintf("%s speaks TLS", e.Endpoint), "no", []int64{o.ID}}
			}
		}
	}
	for _, o := range s.Called {
		if o.Facts.TLS.Version != 0 {
			return seen{"the device calls others over TLS", "no", []int64{o.ID}}
		}
	}
	return seen{} // that none was seen says nothing about what is supported
}

func remoteService(_ *lint.Env, s *lint.AssetSubject) seen {
	for _, e := range s.Endpoints {
		for _, o := range e.Observations {
			f := o.Facts
			if o.Result == evidence.ResultData && (f.SSH != nil || f.RDP != nil || f.VNC != nil || f.Banner != nil && f.Banner.Protocol == "telnet") {
				what := string(o.Kind)
				if f.Banner != nil {
					what = f.Banner.Protocol
				}
				return seen{fmt.Sprintf("%s takes remote sessions (%s)", e.Endpoint, what), "no", []int64{o.ID}}
			}
		}
	}
	return seen{}
}

func neededPorts(_ *lint.Env, s *lint.AssetSubject) seen {
	list, fact := s.Stated(evidence.ValuePorts)
	if fact == nil {
		return seen{}
	}
	extra, all, ids := unlisted(s, strings.Fields(list))
	switch {
	case len(extra) > 0:
		return seen{strings.Join(extra, ", ") + " is on no list of its ports", "yes", ids}
	case len(all) > 0:
		return seen{"no service is off the list", "", all}
	}
	return seen{}
}

func neededServices(_ *lint.Env, s *lint.AssetSubject) seen {
	var out seen
	for _, e := range s.Endpoints {
		for _, o := range e.Observations {
			if f := o.Facts; o.Result == evidence.ResultData && (f.Banner != nil || f.SMB != nil && f.SMB.SMB1) {
				what := "SMB 1"
				if f.Banner != nil {
					what = f.Banner.Protocol
				}
				out = seen{fmt.Sprintf("%s offers %s", e.Endpoint, what), "yes", append(out.ids, o.ID)}
			}
		}
	}
	return out
}

func encryptedTransmission(_ *lint.Env, s *lint.AssetSubject) seen {
	var clear, sealed seen
	for _, e := range s.Endpoints {
		for _, o := range e.Observations {
			protocol, overTLS, ok := clinicalFacts(o)
			switch {
			case !ok:
			case overTLS:
				sealed = seen{protocol + " goes over TLS", "", append(sealed.ids, o.ID)}
			default:
				clear = seen{fmt.Sprintf("%s speaks %s in clear", e.Endpoint, protocol), "yes", append(clear.ids, o.ID)}
			}
		}
	}
	if clear.what != "" {
		return clear
	}
	return sealed
}

// clinicalFacts says of an observation of a clinical protocol which it is, and
// whether it went over TLS.
func clinicalFacts(o *evidence.Observation) (protocol string, overTLS, ok bool) {
	f := o.Facts
	switch {
	case o.Result != evidence.ResultData:
	case f.DICOM != nil:
		return "DICOM", f.DICOM.TLS, true
	case f.HL7 != nil: // TLS hides messages
		return "HL7", false, true
	case f.FHIR != nil:
		return "FHIR", f.FHIR.TLS, true
	case f.SDC != nil:
		return "SDC", f.SDC.TLS, true
	}
	return "", false, false
}

func authenticatedSystems(_ *lint.Env, s *lint.AssetSubject) seen {
	for _, e := range s.Endpoints {
		for _, o := range e.Of(evidence.KindDICOM) {
			if f := o.Facts.DICOM; f != nil && o.Method == evidence.Active && f.PDU == "ac" {
				return seen{fmt.Sprintf("%s took a DICOM association of the scanner, which it does not know", e.Endpoint), "yes", []int64{o.ID}}
			}
		}
	}
	return seen{}
}
