package all_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"fmt"
	"math/big"
	"net/netip"
	"slices"

	"golang.org/x/crypto/ssh"

	"probity/evidence"
	"probity/fixtures/pki"
	"probity/internal/wire/sigwire"
	"probity/lint"
)

// signedBy is a signature over text as a handshake has it.
func (w *world) signedBy(key crypto.Signer, text string) *evidence.Signature {
	w.t.Helper()
	digest := sha256.Sum256([]byte(text))
	s := sigwire.ParseDER(must[[]byte](w.t)(key.Sign(nil, digest[:], crypto.SHA256)))
	s.Digest = digest[:]
	return s
}

// handshakes are answers of two servers.
func handshakes(mods ...func(o *evidence.Observation)) []evidence.Observation {
	var out []evidence.Observation
	for i, m := range mods {
		yes := true
		o := evidence.Observation{
			ID: int64(20 + i), Run: 1, Method: evidence.Active, Kind: evidence.KindTLS, Result: evidence.ResultData, At: now,
			Endpoint: evidence.Endpoint{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(10 * (1 + i%2))}), Port: 443, Transport: evidence.TCP},
			Facts: evidence.Facts{TLS: &evidence.TLSFacts{
				Offer: evidence.OfferTLS12, OfferedMax: 0x0303, Version: 0x0303, CipherSuite: ecdheGCM, Group: 23, SignatureScheme: 0x0403,
				SecureRenegotiation: &yes, ExtendedMasterSecret: &yes,
			}},
		}
		m(&o)
		out = append(out, o)
	}
	return out
}

func twoAssets(sshA, sshB string) []evidence.Asset {
	return []evidence.Asset{asset("dev-1", "192.0.2.10", sshA), asset("dev-2", "192.0.2.20", sshB)}
}

func nonceInputs(w *world) []input {
	site := w.repeating(w.site)
	one, two := w.issue(site, w.ec("n1").Public(), w.device(11)), w.issue(site, w.ec("n2").Public(), w.device(12))
	pair := func(name string, a, b []byte, more ...[]byte) input {
		return input{
			name: "fleet/unique_nonce/" + name, policy: w.anchors(), assets: twoAssets("k1", "k2"),
			pem: slicesConcat(chainPEM(host1, "server", append([][]byte{a}, more...)...), chainPEM(host2, "server", b)),
		}
	}
	// A device whose handshake and whose self-signed certificate have one number.
	broken := pki.RepeatingSigner{Key: w.ec("broken").(*ecdsa.PrivateKey), Number: big.NewInt(0x7654321)}
	second := pki.RepeatingSigner{Key: w.ec("second").(*ecdsa.PrivateKey), Number: broken.Number}
	self := func(key crypto.Signer, n int) []byte {
		t := w.device(n)
		t.Subject.SerialNumber = ""
		return must[pki.Authority](w.t)(pki.SelfSigned(key, t)).DER
	}
	own, other := self(broken, 13), self(second, 14)
	shakes := func(name string, der []byte, signatures ...*evidence.Signature) input {
		i := input{name: "fleet/unique_nonce/" + name, assets: twoAssets("k1", "k2")}
		for n, s := range signatures {
			o := handshakes(func(o *evidence.Observation) {
				o.Facts.TLS.Signature = s
				o.Certs = []evidence.Presented{{Role: evidence.RoleServer, DER: der}}
			})[0]
			o.ID = int64(20 + n)
			i.obs = append(i.obs, o)
		}
		return i
	}
	sound := self(w.ec("leaf"), 15)
	again := w.signedBy(w.ec("leaf"), "one")
	negative := *again
	negative.S = new(big.Int).Sub(w.ec("leaf").(*ecdsa.PrivateKey).Params().N, new(big.Int).SetBytes(again.S)).Bytes()
	forged := *w.signedBy(broken, "forged")
	forged.S = []byte{1}
	heard := shakes("heard", own, w.signedBy(broken, "two"))
	heard.obs[0].Method, heard.obs[0].Facts.TLS.Signature.Before = evidence.Passive, w.signedBy(broken, "three")
	list := pair("handshake_and_list", w.leafOf(16, w.ec("n3").Public(), nil), w.leafOf(17, w.ec("n4").Public(), nil), w.site.DER)
	list.obs = lists(w.list(site, nil), w.list(site, nil, w.revokes(one, 1, day(-2))))
	answered := pair("certificate_and_response", one, w.leafOf(17, w.ec("n4").Public(), nil), w.site.DER)
	answered.obs = answers(w.answer(w.site, w.site.DER, site.Key, one, nil))
	rsaOnly := input{name: "fleet/unique_nonce/none", pem: chainPEM(host1, "server", must[pki.Authority](w.t)(pki.SelfSigned(w.rsa("a", 2048), w.device(18))).DER)}
	return []input{
		pair("different", w.leafOf(16, w.ec("n3").Public(), nil), w.leafOf(17, w.ec("n4").Public(), nil), w.site.DER),
		pair("certificates", one, two, w.site.DER), pair("two_keys", own, other), pair("issuer_unknown", one, two), list, answered,
		shakes("handshake_and_certificate", own, w.signedBy(broken, "two")), heard,
		shakes("one_signature_twice", sound, again, again), shakes("negative", sound, again, &negative),
		shakes("forged", sound, w.signedBy(w.ec("leaf"), "four"), &forged),
		{name: "fleet/unique_nonce/one", pem: chainPEM(host1, "server", sound)},
		rsaOnly, w.sshNonce(),
	}
}

// sshNonce is a server whose host key signed two key exchanges with one number. What
// was signed only the two sides know.
func (w *world) sshNonce() input {
	broken := pki.RepeatingSigner{Key: w.ec("broken ssh").(*ecdsa.PrivateKey), Number: big.NewInt(0x55555)}
	i := input{name: "fleet/unique_nonce/ssh", assets: twoAssets("", "")}
	for n, text := range []string{"one", "two"} {
		o := sshObservation("192.0.2.10", "")
		key := must[ssh.PublicKey](w.t)(ssh.NewPublicKey(broken.Public()))
		o.ID, o.Keys = int64(30+n), []evidence.HostKey{{Algorithm: key.Type(), Blob: key.Marshal()}}
		s := w.signedBy(broken, text)
		s.Digest, s.Verified = nil, true
		o.Facts.SSH.Signature = s
		i.obs = append(i.obs, o)
	}
	return i
}

// sharedInputs are values that two servers have in common, or not.
func sharedInputs(w *world) []input {
	var in []input
	for name, set := range map[string]func(f *evidence.TLSFacts, n byte){
		"unique_ephemeral_key": func(f *evidence.TLSFacts, n byte) { f.KeyShare = evidence.Digest{n} },
		"unique_ticket_key": func(f *evidence.TLSFacts, n byte) {
			for i := range byte(16) {
				f.TicketKey = append(f.TicketKey, n+17*i)
			}
		},
	} {
		both := func(a, b byte) []evidence.Observation {
			return handshakes(func(o *evidence.Observation) { set(o.Facts.TLS, a) }, func(o *evidence.Observation) { set(o.Facts.TLS, b) })
		}
		declared := &lint.Policy{SharedIdentity: []lint.SharedIdentity{{Name: "pair", Reason: "HA", Addresses: []netip.Addr{
			netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.20"),
		}}}}
		path := "fleet/" + name + "/"
		in = append(in,
			input{name: path + "different", obs: both(1, 2), assets: twoAssets("k1", "k2")},
			input{name: path + "proved", obs: presenting(both(1, 1), w.leafOf(1, w.ec("leaf").Public(), nil), w.leafOf(2, w.ec("other").Public(), nil)), assets: twoAssets("k1", "k2"), policy: w.anchors()},
			input{name: path + "passed_on", obs: presenting(both(1, 1), w.leafOf(1, w.ec("leaf").Public(), nil)), assets: twoAssets("k1", "k2"), policy: w.anchors()},
			input{name: path + "unproved", obs: both(1, 1), assets: twoAssets("k1", "")},
			input{name: path + "declared", obs: both(1, 1), assets: twoAssets("k1", "k2"), policy: declared},
			input{name: path + "one_device", obs: both(1, 1), assets: []evidence.Asset{{ID: "dev-1", Addresses: []netip.Addr{
				netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.20"),
			}}}},
			input{name: path + "none", pem: chainPEM("file/a.pem", "file", w.leaf(nil))})
	}
	slices.SortFunc(in, func(a, b input) int { return cmpText(a.name, b.name) })
	constant := handshakes(func(o *evidence.Observation) { o.Facts.TLS.TicketKey = make([]byte, 16) }, func(o *evidence.Observation) { o.Facts.TLS.TicketKey = make([]byte, 16) })
	in = append(in, input{name: "fleet/unique_ticket_key/no_name", obs: constant, assets: twoAssets("k1", "k2")})
	// Two nodes of a cluster: one certificate and one ticket key, two host keys.
	a := w.leafOf(1, w.ec("leaf").Public(), nil)
	node := func(o *evidence.Observation) {
		o.Facts.TLS.TicketKey = []byte("\x01\x12\x23\x34\x45\x56\x67\x78\x89\x9a\xab\xbc\xcd\xde\xef\xf0")
		o.Certs = []evidence.Presented{{Role: evidence.RoleServer, DER: a}}
	}
	// Two devices that have one certificate, and each a ticket key of its own.
	alone := func(n byte) func(o *evidence.Observation) {
		return func(o *evidence.Observation) {
			node(o)
			o.Facts.TLS.TicketKey = append([]byte(nil), o.Facts.TLS.TicketKey...)
			o.Facts.TLS.TicketKey[0] = n
		}
	}
	in = append(in, input{
		name: "fleet/unique_certificate/two_ticket_keys", assets: twoAssets("k1", "k2"), policy: w.anchors(),
		obs: handshakes(alone(2), alone(3), alone(2), alone(3)),
	})
	return append(in, input{name: "fleet/unique_certificate/cluster", obs: handshakes(node, node), assets: twoAssets("k1", "k2"), policy: w.anchors()})
}

// presenting has observations present certificates by turns.
func presenting(obs []evidence.Observation, leafs ...[]byte) []evidence.Observation {
	for i := range obs {
		obs[i].Certs = []evidence.Presented{{Role: evidence.RoleServer, DER: leafs[i%len(leafs)]}}
	}
	return obs
}

func cmpText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// modelled is a unit of a model with a host key.
func modelled(n int, model, ssh string) evidence.Asset {
	a := asset(fmt.Sprintf("dev-%d", n), fmt.Sprintf("192.0.2.%d", 10*n), ssh)
	if model != "" {
		a.Claims = append(a.Claims, evidence.Claim{Attribute: evidence.AttrManufacturer, Value: "Acmed", Confidence: 95, Layer: "sdc"},
			evidence.Claim{Attribute: evidence.AttrModel, Value: model, Confidence: 95, Layer: "sdc"})
	}
	return a
}

func modelInputs(w *world) []input {
	leafs := make([][]byte, 6)
	for i := range leafs {
		leafs[i] = w.leafOf(20+i, w.ec(fmt.Sprintf("unit %d", i)).Public(), nil)
	}
	units := func(name, model string, proved bool, ders ...[]byte) input {
		i := input{name: name, policy: w.anchors()}
		for n, der := range ders {
			ssh := ""
			if proved {
				ssh = fmt.Sprintf("k%d", n)
			}
			i.pem = append(i.pem, chainPEM(fmt.Sprintf("192.0.2.%d:443", 10*(n+1)), "server", der, w.site.DER)...)
			i.assets = append(i.assets, modelled(n+1, model, ssh))
		}
		return i
	}
	def := func(name, model string, proved bool, ders ...[]byte) input {
		return units("fleet/no_model_default/"+name, model, proved, ders...)
	}
	issuer := func(name, model string, ders ...[]byte) input {
		return units("asset/expected_issuer/"+name, model, true, ders...)
	}
	other := w.issue(w.base, w.ec("unit 9").Public(), w.device(29))
	another := w.issue(w.root, w.ec("unit 8").Public(), w.device(28))
	none := issuer("none", "Pump 7", leafs[0], leafs[1])
	none.assets = append(none.assets, modelled(7, "Pump 7", ""))
	return []input{
		def("own", "Pump 7", true, leafs[0], leafs[1]), def("default", "Pump 7", true, leafs[0], leafs[0], leafs[0]),
		def("some", "Pump 7", true, leafs[0], leafs[0], leafs[1]), def("unproved", "Pump 7", false, leafs[0], leafs[0]),
		def("single", "Pump 7", true, leafs[0]), def("untold", "", true, leafs[0], leafs[0]),
		issuer("same", "Pump 7", leafs[:4]...), issuer("other", "Pump 7", leafs[0], leafs[1], leafs[2], other),
		issuer("mixed", "Pump 7", leafs[0], leafs[1], another, other), issuer("few", "Pump 7", leafs[0], leafs[1]), issuer("untold", "", leafs[:4]...), none,
	}
}

func subjectInputs(w *world) []input {
	named := func(n int, label string, cn string) []byte {
		return w.leafOf(n, w.ec(label).Public(), func(t *pki.Template) { t.Subject.SerialNumber, t.Subject.CommonName = "", cn })
	}
	a, b, c := named(1, "leaf", "monitor"), named(2, "leaf2", "monitor"), named(3, "leaf3", "other")
	two := func(name string, x, y []byte) input {
		return input{
			name: "fleet/one_key_per_subject/" + name, policy: w.anchors(), assets: twoAssets("k1", "k2"),
			pem: slicesConcat(chainPEM(host1, "server", x, w.site.DER), chainPEM(host2, "server", y, w.site.DER)),
		}
	}
	declared := two("declared", a, b)
	declared.policy.SharedIdentity = []lint.SharedIdentity{{Name: "pair", Reason: "HA", Addresses: []netip.Addr{
		netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.20"),
	}}}
	renewal := two("renewal_on_both", a, a)
	renewal.pem = append(renewal.pem, chainPEM("192.0.2.20:8443", "server", b, w.site.DER)...)
	return []input{two("different", a, c), two("two_devices", a, b), declared, renewal, two("none", w.leaf(nil), w.selfSigned(nil))}
}

func serialInputs(w *world) []input {
	numbered := func(name string, sha1 bool, serials ...string) input {
		i := input{name: "fleet/unpredictable_serials/" + name, policy: w.anchors()}
		for n, s := range serials {
			der := w.leafOf(n, w.ec(fmt.Sprintf("serial %d", n)).Public(), func(t *pki.Template) {
				serial, _ := new(big.Int).SetString(s, 0)
				t.Serial, t.SHA1 = serial, sha1
				t.NotBefore = now.AddDate(0, 0, -98+n)
			})
			i.pem = append(i.pem, chainPEM(fmt.Sprintf("file/%d.pem", n), "file", der)...)
		}
		return i
	}
	at := func(n int, unit int64) string {
		return fmt.Sprint(now.AddDate(0, 0, -98+n).Unix()*unit + 3600*unit*int64(n))
	}
	return []input{
		numbered("random", false, "0x4f9ac110ee20a7d1c35b", "0x11aa92f7c6d5e40931bb", "0x739b5d20f1e8c4a6d07f", "0x02c4a6d0f1e89b5d2739"),
		numbered("counter", false, "4096", "4097", "4101", "4102"), numbered("steps", false, "0x1000000000000001", "0x3000000000000001", "0x5000000000000001", "0x7000000000000001"),
		numbered("times", false, at(0, 1), at(1, 1), at(2, 1)), numbered("milliseconds", false, at(0, 1000), at(1, 1000), at(2, 1000)),
		numbered("dates", false, "20260817000123", "20260818009917", "20260819551234"),
		numbered("prefix", false, "0x5eed00000000000091ab33f2", "0x5eed00000000000010c4da01", "0x5eed000000000000f00d4a99"),
		numbered("sha1", true, "7", "8", "9"), numbered("few", false, "7", "8"),
		{name: "fleet/unpredictable_serials/none", pem: chainPEM(host1, "server", w.selfSigned(nil))},
	}
}
