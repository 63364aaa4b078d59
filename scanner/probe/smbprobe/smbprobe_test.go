package smbprobe

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
)

// smb2 is a NEGOTIATE response of Samba 4, without the security blob.
func smb2(status uint32, mode, dialect uint16) []byte {
	b := make([]byte, 64+64)
	copy(b, "\xfeSMB\x40")
	binary.LittleEndian.PutUint32(b[8:], status)
	binary.LittleEndian.PutUint16(b[64:], 65)
	binary.LittleEndian.PutUint16(b[66:], mode)
	binary.LittleEndian.PutUint16(b[68:], dialect)
	return b
}

func smb1(words ...byte) []byte {
	return append(append([]byte("\xffSMB\x72"), make([]byte, 27)...), append([]byte{byte(len(words) / 2)}, words...)...)
}

func TestParse(t *testing.T) {
	for name, tt := range map[string]struct {
		in   []byte
		want *evidence.SMBFacts
	}{
		"signing required": {smb2(0, 3, 0x0302), &evidence.SMBFacts{Dialect: 0x0302, SigningEnabled: true, SigningRequired: true}},
		"signing enabled":  {smb2(0, 1, 0x0210), &evidence.SMBFacts{Dialect: 0x0210, SigningEnabled: true}},
		"refused":          {smb2(0xc00000bb, 0, 0), &evidence.SMBFacts{}},
		"SMB 1":            {smb1(0, 0, 3, 0), &evidence.SMBFacts{SMB1: true}},
		"SMB 1 signing":    {smb1(0, 0, 0x0f, 0), &evidence.SMBFacts{SMB1: true, SigningEnabled: true, SigningRequired: true}},
		"no dialect":       {smb1(0xff, 0xff), &evidence.SMBFacts{}},
		"SMB 1 error":      {append(smb1(), 0, 0), &evidence.SMBFacts{}},
		"short SMB 2":      {[]byte("\xfeSMB"), nil},
		"short SMB 1":      {[]byte("\xffSMB\x72"), nil},
		"another protocol": {make([]byte, 64), nil},
	} {
		got, err := parse(tt.in)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if (err == nil) != (tt.want != nil) || err != nil && !errors.Is(err, errNotUnderstood) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestNegotiations_areFramed(t *testing.T) {
	for _, b := range [][]byte{negotiate1(), negotiate2()} {
		if n := int(binary.BigEndian.Uint32(b)); n != len(b)-4 {
			t.Errorf("length %d of %d bytes", n, len(b)-4)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(smb2(0, 3, 0x0302))
	f.Add(smb1(0, 0, 3, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := parse(b); (got == nil) == (err == nil) {
			t.Errorf("%+v, %v", got, err)
		}
	})
}
