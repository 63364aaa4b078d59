package all_test

import (
	"time"

	"probity/evidence"
)

// freshInputs are key exchanges with fresh and with used keys.
func freshInputs() []input {
	var in []input
	add := func(name string, s *server, assets ...evidence.Asset) {
		in = append(in, input{name: "endpoint/ephemeral_keys_fresh/" + name, obs: s.obs, assets: assets})
	}
	key := func(k byte) func(*evidence.TLSFacts) {
		return func(f *evidence.TLSFacts) { f.KeyShare = evidence.Digest{k} }
	}
	dh := func(f *evidence.TLSFacts) { f.DHBits = 2048 }
	keys := func(port uint16, list ...byte) *server {
		s := at(port)
		for _, k := range list {
			s.says(evidence.OfferTLS12, 0x0303, 0x0303, ecdheGCM, key(k))
		}
		return s
	}
	add("fresh", keys(443, 1, 2, 3))
	add("too_few", keys(443, 1, 2))
	add("none", at(443).says(evidence.OfferTLS12, 0x0303, 0x0303, rsaCBC))
	add("refused", at(443).refuses(evidence.OfferFull, 0x0304))
	add("not_tls", plain(443))
	add("curve_reused", keys(443, 1, 2, 1))
	add("finite_field_reused", at(443).says(evidence.OfferTLS12, 0x0303, 0x0303, dheGCM, key(1), dh).says(evidence.OfferWeak, 0x0303, 0x0303, dheGCM, key(1), dh))
	// What was heard of a handshake of our own is no reuse.
	heard := keys(443, 1, 2, 3).says(evidence.OfferPassive, 0x0303, 0x0303, ecdheGCM, key(3))
	heard.obs[3].Method = evidence.Passive
	add("heard_and_asked", heard)
	// Nor is one handshake in two captures.
	twice := at(443)
	for range 2 {
		twice.says(evidence.OfferPassive, 0x0303, 0x0303, ecdheGCM, key(1))
		twice.obs[len(twice.obs)-1].Method = evidence.Passive
	}
	add("heard_twice", twice)
	// One key in two handshakes that were heard is.
	again := at(443)
	for i := range 2 {
		again.says(evidence.OfferPassive, 0x0303, 0x0303, ecdheGCM, key(1))
		again.obs[i].Method, again.obs[i].At = evidence.Passive, now.Add(time.Duration(i)*time.Minute)
	}
	add("heard_reused", again)
	other := keys(443, 1, 2, 3)
	for _, o := range keys(8443, 4, 5, 3).obs {
		o.ID = int64(len(other.obs) + 1)
		other.obs = append(other.obs, o)
	}
	add("reused_on_another_port", other, asset("dev-1", "192.0.2.10", ""))
	return in
}

// flawInputs are trials of known flaws.
func flawInputs() []input {
	var in []input
	add := func(name string, s *server) {
		in = append(in, input{name: "endpoint/no_known_flaws/" + name, obs: s.obs})
	}
	says := func(s *server, f evidence.FlawFacts) {
		s.add(evidence.Observation{Kind: evidence.KindFlaw, Facts: evidence.Facts{Flaw: &f}})
	}
	tried := func(bleeds, takesCCS evidence.Shown) *server {
		s := good(443)
		says(s, evidence.FlawFacts{Flaw: evidence.FlawHeartbleed, Trial: 1, Shown: bleeds, Reason: "what the heartbeat showed"})
		says(s, evidence.FlawFacts{Flaw: evidence.FlawCCS, Trial: 2, Shown: takesCCS, Reason: "what the change of cipher showed"})
		return s
	}
	round := func(s *server, followed bool, number int, answers ...string) *server {
		for i, a := range answers {
			says(s, evidence.FlawFacts{
				Flaw: evidence.FlawROBOT, Trial: len(s.obs), Shown: evidence.ShownUnknown, Reason: "one of several answers to be compared",
				Message: i + 1, Round: number, Followed: followed, Answer: a,
			})
		}
		return s
	}
	const yes, no, unknown = evidence.ShownYes, evidence.ShownNo, evidence.ShownUnknown
	alike := []string{"alert 20", "alert 20", "alert 20", "alert 20", "alert 20"}
	differ := []string{"alert 20", "alert 47", "alert 20", "alert 20", "alert 20"}
	silent := []string{"silence", "silence", "silence", "silence", "silence"}
	sound := func() *server { return round(round(tried(no, no), true, 1, alike...), false, 1, silent...) }
	add("sound", sound())
	add("not_tried", good(443))
	add("not_tls", plain(443))
	add("heartbleed", round(round(tried(yes, no), true, 1, alike...), false, 1, silent...))
	add("ccs", tried(no, yes))
	add("robot", round(round(tried(no, no), true, 1, differ...), true, 2, differ...))
	add("robot_before_the_rest", round(round(round(tried(no, no), true, 1, alike...), false, 1, "silence", "alert 47", "silence", "silence", "silence"),
		false, 2, "silence", "alert 47", "silence", "silence", "silence"))
	add("answers_alternate", round(round(tried(no, no), true, 1, differ...), true, 2, "alert 47", "alert 20", "alert 47", "alert 20", "alert 47"))
	add("cut_short", round(tried(no, unknown), true, 1, alike[:3]...))
	noRSA := tried(no, no)
	says(noRSA, evidence.FlawFacts{Flaw: evidence.FlawROBOT, Trial: 3, Shown: no, Reason: "the server takes no RSA key transport", Message: 1, Round: 1, Followed: true})
	add("no_rsa", noRSA)
	return in
}
