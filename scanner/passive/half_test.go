package passive

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestHalf_anyOrder(t *testing.T) {
	want := make([]byte, 3000)
	for i := range want {
		want[i] = byte(i * 7)
	}
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		start := rng.Uint32() // may wrap around
		if seed%2 == 0 {
			start = 0xffffffff - 1000
		}
		h := half{begun: true, next: start}
		var got []byte
		type part struct{ from, to int }
		var parts []part
		for from := 0; from < len(want); {
			to := min(len(want), from+1+rng.IntN(400))
			parts = append(parts, part{max(0, from-rng.IntN(200)), to}) // overlaps the one before
			if rng.IntN(4) == 0 {
				parts = append(parts, part{from, to}) // sent twice
			}
			from = to
		}
		rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		for _, p := range parts {
			v := h.push(start+uint32(p.from), want[p.from:p.to], Limits{Segments: 1000}.withDefaults(), func(b []byte) { got = append(got, b...) })
			if v.ambiguous || v.overflow {
				t.Fatalf("seed %d: %+v", seed, v)
			}
		}
		if !bytes.Equal(got, want) || h.bytes != 0 || len(h.pending) != 0 {
			t.Fatalf("seed %d: %d bytes of %d, %d kept", seed, len(got), len(want), h.bytes)
		}
	}
}

func TestHalf_firstByteWins(t *testing.T) {
	h := half{begun: true, next: 100}
	var got []byte
	push := func(seq uint32, s string) verdict {
		return h.push(seq, []byte(s), Limits{}.withDefaults(), func(b []byte) { got = append(got, b...) })
	}
	if v := push(102, "CD"); v.ambiguous {
		t.Error("ambiguous without an overlap")
	}
	if v := push(101, "bcDe"); !v.ambiguous {
		t.Error("a conflict was not seen")
	}
	if v := push(100, "ab"); v.ambiguous {
		t.Error("equal bytes are ambiguous")
	}
	if string(got) != "abCDe" {
		t.Errorf("got %q", got)
	}
}

func TestHalf_bounds(t *testing.T) {
	l := Limits{Segments: 3, DirectionBytes: 100}.withDefaults()
	never := func([]byte) { t.Error("bytes behind a hole were handed on") }
	h := half{begun: true, next: 0}
	for i := range uint32(3) {
		if v := h.push(10+2*i, []byte("x"), l, never); v.overflow {
			t.Fatalf("overflow at segment %d", i)
		}
	}
	if v := h.push(30, []byte("x"), l, never); !v.overflow {
		t.Error("a fourth segment was kept")
	}
	h = half{begun: true, next: 0}
	if v := h.push(10, make([]byte, 101), l, never); !v.overflow {
		t.Error("101 bytes were kept")
	}
	h = half{begun: true, next: 0}
	if v := h.push(1<<30, []byte("far"), l, never); v.overflow || !h.lost || h.bytes != 0 {
		t.Errorf("far beyond the window: %+v, lost %v, %d bytes", v, h.lost, h.bytes)
	}
}

func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want session
		more bool
	}{
		{"\x16\x03\x01\x00\xc8\x01", &tlsSession{}, false},
		{"\x16\x03\x03\x00\x4a\x02", &tlsSession{}, false},
		{"\x15\x03\x01\x00\x02\x02", &tlsSession{}, false},
		{"\x80\x2e\x01\x03\x01\x00", &tlsSession{}, false},
		{"\x16\x03\x01\x00\xc8\x0b", nil, false},
		{"\x16", nil, true},
		{"\x01\x00\x00\x00\x00\xd0\x00\x01\x00\x00", &dicomSession{}, false},
		{"\x01\x00\x00\x00\x00\xd0\x00\x02\x00\x00", nil, false},
		{"\x03\x00\x00\x00\x00\x04\x00\x01\x01\x07", &dicomSession{}, false},
		{"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x00", &dicomSession{}, false},
		{"\x04\x00\x00\x00\x00\x40\x00\x00\x00\x3c", nil, false},
		{"\x0bMSH|", &hl7Session{}, false},
		{"\x0bMS", nil, true},
		{"\x0bPID|", nil, false},
		{"\x05", nil, true},
		{"\x06\x06", nil, true},
		{"\x05\x021H|\\^&|", &helloSession{}, false},
		{"\x0bH|\\^&|", &helloSession{}, false},
		{"\x0b<HEL.R01", &helloSession{}, false},
		{"\r\n<?xml version='1.0'?>\r\n<HEL.R01", &helloSession{}, false},
		{strings.Repeat("\x06", 64), nil, false},
		{"SSH-2.0-x", &sshSession{}, false},
		{"SS", nil, true},
		{"GET / HTTP/1.1", nil, false},
		{"\x00\x00\x00\x85\xffSMB", nil, false},
	} {
		start, more := classify([]byte(tt.in))
		var got session
		if start != nil {
			got = start()
		}
		if more != tt.more || typeName(got) != typeName(tt.want) {
			t.Errorf("classify(%q) = %s, more %v; want %s, more %v", tt.in, typeName(got), more, typeName(tt.want), tt.more)
		}
	}
}

func typeName(s session) string {
	switch s.(type) {
	case *tlsSession:
		return "tls"
	case *dicomSession:
		return "dicom"
	case *hl7Session:
		return "hl7"
	case *sshSession:
		return "ssh"
	case *helloSession:
		return "hello"
	}
	return "none"
}
