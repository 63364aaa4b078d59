package passive

import (
	"errors"
	"strings"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/mllpwire"
)

// maxHL7 is how much of a message is looked at for segment names.
const maxHL7 = 64 << 10

// hl7Session reads the first message of each side. No raw bytes are kept: even
// the header of a message holds more than may leave it.
type hl7Session struct {
	buffers  [2][]byte
	messages [2]*mllpwire.Message
}

func newHL7Session() session { return &hl7Session{} }

func (s *hl7Session) held() int { return len(s.buffers[0]) + len(s.buffers[1]) }

func (s *hl7Session) feed(side int, b []byte) (done bool) {
	buffer := keep(s.buffers[side], b[:min(len(b), maxHL7-len(s.buffers[side]))])
	m, complete, err := mllpwire.Parse(buffer)
	if err == nil {
		s.messages[side] = &m
		done = complete || len(buffer) == maxHL7
	} else {
		done = !errors.Is(err, mllpwire.ErrShort) || len(buffer) == maxHL7
	}
	if done {
		forget(buffer)
		buffer = nil
	}
	s.buffers[side] = buffer
	return done
}

// server takes the side that acknowledges for the server where the beginning of
// the connection was not seen.
func (s *hl7Session) server(f *flow) int {
	guess := unknownSide
	for i, m := range s.messages {
		if m == nil {
			continue
		}
		guess = 1 - i
		if strings.HasPrefix(m.MessageType, "ACK") {
			guess = i
			break
		}
	}
	return serverOf(f, guess)
}

func (s *hl7Session) conclude(f *flow) []evidence.Observation {
	forget(s.buffers[0])
	forget(s.buffers[1])
	server := s.server(f)
	var out []evidence.Observation
	for _, i := range []int{1 - server, server} {
		m := s.messages[i]
		if m == nil {
			continue
		}
		sender := evidence.RoleClient
		if i == server {
			sender = evidence.RoleServer
		}
		out = append(out, evidence.Observation{Kind: evidence.KindHL7, Detail: ambiguity(f), Facts: evidence.Facts{HL7: &evidence.HL7Facts{
			Sender:             sender,
			SendingApplication: safetext.Clean(m.SendingApplication), SendingFacility: safetext.Clean(m.SendingFacility),
			ReceivingApplication: safetext.Clean(m.ReceivingApplication), ReceivingFacility: safetext.Clean(m.ReceivingFacility),
			MessageType: safetext.Clean(m.MessageType), ProcessingID: safetext.Clean(m.ProcessingID), VersionID: safetext.Clean(m.VersionID),
			Segments: m.Segments,
		}}})
	}
	return out
}
