package all_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"net/netip"
	"time"

	"golang.org/x/crypto/ocsp"

	"probity/evidence"
	"probity/fixtures/pki"
	"probity/lint"
)

// steady signs without randomness, so that the inputs are the same each time.
type steady struct{ crypto.Signer }

// Sign implements [crypto.Signer].
func (s steady) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.Signer.Sign(nil, digest, opts)
}

func day(n int) time.Time { return now.AddDate(0, 0, n) }

func (w *world) parsed(der []byte) *x509.Certificate {
	return must[*x509.Certificate](w.t)(x509.ParseCertificate(der))
}

// list is a revocation list of a, issued yesterday and good for a week.
func (w *world) list(a pki.Authority, mod func(*x509.RevocationList), entries ...x509.RevocationListEntry) []byte {
	w.t.Helper()
	l := &x509.RevocationList{Number: big.NewInt(7), ThisUpdate: day(-1), NextUpdate: day(6), RevokedCertificateEntries: entries}
	if mod != nil {
		mod(l)
	}
	return must[[]byte](w.t)(x509.CreateRevocationList(nil, l, w.parsed(a.DER), steady{a.Key}))
}

func (w *world) revokes(der []byte, reason int, at time.Time) x509.RevocationListEntry {
	return x509.RevocationListEntry{SerialNumber: w.parsed(der).SerialNumber, RevocationTime: at, ReasonCode: reason}
}

// answer is an OCSP response of responder, whose key signs, on a certificate of a.
func (w *world) answer(a pki.Authority, responder []byte, key crypto.Signer, der []byte, mod func(*ocsp.Response)) []byte {
	w.t.Helper()
	r := ocsp.Response{Status: ocsp.Good, SerialNumber: w.parsed(der).SerialNumber, ThisUpdate: day(-1), NextUpdate: day(1), IssuerHash: crypto.SHA1}
	by := w.parsed(responder)
	if string(responder) != string(a.DER) {
		r.Certificate = by
	}
	if mod != nil {
		mod(&r)
	}
	return must[[]byte](w.t)(ocsp.CreateResponse(w.parsed(a.DER), by, r, steady{key}))
}

// signer is a certificate of a for signing OCSP responses.
func (w *world) signer(a pki.Authority, label string, use ...x509.ExtKeyUsage) []byte {
	t := w.device(9)
	t.Subject, t.DNSNames, t.ExtKeyUsage = pkix.Name{CommonName: "Responder"}, nil, use
	return w.issue(a, w.ec(label).Public(), t)
}

func filed(id int64, name string, f evidence.ArtefactFacts) evidence.Observation {
	return evidence.Observation{
		ID: id, Run: 2, Method: evidence.Import, Kind: evidence.KindArtefact, Result: evidence.ResultData, At: now,
		Endpoint: evidence.Endpoint{Transport: evidence.File, Name: name}, Facts: evidence.Facts{Artefact: &f},
	}
}

func lists(ders ...[]byte) []evidence.Observation {
	var out []evidence.Observation
	for i, der := range ders {
		out = append(out, filed(int64(50+i), fmt.Sprintf("site%d.crl", i+1), evidence.ArtefactFacts{Format: "crl", CRL: der}))
	}
	return out
}

func answers(ders ...[]byte) []evidence.Observation {
	var out []evidence.Observation
	for i, der := range ders {
		out = append(out, filed(int64(60+i), fmt.Sprintf("status%d.der", i+1), evidence.ArtefactFacts{Format: "ocsp", OCSP: der}))
	}
	return out
}

// idp is an issuing distribution point (RFC 5280 section 5.2.5).
func idp(content ...byte) pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: append([]byte{0x30, byte(len(content))}, content...)}
}

// uriPoint is a distributionPoint with one URI, as an element of an issuing
// distribution point.
func uriPoint(uri string) []byte {
	n := byte(len(uri))
	return append([]byte{0xa0, n + 4, 0xa0, n + 2, 0x86, n}, uri...)
}

func deltaOf(base byte) pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, base}}
}

func statusInputs(w *world) []input {
	var in []input
	leaf := w.leaf(nil)
	root := pki.Authority{DER: w.root.DER, Key: w.root.Key}
	check := func(name string, leaf []byte, obs ...evidence.Observation) {
		i := w.served("status/"+name, leaf)
		i.obs = obs
		in = append(in, i)
	}
	revoked := w.revokes(leaf, 1, day(-10))
	hold := w.revokes(leaf, 6, day(-10))

	check("not_revoked/good_list", leaf, lists(w.list(w.site, nil), w.list(root, nil))...)
	check("not_revoked/revoked", leaf, lists(w.list(w.site, nil, revoked))...)
	check("not_revoked/revoked_on_stale_list", leaf, lists(w.list(w.site, func(l *x509.RevocationList) { l.NextUpdate = day(-1) }, revoked))...)
	check("not_revoked/revoked_later", leaf, lists(w.list(w.site, nil, w.revokes(leaf, 1, day(2))))...)
	check("not_revoked/ca_revoked", leaf, lists(w.list(w.site, nil), w.list(root, nil, w.revokes(w.site.DER, 2, day(-3))))...)
	check("not_revoked/hold", leaf, lists(w.list(w.site, nil, hold))...)
	released := func(l *x509.RevocationList) {
		l.Number = big.NewInt(8)
		l.ThisUpdate, l.ExtraExtensions = day(0), []pkix.Extension{deltaOf(7)}
	}
	check("not_revoked/hold_removed_by_delta", leaf, lists(w.list(w.site, nil, hold), w.list(w.site, released, w.revokes(leaf, 8, day(0))))...)
	check("not_revoked/revoked_by_delta", leaf, lists(w.list(w.site, nil), w.list(w.site, released, w.revokes(leaf, 1, day(-1))))...)
	stale := func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = day(-20), day(-10) }
	check("not_revoked/prolonged_by_delta", leaf, lists(w.list(w.site, stale), w.list(w.site, released))...)
	check("not_revoked/delta_of_another_base", leaf, lists(w.list(w.site, stale), w.list(w.site, func(l *x509.RevocationList) {
		released(l)
		l.Number, l.ExtraExtensions = big.NewInt(12), []pkix.Extension{deltaOf(11)}
	}))...)
	check("not_revoked/delta_alone", leaf, lists(w.list(w.site, released))...)
	check("not_revoked/stale", leaf, lists(w.list(w.site, stale))...)
	check("not_revoked/nothing", leaf)
	forger := pki.Authority{DER: w.site.DER, Key: w.ec("forger")}
	check("not_revoked/forged_list", leaf, lists(w.forgedList(forger, revoked))...)
	check("not_revoked/cas_only", leaf, lists(w.list(w.site, func(l *x509.RevocationList) { l.ExtraExtensions = []pkix.Extension{idp(0x82, 1, 0xff)} }))...)
	check("not_revoked/users_only", leaf, lists(w.list(w.site, func(l *x509.RevocationList) { l.ExtraExtensions = []pkix.Extension{idp(0x81, 1, 0xff)} }))...)
	check("not_revoked/some_reasons", leaf, lists(w.list(w.site, func(l *x509.RevocationList) { l.ExtraExtensions = []pkix.Extension{idp(0x83, 2, 4, 0x60)} }))...)
	check("not_revoked/another_part", leaf, lists(w.list(w.site, func(l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{idp(uriPoint("http://pki/2.crl")...)}
	}))...)
	pointed := w.raw(w.site, w.ec("leaf").Public(), func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"http://pki/2.crl"} })
	check("not_revoked/its_part", pointed, lists(w.list(w.site, func(l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{idp(uriPoint("http://pki/2.crl")...)}
	}))...)
	check("not_revoked/unknown_critical", leaf, lists(w.list(w.site, func(l *x509.RevocationList) {
		l.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 9}, Critical: true, Value: []byte{5, 0}}}
	}, revoked))...)
	in = append(in, w.indirect())

	responder := w.signer(w.site, "responder", x509.ExtKeyUsageOCSPSigning)
	respond := func(name string, by []byte, key crypto.Signer, mod func(*ocsp.Response)) {
		check("not_revoked/"+name, leaf, answers(w.answer(w.site, by, key, leaf, mod))...)
	}
	respond("good_response", responder, w.ec("responder"), nil)
	respond("good_response_of_the_issuer", w.site.DER, w.site.Key, func(r *ocsp.Response) { r.IssuerHash = crypto.SHA256 })
	isRevoked := func(r *ocsp.Response) {
		r.Status, r.RevokedAt, r.RevocationReason = ocsp.Revoked, day(-3), ocsp.KeyCompromise
	}
	respond("revoked_response", responder, w.ec("responder"), isRevoked)
	respond("unknown_response", responder, w.ec("responder"), func(r *ocsp.Response) { r.Status = ocsp.Unknown })
	respond("stale_response", responder, w.ec("responder"), func(r *ocsp.Response) { r.ThisUpdate, r.NextUpdate = day(-9), day(-2) })
	respond("response_without_end", responder, w.ec("responder"), func(r *ocsp.Response) { r.NextUpdate = time.Time{} })
	respond("responder_without_purpose", w.signer(w.site, "responder", x509.ExtKeyUsageServerAuth), w.ec("responder"), isRevoked)
	respond("responder_of_another_authority", w.signer(w.base, "responder", x509.ExtKeyUsageOCSPSigning), w.ec("responder"), isRevoked)
	check("not_revoked/response_on_another_issuer", leaf, answers(w.answer(w.base, w.base.DER, w.base.Key, leaf, isRevoked))...)
	check("not_revoked/list_beats_response", leaf, append(lists(w.list(w.site, nil, revoked)), answers(w.answer(w.site, responder, w.ec("responder"), leaf, nil))...)...)
	check("not_revoked/self_signed", w.selfSigned(nil), lists(w.list(w.site, nil))...)
	in = append(in, input{name: "status/not_revoked/issuer_unknown", pem: chainPEM(host1, "server", leaf), obs: lists(w.list(w.site, nil))})

	// Whether a way is named.
	check("mechanism_declared/list", pointed)
	check("mechanism_declared/ocsp", w.raw(w.site, w.ec("leaf").Public(), func(c *x509.Certificate) { c.OCSPServer = []string{"http://ocsp.nordklinik.internal"} }))
	check("mechanism_declared/nothing", leaf)
	declared := w.served("status/mechanism_declared/declared", leaf)
	declared.policy.Revocation = "deny list of the RADIUS servers"
	never := func(days int) []byte {
		return w.raw(w.site, w.ec("leaf").Public(), func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = day(-1), day(days-1)
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 56}, Value: []byte{5, 0}}}
		})
	}
	check("mechanism_declared/short_lived", never(5))
	check("mechanism_declared/never_and_long", never(90))
	in = append(in, declared, input{name: "status/mechanism_declared/idevid", policy: w.anchors(), pem: chainPEM(host1, "server", w.issue(w.maker, w.ec("leaf").Public(), w.idevid(1)))})

	// The lists themselves.
	check("list_current/current", leaf, lists(w.list(w.site, nil))...)
	check("list_current/forged", leaf, lists(w.forgedList(forger))...)
	check("list_current/stale", leaf, lists(w.list(w.site, stale))...)
	check("list_current/not_decodable", leaf, lists(w.list(w.site, nil)[:40])...)
	check("list_current/future", leaf, lists(w.list(w.site, func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = day(3), day(9) }))...)
	check("list_current/superseded", leaf, lists(w.list(w.site, stale), w.list(w.site, nil))...)
	in = append(in, input{name: "status/list_current/issuer_unknown", pem: chainPEM(host1, "server", w.selfSigned(nil)), obs: lists(w.list(w.site, nil))})

	return append(in, slicesOf(w.staples(leaf, responder), w.lifeCycle(leaf))...)
}

func slicesOf(parts ...[]input) []input {
	var out []input
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

// forgedList is signed by another key than the issuer's, which crypto/x509 does not
// do by itself.
func (w *world) forgedList(a pki.Authority, entries ...x509.RevocationListEntry) []byte {
	ca := w.parsed(a.DER)
	ca.PublicKey = a.Key.Public()
	l := &x509.RevocationList{Number: big.NewInt(7), ThisUpdate: day(-1), NextUpdate: day(6), RevokedCertificateEntries: entries}
	return must[[]byte](w.t)(x509.CreateRevocationList(nil, l, ca, steady{a.Key}))
}

// indirect is a list of an authority of its own, which the certificate names and
// which says whose certificate it revokes.
func (w *world) indirect() input {
	signer := pki.Authority{DER: w.raw(w.root, w.ec("crl").Public(), func(c *x509.Certificate) {
		c.Subject, c.KeyUsage, c.ExtKeyUsage, c.DNSNames = pkix.Name{CommonName: "List Signer"}, x509.KeyUsageCRLSign, nil, nil
		c.SubjectKeyId = []byte{1, 2, 3, 4}
	}), Key: w.ec("crl")}
	name := w.parsed(signer.DER).RawSubject
	directory := append([]byte{0xa4, byte(len(name))}, name...)
	issuer := append([]byte{0xa2, byte(len(directory))}, directory...)
	point := append([]byte{0x30, byte(len(issuer))}, issuer...)
	leaf := w.raw(w.site, w.ec("leaf").Public(), func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 31}, Value: append([]byte{0x30, byte(len(point))}, point...)}}
	})
	site := w.parsed(w.site.DER).RawSubject
	of := append([]byte{0xa4, byte(len(site))}, site...)
	entry := w.revokes(leaf, 5, day(-2))
	entry.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: append([]byte{0x30, byte(len(of))}, of...)}}
	i := w.served("status/not_revoked/indirect", leaf)
	i.pem = slicesConcat(i.pem, chainPEM("file/signer.pem", "file", signer.DER))
	i.obs = lists(w.list(signer, func(l *x509.RevocationList) { l.ExtraExtensions = []pkix.Extension{idp(0x84, 1, 0xff)} }, entry))
	return i
}

// staples are servers that send OCSP responses.
func (w *world) staples(leaf, responder []byte) []input {
	var in []input
	with := func(name string, leaf []byte, staple []byte) {
		yes := true
		f := &evidence.TLSFacts{
			Offer: evidence.OfferFull, OfferedMax: 0x0304, Version: 0x0303, CipherSuite: ecdheGCM, Group: 23, SignatureScheme: 0x0403,
			SecureRenegotiation: &yes, ExtendedMasterSecret: &yes, OCSPStaple: staple != nil,
		}
		o := evidence.Observation{
			ID: 1, Run: 1, Method: evidence.Active, Kind: evidence.KindTLS, Result: evidence.ResultData, At: day(-1),
			Endpoint: evidence.Endpoint{Addr: netip.MustParseAddr("192.0.2.10"), Port: 443, Transport: evidence.TCP}, Facts: evidence.Facts{TLS: f},
			Certs: []evidence.Presented{{Role: evidence.RoleServer, DER: leaf}, {Role: evidence.RoleServer, Position: 1, DER: w.site.DER}},
		}
		if len(staple) > 0 {
			o.Raw = []evidence.Blob{{Media: lint.MediaOCSP, Data: staple}}
		}
		in = append(in, input{name: "status/staple_valid/" + name, obs: []evidence.Observation{o}, policy: w.anchors()})
	}
	key := w.ec("responder")
	with("good", leaf, w.answer(w.site, responder, key, leaf, nil))
	with("revoked", leaf, w.answer(w.site, responder, key, leaf, func(r *ocsp.Response) {
		r.Status, r.RevokedAt, r.RevocationReason = ocsp.Revoked, day(-3), ocsp.Superseded
	}))
	with("unknown", leaf, w.answer(w.site, responder, key, leaf, func(r *ocsp.Response) { r.Status = ocsp.Unknown }))
	with("stale", leaf, w.answer(w.site, responder, key, leaf, func(r *ocsp.Response) { r.ThisUpdate, r.NextUpdate = day(-9), day(-3) }))
	with("wrong_signer", leaf, w.answer(w.site, w.signer(w.base, "responder", x509.ExtKeyUsageOCSPSigning), key, leaf, nil))
	with("another_certificate", leaf, w.answer(w.site, responder, key, w.leafOf(2, w.ec("leaf2").Public(), nil), nil))
	with("responder_failed", leaf, []byte{0x30, 3, 0x0a, 1, 3})
	with("damaged", leaf, []byte{0x30, 0x80})
	with("bytes_missing", leaf, []byte{})
	with("no_staple", leaf, nil)
	promised := w.raw(w.site, w.ec("leaf").Public(), func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: []byte{0x30, 3, 2, 1, 5}}}
	})
	with("promised", promised, nil)
	return in
}

// lifeCycle are devices that should be gone, and certificates that are revoked.
func (w *world) lifeCycle(leaf []byte) []input {
	device := func(status string, seen time.Time) evidence.Asset {
		return evidence.Asset{
			ID: "dev-1", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10")}, FirstSeen: day(-90), LastSeen: seen,
			Facts: []evidence.AssetFact{{
				ID: 1, At: day(-30), Kind: evidence.FactInventory, Asset: "dev-1", Values: map[string]string{evidence.ValueStatus: status}, Reason: "cmms",
			}},
		}
	}
	retired := func(name, status string, seen time.Time, obs ...evidence.Observation) input {
		i := w.served("status/retired_not_seen/"+name, leaf)
		i.obs, i.assets = obs, []evidence.Asset{device(status, seen)}
		return i
	}
	silent := retired("back_silent", "retired", now) // no certificate, but the card answers
	silent.pem = nil
	silent.assets[0].Events = []evidence.Event{{At: day(-2), Kind: evidence.EventReturned, Observations: []int64{7}}}
	unknown := retired("no_status", "", now)
	unknown.assets[0].Facts = nil
	in := []input{
		retired("gone", "retired", day(-40)), retired("back", "Lost", now), retired("active", "active", now), unknown, silent,
		retired("back_revoked", "retired", now, lists(w.list(w.site, nil, w.revokes(leaf, 5, day(-29))))...),
	}
	presented := func(name string, second []byte, obs ...evidence.Observation) input {
		return input{
			name: "status/revoked_not_presented/" + name, policy: w.anchors(), obs: obs,
			pem:    slicesConcat(chainPEM(host1, "server", leaf, w.site.DER), chainPEM(host2, "server", second, w.site.DER)),
			assets: []evidence.Asset{asset("dev-1", "192.0.2.10", "k1"), asset("dev-2", "192.0.2.20", "k2")},
		}
	}
	other := w.leafOf(2, w.ec("leaf2").Public(), nil)
	sameKey := w.leafOf(3, w.ec("leaf").Public(), nil)
	gone := w.leafOf(4, w.ec("leaf4").Public(), nil)
	closed := presented("closed", other, lists(w.list(w.site, nil, w.revokes(gone, 1, day(-30))))...)
	closed.pem = slicesConcat(closed.pem, chainPEM("file/old.pem", "file", gone))
	return append(in,
		presented("none", leaf, lists(w.list(w.site, nil))...), closed,
		presented("open", leaf, lists(w.list(w.site, nil, w.revokes(leaf, 1, day(-30))))...),
		presented("same_key", sameKey, lists(w.list(w.site, nil, w.revokes(leaf, 1, day(-30))))...),
		presented("grace", leaf, lists(w.list(w.site, nil, w.revokes(leaf, 4, day(-3))))...),
	)
}

// repeating is an authority whose signatures all have one number.
func (w *world) repeating(a pki.Authority) pki.Authority {
	return pki.Authority{DER: a.DER, Key: pki.RepeatingSigner{Key: a.Key.(*ecdsa.PrivateKey), Number: big.NewInt(0x1234567)}}
}
