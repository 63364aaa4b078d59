package asset

import (
	"probity/evidence"
	"probity/lint"
)

// tls13 is the code point of TLS 1.3, which hides certificates from listeners.
const tls13 = 0x0304

// clientCertificate asks that a device, where a server asks for it, authenticates
// itself with a certificate.
func clientCertificate() lint.Check {
	return lint.Check{
		Name:   "asset/client_certificate",
		Source: "IHE ITI TF-2 section 3.19.6.1; RFC 5246 section 7.4.6",
		Asset: func(_ *lint.Env, s *lint.AssetSubject) lint.Verdict {
			for _, g := range s.Leafs {
				if g.Role == evidence.RoleClient {
					v := lint.Passf("The device presented a client certificate.")
					v.Observations = []int64{g.Observation}
					return v
				}
			}
			var asked, hidden, all []int64
			for _, o := range s.Called {
				f := o.Facts.TLS
				all = append(all, o.ID)
				switch {
				case f.CertificateHidden || f.Version >= tls13:
					hidden = append(hidden, o.ID)
				case f.ClientAuth == evidence.ClientAuthRequested || f.ClientAuth == evidence.ClientAuthRequired:
					asked = append(asked, o.ID)
				}
			}
			var v lint.Verdict
			switch {
			case len(asked) > 0:
				v = lint.Warnf("In %s a server asked for a client certificate, and none came.", lint.Count(len(asked), "session"))
				v.Observations = asked
			case len(all) == 0:
				v = lint.NotApplicablef("No TLS session of the device as a client was seen.")
			case len(hidden) > 0:
				v = lint.Inconclusivef("Only sessions in TLS 1.3 were seen, which hides client certificates.")
				v.Observations = hidden
			default:
				v = lint.NotApplicablef("No server asked the device for a certificate.")
				v.Observations = all
			}
			return v
		},
	}
}
