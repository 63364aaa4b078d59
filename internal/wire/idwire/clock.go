package idwire

import (
	"encoding/binary"
	"time"

	"probity/evidence"
)

// FileTime reads a count of 100 ns since 1601 (MS-DTYP section 2.3.3, OPC 10000-6
// section 5.2.2.5), as UTC. It is the zero time for zero, and beyond the year 9999.
func FileTime(n uint64) time.Time {
	const (
		second    = 10_000_000
		toUnix    = 11_644_473_600            // seconds from 1601 to 1970
		endOfTime = 2_650_467_744_000_000_000 // the year 10000
	)
	if n == 0 || n >= endOfTime {
		return time.Time{}
	}
	return time.Unix(int64(n/second)-toUnix, int64(n%second)*100).UTC()
}

// The modes of NTP in which a packet tells the time (RFC 5905 section 7.3).
const (
	ntpClient    = 3
	ntpServer    = 4
	ntpBroadcast = 5
)

// NTP reads the transmit timestamp of an NTP packet (RFC 5905 section 7.3) that
// was seen at a time: the seconds are a count of 32 bits, of which the turn is
// taken that is nearest (section 6). Servers and broadcasters must put their clock
// there; a client need not. A server that says that it is not synchronised is not
// read: it says that it does not know. ok is false for anything else.
func NTP(b []byte, seen time.Time) (f evidence.IdentityFacts, ok bool) {
	if len(b) < 48 {
		return f, false
	}
	leap, version, mode, stratum := b[0]>>6, b[0]>>3&7, b[0]&7, b[1]
	f.Protocol, f.Sender = "ntp", evidence.RoleServer
	const unsynchronised = 3
	switch {
	case version < 1 || version > 4:
		return f, false
	case mode == ntpClient:
		f.Sender = evidence.RoleClient
	case mode != ntpServer && mode != ntpBroadcast, leap == unsynchronised, stratum == 0 || stratum > 15:
		return f, false
	}
	seconds, fraction := binary.BigEndian.Uint32(b[40:]), binary.BigEndian.Uint32(b[44:])
	if seconds == 0 && fraction == 0 {
		return f, false
	}
	const toNTP = 2_208_988_800 // seconds from 1900 to 1970
	turn := int32(seconds - uint32(seen.Unix()+toNTP))
	says := time.Unix(seen.Unix()+int64(turn), int64(uint64(fraction)*1e9>>32)).UTC()
	f.Clock = &evidence.Clock{Says: says, Loose: mode == ntpClient}
	return f, true
}
