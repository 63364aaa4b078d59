package discover

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/idwire"
)

// Bounds of listening to the answers to one question.
const (
	maxAnswers  = 4096 // datagrams
	maxKept     = 1024 // observations
	maxDatagram = 9000
)

// listenTime is how long answers to one question may take: MX of SSDP is two
// seconds, other responders wait for at most half a second (RFC 6762 section 6,
// WS-Discovery 1.1 section 3.1.3).
func listenTime(m Method) time.Duration {
	if m == SSDP {
		return 3 * time.Second
	}
	return 1500 * time.Millisecond
}

// groups lists where a method asks: RFC 6762 section 3, UPnP Device Architecture
// 2.0 section 1.3.2 and annex A, WS-Discovery 1.1 section 2.4.
func groups(m Method) []netip.AddrPort {
	switch m {
	case MDNS:
		return []netip.AddrPort{netip.MustParseAddrPort("224.0.0.251:5353"), netip.MustParseAddrPort("[ff02::fb]:5353")}
	case SSDP:
		return []netip.AddrPort{netip.MustParseAddrPort("239.255.255.250:1900"), netip.MustParseAddrPort("[ff02::c]:1900")}
	case WSDiscovery:
		return []netip.AddrPort{netip.MustParseAddrPort("239.255.255.250:3702"), netip.MustParseAddrPort("[ff02::c]:3702")}
	case ARP, ND:
	}
	return nil
}

// texts lists the questions of a method: one, but for WS-Discovery, of which
// devices speak one of two versions.
func texts(m Method, to netip.AddrPort) [][]byte {
	switch m {
	case MDNS:
		return [][]byte{servicesQuery()}
	case SSDP:
		return [][]byte{fmt.Appendf(nil, "M-SEARCH * HTTP/1.1\r\nHOST: %s\r\nMAN: \"ssdp:discover\"\r\nMX: 2\r\nST: ssdp:all\r\n\r\n", to)}
	case WSDiscovery:
		return [][]byte{
			wsProbe("http://docs.oasis-open.org/ws-dd/ns/discovery/2009/01", "urn:docs-oasis-open-org:ws-dd:ns:discovery:2009:01",
				"http://www.w3.org/2005/08/addressing", "http://docs.oasis-open.org/ws-dd/ns/dpws/2009/01"),
			wsProbe("http://schemas.xmlsoap.org/ws/2005/04/discovery", "urn:schemas-xmlsoap-org:ws:2005:04:discovery",
				"http://schemas.xmlsoap.org/ws/2004/08/addressing", "http://schemas.xmlsoap.org/ws/2006/02/devprof"),
		}
	case ARP, ND:
	}
	return nil
}

// servicesQuery asks for all kinds of services (RFC 6763 section 9), from a port
// of its own: the answers come to it alone (RFC 6762 section 6.7).
func servicesQuery() []byte {
	b := []byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for _, label := range []string{"_services", "_dns-sd", "_udp", "local"} {
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0, 0, 12, 0, 1) // PTR, IN
}

// wsProbe is a Probe for devices (WS-Discovery 1.1 section 5.2), which all have
// the type Device (DPWS 1.1 section 3.3); some responders know it by the usual
// prefix only. Who has seen an identifier does not answer it again, so that each
// question has its own; it tells nothing of the machine.
func wsProbe(discovery, to, addressing, devices string) []byte {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?>`+
		`<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="%s" xmlns:d="%s" xmlns:wsdp="%s"><s:Header>`+
		`<a:Action>%s/Probe</a:Action><a:MessageID>urn:uuid:%x-%x-%x-%x-%x</a:MessageID><a:To>%s</a:To></s:Header>`+
		`<s:Body><d:Probe><d:Types>wsdp:Device</d:Types></d:Probe></s:Body></s:Envelope>`,
		addressing, discovery, devices, discovery, id[:4], id[4:6], id[6:8], id[8:10], id[10:], to)
}

// multicast lists the questions of a method on a link, by the families that it
// has.
func (l *Link) multicast(m Method) []Question {
	var out []Question
	for _, group := range groups(m) {
		if _, ok := l.first(group.Addr().Is6()); !ok {
			continue
		}
		for _, text := range texts(m, group) {
			out = append(out, Question{
				Method: m, To: evidence.Endpoint{Addr: group.Addr(), Port: group.Port(), Transport: evidence.UDP}, Bytes: len(text), text: text,
				Why: fmt.Sprintf("who answers on %s; every device of the link receives it", l.Interface.Name),
			})
		}
	}
	return out
}

// asked is one multicast question with what came of it.
type asked struct {
	rec evidence.ProbeRecord
	obs []evidence.Observation
	err error
}

// askGroups sends the multicast questions of some methods, one after the other,
// while it listens to the answers to those before.
func (r *runner) askGroups(ctx context.Context, methods []Method) error {
	var sent []<-chan asked
	err := r.send(ctx, methods, func(c <-chan asked) { sent = append(sent, c) })
	for _, c := range sent {
		one := <-c
		for _, o := range one.obs {
			r.result.Found[o.Endpoint.Addr] = true
		}
		err = errors.Join(err, one.err, r.record(ctx, one.rec, one.obs))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// send hands out a channel for each question that it has sent.
func (r *runner) send(ctx context.Context, methods []Method, out func(<-chan asked)) error {
	for _, m := range methods {
		for _, q := range r.link.multicast(m) {
			if err := r.limiter.Wait(ctx); err != nil {
				return err
			}
			if err := r.allowed(ctx); err != nil {
				return err
			}
			rec := evidence.ProbeRecord{
				Endpoint: q.To, Probe: string(q.Method), Started: r.opts.Now(), Connections: 1, BytesSent: int64(len(q.text)),
				Outcome: evidence.ProbeSent, Reason: q.Why,
			}
			c, err := r.link.send(q)
			if err != nil {
				return fmt.Errorf("%s to %s: %w", q.Method, q.To, err)
			}
			r.result.Sent++
			r.result.Bytes += int64(len(q.text))
			done := make(chan asked, 1)
			go func() { done <- r.hear(ctx, c, q.Method, rec) }()
			out(done)
		}
	}
	return nil
}

// hear listens to the answers to one question, and closes its socket.
func (r *runner) hear(ctx context.Context, c *net.UDPConn, m Method, rec evidence.ProbeRecord) asked {
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	obs, received, err := r.listen(c, m)
	rec.BytesReceived, rec.Ended = received, r.opts.Now()
	if err != nil {
		rec.Reason += "; stopped: " + safetext.Clean(err.Error())
	}
	return asked{rec, obs, c.Close()}
}

// send sends a question from a socket of its own, for this link only.
func (l *Link) send(q Question) (*net.UDPConn, error) {
	six := q.To.Addr.Is6()
	from, _ := l.first(six)
	network := map[bool]string{true: "udp6", false: "udp4"}[six]
	zone := ""
	if six {
		zone = l.Interface.Name
	}
	c, err := net.ListenUDP(network, &net.UDPAddr{IP: from.AsSlice(), Zone: zone})
	if err != nil {
		return nil, err
	}
	// One hop: a question for the link does not leave it.
	if six {
		p := ipv6.NewPacketConn(c)
		err = errors.Join(p.SetMulticastInterface(&l.Interface), p.SetMulticastHopLimit(1), p.SetMulticastLoopback(false))
	} else {
		p := ipv4.NewPacketConn(c)
		err = errors.Join(p.SetMulticastInterface(&l.Interface), p.SetMulticastTTL(1), p.SetMulticastLoopback(false))
	}
	if err == nil {
		_, err = c.WriteToUDPAddrPort(q.text, netip.AddrPortFrom(q.To.Addr.WithZone(zone), q.To.Port))
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// listen takes the answers to one question: of each sender what it says, once. It
// may run beside others.
func (r *runner) listen(c *net.UDPConn, m Method) ([]evidence.Observation, int64, error) {
	if err := c.SetReadDeadline(r.opts.Now().Add(listenTime(m))); err != nil {
		return nil, 0, err
	}
	var out []evidence.Observation
	var received int64
	seen := map[string]bool{}
	buf := make([]byte, maxDatagram)
	for range maxAnswers {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return out, received, nil
		}
		if err != nil {
			return out, received, err
		}
		received += int64(n)
		facts, ok := parse(m, buf[:n])
		addr := from.Addr().Unmap().WithZone("")
		key := fmt.Sprintf("%s %+v", addr, facts)
		if !ok || seen[key] || len(out) == maxKept {
			continue
		}
		seen[key] = true
		out = append(out, evidence.Observation{
			Method: evidence.Active, Kind: evidence.KindIdentity, Endpoint: evidence.Endpoint{Addr: addr, Port: from.Port(), Transport: evidence.UDP},
			At: r.opts.Now(), Result: evidence.ResultData, Facts: evidence.Facts{Identity: &facts},
		})
	}
	return out, received, errors.New("more answers than are read")
}

// parse reads an answer; of what it holds only the allow-listed fields are kept.
func parse(m Method, b []byte) (evidence.IdentityFacts, bool) {
	switch m {
	case MDNS:
		return idwire.MDNS(b)
	case SSDP:
		return idwire.SSDP(b)
	case WSDiscovery:
		return idwire.WSDiscovery(b)
	case ARP, ND:
	}
	return evidence.IdentityFacts{}, false
}
