package all_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"math/big"

	"probity/fixtures/pki"
)

// spki makes a SubjectPublicKeyInfo; nil params are absent.
func (w *world) spki(oid asn1.ObjectIdentifier, params any, key []byte) []byte {
	w.t.Helper()
	algorithm := must[[]byte](w.t)(asn1.Marshal(oid))
	if params != nil {
		algorithm = append(algorithm, must[[]byte](w.t)(asn1.Marshal(params))...)
	}
	return must[[]byte](w.t)(asn1.Marshal(struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}{asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: algorithm}, asn1.BitString{Bytes: key, BitLength: 8 * len(key)}}))
}

// scalarKey is the public key of a private number on P-256.
func scalarKey(w *world, d *big.Int) crypto.PublicKey {
	return must[*ecdsa.PrivateKey](w.t)(ecdsa.ParseRawPrivateKey(elliptic.P256(), d.FillBytes(make([]byte, 32)))).Public()
}

// fixedKeyInputs are the cases of kinds of keys that no certificate library makes
// wrong, as lone requests.
func fixedKeyInputs(w *world, sound *rsa.PrivateKey) []input {
	var in []input
	leaf := func(name string, pub crypto.PublicKey) {
		in = append(in, w.served("key/"+name, w.leafOf(1, pub, nil)))
	}
	lone := func(name string, spki []byte) { in = append(in, input{name: "key/" + name, pem: requestPEM(spki)}) }

	leaf("no_known_scalar/random", w.ec("leaf").Public())
	leaf("no_known_scalar/rsa", sound.Public())
	leaf("no_known_scalar/one", scalarKey(w, big.NewInt(1)))
	leaf("no_known_scalar/minus_two", scalarKey(w, new(big.Int).Sub(elliptic.P256().Params().N, big.NewInt(2))))
	leaf("no_known_scalar/counting", ed25519.NewKeyFromSeed([]byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f")).Public())

	eddsa, xdh := asn1.ObjectIdentifier{1, 3, 101, 112}, asn1.ObjectIdentifier{1, 3, 101, 110}
	leaf("full_order/ed25519", pki.Ed25519Key(pki.NewSeed(3)).Public())
	leaf("full_order/rsa", sound.Public())
	lone("full_order/ed25519_small", w.spki(eddsa, nil, append([]byte{1}, make([]byte, 31)...)))
	lone("full_order/ed25519_no_point", w.spki(eddsa, nil, append([]byte{2}, make([]byte, 31)...)))
	lone("full_order/x25519_small", w.spki(xdh, nil, make([]byte, 32)))

	dsa := asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}
	p, q, g := dsaGroup()
	number := func(n *big.Int) []byte { return must[[]byte](w.t)(asn1.Marshal(n)) }
	params := struct{ P, Q, G *big.Int }{p, q, g}
	lone("dsa_parameters/sound", w.spki(dsa, params, number(new(big.Int).Exp(g, big.NewInt(123_456_789), p))))
	lone("dsa_parameters/outside", w.spki(dsa, params, number(big.NewInt(2))))
	leaf("dsa_parameters/ec", w.ec("leaf").Public())

	pss := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	rsaKey := must[[]byte](w.t)(asn1.Marshal(struct {
		N *big.Int
		E int
	}{sound.N, 65537}))
	lone("pss_parameters/sha256", w.spki(pss, pssParams(32), rsaKey))
	lone("pss_parameters/short_salt", w.spki(pss, pssParams(20), rsaKey))
	lone("pss_parameters/sha1", w.spki(pss, struct{}{}, rsaKey))
	lone("pss_parameters/none", w.spki(pss, nil, rsaKey))
	leaf("pss_parameters/rsa", sound.Public())

	lone("fixed_length/mldsa", w.spki(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 18}, nil, bytes.Repeat([]byte{0x5a}, 1952)))
	lone("fixed_length/mlkem_short", w.spki(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 4, 2}, nil, bytes.Repeat([]byte{0x5a}, 1183)))
	lone("fixed_length/parameters", w.spki(eddsa, asn1.NullRawValue, pki.Ed25519Key(pki.NewSeed(3))[ed25519.SeedSize:]))
	leaf("fixed_length/rsa", sound.Public())
	return in
}

// pssParams are SHA-256 for message and mask, and a salt.
func pssParams(salt int) any {
	type algorithm struct {
		OID    asn1.ObjectIdentifier
		Params asn1.RawValue
	}
	sha256 := algorithm{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, asn1.NullRawValue}
	return struct {
		Hash algorithm `asn1:"explicit,tag:0"`
		Mask struct {
			OID  asn1.ObjectIdentifier
			Hash algorithm
		} `asn1:"explicit,tag:1"`
		Salt int `asn1:"explicit,tag:2"`
	}{Hash: sha256, Mask: struct {
		OID  asn1.ObjectIdentifier
		Hash algorithm
	}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}, sha256}, Salt: salt}
}

// dsaGroup was made by "openssl genpkey -genparam -algorithm DSA" with primes of 1024
// and 160 bits.
func dsaGroup() (p, q, g *big.Int) {
	number := func(hex string) *big.Int { n, _ := new(big.Int).SetString(hex, 16); return n }
	p = number("B97EF670F2E71F978C82BAAFD885AE121907EE26FE9B7B04EB92143A8A456FF597F5DEA7930CA74F20E8BA109DDC666BAFC1" +
		"02C28774169FC45066BF774B9C396F6F61D9A59A81B6E20425706B517F2D486AC64A1743506D1391DC5D7CEFB1D76AC222A9" +
		"9CE8888154F25954D4881F3304FA895D77E8C119A7F832EC3240E581")
	q = number("8183ED84F3B0183092A1D025EAB805902DC6F9C9")
	g = number("6E6FF6DD7E1365DF8E13E0EC74F4E7A07617EA6A49E1FD7186689CA222AB6AA91FF9E2E292E7BC693B78EE9642835A091606" +
		"A848CF403CE251DAE3A459A03BBABE879BCF2155129A500C9AE3F0ACB9D3F9FE75787DC8A1E15258E2A017FBEC9F824C78FE" +
		"17A79EA62A2AC2D2C6E947A45014E9CD3D5B260B54442EF86AA9C22C")
	return p, q, g
}
