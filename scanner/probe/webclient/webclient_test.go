package webclient

import (
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"probity/evidence"
)

func TestRead(t *testing.T) {
	long := strings.Repeat("x", 2*MaxResponse)
	for name, tt := range map[string]struct {
		in     string
		status int
		body   int
		err    error
	}{
		"complete":        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, 2, nil},
		"no length":       {"HTTP/1.0 404 no\r\n\r\nnothing", 404, 7, nil},
		"interim":         {"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 OK\r\n\r\n", 204, 0, nil},
		"interim forever": {strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 9), 0, 0, ErrNotHTTP},
		"body cut":        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", 200, 2, nil},
		"bad chunk":       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz", 200, 2, nil},
		"long body":       {"HTTP/1.1 200 OK\r\n\r\n" + long, 200, MaxResponse - 19, nil},
		"long header":     {"HTTP/1.1 200 OK\r\nX: " + long, 0, 0, ErrNotHTTP},
		"another":         {"SSH-2.0-x\r\n\r\n", 0, 0, ErrNotHTTP},
		"nothing":         {"", 0, 0, io.EOF},
	} {
		r, err := read(strings.NewReader(tt.in), time.Now)
		if !errors.Is(err, tt.err) || (r == nil) != (tt.status == 0) {
			t.Errorf("%s: %v, %v; want %v", name, r, err, tt.err)
			continue
		}
		if r != nil && (r.Status != tt.status || len(r.Body) != tt.body) {
			t.Errorf("%s: status %d, %d bytes; want %d, %d", name, r.Status, len(r.Body), tt.status, tt.body)
		}
	}
}

// TestClockOf holds that only the clock of the server itself is taken.
func TestClockOf(t *testing.T) {
	seen := time.Date(2026, 11, 24, 12, 0, 0, 5, time.UTC)
	const date = "Tue, 24 Nov 2026 11:58:20 GMT"
	for name, tt := range map[string]struct {
		in   string
		skew time.Duration
	}{
		"behind":     {"Date: " + date + "\r\n", -100*time.Second - 5},
		"old form":   {"Date: Tuesday, 24-Nov-26 11:58:20 GMT\r\n", -100*time.Second - 5},
		"by a cache": {"Date: " + date + "\r\nAge: 30\r\n", 0},
		"no date":    {"", 0},
		"no sense":   {"Date: yesterday\r\n", 0},
	} {
		r, err := read(strings.NewReader("HTTP/1.1 200 OK\r\n"+tt.in+"Content-Length: 0\r\n\r\n"), func() time.Time { return seen })
		if err != nil || (r.Clock == nil) != (tt.skew == 0) || r.Clock != nil && r.Clock.Skew() != tt.skew {
			t.Errorf("%s: %+v, %v; want %v", name, r.Clock, err, tt.skew)
		}
	}
}

func TestHostOf(t *testing.T) {
	at := func(addr string, port uint16, name string) evidence.Endpoint {
		return evidence.Endpoint{Addr: netip.MustParseAddr(addr), Port: port, Transport: evidence.TCP, Name: name}
	}
	for want, tt := range map[string]struct {
		at      evidence.Endpoint
		overTLS bool
	}{
		"192.0.2.1":        {at("192.0.2.1", 443, ""), true},
		"192.0.2.1:443":    {at("192.0.2.1", 443, ""), false},
		"[fe80::1]":        {at("fe80::1%eth0", 80, ""), false},
		"[2001:db8::1]:81": {at("2001:db8::1", 81, ""), false},
		"pump.example:80":  {at("192.0.2.1", 80, "pump.example"), true},
	} {
		if got := hostOf(tt.at, tt.overTLS); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestRequest_fits holds the bound that plans print, for the longest name.
func TestRequest_fits(t *testing.T) {
	at := evidence.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: 8443, Name: strings.Repeat("n", 253)}
	r := Request{Path: "/", Accept: "text/html, */*;q=0.1", ContentType: "application/soap+xml; charset=utf-8", Body: make([]byte, 1024)}
	if n := len(r.bytes(at, true)); n > MaxSent-1536 { // room for the handshake
		t.Errorf("the request has %d bytes", n)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := read(strings.NewReader(string(b)), time.Now)
		if (r == nil) == (err == nil) {
			t.Errorf("%v, %v", r, err)
		}
		if r != nil && len(r.Body) > MaxResponse {
			t.Errorf("%d bytes", len(r.Body))
		}
	})
}
