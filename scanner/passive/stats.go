package passive

import (
	"fmt"
	"maps"
	"slices"

	"probity/scanner/passive/capture"
)

// Stats say how much was read, and how much of it was lost on the way.
type Stats struct {
	Packets      int   // read from the capture
	Bytes        int64 // in them, as captured
	Segments     int   // TCP segments among them
	Datagrams    int   // UDP datagrams among them
	Defragmented int   // datagrams put together from IP fragments
	Flows        int   // connections with payload: of TCP, and handshakes over UDP
	MidStream    int   // of them: TCP connections whose beginning was not seen
	OneSided     int   // of them: TCP connections with payload of one side only
	Reused       int   // of them: those on the ports of one before
	TimedOut     int   // of them: those that said nothing for long in the middle of a handshake
	Observations int   // handed to the sink
	// Repeats are observations like one made before between the same two
	// addresses. They are counted and not handed on.
	Repeats int
	// Unproven are handshakes whose signatures were not checked, because there were
	// too many of them for the packets that came.
	Unproven int

	DecodeErrors     map[string]int           // packets with damaged headers, by the place of the damage
	UnsupportedLinks map[capture.LinkType]int // packets of link types that are not read
	Encapsulated     int                      // carry others more than four deep or in a way that is not read
	Fragments        int                      // IP fragments of datagrams that did not become complete
	CutPackets       int                      // shorter in the capture than on the wire
	Panics           int                      // packets that a decoder failed on
	Evictions        int                      // connections given up for want of room in the table before their handshake ended
	Squeezed         int                      // connections given up because the bytes kept of all were too many
	Gaps             int                      // directions given up because bytes are missing
	Ambiguous        int                      // connections whose overlapping bytes disagree
}

// Lost returns how many packets were read and not understood.
func (s Stats) Lost() int {
	n := s.Encapsulated + s.Fragments + s.CutPackets + s.Panics
	for _, v := range s.DecodeErrors {
		n += v
	}
	for _, v := range s.UnsupportedLinks {
		n += v
	}
	return n
}

// Remarks say what else is to be known of a reading: nothing in them is a loss.
func (s Stats) Remarks() []string {
	var out []string
	for _, c := range []struct {
		n    int
		what string
	}{
		{s.MidStream, "connections were under way when the capture began"},
		{s.OneSided, "connections show one side only"},
		{s.TimedOut, "connections fell silent within a handshake"},
		{s.Unproven, "handshakes were too many to check their signatures"},
	} {
		if c.n > 0 {
			out = append(out, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return out
}

// Incomplete says why the observations may not be all that the traffic held. It
// is empty for a complete reading. The reasons are in a fixed order.
func (s Stats) Incomplete() []string {
	var out []string
	add := func(n int, format string, args ...any) {
		if n > 0 {
			out = append(out, fmt.Sprintf("%d ", n)+fmt.Sprintf(format, args...))
		}
	}
	for _, where := range slices.Sorted(maps.Keys(s.DecodeErrors)) {
		add(s.DecodeErrors[where], "packets cannot be decoded %s", where)
	}
	for _, link := range slices.Sorted(maps.Keys(s.UnsupportedLinks)) {
		add(s.UnsupportedLinks[link], "packets have link type %d, which is not read", link)
	}
	add(s.Encapsulated, "packets carry others more than four deep or in a way that is not read")
	add(s.Fragments, "IP fragments are of datagrams that did not become complete or disagree")
	add(s.CutPackets, "packets were cut by the capture (capture with a snap length of 0)")
	add(s.Panics, "packets made a decoder fail")
	add(s.Evictions, "connections were given up for want of room in the table")
	add(s.Squeezed, "connections were given up for want of memory")
	add(s.Gaps, "directions of connections have missing bytes")
	add(s.Ambiguous, "connections have overlapping bytes that disagree")
	return out
}
