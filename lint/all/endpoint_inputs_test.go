package all_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"net/netip"

	"probity/evidence"
	"probity/fixtures/pki"
	"probity/lint"
)

// sshObservation is an answer of an SSH server with one host key: "ssh-ed25519",
// "ssh-rsa-<bits>" or "ssh-dss".
func sshObservation(addr, key string) evidence.Observation {
	field := func(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }
	number := func(bits int) []byte { return append([]byte{0, 0x80}, bytes.Repeat([]byte{0x55}, bits/8-1)...) }
	name, blob := "ssh-ed25519", bytes.Join([][]byte{field([]byte("ssh-ed25519")), field(bytes.Repeat([]byte{7}, 32))}, nil)
	rsaBlob := func(bits int) []byte {
		return bytes.Join([][]byte{field([]byte("ssh-rsa")), field([]byte{1, 0, 1}), field(number(bits))}, nil)
	}
	switch key {
	case "ssh-rsa-2048":
		name, blob = "ssh-rsa", rsaBlob(2048)
	case "ssh-rsa-1024":
		name, blob = "ssh-rsa", rsaBlob(1024)
	case "ssh-rsa-published":
		if published, err := pki.PublishedRSA2048(); err == nil {
			name, blob = "ssh-rsa", bytes.Join([][]byte{field([]byte("ssh-rsa")), field([]byte{1, 0, 1}), field(append([]byte{0}, published.N.Bytes()...))}, nil)
		}
	case "ssh-dss":
		name = "ssh-dss"
		blob = bytes.Join([][]byte{field([]byte("ssh-dss")), field(number(1024)), field(number(160)), field([]byte{2}), field([]byte{4})}, nil)
	}
	return evidence.Observation{
		ID: 1, Run: 1, Method: evidence.Active, Kind: evidence.KindSSH, At: now, Result: evidence.ResultData,
		Endpoint: evidence.Endpoint{Addr: netip.MustParseAddr(addr), Port: 22, Transport: evidence.TCP},
		Keys:     []evidence.HostKey{{Algorithm: name, Blob: blob}},
		Facts:    evidence.Facts{SSH: &evidence.SSHFacts{Version: "SSH-2.0-OpenSSH_9.2", HostKeys: []string{name}}},
	}
}

// sshWith is an answer with an Ed25519 host key.
func sshWith(key crypto.PublicKey) evidence.Observation {
	o := sshObservation("192.0.2.10", "ssh-ed25519")
	o.ID = 9
	copy(o.Keys[0].Blob[len(o.Keys[0].Blob)-ed25519.PublicKeySize:], key.(ed25519.PublicKey))
	return o
}

const (
	ecdheGCM  = 0xc02b
	ecdheCBC  = 0xc009
	rsaCBC    = 0x002f
	rsaGCM    = 0x009c
	rsa3DES   = 0x000a
	rsaRC4    = 0x0005
	rsaNULL   = 0x0002
	dheGCM    = 0x009e
	anonCBC   = 0x0034
	tls13Suit = 0x1301
)

// weakClasses are what an elimination begins with.
func weakClasses(without ...evidence.SuiteClass) []evidence.SuiteClass {
	var out []evidence.SuiteClass
	for _, c := range []evidence.SuiteClass{
		evidence.ClassNULL, evidence.ClassAnonymous, evidence.ClassExport, evidence.ClassDES, evidence.ClassRC4, evidence.ClassRC2,
		evidence.Class3DES, evidence.ClassIDEA, evidence.ClassStaticRSA, evidence.ClassDHE,
	} {
		if !bytes.Contains([]byte(join(without)), []byte(" "+string(c)+" ")) {
			out = append(out, c)
		}
	}
	return out
}

func join(classes []evidence.SuiteClass) string {
	s := " "
	for _, c := range classes {
		s += string(c) + " "
	}
	return s
}

// server builds the observations of one TLS endpoint.
type server struct {
	port uint16
	addr string
	obs  []evidence.Observation
}

func at(port uint16) *server { return &server{port: port, addr: "192.0.2.10"} }

func (s *server) add(o evidence.Observation) *server {
	o.ID, o.Run, o.At = int64(len(s.obs)+1), 1, now
	o.Endpoint = evidence.Endpoint{Addr: netip.MustParseAddr(s.addr), Port: s.port, Transport: evidence.TCP}
	if o.Method == "" {
		o.Method = evidence.Active
	}
	if o.Result == "" {
		o.Result = evidence.ResultData
	}
	s.obs = append(s.obs, o)
	return s
}

// says adds a ServerHello.
func (s *server) says(offer evidence.Offer, limit, version, suite uint16, mods ...func(*evidence.TLSFacts)) *server {
	yes := true
	f := &evidence.TLSFacts{Offer: offer, OfferedMax: limit, Version: version, CipherSuite: suite, Handshake: evidence.StageServerHello}
	if version == 0x0303 {
		f.SecureRenegotiation, f.ExtendedMasterSecret = &yes, &yes
		if suite == ecdheGCM || suite == ecdheCBC {
			f.Group, f.SignatureScheme = 23, 0x0403
		}
	}
	if version == 0x0304 {
		f.Group, f.SignatureScheme, f.ClientAuth = 29, 0x0403, evidence.ClientAuthNotAsked
	}
	for _, m := range mods {
		m(f)
	}
	return s.add(evidence.Observation{Kind: evidence.KindTLS, Facts: evidence.Facts{TLS: f}})
}

// refuses adds an alert.
func (s *server) refuses(offer evidence.Offer, limit uint16, classes ...evidence.SuiteClass) *server {
	alert := uint8(40)
	return s.add(evidence.Observation{Kind: evidence.KindTLS, Facts: evidence.Facts{TLS: &evidence.TLSFacts{
		Offer: offer, OfferedMax: limit, Alert: &alert, Handshake: evidence.StageNone, OfferedClasses: classes,
	}}})
}

func (s *server) times(offer evidence.Offer, r evidence.Result) *server {
	return s.add(evidence.Observation{Kind: evidence.KindTLS, Result: r, Facts: evidence.Facts{TLS: &evidence.TLSFacts{Offer: offer}}})
}

func classes(c ...evidence.SuiteClass) func(*evidence.TLSFacts) {
	return func(f *evidence.TLSFacts) { f.OfferedClasses = c }
}

// good is a server as it should be.
func good(port uint16) *server {
	return at(port).says(evidence.OfferFull, 0x0304, 0x0304, tls13Suit).
		says(evidence.OfferTLS12, 0x0303, 0x0303, ecdheGCM, func(f *evidence.TLSFacts) { f.DowngradeSentinel = "tls1.2" }).
		refuses(evidence.OfferTLS11, 0x0302).refuses(evidence.OfferSSL3, 0x0300).refuses(evidence.OfferSSL2, 0x0002).
		refuses(evidence.OfferWeak, 0x0303, weakClasses()...)
}

// old is a server of TLS 1.2 that takes one more suite when asked for weak ones.
func old(suite uint16, without ...evidence.SuiteClass) *server {
	return at(443).says(evidence.OfferFull, 0x0304, 0x0303, ecdheGCM).says(evidence.OfferTLS12, 0x0303, 0x0303, ecdheGCM).
		refuses(evidence.OfferTLS11, 0x0302).
		says(evidence.OfferWeak, 0x0303, 0x0303, suite, classes(weakClasses()...)).
		refuses(evidence.OfferWeak, 0x0303, weakClasses(without...)...)
}

// nothingElse is a server that takes one weak suite only.
func nothingElse(suite uint16, without ...evidence.SuiteClass) *server {
	return at(443).refuses(evidence.OfferFull, 0x0304).refuses(evidence.OfferTLS12, 0x0303).refuses(evidence.OfferTLS11, 0x0302).
		says(evidence.OfferWeak, 0x0303, 0x0303, suite, classes(weakClasses()...)).
		refuses(evidence.OfferWeak, 0x0303, weakClasses(without...)...)
}

func plain(port uint16) *server {
	return at(port).add(evidence.Observation{Kind: evidence.KindTLS, Facts: evidence.Facts{TLS: &evidence.TLSFacts{
		Offer: evidence.OfferFull, NotTLS: true, Spoke: "http",
	}}})
}

func endpointInputs() []input {
	var in []input
	add := func(name string, s *server) { in = append(in, input{name: "endpoint/" + name, obs: s.obs}) }
	for _, lint := range []string{
		"no_ssl", "no_legacy_tls", "tls12_supported", "tls13_supported", "downgrade_protection", "no_null_suites", "no_anonymous_suites",
		"no_broken_suites", "no_64bit_blocks", "no_static_rsa", "forward_secret_aead", "dh_size", "ecdhe_size", "no_compression",
		"renegotiation_ems", "handshake_signature",
	} {
		add(lint+"/good", good(443))
		add(lint+"/not_tls", plain(443))
		add(lint+"/timeout", at(443).times(evidence.OfferFull, evidence.ResultTimeout).
			add(evidence.Observation{Kind: evidence.KindTLS, Result: evidence.ResultReset, Facts: evidence.Facts{TLS: &evidence.TLSFacts{Offer: evidence.OfferTLS12}}}))
	}
	add("no_ssl/ssl3", good(443).says(evidence.OfferSSL3, 0x0300, 0x0300, rsaCBC))
	add("no_ssl/ssl2_not_asked", at(443).says(evidence.OfferFull, 0x0304, 0x0304, tls13Suit).refuses(evidence.OfferSSL3, 0x0300))
	tls10only := at(443).says(evidence.OfferFull, 0x0304, 0x0301, rsaCBC).refuses(evidence.OfferTLS12, 0x0303).says(evidence.OfferTLS11, 0x0302, 0x0301, rsaCBC)
	for _, lint := range []string{"no_legacy_tls", "tls12_supported", "tls13_supported"} {
		add(lint+"/tls10_only", tls10only)
	}
	add("no_legacy_tls/reset", at(443).says(evidence.OfferFull, 0x0304, 0x0304, tls13Suit).times(evidence.OfferTLS11, evidence.ResultReset))
	add("tls12_supported/only_13", at(443).says(evidence.OfferFull, 0x0304, 0x0304, tls13Suit).refuses(evidence.OfferTLS12, 0x0303))
	add("tls13_supported/only_12", old(rsaCBC, evidence.ClassStaticRSA))
	add("tls13_supported/only_null", nothingElse(rsaNULL, evidence.ClassNULL, evidence.ClassStaticRSA))
	add("downgrade_protection/no_sentinel", at(443).says(evidence.OfferFull, 0x0304, 0x0304, tls13Suit).says(evidence.OfferTLS12, 0x0303, 0x0303, ecdheGCM))
	add("downgrade_protection/only_13", at(443).says(evidence.OfferFull, 0x0304, 0x0304, tls13Suit).refuses(evidence.OfferTLS12, 0x0303))
	add("no_null_suites/null", nothingElse(rsaNULL, evidence.ClassNULL, evidence.ClassStaticRSA))
	add("no_anonymous_suites/anonymous", old(anonCBC, evidence.ClassAnonymous))
	add("no_broken_suites/rc4", old(rsaRC4, evidence.ClassRC4, evidence.ClassStaticRSA))
	add("no_64bit_blocks/among_better", old(rsa3DES, evidence.Class3DES, evidence.ClassStaticRSA))
	add("no_64bit_blocks/only", nothingElse(rsa3DES, evidence.Class3DES, evidence.ClassStaticRSA))
	add("no_static_rsa/among_others", old(rsaCBC, evidence.ClassStaticRSA))
	add("no_static_rsa/only", nothingElse(rsaGCM, evidence.ClassStaticRSA))
	add("forward_secret_aead/cbc", at(443).says(evidence.OfferTLS12, 0x0303, 0x0303, ecdheCBC))
	add("forward_secret_aead/static", at(443).says(evidence.OfferTLS12, 0x0303, 0x0303, rsaGCM))
	bits := func(n int) func(*evidence.TLSFacts) { return func(f *evidence.TLSFacts) { f.DHBits = n } }
	add("dh_size/1024", good(443).says(evidence.OfferWeak, 0x0303, 0x0303, dheGCM, bits(1024)))
	add("dh_size/2048_on_request", good(443).says(evidence.OfferWeak, 0x0303, 0x0303, dheGCM, bits(2048)))
	add("dh_size/2048_preferred", at(443).says(evidence.OfferTLS12, 0x0303, 0x0303, dheGCM, bits(2048)))
	group := func(g uint16) func(*evidence.TLSFacts) { return func(f *evidence.TLSFacts) { f.Group = g } }
	add("ecdhe_size/p192", at(443).says(evidence.OfferTLS12, 0x0303, 0x0303, ecdheGCM, group(19)))
	add("ecdhe_size/p224_dicom", at(2762).says(evidence.OfferTLS12, 0x0303, 0x0303, ecdheGCM, group(21)))
	add("no_compression/deflate", at(443).says(evidence.OfferTLS12, 0x0303, 0x0303, ecdheGCM, func(f *evidence.TLSFacts) { f.Compression = 1 }))
	no := false
	add("renegotiation_ems/no_ems", at(443).says(evidence.OfferTLS12, 0x0303, 0x0303, ecdheGCM, func(f *evidence.TLSFacts) { f.ExtendedMasterSecret = &no }))
	add("renegotiation_ems/tls10", tls10only)
	add("handshake_signature/sha1", at(443).says(evidence.OfferTLS12, 0x0303, 0x0303, ecdheGCM, func(f *evidence.TLSFacts) { f.SignatureScheme = 0x0203 }))
	add("handshake_signature/passive_sha1", at(443).says(evidence.OfferPassive, 0x0303, 0x0303, ecdheGCM, func(f *evidence.TLSFacts) { f.SignatureScheme = 0x0203 }))

	in = append(in, freshInputs()...)
	in = append(in, flawInputs()...)

	pair := func(name string, a, b *server) {
		obs := append(a.obs, b.obs...)
		for i := range obs {
			obs[i].ID = int64(i + 1)
		}
		in = append(in, input{name: "endpoint/uniform_level/" + name, obs: obs, assets: []evidence.Asset{asset("dev-1", "192.0.2.10", "")}})
	}
	older := old(rsaCBC, evidence.ClassStaticRSA)
	older.port = 8443
	for i := range older.obs {
		older.obs[i].Endpoint.Port = 8443
	}
	pair("same", good(443), good(8443))
	pair("weaker", good(443), older)
	in = append(in, input{name: "endpoint/uniform_level/single", obs: good(443).obs, assets: []evidence.Asset{asset("dev-1", "192.0.2.10", "")}})

	auth := func(a evidence.ClientAuth) func(*evidence.TLSFacts) {
		return func(f *evidence.TLSFacts) { f.ClientAuth = a }
	}
	add("client_certificate_requested/required", at(2762).says(evidence.OfferFull, 0x0304, 0x0304, tls13Suit, auth(evidence.ClientAuthRequired)))
	add("client_certificate_requested/not_asked", at(2762).says(evidence.OfferFull, 0x0304, 0x0304, tls13Suit))
	add("client_certificate_requested/unknown", at(2762).says(evidence.OfferPassive, 0x0304, 0x0304, tls13Suit, auth(evidence.ClientAuthUnknown)))
	add("client_certificate_requested/web", good(443))

	asks := func(name string, policy *lint.Policy, authorities ...string) {
		s := at(2762).says(evidence.OfferFull, 0x0304, 0x0304, tls13Suit, auth(evidence.ClientAuthRequired), func(f *evidence.TLSFacts) {
			for _, cn := range authorities {
				der, err := asn1.Marshal(pkix.Name{Organization: []string{"Nordklinik"}, CommonName: cn}.ToRDNSequence())
				if err == nil {
					f.Authorities = append(f.Authorities, der)
				}
			}
		})
		in = append(in, input{name: "endpoint/authority_list_declared/" + name, obs: s.obs, policy: policy})
	}
	site := &lint.Policy{Issuers: []string{"CN=Nordklinik Device CA,O=Nordklinik"}}
	asks("anchor", site, "Nordklinik Device CA")
	asks("empty", site)
	asks("unknown", site, "Nordklinik Device CA", "Old CA", "Test CA")
	asks("no_anchors", nil, "Nordklinik Device CA")
	add("authority_list_declared/not_asked", good(2762))

	tried := func(name string, version uint16, facts ...evidence.MTLSFacts) {
		s := at(2762)
		for i, f := range facts {
			f.Trial, f.Version, f.Requested = i+1, version, true
			s.add(evidence.Observation{Kind: evidence.KindMTLS, Facts: evidence.Facts{MTLS: &f}})
		}
		add("client_certificate_enforced/"+name, s)
	}
	const before, after = evidence.ControlBefore, evidence.ControlAfter
	refusal := func(kind evidence.ClientCertificate, control evidence.Control, alert uint8) evidence.MTLSFacts {
		return evidence.MTLSFacts{Certificate: kind, Control: control, Handshake: evidence.StageCertificate, Alert: &alert, End: evidence.EndAlert}
	}
	done := func(kind evidence.ClientCertificate, control evidence.Control, pdu string) evidence.MTLSFacts {
		f := evidence.MTLSFacts{Certificate: kind, Control: control, Handshake: evidence.StageComplete, End: evidence.EndOpen}
		if pdu != "" {
			f.Application, f.Answered, f.DICOM = "dicom", true, pdu
		}
		return f
	}
	tried("enforced", 0x0303, refusal(evidence.ClientCertNone, "", 40), done(evidence.ClientCertGood, before, "ac"),
		refusal(evidence.ClientCertSelfSigned, "", 48), refusal(evidence.ClientCertExpired, "", 45), done(evidence.ClientCertGood, after, "ac"))
	tried("self_signed_taken", 0x0304, refusal(evidence.ClientCertNone, before, 116),
		done(evidence.ClientCertSelfSigned, "", "ac"), refusal(evidence.ClientCertNone, after, 116))
	tried("silent", 0x0304, refusal(evidence.ClientCertNone, before, 116),
		done(evidence.ClientCertSelfSigned, "", ""), refusal(evidence.ClientCertNone, after, 116))
	tried("everything_fails", 0x0303, refusal(evidence.ClientCertNone, before, 40),
		refusal(evidence.ClientCertSelfSigned, "", 40), refusal(evidence.ClientCertNone, after, 40))
	add("client_certificate_enforced/not_tried", good(2762))

	dicom := func(m evidence.Method, pdu string, tls bool, classes ...string) evidence.Observation {
		return evidence.Observation{Kind: evidence.KindDICOM, Method: m, Facts: evidence.Facts{DICOM: &evidence.DICOMFacts{PDU: pdu, TLS: tls, AbstractSyntaxes: classes}}}
	}
	add("dicom_encrypted/active_clear", plain(104).add(dicom(evidence.Active, "ac", false)))
	add("dicom_encrypted/passive_storage", at(104).add(dicom(evidence.Passive, "rq", false, "1.2.840.10008.5.1.4.1.1.2")))
	add("dicom_encrypted/passive_echo", at(104).add(dicom(evidence.Passive, "rq", false, "1.2.840.10008.1.1")))
	add("dicom_encrypted/over_tls", good(2762).add(dicom(evidence.Active, "ac", true)))
	add("dicom_encrypted/silent", plain(104))
	add("dicom_encrypted/web", good(443))

	hl7 := func(segments ...string) evidence.Observation {
		return evidence.Observation{Kind: evidence.KindHL7, Method: evidence.Passive, Facts: evidence.Facts{HL7: &evidence.HL7Facts{MessageType: "ADT^A01", Segments: segments}}}
	}
	add("hl7_encrypted/patient", at(2575).add(hl7("EVN", "PID")))
	add("hl7_encrypted/acknowledgement", at(2575).add(hl7("MSA")))
	add("hl7_encrypted/over_tls", good(2575))
	add("hl7_encrypted/active_clear", plain(2575))
	add("hl7_encrypted/web", good(443))

	addServices(add)

	ssh := func(name, version string, keys ...string) {
		s := at(22)
		for _, k := range keys {
			o := sshObservation("192.0.2.10", k)
			o.Facts.SSH.Version = version
			s.add(o)
		}
		add(name, s)
	}
	ssh("ssh_protocol_2/two", "SSH-2.0-OpenSSH_9.2", "ssh-ed25519")
	ssh("ssh_protocol_2/one_and_two", "SSH-1.99-OpenSSH_3.9", "ssh-ed25519")
	add("ssh_protocol_2/web", good(443))
	ssh("ssh_host_key_strength/ed25519", "SSH-2.0-OpenSSH_9.2", "ssh-ed25519")
	ssh("ssh_host_key_strength/rsa_1024", "SSH-2.0-OpenSSH_5.3", "ssh-rsa-1024")
	ssh("ssh_host_key_strength/dsa_too", "SSH-2.0-OpenSSH_5.3", "ssh-rsa-2048", "ssh-dss")
	add("ssh_host_key_strength/web", good(443))
	add("ssh_host_key_strength/silent", at(22).add(evidence.Observation{Kind: evidence.KindSSH, Result: evidence.ResultTimeout}).
		add(evidence.Observation{Kind: evidence.KindSSH, Result: evidence.ResultReset}))
	ssh("ssh_host_key_not_known/own", "SSH-2.0-OpenSSH_9.2", "ssh-ed25519")
	ssh("ssh_host_key_not_known/published", "SSH-2.0-dropbear_2015.71", "ssh-ed25519", "ssh-rsa-published")
	add("ssh_host_key_not_known/none", good(443))
	return in
}
