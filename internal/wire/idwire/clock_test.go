package idwire

import (
	"encoding/binary"
	"testing"
	"time"

	"probity/evidence"
)

// packet is an NTP packet by the picture of RFC 5905 section 7.3.
func packet(leap, mode, stratum byte, seconds, fraction uint32) []byte {
	b := make([]byte, 48)
	b[0], b[1] = leap<<6|4<<3|mode, stratum
	binary.BigEndian.PutUint32(b[40:], seconds)
	binary.BigEndian.PutUint32(b[44:], fraction)
	return b
}

func TestNTP(t *testing.T) {
	seen := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	const unix = 2_208_988_800
	at := func(t time.Time) uint32 { return uint32(t.Unix() + unix) }
	for _, tt := range []struct {
		name string
		b    []byte
		want *evidence.Clock
	}{
		{"server", packet(0, 4, 2, at(seen)+90, 1<<31), &evidence.Clock{Says: seen.Add(90*time.Second + time.Second/2)}},
		{"client", packet(3, 3, 0, at(seen)-90, 0), &evidence.Clock{Says: seen.Add(-90 * time.Second), Loose: true}},
		{"broadcast", packet(0, 5, 1, at(seen), 0), &evidence.Clock{Says: seen}},
		{"not synchronised", packet(3, 4, 2, at(seen), 0), nil},
		{"stratum 16", packet(0, 4, 16, at(seen), 0), nil},
		{"refusal", packet(0, 4, 0, at(seen), 0), nil},
		{"no timestamp", packet(0, 3, 0, 0, 0), nil},
		{"control message", packet(0, 6, 2, at(seen), 0), nil},
		{"cut off", packet(0, 4, 2, at(seen), 0)[:47], nil},
	} {
		f, ok := NTP(tt.b, seen)
		if ok != (tt.want != nil) || ok && *f.Clock != *tt.want {
			t.Errorf("%s: %v %+v, want %+v", tt.name, ok, f.Clock, tt.want)
		}
	}
	// The count of seconds turns over on 7 February 2036 at 06:28:16.
	turned := time.Date(2036, 2, 7, 6, 30, 0, 0, time.UTC)
	if f, ok := NTP(packet(0, 4, 2, 104, 0), turned); !ok || !f.Clock.Says.Equal(turned) {
		t.Errorf("after the turn: %v %+v", ok, f.Clock)
	}
	if f, ok := NTP(packet(0, 4, 2, ^uint32(0), 0), turned); !ok || f.Clock.Says.Sub(turned) != -105*time.Second {
		t.Errorf("before the turn: %v %+v", ok, f.Clock)
	}
}

func TestFileTime(t *testing.T) {
	for n, want := range map[uint64]time.Time{
		0:                   {},
		^uint64(0):          {},
		116444736000000000:  time.Unix(0, 0).UTC(),
		134080704015000000:  time.Date(2025, 11, 20, 0, 0, 1, 500_000_000, time.UTC),
		1:                   time.Date(1601, 1, 1, 0, 0, 0, 100, time.UTC),
		2650467743999999999: time.Date(9999, 12, 31, 23, 59, 59, 999_999_900, time.UTC),
		2650467744000000000: {},
	} {
		if got := FileTime(n); !got.Equal(want) {
			t.Errorf("%d: %v, want %v", n, got, want)
		}
	}
}

func FuzzNTP(f *testing.F) {
	f.Add(packet(0, 4, 2, 1, 1), int64(1795000000))
	f.Fuzz(func(t *testing.T, b []byte, at int64) {
		seen := time.Unix(at%(1<<33), 0)
		if f, ok := NTP(b, seen); ok {
			if d := f.Clock.Says.Sub(seen).Abs(); d > 1<<31*time.Second+time.Second {
				t.Errorf("%v off", d)
			}
		}
	})
}
