package passive

import "time"

// clock is the time that passed in a capture, by which its limits of time go:
// never that of this machine, because a capture may be read at any speed and long
// after it was made.
type clock struct {
	begun   bool
	newest  int64 // the latest of the packets, in seconds since 1970
	elapsed int64 // seconds
}

const (
	maxStep = 10   // seconds for which one packet stands at most, however wrong its time
	maxBack = 3600 // seconds by which times may go back; by more, others before were wrong
)

// tick takes the time of a packet and reports whether time passed. Packets may
// come out of order.
func (c *clock) tick(at time.Time) bool {
	now := at.Unix()
	forward := now - c.newest
	switch {
	case !c.begun || forward < -maxBack:
		c.begun, c.newest = true, now
	case forward > 0:
		c.newest = now
		c.elapsed += min(forward, maxStep)
		return true
	}
	return false
}
