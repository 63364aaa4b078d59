package passive

import (
	"bytes"
	"strconv"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/idwire"
)

// Bounds of an HTTP answer.
const (
	maxHTTPHead = 8 << 10
	maxHTTPBody = 64 << 10
)

// httpSession reads the first answer of a server: the Server header and, where
// the media type says that it is one, a FHIR CapabilityStatement or the metadata
// of a DPWS device. Of the client not a byte is looked at: its request holds
// names, and so does its address.
//
// A document that is longer than is kept, or was cut off, gives what comes first in
// it. One that is compressed is not read.
type httpSession struct {
	answer  int // side; unknownSide until it spoke
	buffer  []byte
	head    int  // size of the head, once complete
	size    int  // of head and body; with more the body is not waited for
	chunked bool // RFC 9112 section 7.1
	media   string
	list    []evidence.Observation
}

func newHTTPSession() session { return &httpSession{answer: unknownSide} }

func (s *httpSession) held() int { return len(s.buffer) }

func (s *httpSession) feed(side int, b []byte) (done bool) {
	if s.answer == unknownSide {
		if is, _ := prefix(b, "HTTP/1."); !is {
			return true
		}
		s.answer = side
	}
	if side != s.answer {
		return true
	}
	s.buffer = keep(s.buffer, b[:min(len(b), maxHTTPHead+maxHTTPBody-len(s.buffer))])
	if s.head == 0 {
		end := bytes.Index(s.buffer, []byte("\r\n\r\n"))
		if end < 0 || end > maxHTTPHead {
			return s.finish(len(s.buffer) > maxHTTPHead)
		}
		s.head = end + len("\r\n\r\n")
		s.header(s.buffer[:end])
		s.size += s.head
		if s.media == "" {
			return s.finish(true)
		}
	}
	whole := len(s.buffer) >= s.size || s.chunked && bytes.HasSuffix(s.buffer[s.head:], []byte("0\r\n\r\n"))
	return s.finish(whole)
}

// finish reads the document that is kept, if done, and lets go of it.
func (s *httpSession) finish(done bool) bool {
	if !done {
		return false
	}
	if s.media != "" && s.head > 0 {
		body := s.buffer[s.head:min(s.size, len(s.buffer))]
		if s.chunked {
			body = joinChunks(body)
		}
		s.document(body)
		s.media = ""
	}
	forget(s.buffer)
	s.buffer = nil
	return true
}

// joinChunks puts the chunks of a body together in their place, up to the last one
// or to the damage.
func joinChunks(b []byte) []byte {
	body := b[:0]
	for {
		line, rest, found := bytes.Cut(b, []byte("\r\n"))
		digits, _, _ := bytes.Cut(line, []byte(";")) // of extensions
		n, err := strconv.ParseUint(string(bytes.TrimSpace(digits)), 16, 32)
		if !found || err != nil || n == 0 {
			return body
		}
		piece := rest[:min(int(n), len(rest))]
		body = append(body, piece...)
		b = bytes.TrimPrefix(rest[len(piece):], []byte("\r\n"))
	}
}

// header takes what is read of a head.
func (s *httpSession) header(head []byte) {
	status, rest, _ := bytes.Cut(head, []byte("\r\n"))
	var software string
	length, packed := maxHTTPBody, false // without a length it goes on to the end
	for line := range bytes.SplitSeq(rest, []byte("\r\n")) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		is := func(name string) bool { return bytes.EqualFold(key, []byte(name)) }
		switch value = bytes.TrimSpace(value); {
		case is("server"):
			software = safetext.CleanN(string(value), 128)
		case is("content-length"):
			length, _ = strconv.Atoi(string(value))
		case is("transfer-encoding"):
			s.chunked = bytes.EqualFold(value, []byte("chunked"))
			packed = packed || !s.chunked
		case is("content-encoding"):
			packed = !bytes.EqualFold(value, []byte("identity"))
		case is("content-type"):
			media, _, _ := bytes.Cut(value, []byte(";"))
			for _, known := range []string{"application/fhir+json", "application/soap+xml"} {
				if bytes.EqualFold(bytes.TrimSpace(media), []byte(known)) {
					s.media = known
				}
			}
		}
	}
	if s.size = min(length, maxHTTPBody); s.size <= 0 || packed || !bytes.Contains(status, []byte(" 200")) {
		s.media = ""
	}
	if s.chunked {
		s.size = maxHTTPBody
	}
	if software != "" {
		o := identityOf("http")
		o.Facts.Identity.Software = software
		s.list = append(s.list, o)
	}
}

// document reads the body of an answer.
func (s *httpSession) document(b []byte) {
	switch s.media {
	case "application/fhir+json":
		if f, ok := idwire.FHIR(b); ok {
			f.Status = 200
			s.list = append(s.list, evidence.Observation{Kind: evidence.KindFHIR, Facts: evidence.Facts{FHIR: &f}})
		}
	case "application/soap+xml":
		if f, ok := idwire.DPWS(b); ok {
			s.list = append(s.list, evidence.Observation{Kind: evidence.KindSDC, Facts: evidence.Facts{SDC: &f}})
		}
	}
}

func (s *httpSession) server(f *flow) int { return serverOf(f, s.answer) }

func (s *httpSession) conclude(f *flow) []evidence.Observation {
	s.finish(true)
	for i := range s.list {
		s.list[i].Detail = ambiguity(f)
	}
	return s.list
}
