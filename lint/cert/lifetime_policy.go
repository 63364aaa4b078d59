package cert

import (
	"time"

	"probity/lint"
)

// lifetimePolicy asks that the whole lifetime is within what the site allows
// for the role. No medical standard sets a number, so there is no default.
func lifetimePolicy() lint.Check {
	return lint.Check{
		Name:   "cert/lifetime_policy",
		Source: "site policy",
		Params: []lint.Param{{
			Name: "max_days", Doc: "longest lifetime in days by role: server, client, ldevid", Default: map[string]int{},
		}},
		Certificate: lint.DecodedLeaf(func(env *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			role := env.Role(s)
			limit, set := env.IntMap("max_days")[string(role)]
			switch {
			case role == lint.RoleIDevID:
				return lint.NotApplicablef("The certificate is an initial device identity.")
			case len(env.IntMap("max_days")) == 0:
				return lint.NotApplicablef("The site has declared no lifetimes.")
			case role == lint.RoleUnknown:
				return lint.Inconclusivef("The role of the certificate is not known.")
			case !set:
				return lint.NotApplicablef("The site has declared no lifetime for the role %s.", role)
			}
			// RFC 5280 section 4.1.2.5: both ends belong to the period.
			lifetime := s.NotAfter().Sub(s.NotBefore()) + time.Second
			if lifetime > time.Duration(limit)*day {
				return lint.Warnf("The lifetime of %d days is longer than the %d days declared for the role %s.", lint.Days(lifetime), limit, role)
			}
			return lint.Passf("The lifetime of %d days is within the %d days declared for the role %s.", lint.Days(lifetime), limit, role)
		}),
	}
}
