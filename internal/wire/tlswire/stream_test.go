package tlswire

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// record returns one record of kind k.
func record(k Kind, body ...byte) []byte {
	return append([]byte{byte(k), 3, 3, byte(len(body) >> 8), byte(len(body))}, body...)
}

// feed pushes b in pieces of n bytes.
func feed(s *Stream, b []byte, n int) ([]Message, error) {
	var out []Message
	for len(b) > 0 {
		k := min(n, len(b))
		m, err := s.Feed(b[:k])
		out = append(out, m...)
		if err != nil {
			return out, err
		}
		b = b[k:]
	}
	return out, nil
}

func TestStream_pieces(t *testing.T) {
	retryHello := append([]byte{TypeServerHello, 0, 0, 3}, 3, 3, 9)
	in := bytes.Join([][]byte{
		record(Handshake, 14, 0, 0, 0, 11, 0, 0), // a message, and the begin of one
		record(Handshake, 2, 0xaa, 0xbb),         // its end
		record(Alert, 1, 0),
		record(ChangeCipherSpec, 1),
		record(Handshake, retryHello...),
		record(Handshake, 0, 0, 0, 0, 0, 0, 0, 1, 99), // Finished, encrypted
		record(ApplicationData, []byte("PID|secret")...),
		record(ApplicationData),
		record(Alert, 0, 0, 0, 0, 0, 0, 0, 2, 77),
	}, nil)
	want := []Message{
		{Kind: Handshake, Version: 0x0303, Type: 14, Body: []byte{}, Raw: []byte{14, 0, 0, 0}},
		{Kind: Handshake, Version: 0x0303, Type: 11, Body: []byte{0xaa, 0xbb}, Raw: []byte{11, 0, 0, 2, 0xaa, 0xbb}},
		{Kind: Alert, Version: 0x0303, Body: []byte{1, 0}, Raw: []byte{1, 0}},
		{Kind: ChangeCipherSpec, Version: 0x0303},
		{Kind: Handshake, Version: 0x0303, Type: 2, Body: []byte{3, 3, 9}, Raw: retryHello},
		{Kind: Handshake, Version: 0x0303, Encrypted: true},
		{Kind: ApplicationData, Version: 0x0303},
		{Kind: ApplicationData, Version: 0x0303},
		{Kind: Alert, Version: 0x0303, Encrypted: true},
	}
	for n := 1; n <= len(in); n++ {
		s := NewStream(Limits{})
		got, err := feed(s, in, n)
		if err != nil {
			t.Fatalf("pieces of %d: %v", n, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("pieces of %d (-want +got):\n%s", n, diff)
		}
		if s.Buffered() != 0 {
			t.Errorf("pieces of %d: %d bytes kept", n, s.Buffered())
		}
	}
}

func TestStream_hostile(t *testing.T) {
	for _, tt := range []struct {
		name   string
		in     []byte
		notTLS bool
	}{
		{"http", []byte("HTTP/1.1 400"), true},
		{"ssl2", []byte{0x80, 0x2e, 1, 0, 2}, true},
		{"major version", []byte{22, 2}, true},
		{"record too long", []byte{22, 3, 3, 0x48, 0x01}, false},
		{"empty handshake record", []byte{22, 3, 3, 0, 0}, false},
		{"handshake too long", record(Handshake, 1, 1, 0, 1), false},
		{"certificate too long", record(Handshake, 11, 4, 0, 1), false},
		{"change of cipher within a message", append(record(Handshake, 11, 0), record(ChangeCipherSpec, 1)...), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := NewStream(Limits{})
			good := record(Alert, 2, 40)
			got, err := s.Feed(append(good, tt.in...))
			if err == nil || errors.Is(err, ErrNotTLS) != tt.notTLS {
				t.Fatalf("error %v, want ErrNotTLS %v", err, tt.notTLS)
			}
			if len(got) != 1 {
				t.Errorf("%d messages before the error, want 1", len(got))
			}
			if _, again := s.Feed(good); !errors.Is(again, err) {
				t.Errorf("error of the next call %v, want %v", again, err)
			}
		})
	}
}

func TestStream_claimsAllocateNothing(t *testing.T) {
	s := NewStream(Limits{})
	if _, err := s.Feed(record(Handshake, 11, 3, 0xff, 0xff)); err != nil {
		t.Fatal(err)
	}
	if got := cap(s.record) + cap(s.message); got > 256 {
		t.Errorf("%d bytes allocated for a message of which 4 came", got)
	}
}

func FuzzStream(f *testing.F) {
	f.Add(append(record(Handshake, 14, 0, 0, 0), record(ApplicationData, 1, 2)...), 3)
	f.Add([]byte{22, 3, 1, 0, 4, 11, 3, 0, 0}, 1)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		whole, wholeErr := NewStream(Limits{}).Feed(b)
		s := NewStream(Limits{})
		pieces, piecesErr := feed(s, b, max(1, n&0x3ff))
		if diff := cmp.Diff(whole, pieces); diff != "" || (wholeErr == nil) != (piecesErr == nil) {
			t.Fatalf("whole: %v, pieces: %v\n%s", wholeErr, piecesErr, diff)
		}
		if s.Buffered() > len(b) {
			t.Fatalf("%d bytes kept of %d", s.Buffered(), len(b))
		}
	})
}
