package tlsprobe

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"testing"

	"probity/internal/wire/tlswire"
	"probity/scanner"
)

// model is a server of TLS 1.2 that answers with a flight made by hand.
type model struct {
	suites  []uint16 // in its order
	groups  []uint16
	schemes []uint16
	own     bool // its order decides, else that of the client
	// first: it chooses the suite and then refuses for want of a scheme; fails: after
	// its ServerHello.
	first, fails bool
	most         int // suites that it bears in one hello; 0: any number
}

func pick(want, have []uint16, ok func(uint16) bool) uint16 {
	for _, v := range want {
		if slices.Contains(have, v) && ok(v) {
			return v
		}
	}
	return 0
}

// answer reads a hello from the connection and writes the flight, or an alert.
func (m model) answer(c net.Conn) {
	header := make([]byte, recordHeader)
	if _, err := io.ReadFull(c, header); err != nil || header[0] != byte(tlswire.Handshake) {
		return
	}
	body := make([]byte, binary.BigEndian.Uint16(header[3:]))
	if _, err := io.ReadFull(c, body); err != nil {
		return
	}
	h, err := tlswire.ParseClientHello(body[4:])
	alert := func(description byte) { c.Write([]byte{byte(tlswire.Alert), 3, 3, 0, 2, 2, description}) }
	switch {
	case err != nil:
		alert(50)
		return
	case m.most > 0 && len(h.Suites) > m.most:
		return
	case h.Version < tlswire.VersionTLS12 || len(h.SupportedVersions) > 0 && !slices.Contains(h.SupportedVersions, tlswire.VersionTLS12):
		alert(alertProtocolVersion)
		return
	}
	group := pick(h.Groups, m.groups, func(uint16) bool { return true })
	scheme := func(suite uint16) uint16 {
		return pick(h.SignatureSchemes, m.schemes, func(v uint16) bool { return kindOfScheme(v) == kindOfID(suite) })
	}
	signed := func(suite uint16) bool {
		s, _ := tlswire.Lookup(suite)
		return isSigned(s)
	}
	order := h.Suites
	if m.own {
		order = m.suites
	}
	suite := pick(order, m.suites, func(v uint16) bool {
		return slices.Contains(h.Suites, v) && (!isCurve(v) || group != 0) && (m.first || m.fails || !signed(v) || scheme(v) != 0)
	})
	if suite == 0 || !m.fails && signed(suite) && scheme(suite) == 0 {
		alert(40)
		return
	}
	c.Write(m.flight(suite, group, scheme(suite), signed(suite)))
	if signed(suite) && scheme(suite) == 0 {
		alert(40)
	}
}

func (m model) flight(suite, group, scheme uint16, signed bool) []byte {
	hello := append([]byte{3, 3}, make([]byte, 33)...)
	hello = append(binary.BigEndian.AppendUint16(hello, suite), 0, 0, 0)
	message := func(kind byte, body []byte) []byte {
		return append([]byte{kind, 0, byte(len(body) >> 8), byte(len(body))}, body...)
	}
	out := message(tlswire.TypeServerHello, hello)
	if signed && scheme == 0 {
		return record12(out)
	}
	var keys []byte
	switch {
	case isCurve(suite):
		keys = append(binary.BigEndian.AppendUint16([]byte{3}, group), 1, 4)
	case signed:
		keys = []byte{0, 2, 0x80, 1, 0, 1, 2, 0, 2, 0x40, 1}
	}
	if signed {
		keys = append(binary.BigEndian.AppendUint16(keys, scheme), 0, 1, 7)
	}
	out = append(out, message(tlswire.TypeCertificate, []byte{0, 0, 0})...)
	if keys != nil {
		out = append(out, message(tlswire.TypeServerKeyExchange, keys)...)
	}
	return record12(append(out, message(tlswire.TypeServerHelloDone, nil)...))
}

func record12(messages []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{byte(tlswire.Handshake), 3, 3}, uint16(len(messages))), messages...)
}

// piped is a session whose connections end in the model.
type piped struct {
	direct
	model model
}

func (p *piped) Dial(context.Context) (net.Conn, error) {
	p.dials++
	client, server := net.Pipe()
	go func() {
		p.model.answer(server)
		server.Close()
	}()
	return client, nil
}

// some returns a random part of a list, at least one of it, in a random order.
func some(r *rand.Rand, list []uint16) []uint16 {
	out := slices.Clone(list)
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out[:1+r.IntN(len(out))]
}

// TestEnumeration_complete: of servers of every habit, all suites, and all groups
// and schemes that they use, are found, within what any enumeration needs and a
// few.
func TestEnumeration_complete(t *testing.T) {
	suites := []uint16{
		0xc02b, 0xc02c, 0xc009, 0xc02f, 0xc030, 0xcca8, 0xc013, 0x009e, 0x0033, 0x009c, 0x002f, 0x0035, 0x0005, 0x0032, 0x00a2, 0xc018, 0x0018, 0x00a8,
	}
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // to be the same each time
		m := model{
			suites: some(r, suites), groups: some(r, groups()), schemes: some(r, schemes()),
			own: r.IntN(2) == 0, first: r.IntN(3) == 0, fails: r.IntN(3) == 0,
		}
		if r.IntN(4) == 0 {
			m.most = 130
		}
		m.suites = slices.DeleteFunc(m.suites, func(id uint16) bool { // it has no key for those
			s, _ := tlswire.Lookup(id)
			return isSigned(s) && !slices.ContainsFunc(m.schemes, func(v uint16) bool { return kindOfScheme(v) == kindOfSuite(s) })
		})
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			p := &piped{direct: direct{address: "192.0.2.1:443", level: scanner.Exhaustive}, model: m}
			obs, err := New().Probe(t.Context(), p, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := of(obs)
			want := posture{suites: map[uint16]set{}, groups: set{}, schemes: set{}}
			for _, id := range m.suites {
				s, _ := tlswire.Lookup(id)
				want.add(tlswire.VersionTLS12, id)
				for _, v := range m.schemes {
					if isSigned(s) && kindOfScheme(v) == kindOfSuite(s) {
						want.schemes[v] = true
					}
				}
				if usesCurve(s) {
					for _, g := range m.groups {
						want.groups[g] = true
					}
				}
			}
			missing := func(what string, got, want set, name func(uint16) string) {
				for v := range want {
					if !got[v] {
						t.Errorf("%s %s is missing", what, name(v))
					}
				}
			}
			missing("suite", got.suites[tlswire.VersionTLS12], want.suites[tlswire.VersionTLS12], tlswire.SuiteName)
			missing("group", got.groups, want.groups, tlswire.GroupName)
			missing("scheme", got.schemes, want.schemes, tlswire.SchemeName)
			limit := 8 // refusals that leave open what was missing: two kinds of key, or an order of its own
			if m.most > 0 {
				limit += 2 + 1 // portions, and the hello that shows that they are needed
			}
			if extra := enumerating(obs) - bound(got) - surplus(obs); extra > limit {
				t.Errorf("%d connections more than needed, limit %d", extra, limit)
			}
			if t.Failed() {
				t.Logf("%+v\n%s", m, describe(obs))
			}
		})
	}
}
