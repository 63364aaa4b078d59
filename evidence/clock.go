package evidence

import "time"

// Clock is one reading of the clock of a device beside that of the observer.
type Clock struct {
	Says time.Time `json:"says"` // what the device says, UTC
	Seen time.Time `json:"seen"` // what the clock of the observer said when that came, UTC
	// Loose: the field need not hold a clock. Some clients of NTP put random bytes
	// there (draft-ietf-ntp-data-minimization).
	Loose bool `json:"loose,omitzero"`
}

// Skew is how far the device is ahead of the observer; negative: behind.
func (c Clock) Skew() time.Duration { return c.Says.Sub(c.Seen) }

// Clock returns the reading of a device's clock that the facts hold, and from
// what it was read.
func (f Facts) Clock() (c *Clock, from string) {
	switch {
	case f.HTTP != nil:
		return f.HTTP.Clock, "HTTP"
	case f.FHIR != nil:
		return f.FHIR.Clock, "HTTP"
	case f.SDC != nil:
		return f.SDC.Clock, "HTTP"
	case f.SMB != nil:
		return f.SMB.Clock, "SMB"
	case f.OPCUA != nil:
		return f.OPCUA.Clock, "OPC UA"
	case f.Identity != nil:
		return f.Identity.Clock, "NTP"
	}
	return nil, ""
}
