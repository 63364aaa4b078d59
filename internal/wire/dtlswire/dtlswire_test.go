package dtlswire

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"probity/internal/wire/tlswire"
)

// record puts handshake fragments of body, as given by their bounds, into one
// datagram with a record each.
func records(kind uint8, seq int, body []byte, bounds ...[2]int) []byte {
	var out []byte
	for i, b := range bounds {
		f := body[b[0]:b[1]]
		out = append(out, 22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, byte(i))
		out = binary.BigEndian.AppendUint16(out, uint16(handshakeHeader+len(f)))
		out = append(out, kind, byte(len(body)>>16), byte(len(body)>>8), byte(len(body)), byte(seq>>8), byte(seq))
		out = append(out, byte(b[0]>>16), byte(b[0]>>8), byte(b[0]), byte(len(f)>>16), byte(len(f)>>8), byte(len(f)))
		out = append(out, f...)
	}
	return out
}

func TestStream_fragments(t *testing.T) {
	body := make([]byte, 3000)
	for i := range body {
		body[i] = byte(i * 7)
	}
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var s Stream
		var got []tlswire.Message
		for range 5000 {
			from := rng.IntN(len(body))
			to := min(len(body), from+1+rng.IntN(300))
			list, err := s.Feed(records(11, 2, body, [2]int{from, to}))
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, list...)
		}
		list, err := s.Feed(records(11, 2, body, [2]int{0, 50}, [2]int{2950, 3000}))
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, list...)
		if len(got) != 1 || !bytes.Equal(got[0].Body, body) || s.Buffered() != 0 {
			t.Fatalf("seed %d: %d messages, %d bytes kept", seed, len(got), s.Buffered())
		}
	}
}

func TestStream_hello(t *testing.T) {
	hello := append([]byte{0xfe, 0xfd}, make([]byte, 32)...)
	hello = append(hello, 0, 3, 'c', 'o', 'o', 0, 2, 0xc0, 0x2b, 1, 0)
	datagram := records(1, 0, hello, [2]int{0, len(hello)})
	if !IsHello(datagram) || IsHello(datagram[:20]) || IsHello(append([]byte{23}, datagram[1:]...)) {
		t.Error("IsHello is wrong")
	}
	var s Stream
	list, err := s.Feed(datagram)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d messages, %v", len(list), err)
	}
	h, err := tlswire.ParseClientHello(list[0].Body)
	if err != nil || h.Version != tlswire.VersionDTLS12 || len(h.Suites) != 1 || h.Suites[0] != 0xc02b {
		t.Errorf("%+v, %v", h, err)
	}
	if bytes.Contains(list[0].Body, []byte("coo")) || !bytes.HasSuffix(list[0].Raw, hello) {
		t.Error("the cookie is in the body, or not in the raw bytes")
	}
}

func TestStream_malformed(t *testing.T) {
	good := records(11, 0, make([]byte, 10), [2]int{0, 10})
	for name, change := range map[string]func(b []byte) []byte{
		"short":           func(b []byte) []byte { return b[:12] },
		"version":         func(b []byte) []byte { b[1] = 3; return b },
		"record length":   func(b []byte) []byte { b[12]++; return b },
		"fragment length": func(b []byte) []byte { b[24] = 11; return b },
		"message length":  func(b []byte) []byte { b[14] = 0xff; return b },
		"content type":    func(b []byte) []byte { b[0] = 99; return b },
		"handshake":       func(b []byte) []byte { b[12] = 5; return b[:18] },
	} {
		var s Stream
		if list, err := s.Feed(change(bytes.Clone(good))); err == nil {
			t.Errorf("%s: no error, %d messages", name, len(list))
		}
	}
}

// TestClientHello reads back what is built, and refuses a cookie too long for its
// length.
func TestClientHello(t *testing.T) {
	h := tlswire.ClientHello{Version: tlswire.VersionDTLS12, Random: [32]byte{7}, Suites: []uint16{0xc02b, 0xc0ae}, Groups: []uint16{29}, ServerName: "pump.example"}
	cookie := []byte("a cookie")
	b, err := ClientHello(h, cookie, 1, 1<<33+5)
	if err != nil {
		t.Fatal(err)
	}
	if !IsHello(b) || b[1] != 0xfe || b[2] != 0xff || !bytes.Equal(b[5:11], []byte{0, 2, 0, 0, 0, 5}) || !bytes.Contains(b, cookie) {
		t.Errorf("% x", b)
	}
	var s Stream
	list, err := s.Feed(b)
	if err != nil || len(list) != 1 || Sequence(list[0]) != 1 {
		t.Fatalf("%d messages, %v", len(list), err)
	}
	got, err := tlswire.ParseClientHello(list[0].Body)
	if err != nil || got.Version != h.Version || got.ServerName != h.ServerName || len(got.Suites) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := ClientHello(h, make([]byte, 256), 1, 0); err == nil {
		t.Error("a cookie of 256 bytes is taken")
	}
	if list, err := s.Feed(FatalAlert(40, 2)); err != nil || len(list) != 1 || !bytes.Equal(list[0].Body, []byte{2, 40}) {
		t.Errorf("alert: %v, %v", list, err)
	}
}

func TestParseHelloVerifyRequest(t *testing.T) {
	if c, err := ParseHelloVerifyRequest([]byte{0xfe, 0xff, 2, 'a', 'b'}); err != nil || string(c) != "ab" {
		t.Errorf("%q, %v", c, err)
	}
	for _, b := range [][]byte{nil, {0xfe, 0xff}, {0xfe, 0xff, 2, 'a'}, {0xfe, 0xff, 0, 1}} {
		if _, err := ParseHelloVerifyRequest(b); err == nil {
			t.Errorf("% x is taken", b)
		}
	}
}

// FuzzStream feeds datagrams cut out of any bytes.
func FuzzStream(f *testing.F) {
	f.Add(records(11, 1, make([]byte, 40), [2]int{0, 20}, [2]int{10, 40}), uint8(200))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		var s Stream
		for len(b) > 0 {
			n := min(len(b), int(size)+30)
			IsHello(b[:n])
			list, _ := s.Feed(b[:n])
			for _, m := range list {
				if m.Type == tlswire.TypeHelloVerifyRequest {
					if c, err := ParseHelloVerifyRequest(m.Body); err == nil && len(c) > 255 {
						t.Fatalf("a cookie of %d bytes", len(c))
					}
				}
				if Sequence(m) >= maxMessages {
					t.Fatalf("message %d", Sequence(m))
				}
				if len(m.Body) > maxMessage {
					t.Fatalf("%d bytes", len(m.Body))
				}
			}
			b = b[n:]
		}
		if s.Buffered() > maxOpen*maxMessage || s.Buffered() < 0 {
			t.Fatalf("%d bytes kept", s.Buffered())
		}
	})
}
