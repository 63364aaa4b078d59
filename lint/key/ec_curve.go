package key

import (
	"slices"

	"probity/lint"
)

// ecCurve asks for a point on a named, approved curve.
func ecCurve() lint.Check {
	return lint.Check{
		Name:   "key/ec_curve",
		Source: "RFC 5480 section 2.1.1; NIST SP 800-186; RFC 8410",
		Params: []lint.Param{
			{Name: "min_bits", Doc: "smallest field in bits", Default: 224},
			{Name: "allow", Doc: "names of further approved curves, such as brainpoolP256r1", Default: []string{}},
		},
		Certificate: lint.WithKey(func(env *lint.Env, _ *lint.CertificateSubject, k *lint.Key) lint.Verdict {
			if k.Algorithm == lint.Ed25519 || k.Algorithm == lint.Ed448 {
				return lint.Passf("The key is on the approved curve %s.", k.Algorithm)
			}
			switch {
			case k.Algorithm != lint.EC:
				return otherKind(k)
			case k.Curve == "":
				return lint.Warnf("The key states its curve by explicit parameters instead of a name.")
			case k.Bits == 0:
				return lint.Inconclusivef("The curve %s is not known.", k.Curve)
			case k.Bits < env.Int("min_bits"):
				return lint.Failf("The curve %s has %d bits, fewer than %d.", k.Curve, k.Bits, env.Int("min_bits"))
			case k.Point == lint.PointInvalid:
				return lint.Failf("The point of the key is not on the curve %s.", k.Curve)
			case !nist(k.Curve) && !slices.Contains(env.Strings("allow"), k.Curve):
				return lint.Warnf("The curve %s has %d bits but is not approved.", k.Curve, k.Bits)
			}
			return lint.Passf("The key is on the approved curve %s.", k.Curve)
		}),
	}
}

// nist reports whether a curve is one of the prime curves of SP 800-186.
func nist(curve string) bool {
	return curve == "P-256" || curve == "P-384" || curve == "P-521" || curve == "P-224"
}
