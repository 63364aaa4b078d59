package mqttwire

import (
	"bytes"
	"testing"
)

func TestConnect(t *testing.T) {
	want := []byte("\x10\x13\x00\x04MQTT\x04\x02\x00\x0a\x00\x07probity")
	if got := Connect("probity"); !bytes.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParseConnAck(t *testing.T) {
	for text, want := range map[string]int{"\x20\x02\x00\x00": 0, "\x20\x02\x00\x05": 5, "\x20\x02\x01\x00": 0, "\x20\x02\x00": -1, "\x30\x02\x00\x00": -1, "": -1, "\x20\x02\x04\x00": -1} {
		code, err := ParseConnAck([]byte(text))
		if got := int(code); err == nil && got != want || (err != nil) != (want < 0) {
			t.Errorf("%q: code %d, error %v; want %d", text, code, err, want)
		}
	}
}

func FuzzParseConnAck(f *testing.F) {
	f.Add([]byte("\x20\x02\x00\x05"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := ParseConnAck(b); err == nil && len(b) != ConnAckSize {
			t.Errorf("%d bytes were read", len(b))
		}
	})
}
