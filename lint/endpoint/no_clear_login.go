package endpoint

import (
	"probity/evidence"
	"probity/lint"
)

// noClearLogin asks that no telnet and no FTP server answers.
func noClearLogin() lint.Check {
	return lint.Check{
		Name:   "endpoint/no_clear_login",
		Source: "RFC 854; RFC 959; NIST SP 800-53 CM-7",
		Endpoint: func(_ *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			if !s.Asked(evidence.KindBanner) {
				return lint.NotApplicablef("Neither FTP nor telnet was asked for.")
			}
			for _, o := range s.Of(evidence.KindBanner) {
				switch f := o.Facts.Banner; {
				case f == nil:
				case f.Protocol == "telnet":
					return lint.Failf("A telnet server answers.")
				case f.Protocol == "ftp":
					return lint.Warnf("An FTP server answers.")
				}
			}
			for _, o := range s.Observations {
				if o.Kind == evidence.KindBanner && o.Result == evidence.ResultError && o.Detail != "" {
					return lint.Passf("What answers is neither FTP nor telnet.")
				}
			}
			return lint.Inconclusivef("The endpoint said nothing in time.")
		},
	}
}
