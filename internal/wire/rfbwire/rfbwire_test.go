package rfbwire

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]string{"RFB 003.008\n": Version38, "RFB 003.007\n": Version37, "RFB 003.889\n": Version38, "RFB 003.003\n": Version33, "RFB 003.005\n": Version33, "RFB 005.000\n": Version38} {
		v, err := ParseVersion([]byte(text))
		if err != nil || v.Answer() != want {
			t.Errorf("%q: %v, answer %q, error %v; want %q", text, v, v.Answer(), err, want)
		}
	}
	for _, bad := range []string{"", "RFB 003.008", "RFB 0x3.008\n", "SSH-2.0-x\r\nxx", "RFB 003-008\n"} {
		if v, err := ParseVersion([]byte(bad)); err == nil {
			t.Errorf("%q: read as %v", bad, v)
		}
	}
}

func TestParseSecurity(t *testing.T) {
	for _, tt := range []struct {
		answer, in string
		want       Security
		more       int
		bad        bool
	}{
		{answer: Version38, in: "", more: 1},
		{answer: Version38, in: "\x02\x01", more: 1},
		{answer: Version38, in: "\x02\x01\x13", want: Security{Types: []byte{1, 19}}},
		{answer: Version37, in: "\x00\x00\x00\x00\x03bad", want: Security{Refused: true}},
		{answer: Version33, in: "\x00\x00", more: 2},
		{answer: Version33, in: "\x00\x00\x00\x02", want: Security{Types: []byte{2}}},
		{answer: Version33, in: "\x00\x00\x00\x00", want: Security{Refused: true}},
		{answer: Version33, in: "HTTP", bad: true},
	} {
		got, more, err := ParseSecurity(tt.answer, []byte(tt.in))
		if diff := cmp.Diff(tt.want, got); diff != "" || more != tt.more || (err != nil) != tt.bad {
			t.Errorf("%q: %d more, error %v (-want +got):\n%s", tt.in, more, err, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("RFB 003.008\n\x02\x01\x02"))
	f.Add([]byte("RFB 003.003\n\x00\x00\x00\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := ParseVersion(b[:min(len(b), VersionSize)])
		if err != nil {
			return
		}
		s, more, err := ParseSecurity(v.Answer(), b[VersionSize:])
		if err == nil && more == 0 && s.Refused == (len(s.Types) > 0) {
			t.Errorf("neither refused nor offered: %+v", s)
		}
	})
}
