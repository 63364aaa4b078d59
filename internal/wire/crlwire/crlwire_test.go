package crlwire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"
)

func when(day int) time.Time { return time.Date(2026, 11, day, 12, 0, 0, 0, time.UTC) }

// list makes a signed list of crypto/x509 with the extensions.
func list(t testing.TB, entries []x509.RevocationListEntry, more ...pkix.Extension) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, SubjectKeyId: []byte{1, 2, 3}, KeyUsage: x509.KeyUsageCRLSign,
		NotBefore: when(1), NotAfter: when(30), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(7), ThisUpdate: when(2), NextUpdate: when(9), RevokedCertificateEntries: entries, ExtraExtensions: more,
	}, ca, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func raw(tag int, compound bool, content []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: compound, Bytes: content}
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func extension(arc int, critical bool, value []byte) pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, arc}, Critical: critical, Value: value}
}

func TestParse(t *testing.T) {
	name := marshal(t, pkix.Name{CommonName: "Another CA"}.ToRDNSequence())
	issuer := extension(extCertificateIssuer, true, marshal(t, []asn1.RawValue{raw(4, true, name)}))
	point := marshal(t, []asn1.RawValue{
		raw(0, true, marshal(t, raw(0, true, marshal(t, raw(6, false, []byte("http://ca/1.crl")))))),
		raw(1, false, []byte{0xff}), raw(3, false, []byte{4, 0x60}), raw(4, false, []byte{0xff}),
	})
	der := list(t, []x509.RevocationListEntry{
		{SerialNumber: big.NewInt(0xabcd), RevocationTime: when(1), ReasonCode: 1},
		{SerialNumber: big.NewInt(5), RevocationTime: when(1), ReasonCode: 6, ExtraExtensions: []pkix.Extension{issuer}},
		{SerialNumber: big.NewInt(6), RevocationTime: when(1)},
	}, extension(extIssuingPoint, true, point), extension(extDelta, true, marshal(t, 6)), pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}})
	l, err := Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(theirs.RawTBSRevocationList, l.TBS) || !bytes.Equal(theirs.Signature, l.Signature) || !bytes.Equal(theirs.RawIssuer, l.Issuer) {
		t.Error("crypto/x509 reads other bytes")
	}
	if l.Version != 2 || !l.ThisUpdate.Equal(when(2)) || !l.NextUpdate.Equal(when(9)) || l.Number.Int64() != 7 || l.Base.Int64() != 6 || !bytes.Equal(l.Authority, []byte{1, 2, 3}) {
		t.Errorf("%+v", l)
	}
	if s := l.Scope; !s.Present || !s.OnlyUsers || s.OnlyCAs || s.OnlyAttributes || !s.Indirect || s.Reasons != 1<<1|1<<2 || len(s.Points) != 1 || !bytes.Contains(s.Points[0], []byte("http://ca/1.crl")) {
		t.Errorf("scope %+v", s)
	}
	e := l.Entries
	if len(e) != 3 || !bytes.Equal(e[0].Serial, []byte{0, 0xab, 0xcd}) || e[0].Reason != KeyCompromise || e[0].Issuer != nil || e[1].Reason != CertificateHold ||
		!bytes.Equal(e[1].Issuer, name) || !bytes.Equal(e[2].Issuer, name) || !e[2].Revoked.Equal(when(1)) {
		t.Errorf("entries %+v", e)
	}
	if len(l.Unknown) != 1 || l.Unknown[0] != "1.2.3" {
		t.Errorf("unknown critical extensions %v", l.Unknown)
	}
	for n := range len(der) {
		if l, err := Parse(der[:n]); err == nil {
			t.Fatalf("the first %d bytes of %d give %+v", n, len(der), l)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(list(f, []x509.RevocationListEntry{{SerialNumber: big.NewInt(1), RevocationTime: when(1), ReasonCode: 1}}))
	f.Add(list(f, nil, extension(extIssuingPoint, true, []byte{0x30, 3, 0x81, 1, 0xff})))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := Parse(b)
		if err == nil && (len(l.Entries) > len(b) || len(l.Issuer) == 0) {
			t.Fatalf("%+v", l)
		}
		if err == nil {
			_ = l.Scope.Same(Scope{})
			for _, e := range l.Entries {
				_ = e.Reason.String()
			}
		}
	})
}
