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

// notAnswered says why what builds on an answer is not sent.
func notAnswered(prior []evidence.Observation) string {
	if slices.ContainsFunc(prior, func(o evidence.Observation) bool { return o.Result == evidence.ResultData }) {
		return ""
	}
	return "the probe before it was not answered in its protocol"
}
