package lint

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
)

// TestClientCertCells judges versions that are written as trials: what was
// presented, and what came of it.
func TestClientCertCells(t *testing.T) {
	type trials []evidence.MTLSFacts
	did := func(kind evidence.ClientCertificate, control evidence.Control, mods ...func(*evidence.MTLSFacts)) evidence.MTLSFacts {
		f := evidence.MTLSFacts{Certificate: kind, Control: control, Requested: true, Handshake: evidence.StageComplete, End: evidence.EndOpen}
		for _, m := range mods {
			m(&f)
		}
		return f
	}
	alert := func(n uint8) func(*evidence.MTLSFacts) {
		return func(f *evidence.MTLSFacts) {
			f.Handshake, f.End, f.Alert = evidence.StageCertificate, evidence.EndAlert, &n
		}
	}
	end := func(stage evidence.HandshakeStage, e evidence.End) func(*evidence.MTLSFacts) {
		return func(f *evidence.MTLSFacts) { f.Handshake, f.End = stage, e }
	}
	http := func(status int) func(*evidence.MTLSFacts) {
		return func(f *evidence.MTLSFacts) { f.Application, f.Answered, f.HTTPStatus = "http", true, status }
	}
	words := func(f *evidence.MTLSFacts) { f.HTTPCertificate = true }
	unasked := func(f *evidence.MTLSFacts) { f.Requested = false }
	const (
		none, good, self = evidence.ClientCertNone, evidence.ClientCertGood, evidence.ClientCertSelfSigned
		before, after    = evidence.ControlBefore, evidence.ControlAfter
		tls12, tls13     = 0x0303, 0x0304
	)
	const h, a, n, u, g = EnforcedInHandshake, EnforcedInApplication, NotEnforced, EnforcementUnknown, ControlAccepted
	reset, closed, timeout := evidence.EndReset, evidence.EndClosed, evidence.EndTimeout
	certificate, complete := evidence.StageCertificate, evidence.StageComplete
	for _, tt := range []struct {
		name    string
		version uint16
		trials  trials
		want    []Enforcement
	}{
		{"alerts that name the certificate", tls12, trials{did(none, before, alert(116)), did(self, "", alert(48)), did(none, after, alert(116))}, []Enforcement{h, h}},
		{"handshake_failure for none, a name for another", tls12, trials{did(none, before, alert(40)), did(self, "", alert(42)), did(none, after, alert(40))}, []Enforcement{h, h}},
		{"everything fails", tls12, trials{did(none, before, alert(40)), did(self, "", alert(40)), did(none, after, alert(40))}, []Enforcement{u, u}},
		{"everything is reset", tls12, trials{did(none, before, end(certificate, reset)), did(self, "", end(certificate, reset)), did(none, after, end(certificate, reset))}, []Enforcement{u, u}},
		{"reset, but not for the good one", tls12, trials{did(none, "", end(certificate, reset)), did(good, before, http(200)), did(self, "", end(certificate, reset)), did(good, after, http(200))}, []Enforcement{h, g, h}},
		{"closed late in TLS 1.3, but not for the good one", tls13, trials{did(none, "", end(complete, closed)), did(good, before), did(self, "", end(complete, closed)), did(good, after)}, []Enforcement{h, g, h}},
		{"closed after TLS 1.2, but not for the good one", tls12, trials{did(none, "", end(complete, closed)), did(good, before), did(self, "", end(complete, closed)), did(good, after)}, []Enforcement{a, g, a}},
		{"the good one fails too", tls12, trials{did(none, "", alert(116)), did(good, before, alert(48)), did(self, "", alert(48)), did(good, after, alert(48))}, []Enforcement{u, u, u}},
		{"the good one fails afterwards", tls12, trials{did(none, "", alert(116)), did(good, before), did(self, "", alert(48)), did(good, after, end(certificate, timeout))}, []Enforcement{u, u, u}},
		{"the control afterwards is missing", tls12, trials{did(none, before, alert(116)), did(self, "", alert(48))}, []Enforcement{u, u}},
		{"forbidden to all", tls12, trials{did(none, before, http(403)), did(self, "", http(403)), did(none, after, http(403))}, []Enforcement{u, u}},
		{"forbidden also with the good one", tls12, trials{did(none, "", http(403)), did(good, before, http(403)), did(self, "", http(403)), did(good, after, http(403))}, []Enforcement{n, g, n}},
		{"forbidden but to the good one", tls12, trials{did(none, "", http(403)), did(good, before, http(200)), did(self, "", http(403)), did(good, after, http(200))}, []Enforcement{a, g, a}},
		{"a reason in words", tls12, trials{did(none, before, http(400), words), did(self, "", http(400), words), did(none, after, http(400), words)}, []Enforcement{a, a}},
		{"statuses of nginx", tls12, trials{did(none, before, http(496)), did(self, "", http(495)), did(none, after, http(496))}, []Enforcement{a, a}},
		{"none is welcome, others not", tls12, trials{did(none, before, http(200)), did(self, "", alert(48)), did(none, after, http(200))}, []Enforcement{n, h}},
		{"silence without a good one", tls12, trials{did(none, before, alert(116)), did(self, ""), did(none, after, alert(116))}, []Enforcement{h, u}},
		{"silence as with the good one", tls12, trials{did(none, "", alert(116)), did(good, before), did(self, ""), did(good, after)}, []Enforcement{h, g, n}},
		{"not asked, answered", tls13, trials{did(none, before, unasked, http(200))}, []Enforcement{n}},
		{"not asked, forbidden", tls13, trials{did(none, before, unasked, http(403))}, []Enforcement{u}},
		{"not spoken", tls13, trials{did(none, before, unasked, alert(70), end(evidence.StageNone, evidence.EndAlert))}, nil},
		{"protocol_version is no refusal of a certificate", tls12, trials{did(none, "", alert(70)), did(good, before), did(good, after)}, []Enforcement{u, g}},
		{"decrypt_error for a forged name", tls12, trials{did(none, "", alert(40)), did(good, before), did(evidence.ClientCertUnknownCA, "", alert(51)), did(good, after)}, []Enforcement{h, g, h}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var obs []*evidence.Observation
			for i := range tt.trials {
				tt.trials[i].Trial, tt.trials[i].Version = i+1, tt.version
				obs = append([]*evidence.Observation{{ID: int64(i + 1), Facts: evidence.Facts{MTLS: &tt.trials[i]}}}, obs...) // in any order
			}
			var got []Enforcement
			for _, c := range ClientCertCells(obs) {
				if c.Why == "" || c.Observation == 0 {
					t.Errorf("cell without a reason or an observation: %+v", c)
				}
				got = append(got, c.Enforcement)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
