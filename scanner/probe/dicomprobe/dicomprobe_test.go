package dicomprobe

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/internal/wire/dicomwire"
	"probity/scanner"
)

// line is a session on one in-memory connection.
type line struct {
	serve func(net.Conn)
}

func (line) Endpoint() evidence.Endpoint {
	return evidence.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: 104, Transport: evidence.TCP}
}
func (line) Level() scanner.Level { return scanner.Gentle }
func (line) Now() time.Time       { return time.Now() }
func (l line) Dial(context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	go func() {
		defer server.Close()
		l.serve(server)
	}()
	return client, nil
}

// next reads one protocol data unit.
func next(c net.Conn) (byte, []byte) {
	header := make([]byte, dicomwire.HeaderSize)
	if _, err := io.ReadFull(c, header); err != nil {
		return 0, nil
	}
	body := make([]byte, int(header[4])<<8|int(header[5]))
	if _, err := io.ReadFull(c, body); err != nil {
		return 0, nil
	}
	return header[0], body
}

// accept is an answer without user information but the mandatory.
func accept() []byte {
	body := append([]byte{0, 1, 0, 0}, strings.Repeat(" ", 32)...)
	body = append(body, make([]byte, 32)...)
	uid := "1.2.3\x1b"
	body = append(body, 0x50, 0, 0, byte(4+len(uid)), 0x52, 0, 0, byte(len(uid)))
	body = append(body, uid...)
	return append([]byte{2, 0, 0, 0, 0, byte(len(body))}, body...)
}

func TestProbe_answers(t *testing.T) {
	for name, tt := range map[string]struct {
		answer []byte
		want   *evidence.DICOMFacts
		result evidence.Result
		last   byte // type of the last thing sent
		took   time.Duration
	}{
		"accepted, release ignored": {accept(), &evidence.DICOMFacts{PDU: "ac", ImplementationUID: `1.2.3\x1b`}, evidence.ResultData, 7, time.Second},
		"rejected":                  {[]byte{3, 0, 0, 0, 0, 4, 0, 1, 1, 7}, &evidence.DICOMFacts{PDU: "rj", RejectResult: 1, RejectSource: 1, RejectReason: 7}, evidence.ResultData, 1, 0},
		"aborted":                   {[]byte{7, 0, 0, 0, 0, 4, 0, 0, 2, 0}, &evidence.DICOMFacts{PDU: "abort"}, evidence.ResultData, 1, 0},
		"data instead":              {[]byte{4, 0, 0, 0, 0, 6, 0, 0, 0, 2, 1, 3}, nil, evidence.ResultError, 7, 0},
		"not DICOM":                 {[]byte("HTTP/1.1 400\r\n"), nil, evidence.ResultError, 7, 0},
		"too long":                  {[]byte{2, 0, 0, 8, 0, 0}, nil, evidence.ResultError, 7, 0},
		"silent":                    {nil, nil, evidence.ResultTimeout, 1, totalTime},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var last byte
				var request []byte
				done := make(chan struct{})
				serve := func(c net.Conn) {
					defer close(done)
					last, request = next(c)
					go c.Write(tt.answer)
					for {
						kind, _ := next(c)
						if kind == 0 {
							return
						}
						last = kind
					}
				}
				start := time.Now()
				obs, err := New().Probe(t.Context(), line{serve}, nil)
				took := time.Since(start)
				<-done
				if err != nil || len(obs) != 1 || obs[0].Result != tt.result || took != tt.took || last != tt.last {
					t.Fatalf("%+v in %v, the last thing sent has type %d, error %v", obs, took, last, err)
				}
				if diff := cmp.Diff(tt.want, obs[0].Facts.DICOM); diff != "" {
					t.Errorf("facts (-want +got):\n%s", diff)
				}
				a, err := dicomwire.ParseAssociate(dicomwire.AssociateRQ, request)
				if err != nil || a.CallingAE != "PROBITY" || a.ImplementationVersion != "PROBITY" || !strings.HasPrefix(a.ImplementationUID, "2.25.") ||
					len(a.Contexts) != 1 || a.Contexts[0].AbstractSyntax != dicomwire.Verification {
					t.Errorf("request %+v, error %v", a, err)
				}
			})
		})
	}
}
