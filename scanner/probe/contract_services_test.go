package probe_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"probity/evidence"
	"probity/scanner"
	"probity/scanner/probe/bannerprobe"
	"probity/scanner/probe/httpprobe"
	"probity/scanner/probe/rdpprobe"
	"probity/scanner/probe/sdcprobe"
	"probity/scanner/probe/smbprobe"
	"probity/scanner/probe/starttls"
	"probity/scanner/probe/tlsprobe"
)

// services are the probers of services that are asked before any login.
func services(t *testing.T) []subject {
	t.Helper()
	page := goodHTTP("text/html", "<title>Pump</title>")
	soap := goodHTTP("application/soap+xml", `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>`+
		`<ThisModel xmlns="http://docs.oasis-open.org/ws-dd/ns/dpws/2009/01"><ModelName>P7</ModelName></ThisModel></s:Body></s:Envelope>`)
	return []subject{
		{prober: httpprobe.New(), good: page, port: 80},
		{prober: overTLS{httpprobe.New()}, good: behindTLS(t, page), port: 443},
		{prober: sdcprobe.New(), good: soap, port: 6464},
		{prober: overTLS{sdcprobe.New()}, good: behindTLS(t, soap), port: 6465},
		{prober: bannerprobe.New(), good: says("220 ready\r\n"), port: 21, mute: true},
		{prober: bannerprobe.New(), good: says("\xff\xfd\x18\xff\xfd\x20"), port: 23, mute: true},
		{prober: rdpprobe.New(), good: answers("\x03\x00\x00\x13\x0e\xd0\x00\x00\x12\x34\x00\x02\x00\x08\x00\x02\x00\x00\x00"), port: 3389},
		{prober: smbprobe.New(), good: goodSMB, port: 445},
		{prober: starttls.New(tlsprobe.New()), good: goodSMTP(t), port: 25},
	}
}

// overTLS is a prober that was told that the endpoint speaks TLS.
type overTLS struct{ scanner.Prober }

func (p overTLS) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	return p.Prober.Probe(ctx, s, []evidence.Observation{{Facts: evidence.Facts{TLS: &evidence.TLSFacts{Version: 0x303}}}})
}

// behindTLS serves one protocol over TLS.
func behindTLS(t *testing.T, serve func(net.Conn)) func(net.Conn) {
	config := tlsConfig(t)
	return func(c net.Conn) { serve(tls.Server(c, config)) }
}

func goodHTTP(media, body string) func(net.Conn) {
	return func(c net.Conn) {
		r := bufio.NewReader(c)
		request, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nServer: device/1\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", media, len(body), body)
	}
}

// says greets without being asked.
func says(text string) func(net.Conn) {
	return func(c net.Conn) { io.WriteString(c, text) }
}

// answers says text once it was asked.
func answers(text string) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := c.Read(make([]byte, 512)); err == nil {
			io.WriteString(c, text)
		}
	}
}

// goodSMB knows SMB 2 only: an offer of SMB 1 is answered with no dialect.
func goodSMB(c net.Conn) {
	request := make([]byte, 512)
	n, err := c.Read(request)
	if err != nil {
		return
	}
	answer := make([]byte, 64+64)
	copy(answer, "\xfeSMB")
	answer[66], answer[68], answer[69] = 3, 0x02, 0x03
	if bytes.Contains(request[:n], []byte("\xffSMB")) {
		answer = append([]byte("\xffSMB\x72"), make([]byte, 27)...)
		answer = append(answer, 1, 0xff, 0xff, 0, 0)
	}
	c.Write(append([]byte{0, 0, 0, byte(len(answer))}, answer...))
}

// goodSMTP has TLS after STARTTLS.
func goodSMTP(t *testing.T) func(net.Conn) {
	config := tlsConfig(t)
	return func(c net.Conn) {
		io.WriteString(c, "220 mail ready\r\n")
		r := bufio.NewReader(c)
		for {
			line, err := r.ReadString('\n')
			switch {
			case err != nil:
				return
			case strings.HasPrefix(line, "EHLO"):
				io.WriteString(c, "250-mail\r\n250-SIZE 1000\r\n250 STARTTLS\r\n")
			case strings.HasPrefix(line, "STARTTLS"):
				io.WriteString(c, "220 go ahead\r\n")
				io.Copy(io.Discard, tls.Server(c, config))
				return
			default:
				t.Errorf("the prober says %q", line)
			}
		}
	}
}
