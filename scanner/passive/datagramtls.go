package passive

import (
	"slices"

	"probity/evidence"
	"probity/internal/wire/dtlswire"
	"probity/internal/wire/quicwire"
	"probity/internal/wire/tlswire"
)

// dtlsSession reads a handshake over DTLS.
type dtlsSession struct {
	tlsSession
	streams [2]dtlswire.Stream
}

func newDTLSSession() session {
	s := &dtlsSession{tlsSession: tlsSession{}}
	for i := range s.sides {
		s.sides[i].stream, s.sides[i].carrier = tlswire.NewStream(tlswire.Limits{}), carrierDTLS
	}
	return s
}

func (s *dtlsSession) held() int {
	return s.tlsSession.held() + s.streams[0].Buffered() + s.streams[1].Buffered()
}

func (s *dtlsSession) feed(side int, b []byte) (done bool) {
	t := &s.sides[side]
	list, _ := s.streams[side].Feed(b) // a damaged datagram is one that was lost
	return slices.ContainsFunc(list, t.message) || t.rawBytes > maxTLSRaw
}

func (s *dtlsSession) conclude(f *flow) []evidence.Observation {
	for i := range s.sides {
		if s.streams[i].Buffered() > 0 && s.sides[i].detail == "" {
			s.sides[i].detail = "fragments of a handshake message are missing"
			f.gaps++
		}
		s.streams[i].Forget()
	}
	list := s.tlsSession.conclude(f)
	for _, o := range list {
		o.Facts.TLS.Carrier = "dtls"
	}
	return list
}

// Bounds of a QUIC handshake: a hello with keys of a lattice has 2 KiB.
const (
	maxQUICHello  = 16 << 10
	maxQUICPieces = 32
)

// quicSession reads the hellos of a QUIC connection. The rest is encrypted.
type quicSession struct {
	tlsSession
	keys    [2]*quicwire.Keys // of the client and the server
	client  int               // side; the one that spoke first
	crypto  [2]half
	message [2][]byte
	begun   bool
}

func newQUICSession(client, server *quicwire.Keys) session {
	s := &quicSession{keys: [2]*quicwire.Keys{client, server}}
	for i := range s.sides {
		s.sides[i].stream, s.sides[i].carrier = tlswire.NewStream(tlswire.Limits{}), carrierQUIC
		s.crypto[i].begun = true
	}
	return s
}

func (s *quicSession) held() int {
	n := s.tlsSession.held()
	for i := range s.crypto {
		n += s.crypto[i].held() + len(s.message[i])
	}
	return n
}

func (s *quicSession) feed(side int, b []byte) (done bool) {
	if !s.begun {
		s.begun, s.client = true, side
	}
	keys := s.keys[1]
	if side == s.client {
		keys = s.keys[0]
	}
	frames, err := keys.Open(b)
	if err != nil {
		return false
	}
	l := Limits{Segments: maxQUICPieces, DirectionBytes: maxQUICHello}
	for _, c := range frames {
		if c.Offset+uint64(len(c.Data)) > maxQUICHello {
			return true
		}
		v := s.crypto[side].push(uint32(c.Offset), c.Data, l, func(b []byte) { s.message[side] = keep(s.message[side], b) })
		clear(c.Data) // of the packet as it was decrypted
		if v.overflow {
			return true
		}
	}
	return s.hello(side)
}

// hello takes the hello of a side once it is complete.
func (s *quicSession) hello(side int) (done bool) {
	const header = 4
	b := s.message[side]
	if len(b) < header {
		return false
	}
	n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	if len(b) < header+n {
		return n > maxQUICHello
	}
	raw := slices.Clone(b[:header+n])
	forget(b)
	s.message[side] = nil
	s.sides[side].message(tlswire.Message{Kind: tlswire.Handshake, Type: raw[0], Body: raw[header:], Raw: raw})
	return true
}

func (s *quicSession) conclude(f *flow) []evidence.Observation {
	list := s.tlsSession.conclude(f)
	for _, o := range list {
		o.Facts.TLS.Carrier = "quic"
	}
	return list
}
