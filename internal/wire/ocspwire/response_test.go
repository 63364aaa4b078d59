package ocspwire

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ocsp"
)

func TestRead(t *testing.T) {
	for status, want := range map[int]Single{
		ocsp.Good:    {Status: "good", Reason: -1, ThisUpdate: when(2), NextUpdate: when(9)},
		ocsp.Revoked: {Status: "revoked", Reason: ocsp.KeyCompromise, Revoked: when(1), ThisUpdate: when(2), NextUpdate: when(9)},
		ocsp.Unknown: {Status: "unknown", Reason: -1, ThisUpdate: when(2), NextUpdate: when(9)},
	} {
		der := response(t, status)
		got, err := Read(der)
		if err != nil || len(got.Singles) != 1 || len(got.ResponderName) == 0 || got.Produced.IsZero() || len(got.Signature) == 0 {
			t.Fatalf("%+v, %v", got, err)
		}
		theirs, err := ocsp.ParseResponse(der, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(theirs.TBSResponseData, got.TBS) || !bytes.Equal(theirs.Signature, got.Signature) || !bytes.Equal(theirs.RawResponderName, got.ResponderName) {
			t.Error("x/crypto reads other bytes")
		}
		s := got.Singles[0]
		if s.Hash != "1.3.14.3.2.26" || len(s.NameHash) != 20 || len(s.KeyHash) != 20 || !bytes.Equal(s.Serial, []byte{0, 0xab, 0xcd, 0xef}) {
			t.Errorf("%+v", s)
		}
		s.Hash, s.NameHash, s.KeyHash, s.Serial = "", nil, nil, nil
		if diff := cmp.Diff(want, s); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if got, err := Read([]byte{0x30, 3, 0x0a, 1, 3}); err != nil || got.Status != 3 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRead_refuse(t *testing.T) {
	whole := response(t, ocsp.Revoked)
	for n := range len(whole) {
		if r, err := Read(whole[:n]); err == nil {
			t.Fatalf("the first %d bytes of %d give %+v", n, len(whole), r)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(response(f, ocsp.Good))
	f.Add(response(f, ocsp.Revoked))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Read(b)
		if err != nil {
			return
		}
		if len(r.Singles) > MaxSingles || len(r.Certificates) > MaxCertificates || r.Status == 0 && (len(r.ResponderName) == 0) == (len(r.ResponderKey) == 0) && len(r.ResponderKey)+len(r.ResponderName) > 0 {
			t.Fatalf("%+v", r)
		}
	})
}
