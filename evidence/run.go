package evidence

import "time"

// Mode says what kind of execution a run was.
type Mode string

// The modes of a run.
const (
	ModeActive  Mode = "active"  // probes were sent
	ModePassive Mode = "passive" // traffic was read or listened to
	ModeImport  Mode = "import"  // artefacts were read from files
	ModeAssess  Mode = "assess"  // recorded observations were judged
)

// Run is one execution of probity. It is recorded when the execution begins;
// how it ended is a separate record ([RunEnd]), so that an interrupted run stays
// visible.
type Run struct {
	ID        int64     // assigned by the store; 0 before
	UUID      string    // RFC 9562 form, lower case
	Mode      Mode      //
	Started   time.Time //
	Tool      string    // name and version, as `probity version` prints it
	ToolHash  Digest    // of the executable; zero when it could not be read
	Catalogue Digest    // of the rule catalogue bytes
	Config    Digest    // of the configuration in force, in canonical form
	Operator  string    // who ran it
	Authority string    // under which authority (ticket, contract, owner)
	Sensor    string    // host that ran it
	Note      string    //
	// AsOf is the instant at which time-dependent rules were evaluated. Only
	// runs of [ModeAssess] have it.
	AsOf time.Time
}

// Status says how a run ended.
type Status string

// The ways in which a run ends. A run without an end record was cut off.
const (
	StatusComplete    Status = "complete"    // everything in scope was tried
	StatusIncomplete  Status = "incomplete"  // ended regularly, but with loss or unreached targets
	StatusInterrupted Status = "interrupted" // stopped by the operator
	StatusFailed      Status = "failed"      // stopped by an error
	StatusAborted     Status = "aborted"     // found unended when the store was next opened
)

// RunEnd is how a run ended.
type RunEnd struct {
	Run            int64
	Ended          time.Time
	Status         Status
	Targets        int64 // endpoints in scope
	Reached        int64 // endpoints that answered with data
	PacketsSeen    int64 // passive runs
	PacketsDropped int64 // passive runs: lost by kernel, ring or table
	Note           string
}

// ScopeEntry is one line of what a run was, or was not, allowed to touch.
type ScopeEntry struct {
	Target  string // as the operator gave it
	Allowed bool
	Reason  string // why it was excluded; empty when allowed
}
