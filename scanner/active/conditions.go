package active

import (
	"slices"

	"probity/evidence"
)

// notOpen says why a request of the application is not sent; it returns "" if
// the endpoint accepts connections and, as far as is known, wants no client
// certificate.
func notOpen(prior []evidence.Observation, accepted bool) string {
	for _, o := range prior {
		if t := o.Facts.TLS; t != nil && t.ClientAuth == evidence.ClientAuthRequired {
			return "the endpoint wants a client certificate"
		}
	}
	if !accepted {
		return "the endpoint accepts no connection"
	}
	return ""
}

// notSpeaking says why trials of TLS are not made; it returns "" if the peer was
// seen to speak it.
func notSpeaking(prior []evidence.Observation) string {
	if slices.ContainsFunc(prior, func(o evidence.Observation) bool {
		t := o.Facts.TLS
		return t != nil && (t.Version != 0 || t.Alert != nil)
	}) {
		return ""
	}
	return "the peer was not seen to speak TLS"
}

// notAnswered says why what builds on an answer is not sent.
func notAnswered(prior []evidence.Observation) string {
	if slices.ContainsFunc(prior, func(o evidence.Observation) bool { return o.Result == evidence.ResultData }) {
		return ""
	}
	return "the probe before it was not answered in its protocol"
}
