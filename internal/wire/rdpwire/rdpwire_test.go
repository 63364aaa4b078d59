package rdpwire

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestReadConfirm(t *testing.T) {
	for name, tt := range map[string]struct {
		in   []byte
		want Confirm
		err  error
	}{
		"CredSSP":          {[]byte{3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0, 8, 0, 2, 0, 0, 0}, Confirm{Negotiates: true, Selected: 2}, nil},
		"standard":         {[]byte{3, 0, 0, 11, 6, 0xd0, 0, 0, 0x12, 0x34, 0}, Confirm{}, nil},
		"failure":          {[]byte{3, 0, 0, 19, 14, 0xd0, 0, 0, 0, 0, 0, 3, 0, 8, 0, 5, 0, 0, 0}, Confirm{Negotiates: true, Failure: 5}, nil},
		"unknown type":     {[]byte{3, 0, 0, 19, 14, 0xd0, 0, 0, 0, 0, 0, 9, 0, 8, 0, 5, 0, 0, 0}, Confirm{}, ErrNotConfirm},
		"request":          {Request(), Confirm{}, ErrNotConfirm},
		"cut off":          {[]byte{3, 0, 0, 19, 14, 0xd0}, Confirm{}, io.ErrUnexpectedEOF},
		"too long":         {[]byte{3, 0, 0xff, 0xff, 14, 0xd0}, Confirm{}, ErrNotConfirm},
		"another protocol": {[]byte("HTTP/1.1 400"), Confirm{}, ErrNotConfirm},
	} {
		got, err := ReadConfirm(bytes.NewReader(tt.in))
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %+v, %v; want %+v, %v", name, got, err, tt.want, tt.err)
		}
	}
}

func FuzzReadConfirm(f *testing.F) {
	f.Add([]byte{3, 0, 0, 19, 14, 0xd0, 0, 0, 0x12, 0x34, 0, 2, 0, 8, 0, 2, 0, 0, 0})
	f.Add([]byte{3, 0, 0, 11, 6, 0xd0, 0, 0, 0x12, 0x34, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ReadConfirm(bytes.NewReader(b))
		if err != nil && c != (Confirm{}) {
			t.Errorf("%+v with %v", c, err)
		}
	})
}
