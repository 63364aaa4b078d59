package scanner

import (
	"context"
	"net"
	"time"

	"probity/evidence"
)

// Sink receives observations in the order in which they were made. Record
// returns once the observation is accepted; an error means that it could not be
// kept and collecting must stop.
type Sink interface {
	Record(ctx context.Context, o evidence.Observation) error
}

// Level says how much a scan may send.
type Level string

// The levels. Each includes the one before it.
const (
	Gentle     Level = "gentle"     // few, ordinary exchanges; the default
	Standard   Level = "standard"   // adds exchanges an old stack may log
	Exhaustive Level = "exhaustive" // adds exchanges that belong on a bench
)

// Budget bounds one connection of a probe.
type Budget struct {
	Time  time.Duration // from dial to close
	Bytes int64         // received
}

// Session is what a prober may use to reach its endpoint. It is handed out by
// the safety gate: every connection is limited in rate, time and bytes, counted,
// and written to the probe ledger. A prober uses one connection at a time and
// closes it before it asks for the next.
type Session interface {
	// Endpoint is the only place the session reaches.
	Endpoint() evidence.Endpoint
	// Level is how much may be sent.
	Level() Level
	// Dial opens a connection (TCP) or a connected socket (UDP). It waits for the
	// rate limits first. Errors are those of [net.Dialer] and [ErrVetoed].
	Dial(ctx context.Context) (net.Conn, error)
	// Now is the clock of the scan.
	Now() time.Time
}

// Exchange is one planned connection.
type Exchange struct {
	What     string // what is sent, such as "TLS ClientHello, at most TLS 1.2"
	MaxBytes int64  // sent, at most
	Why      string // the justification: what is learned
	When     string // condition, such as "only if TLS 1.0 was accepted"; empty: always
	// InPlace: what it sends is sent in place of other exchanges of the list, and
	// adds nothing to the sum.
	InPlace bool `json:",omitzero"`
}

// Prober has one exchange of one protocol with one endpoint.
//
// Probe returns what it observed; failures of the network or the peer are
// observations with a result other than data. It returns an error only when it
// could not run at all (a cancelled context, a veto of the gate), together with
// what it had observed until then. It never panics on hostile bytes, stays
// within the budget of the session's connections, and leaves none open.
type Prober interface {
	// Name is stable and lower case: "tls", "ssh", "dicom", "snmp".
	Name() string
	// Transport is the transport the prober speaks.
	Transport() evidence.Transport
	// Exchanges lists, in order, all that Probe may send at a level.
	Exchanges(level Level) []Exchange
	// Probe runs the exchanges against s.Endpoint. prior holds what was observed
	// at this endpoint in this run before.
	Probe(ctx context.Context, s Session, prior []evidence.Observation) ([]evidence.Observation, error)
}
