package probe_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"probity/evidence"
	"probity/scanner"
	"probity/scanner/probe/tlsprobe"
)

// dtlsServer answers hellos by the letter of RFC 6347, in datagrams of a pipe.
type dtlsServer struct {
	cookie   []byte // nil: none is asked for
	lose     int    // datagrams of the client that are lost
	reverse  bool   // the flight comes in the wrong order
	fragment int    // bytes of a fragment; 0: whole messages
	twice    bool   // every datagram comes twice
	always   bool   // a cookie is asked for every time
}

func handshake(kind byte, seq, offset, length int, body []byte) []byte {
	out := []byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, byte(seq)}
	out = binary.BigEndian.AppendUint16(out, uint16(12+len(body)))
	out = append(out, kind, byte(length>>16), byte(length>>8), byte(length), byte(seq>>8), byte(seq))
	out = append(out, byte(offset>>16), byte(offset>>8), byte(offset), byte(len(body)>>16), byte(len(body)>>8), byte(len(body)))
	return append(out, body...)
}

func (s dtlsServer) flight() [][]byte {
	hello := append([]byte{0xfe, 0xfd}, make([]byte, 32)...)
	hello = append(hello, 0, 0xc0, 0x2b, 0)
	der := bytes.Repeat([]byte{0x30}, 700)
	list := append([]byte{0, 2, 0xbc + 3, 0, 2, 0xbc}, der...)
	var out [][]byte
	for i, m := range []struct {
		kind byte
		body []byte
	}{{2, hello}, {11, list}, {13, []byte{1, 1, 0, 2, 4, 3, 0, 0}}, {14, nil}} {
		size := s.fragment
		if size == 0 || len(m.body) == 0 {
			size = max(1, len(m.body))
		}
		for at := 0; at == 0 || at < len(m.body); at += size {
			out = append(out, handshake(m.kind, i+1, at, len(m.body), m.body[at:min(len(m.body), at+size)]))
		}
	}
	if s.reverse {
		slices.Reverse(out)
	}
	return out
}

func (s dtlsServer) serve(c net.Conn) {
	buf := make([]byte, 4096)
	for lost := 0; ; {
		n, err := c.Read(buf)
		if err != nil || buf[0] != 22 {
			return
		}
		if lost < s.lose {
			lost++
			continue
		}
		var answer [][]byte
		const cookieAt = 25 + 2 + 32 + 1 // the prober has no session identifier
		switch hasCookie := n > cookieAt && buf[cookieAt] > 0; {
		case s.always || s.cookie != nil && !hasCookie:
			answer = [][]byte{handshake(3, 0, 0, 3+len(s.cookie), append([]byte{0xfe, 0xff, byte(len(s.cookie))}, s.cookie...))}
		default:
			answer = s.flight()
		}
		for _, b := range answer {
			for range 1 + map[bool]int{true: 1}[s.twice] {
				if _, err := c.Write(b); err != nil {
					return
				}
			}
		}
	}
}

// TestDTLS_server: loss, order, repetition and fragments make no difference to
// what is seen, and a server that keeps to no rule has an end.
func TestDTLS_server(t *testing.T) {
	flood := func(b []byte) func(net.Conn) {
		return func(c net.Conn) {
			go io.Copy(io.Discard, c)
			for range 1000 { // more than is read
				if _, err := c.Write(b); err != nil {
					return
				}
			}
		}
	}
	half := func(c net.Conn) {
		c.Read(make([]byte, 4096))
		c.Write(dtlsServer{}.flight()[0])
		io.Copy(io.Discard, c)
	}
	for name, tt := range map[string]struct {
		serve func(net.Conn)
		want  evidence.Result
		certs int
		most  time.Duration
	}{
		"in order":              {dtlsServer{}.serve, evidence.ResultData, 1, 0},
		"with a cookie":         {dtlsServer{cookie: []byte("0123456789abcdef")}.serve, evidence.ResultData, 1, 0},
		"the first hello lost":  {dtlsServer{lose: 1}.serve, evidence.ResultData, 1, time.Second},
		"two hellos lost":       {dtlsServer{lose: 2}.serve, evidence.ResultData, 1, 2 * time.Second},
		"every hello lost":      {dtlsServer{lose: 100}.serve, evidence.ResultTimeout, 0, 4 * time.Second},
		"in reverse":            {dtlsServer{reverse: true, fragment: 100}.serve, evidence.ResultData, 1, 0},
		"twice, in fragments":   {dtlsServer{twice: true, fragment: 37}.serve, evidence.ResultData, 1, 0},
		"a cookie of 255 bytes": {dtlsServer{cookie: make([]byte, 255)}.serve, evidence.ResultError, 0, 0},
		"cookies without end":   {dtlsServer{cookie: []byte("again"), always: true}.serve, evidence.ResultTimeout, 0, 4 * time.Second},
		"cookies for nothing":   {flood(handshake(3, 0, 0, 3, []byte{0xfe, 0xff, 0})), evidence.ResultError, 0, 0},
		"records without end":   {flood(handshake(1, 0, 0, 0, nil)), evidence.ResultError, 0, 0},
		"fragments without end": {flood(handshake(11, 1, 0, 9000, make([]byte, 40))), evidence.ResultError, 0, 0},
		"another protocol":      {flood([]byte("SSH-2.0-x\r\n")), evidence.ResultData, 0, 0},
		"nothing":               {func(c net.Conn) { io.Copy(io.Discard, c) }, evidence.ResultTimeout, 0, 4 * time.Second},
		"a ServerHello only":    {half, evidence.ResultData, 0, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := subject{prober: tlsprobe.NewDTLS(), port: 4433}
				b := s.bench(t, tt.serve)
				b.level = scanner.Gentle
				began := time.Now()
				var first time.Duration
				b.closed = func(n int) {
					if n == 1 {
						first = time.Since(began)
					}
				}
				obs, err := b.run(t.Context(), s.prober)
				if err != nil || len(obs) == 0 {
					t.Fatalf("%d observations, %v", len(obs), err)
				}
				o := obs[0]
				if o.Result != tt.want || len(o.Certs) != tt.certs || first > tt.most {
					t.Errorf("%s %q, %d certificates, after %v; want %s, %d, at most %v", o.Result, o.Detail, len(o.Certs), first, tt.want, tt.certs, tt.most)
				}
				if o.Detail == "" && tt.certs == 0 && !o.Facts.TLS.NotTLS {
					t.Error("the observation does not say what happened")
				}
				if tt.certs > 0 && (o.Facts.TLS.ClientAuth != evidence.ClientAuthRequested || o.Facts.TLS.Carrier != "dtls") {
					t.Errorf("%+v", o.Facts.TLS)
				}
				time.Sleep(2 * time.Hour)
			})
		})
	}
}
