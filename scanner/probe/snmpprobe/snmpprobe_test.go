package snmpprobe

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"probity/evidence"
	"probity/scanner"
)

// line is a session on one in-memory socket; a write of the far side is a datagram.
type line struct {
	answers [][]byte
	got     chan []byte
}

func (line) Endpoint() evidence.Endpoint {
	return evidence.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: 161, Transport: evidence.UDP}
}
func (line) Level() scanner.Level { return scanner.Gentle }
func (line) Now() time.Time       { return time.Now() }
func (l line) Dial(context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		buf := make([]byte, 1500)
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		l.got <- buf[:n]
		for _, a := range l.answers {
			if _, err := server.Write(a); err != nil {
				return
			}
		}
		server.Read(buf)
	}()
	return client, nil
}

// TestProbe_takesOnlyItsReport: datagrams that do not answer the discovery are
// no facts, and none of them makes the prober send again.
func TestProbe_takesOnlyItsReport(t *testing.T) {
	junk := []byte{0x30, 3, 2, 1, 3}
	for name, tt := range map[string]struct {
		answers [][]byte
		want    evidence.Result
		took    time.Duration
	}{
		"silence":       {nil, evidence.ResultTimeout, answerTime},
		"one of others": {[][]byte{junk}, evidence.ResultError, answerTime},
		"a flood":       {[][]byte{junk, junk, junk, junk, junk, junk}, evidence.ResultError, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := line{tt.answers, make(chan []byte, 2)}
				start := time.Now()
				obs, err := New().Probe(t.Context(), l, nil)
				if err != nil || len(obs) != 1 || obs[0].Result != tt.want || obs[0].Facts.SNMP != nil || time.Since(start) != tt.took {
					t.Errorf("%+v after %v, error %v", obs, time.Since(start), err)
				}
				if len(l.got) != 1 {
					t.Errorf("%d datagrams sent", len(l.got))
				}
			})
		})
	}
}
