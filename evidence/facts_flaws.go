package evidence

// KindFlaw is one trial of a known flaw of TLS software (lab). Observations of
// it have [Facts.Flaw].
const KindFlaw Kind = "flaw"

// Flaw names a flaw of implementations of TLS.
type Flaw string

// The flaws that are tried.
const (
	FlawHeartbleed Flaw = "heartbleed"    // CVE-2014-0160: heartbeats are answered with more than was sent
	FlawCCS        Flaw = "ccs-injection" // CVE-2014-0224: a change of cipher is taken before there is a key
	FlawROBOT      Flaw = "robot"         // CVE-2017-13099 and others: answers tell how RSA padding is wrong
)

// Shown is what a trial showed.
type Shown string

// The three values.
const (
	ShownYes     Shown = "yes"
	ShownNo      Shown = "no"
	ShownUnknown Shown = "unknown"
)

// FlawFacts are what one connection of a trial showed. That of [FlawROBOT] takes
// several: no single answer shows it, so its Shown is yes never, and no only where
// the flaw has no place.
type FlawFacts struct {
	Flaw        Flaw   `json:"flaw"`
	Trial       int    `json:"trial"`            // position in the probe, from 1
	Version     uint16 `json:"version,omitzero"` // negotiated
	CipherSuite uint16 `json:"cipher_suite,omitzero"`
	Shown       Shown  `json:"shown"`
	Reason      string `json:"reason"` // of Shown, in words
	// Of ROBOT: the number of the message (1 to 5), the round, whether it was
	// followed by ChangeCipherSpec and Finished, and the answer: "alert 20",
	// "closed", "reset", "silence" or "data".
	Message  int    `json:"message,omitzero"`
	Round    int    `json:"round,omitzero"`
	Followed bool   `json:"followed,omitzero"`
	Answer   string `json:"answer,omitzero"`
}
