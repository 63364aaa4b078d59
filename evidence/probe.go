package evidence

import "time"

// ProbeOutcome says what became of a planned probe.
type ProbeOutcome string

// The outcomes of a planned probe.
const (
	ProbeSent    ProbeOutcome = "sent"    // at least one connection was attempted
	ProbeSkipped ProbeOutcome = "skipped" // nothing was sent though it should have been; Reason says why
	// ProbeNotNeeded: nothing was sent, because what the probe asks was answered
	// already or its condition was not met; Reason says how.
	ProbeNotNeeded ProbeOutcome = "not-needed"
)

// ProbeRecord is one row of the probe ledger: an exchange with one endpoint, or
// the decision not to have it.
type ProbeRecord struct {
	ID            int64
	Run           int64
	Endpoint      Endpoint
	Probe         string // name of the prober
	Started       time.Time
	Ended         time.Time
	Connections   int64 // connection attempts; for UDP, sockets used
	BytesSent     int64 // application bytes handed to the transport
	BytesReceived int64
	Outcome       ProbeOutcome
	Reason        string // why it was sent (justification) or not sent
}
