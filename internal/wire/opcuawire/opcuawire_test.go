package opcuawire

import (
	"encoding/binary"
	"slices"
	"testing"
)

// endpoints is the body of an answer with one endpoint.
func endpoints() []byte {
	null := u32(absent)
	response := slices.Concat(typeID(idGetEndpointsResponse), make([]byte, 8), u32(1, 0), []byte{0}, null, []byte{0, 0, 0})
	application := slices.Concat(str("urn:pump"), str("urn:product"), []byte{3}, str("en"), str("Pump"), u32(0), null, null, u32(1), str("opc.tcp://pump"))
	token := slices.Concat(str("0"), u32(1), null, null, null)
	return slices.Concat(response, u32(1), str("opc.tcp://pump:4840"), application, str("certificate"), u32(3), str(policyNone), u32(1), token, str("tcp"), []byte{7})
}

func TestParseEndpoints(t *testing.T) {
	s, err := ParseEndpoints(endpoints())
	if err != nil || s.ApplicationURI != "urn:pump" || s.ProductURI != "urn:product" || s.Name != "Pump" || len(s.Endpoints) != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	if e := s.Endpoints[0]; PolicyName(e.Policy) != "None" || e.Mode != 3 || !slices.Equal(e.Tokens, []uint32{1}) || e.Level != 7 || string(e.Certificate) != "certificate" {
		t.Errorf("%+v", e)
	}
	for at := range endpoints() {
		if s, err := ParseEndpoints(endpoints()[:at]); err == nil {
			t.Errorf("cut at byte %d: %+v", at, s)
		}
	}
}

func TestParseHeader(t *testing.T) {
	if h, err := ParseHeader([]byte("MSGC\x10\x00\x00\x00")); err != nil || h.Kind != "MSG" || h.Final || h.Size != 8 {
		t.Errorf("%+v, %v", h, err)
	}
	for _, bad := range []string{"", "MSGF\x07\x00\x00\x00", "MSGF\x00\x00\x00\x80", "MSGX\x10\x00\x00\x00", "GET / HT", "HELF\x10\x00\x00\x00"} {
		if h, err := ParseHeader([]byte(bad)); err == nil {
			t.Errorf("%q: %+v", bad, h)
		}
	}
}

// TestRequests holds that the sizes in the headers are those of the messages.
func TestRequests(t *testing.T) {
	c := Channel{ID: 7, Token: 9}
	for _, m := range [][]byte{Hello("opc.tcp://pump:4840"), OpenChannel(), GetEndpoints(c, "opc.tcp://pump:4840"), CloseChannel(c)} {
		if n := binary.LittleEndian.Uint32(m[4:]); int(n) != len(m) || m[3] != chunkFinal {
			t.Errorf("%q: size %d of %d", m[:4], n, len(m))
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("MSGF\x10\x00\x00\x00"), endpoints())
	f.Add([]byte("ERRF\x10\x00\x00\x00"), slices.Concat(u32(0x80010000), u32(absent)))
	f.Add([]byte("OPNF\x10\x00\x00\x00"), OpenChannel()[headerSize:])
	f.Fuzz(func(t *testing.T, header, body []byte) {
		h, err := ParseHeader(header)
		if err != nil {
			return
		}
		if err := CheckAcknowledge(h, body); err == nil && len(body) != 20 {
			t.Error("an acknowledgement of another size")
		}
		_, _ = ParseOpenChannel(h, body)
		if b, err := MessageBody(h, body); err == nil && len(b) > len(body) {
			t.Error("more than was there")
		}
		if s, err := ParseEndpoints(body); err == nil && len(s.Endpoints) > maxEndpoints {
			t.Errorf("%d endpoints", len(s.Endpoints))
		}
	})
}
