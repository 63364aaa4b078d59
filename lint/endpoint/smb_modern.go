package endpoint

import (
	"probity/evidence"
	"probity/lint"
)

// smbModern asks that SMB 1 is not accepted and that SMB 2 is signed.
func smbModern() lint.Check {
	return lint.Check{
		Name:   "endpoint/smb_modern",
		Source: "MS-SMB2 section 2.2.4; MS-CIFS section 2.2.4.52; NIST SP 800-53 CM-7",
		Endpoint: func(_ *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			if !s.Asked(evidence.KindSMB) {
				return lint.NotApplicablef("SMB was not asked for.")
			}
			var modern *evidence.SMBFacts
			oldAsked := false
			for _, o := range s.Of(evidence.KindSMB) {
				f := o.Facts.SMB
				if f == nil {
					continue
				}
				if f.SMB1 {
					return lint.Failf("The server accepts SMB 1.")
				}
				oldAsked = oldAsked || f.Offer == "smb1"
				if f.Dialect != 0 {
					modern = f
				}
			}
			for _, o := range s.Observations { // hanging up on the offer is an answer
				oldAsked = oldAsked || o.Kind == evidence.KindSMB && o.Result == evidence.ResultReset && modern != nil
			}
			switch {
			case modern == nil:
				return lint.Inconclusivef("The endpoint chose no dialect of SMB.")
			case !modern.SigningRequired:
				return lint.Warnf("The server does not require signing (dialect %#04x).", modern.Dialect)
			case !oldAsked:
				return lint.Inconclusivef("The server requires signing; SMB 1 was not on offer.")
			}
			return lint.Passf("The server refuses SMB 1 and requires signing.")
		},
	}
}
