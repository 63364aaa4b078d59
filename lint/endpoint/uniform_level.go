package endpoint

import (
	"probity/internal/wire/tlswire"
	"probity/lint"
)

// uniformLevel asks that no TLS endpoint of a device is weaker than its best.
func uniformLevel() lint.Check {
	return lint.Check{
		Name:   "endpoint/uniform_level",
		Source: "RFC 9325 section 3.1; IEC 81001-5-1 section 5.3",
		Endpoint: overTLS(func(env *lint.Env, s *lint.EndpointSubject) lint.Verdict {
			if s.Asset == "" {
				return lint.NotApplicablef("The endpoint belongs to no known device.")
			}
			others := 0
			best, strict := highestVersion(s), takesLegacy(s)
			var bestAt, strictAt string
			for _, o := range env.Corpus.EndpointsOf(s.Asset) {
				if o == s || !o.SpeaksTLS() || highestVersion(o) == 0 {
					continue
				}
				others++
				if v := highestVersion(o); v > best {
					best, bestAt = v, o.Endpoint.String()
				}
				if strict && !takesLegacy(o) && highestVersion(o) >= tlswire.VersionTLS12 {
					strict, strictAt = false, o.Endpoint.String()
				}
			}
			switch {
			case others == 0:
				return lint.NotApplicablef("The device has no other TLS endpoint.")
			case highestVersion(s) == 0:
				return lint.Inconclusivef("No version was negotiated.")
			case bestAt != "":
				return lint.Warnf("The endpoint reaches %s, but %s of the same device reaches %s.", tlswire.VersionName(highestVersion(s)), bestAt, tlswire.VersionName(best))
			case strictAt != "":
				return lint.Warnf("The endpoint accepts versions below TLS 1.2, but %s of the same device does not.", strictAt)
			}
			return lint.Passf("The endpoint is not weaker than any other TLS endpoint of the device (%d).", others)
		}),
	}
}

// takesLegacy reports whether the server chose a version below TLS 1.2.
func takesLegacy(s *lint.EndpointSubject) bool {
	for _, h := range hellos(s) {
		if h.Version < tlswire.VersionTLS12 {
			return true
		}
	}
	return false
}
