package status

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"probity/evidence"
	"probity/internal/wire/ocspwire"
	"probity/lint"
)

// stapleValid asks that the OCSP response that a server sends in the handshake is
// about its certificate, signed by whom it should be, and was fresh when it was sent.
func stapleValid() lint.Check {
	return lint.Check{
		Name:   "status/staple_valid",
		Source: "RFC 6960 sections 3.2 and 4.2.2.2; RFC 6066 section 8; RFC 7633",
		Params: []lint.Param{{Name: "max_age_h", Doc: "hours for which a response without nextUpdate is fresh", Default: 168}},
		Endpoint: func(env *lint.Env, e *lint.EndpointSubject) lint.Verdict {
			var leafs []leafSeen
			stapled := false
			for _, o := range e.TLS() {
				if c := leafOf(env, o); c != nil && c.Decoded() {
					leafs = append(leafs, leafSeen{o, c})
				}
				stapled = stapled || o.Facts.TLS.OCSPStaple
			}
			if len(leafs) == 0 {
				if !e.SpeaksTLS() {
					return lint.NotApplicablef("The endpoint does not speak TLS.")
				}
				return lint.Inconclusivef("No certificate of the server was seen, or none that can be decoded.")
			}
			if !stapled {
				return withoutStaple(leafs)
			}
			// The newest answer of each certificate counts; the worst one is told.
			var worst lint.Verdict
			judged := make(map[evidence.Digest]bool)
			for _, l := range slices.Backward(leafs) {
				if !l.observation.Facts.TLS.OCSPStaple || judged[l.Digest] {
					continue
				}
				judged[l.Digest] = true
				v := judgeStaple(env, l)
				v.Observations = []int64{l.observation.ID}
				if worst.Outcome == "" || urgency(v) < urgency(worst) {
					worst = v
				}
			}
			if worst.Outcome == "" {
				return lint.Inconclusivef("An OCSP response came without a certificate.")
			}
			return worst
		},
	}
}

func urgency(v lint.Verdict) int { return slices.Index(evidence.Outcomes(), v.Outcome) }

// leafSeen is the certificate of a server in a handshake.
type leafSeen struct {
	observation *evidence.Observation
	*lint.Certificate
}

func leafOf(env *lint.Env, o *evidence.Observation) *lint.Certificate {
	for _, p := range o.Certs {
		if p.Role == evidence.RoleServer && p.Position == 0 {
			return env.Corpus.Known(p.DER)
		}
	}
	return nil
}

// withoutStaple judges a server that sends none: most need not.
func withoutStaple(leafs []leafSeen) lint.Verdict {
	for _, l := range leafs {
		if mustStaple(l.Certificate) {
			return lint.Warnf("The certificate promises that its status comes with the handshake (RFC 7633), and it did not.")
		}
	}
	return lint.NotApplicablef("The server sends no OCSP response, which it need not.")
}

// mustStaple reports whether a certificate has the TLS feature status_request.
func mustStaple(c *lint.Certificate) bool {
	const statusRequest = 5
	value, _, ok := c.Extension(oidFeatures)
	in := cryptobyte.String(value)
	var list cryptobyte.String
	if !ok || !in.ReadASN1(&list, cbasn1.SEQUENCE) {
		return false
	}
	for !list.Empty() {
		var feature int
		if !list.ReadASN1Integer(&feature) {
			return false
		}
		if feature == statusRequest {
			return true
		}
	}
	return false
}

func judgeStaple(env *lint.Env, l leafSeen) lint.Verdict {
	r := env.Corpus.Staple(l.observation)
	switch {
	case r == nil:
		return lint.Inconclusivef("The server sent an OCSP response, whose bytes are not at hand.")
	case r.Response == nil:
		return lint.Warnf("The server sent an OCSP response that cannot be decoded: %v.", r.ParseError)
	case r.Response.Status != 0:
		return lint.Warnf("The server sent an OCSP response that says that the responder failed (%s).", failure(r.Response.Status))
	}
	issuers := issuersOf(env, l.Certificate)
	if len(issuers) == 0 {
		return lint.Inconclusivef("The certificate of the issuer %q is not at hand, so that the OCSP response cannot be verified.", l.Issuer())
	}
	sent := l.observation.At
	answers, why := answersOn(env, []*lint.Response{r}, l.Certificate, issuers)
	if len(answers) == 0 {
		if !slices.ContainsFunc(r.Response.Singles, func(s ocspwire.Single) bool { return bytes.Equal(s.Serial, serialOf(l.Certificate)) }) {
			return lint.Warnf("The server sent an OCSP response that is not about its certificate.")
		}
		if len(why) == 0 {
			return lint.Warnf("The server sent an OCSP response on a certificate of its serial number that another authority issued.")
		}
		return lint.Warnf("The server sent an OCSP response, but %s.", why[0])
	}
	a := answers[len(answers)-1]
	oldest := time.Duration(env.Int("max_age_h")) * time.Hour
	switch {
	case a.Status == "revoked":
		return lint.Failf("The server's own OCSP response says that its certificate is revoked since %s (%s).", lint.Time(a.Revoked), reasonText(a.Reason))
	case a.Status != "good":
		return lint.Warnf("The OCSP responder does not know the certificate.")
	case !a.current(sent, oldest):
		return lint.Warnf("The server sent an OCSP response of %s, which was not fresh at %s.", span(a), lint.Time(sent))
	}
	return lint.Passf("The server sent an OCSP response that says good, of %s, fresh when it was sent.", span(a))
}

func span(a said) string {
	if a.NextUpdate.IsZero() {
		return lint.Time(a.ThisUpdate) + " without an end"
	}
	return fmt.Sprintf("%s to %s", lint.Time(a.ThisUpdate), lint.Time(a.NextUpdate))
}

// failure names an OCSPResponseStatus (RFC 6960 section 4.2.1).
func failure(status int) string {
	names := map[int]string{1: "malformedRequest", 2: "internalError", 3: "tryLater", 5: "sigRequired", 6: "unauthorized"} //nolint:misspell // the name in the RFC
	if n := names[status]; n != "" {
		return n
	}
	return fmt.Sprintf("status %d", status)
}
