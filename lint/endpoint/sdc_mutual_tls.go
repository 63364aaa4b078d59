package endpoint

import (
	"slices"

	"probity/evidence"
	"probity/lint"
)

// sdcMutualTLS asks that an IEEE 11073 SDC provider answers over TLS only, and
// to clients with a certificate only.
func sdcMutualTLS() lint.Check {
	return lint.Check{
		Name:   "endpoint/sdc_mutual_tls",
		Source: "IEEE 11073-20701 section 9; IEEE 11073-20702 section 10",
		Endpoint: func(env *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			stranger := false
			for _, o := range s.Of(evidence.KindSDC) {
				switch f := o.Facts.SDC; {
				case f == nil:
				case !f.TLS:
					return lint.Failf("The provider answers SOAP requests in clear.")
				default:
					stranger = true
				}
			}
			required := slices.ContainsFunc(hellos(s), func(h hello) bool { return h.ClientAuth == evidence.ClientAuthRequired })
			switch {
			case stranger:
				return lint.Warnf("The provider answers a client without a certificate over TLS.")
			case env.Service(s) != lint.ServiceSDC:
				return lint.NotApplicablef("No SDC was seen.")
			case required:
				return lint.Passf("The SDC port speaks TLS and refuses a client without a certificate.")
			}
			return lint.Inconclusivef("The SDC port gave no answer that tells.")
		},
	}
}
