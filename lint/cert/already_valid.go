package cert

import "probity/lint"

// alreadyValid asks that the validity of the certificate has begun.
func alreadyValid() lint.Check {
	return lint.Check{
		Name:   "cert/already_valid",
		Source: "RFC 5280 section 4.1.2.5",
		Params: []lint.Param{skewParam()},
		Certificate: lint.Decoded(func(env *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			begin := s.NotBefore()
			if env.At.Add(skew(env)).Before(begin) {
				return lint.Failf("The certificate is not valid before %s, in %d days.", lint.Time(begin), lint.Days(begin.Sub(env.At)))
			}
			return lint.Passf("The certificate is valid since %s.", lint.Time(begin))
		}),
	}
}
