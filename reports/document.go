package reports

import (
	"iter"
	"time"

	"probity/evidence"
	"probity/rules/catalogue"
)

// Schema names the shape of the JSON document; a breaking change gets a new
// number. docs/contract/report.schema.json describes it.
const Schema = "probity.report/1"

// Input is what a report is made of. Findings, assets, runs and probes are those
// of the assessment that is reported.
type Input struct {
	Tool      string    // name and version, as `probity version` prints it
	Generated time.Time // when the report is made
	AsOf      time.Time // the instant of judgement
	Profile   string
	Policy    evidence.Digest // zero: no policy
	Catalogue *catalogue.Catalogue

	Runs     []RunRecord
	Probes   []evidence.ProbeRecord
	Assets   []evidence.Asset
	Findings Findings // nil: none
	// Observations are all observations of the runs: coverage counts them, and
	// those that findings name are listed.
	Observations []evidence.Observation
	Raw          map[int64][]evidence.Digest // of the raw bytes of observations; may be nil where they are not listed
	Certificates []Certificate               // those that findings name; may be empty
	// Lists yields what is listed instead of Observations, Raw and Certificates, where
	// that is too much to be held: what files hold, which were read and not probed. It
	// may be nil.
	Lists      *Lists
	Checkpoint *Checkpoint // nil: the evidence is not sealed
	// Verify are the steps by which a reader checks the evidence without this
	// program, one command or sentence each.
	Verify []string
}

// Lists are the observations and certificates of files. Each may be gone through more
// than once, and may end with an error.
type Lists struct {
	Observations iter.Seq2[evidence.Observation, error] // with raw bytes, ascending by ID
	Certificates iter.Seq2[Certificate, error]          // each once, ascending by SHA-256
}

// RunRecord is a run with its end and its scope. End is nil for a run that was
// cut off.
type RunRecord struct {
	evidence.Run
	End   *evidence.RunEnd
	Scope []evidence.ScopeEntry
}

// Document is a report as data. Its JSON form is the JSON report.
type Document struct {
	Schema       string            `json:"schema"`
	Tool         string            `json:"tool"`
	Generated    time.Time         `json:"generated"`
	AsOf         time.Time         `json:"as_of"`
	Profile      string            `json:"profile"`
	ProfileNote  string            `json:"profile_note"`
	Policy       string            `json:"policy,omitzero"` // SHA-256
	Catalogue    CatalogueInfo     `json:"catalogue"`
	Summary      Summary           `json:"summary"`
	Actions      []Action          `json:"actions"`
	Findings     Ordered           `json:"findings"`
	Duplicates   []Duplicate       `json:"duplicates"`
	Assets       []Asset           `json:"assets"`
	Traffic      Traffic           `json:"traffic"`
	Coverage     Coverage          `json:"coverage"`
	Sources      []Source          `json:"sources"`
	Clauses      []Clause          `json:"clauses"`
	Rules        []Rule            `json:"rules"`
	Limits       Limits            `json:"limits"`
	Certificates List[Certificate] `json:"certificates"`
	Observations List[Observation] `json:"observations"`
	Runs         []Run             `json:"runs"`
	Checkpoint   *Checkpoint       `json:"checkpoint"`
	Verify       []string          `json:"verify"`
}

// CatalogueInfo says which rules were in force.
type CatalogueInfo struct {
	Version string `json:"version"`
	Date    string `json:"date"`
	Digest  string `json:"digest"`
	Rules   int    `json:"rules"`
	Decided int    `json:"decided"` // rules with a check
	Planned int    `json:"planned"` // rules that nothing decides yet
}

// Counts are numbers of findings by outcome.
type Counts struct {
	Fail          int `json:"fail"`
	Warn          int `json:"warn"`
	Inconclusive  int `json:"inconclusive"`
	Pass          int `json:"pass"`
	NotApplicable int `json:"not_applicable"`
}

func (c *Counts) add(o evidence.Outcome) {
	switch o {
	case evidence.Fail:
		c.Fail++
	case evidence.Warn:
		c.Warn++
	case evidence.Inconclusive:
		c.Inconclusive++
	case evidence.Pass:
		c.Pass++
	case evidence.NotApplicable:
		c.NotApplicable++
	}
}

func (c *Counts) merge(o Counts) {
	c.Fail += o.Fail
	c.Warn += o.Warn
	c.Inconclusive += o.Inconclusive
	c.Pass += o.Pass
	c.NotApplicable += o.NotApplicable
}

// Total is the number of findings.
func (c Counts) Total() int { return c.Fail + c.Warn + c.Inconclusive + c.Pass + c.NotApplicable }

// Outcome rolls the counts up: any fail, else any warn, else any inconclusive,
// else pass; not-applicable alone stays so. Without findings it is empty.
func (c Counts) Outcome() evidence.Outcome {
	switch {
	case c.Fail > 0:
		return evidence.Fail
	case c.Warn > 0:
		return evidence.Warn
	case c.Inconclusive > 0:
		return evidence.Inconclusive
	case c.Pass > 0:
		return evidence.Pass
	case c.NotApplicable > 0:
		return evidence.NotApplicable
	}
	return ""
}

// Summary is the report in numbers. A number of passes is never given without
// the number of inconclusive findings beside it.
type Summary struct {
	Headline       string          `json:"headline"`
	Outcomes       Counts          `json:"outcomes"`
	BySeverity     []SeverityCount `json:"by_severity"` // the most severe first
	Assets         int             `json:"assets"`
	AssetsWithFail int             `json:"assets_with_fail"`
	Endpoints      int             `json:"endpoints"`
	Certificates   int             `json:"certificates"`
}

// SeverityCount is one row of the summary.
type SeverityCount struct {
	Severity evidence.Severity `json:"severity"`
	Counts
}

// Action is what to do next: a rule with fails or warns and its remediation.
// Actions are ordered by what they mend first.
type Action struct {
	Rule           string            `json:"rule"`
	Title          string            `json:"title"`
	Severity       evidence.Severity `json:"severity"`
	Fail           int               `json:"fail"`
	Warn           int               `json:"warn"`
	Assets         []string          `json:"assets"`
	Remediation    string            `json:"remediation"`
	Why            string            `json:"why"`
	FalsePositives string            `json:"false_positives"`
}

// Finding is one finding. Findings are ordered by outcome, then severity, the
// most urgent first, then rule and subject.
type Finding struct {
	ID           int64             `json:"id,omitzero"`
	Run          int64             `json:"run,omitzero"`
	Key          string            `json:"key"`
	Rule         string            `json:"rule"`
	Severity     evidence.Severity `json:"severity"`
	Outcome      evidence.Outcome  `json:"outcome"`
	Title        string            `json:"title"`
	Detail       string            `json:"detail"`
	Asset        string            `json:"asset,omitzero"`
	Endpoint     string            `json:"endpoint,omitzero"`
	Certificate  string            `json:"certificate,omitzero"` // SHA-256 of the DER
	Group        string            `json:"group,omitzero"`       // "kind value" of a duplicate
	Observations []int64           `json:"observations"`
	// HeardOnly is true where nothing but passing traffic without a signature
	// stands behind the finding: anyone on the network can send such traffic.
	HeardOnly bool `json:"heard_only,omitzero"`
}

// Duplicate is a group that shares what should be unique, with every instance.
type Duplicate struct {
	Kind         evidence.DuplicateKind `json:"kind"`
	Value        string                 `json:"value"`
	Confidence   int                    `json:"confidence"` // 0 to 100: that two physical devices hold it
	Rule         string                 `json:"rule"`
	Severity     evidence.Severity      `json:"severity"`
	Outcome      evidence.Outcome       `json:"outcome"`
	Detail       string                 `json:"detail"`
	Finding      string                 `json:"finding"` // key of the finding
	Instances    []Instance             `json:"instances"`
	Certificates []string               `json:"certificates"`
}

// Instance is one asset that holds a shared value; Asset is empty where an
// endpoint belongs to no known asset.
type Instance struct {
	Asset     string   `json:"asset,omitzero"`
	Label     string   `json:"label"`
	Endpoints []string `json:"endpoints"`
}

// Asset is one device with what is known about it.
type Asset struct {
	ID        string            `json:"id"`
	Label     string            `json:"label"`              // what to call it
	Identity  evidence.Level    `json:"identity"`           // how well it is identified
	Class     string            `json:"class,omitzero"`     // of the claim with the highest confidence
	Conflicts []string          `json:"conflicts,omitzero"` // layers that contradict each other
	Addresses []string          `json:"addresses"`
	Endpoints []string          `json:"endpoints"`
	Claims    []Claim           `json:"claims"`
	Outcomes  Counts            `json:"outcomes"`
	Worst     evidence.Severity `json:"worst,omitzero"` // severity of its worst fail
	FirstSeen time.Time         `json:"first_seen,omitzero"`
	LastSeen  time.Time         `json:"last_seen,omitzero"`
}

// Claim is one statement about an asset with the observation that showed it.
type Claim struct {
	Attribute   string `json:"attribute"`
	Value       string `json:"value"`
	Confidence  int    `json:"confidence"`
	Layer       string `json:"layer"`
	Source      string `json:"source,omitzero"` // fingerprint that drew the conclusion, or the layers of a verdict
	Observation int64  `json:"observation"`
}

// Coverage says what was looked at, what was not, and why.
type Coverage struct {
	Targets        int64       `json:"targets"`
	Reached        int64       `json:"reached"`
	PacketsSeen    int64       `json:"packets_seen"`
	PacketsDropped int64       `json:"packets_dropped"`
	Probes         []ProbeSum  `json:"probes"`
	NotReached     []Unreached `json:"not_reached"`
	Excluded       []Excluded  `json:"excluded"`
}

// ProbeSum is what one prober sent in all.
type ProbeSum struct {
	Probe         string `json:"probe"`
	Sent          int64  `json:"sent"`       // endpoints probed
	Skipped       int64  `json:"skipped"`    // endpoints that should have been probed and were not
	NotNeeded     int64  `json:"not_needed"` // endpoints whose answer was known already
	Connections   int64  `json:"connections"`
	BytesSent     int64  `json:"bytes_sent"`
	BytesReceived int64  `json:"bytes_received"`
}

// Unreached is an endpoint without an answer, or a probe that was not sent.
type Unreached struct {
	Endpoint string `json:"endpoint"`
	Probe    string `json:"probe,omitzero"`
	Why      string `json:"why"`
}

// Excluded is a target that policy kept out.
type Excluded struct {
	Target string `json:"target"`
	Reason string `json:"reason"`
}

// Source is a standard, law or guidance that clauses belong to.
type Source struct {
	ID        string `json:"id"`
	Title     string `json:"title"`
	Edition   string `json:"edition"`
	Publisher string `json:"publisher"`
	Force     string `json:"force"`
	Verified  string `json:"verified"`
	Checked   string `json:"checked"` // how the text was checked
}

// Clause is a place in a standard with the rules that bear on it and what they
// found.
type Clause struct {
	Source    string            `json:"source"`
	Edition   string            `json:"edition"`
	Clause    string            `json:"clause"`
	Title     string            `json:"title"`
	Relation  evidence.Relation `json:"relation"`
	Force     string            `json:"force"`
	Verified  string            `json:"verified"`
	Rules     []string          `json:"rules"`   // rules with a check
	Planned   []string          `json:"planned"` // rules without one
	Outcomes  Counts            `json:"outcomes"`
	Statement string            `json:"statement"`
}

// Rule is a rule of the catalogue that has findings in the report.
type Rule struct {
	ID             string                      `json:"id"`
	Title          string                      `json:"title"`
	Severity       evidence.Severity           `json:"severity"`
	Lint           string                      `json:"lint"`
	Why            string                      `json:"why"`
	Observed       string                      `json:"observed"`
	Verdicts       map[evidence.Outcome]string `json:"verdicts"`
	Remediation    string                      `json:"remediation"`
	FalsePositives string                      `json:"false_positives"`
	Clauses        []RuleClause                `json:"clauses"`
	Outcomes       Counts                      `json:"outcomes"`
}

// RuleClause is a clause that a rule bears on.
type RuleClause struct {
	Source   string            `json:"source"`
	Edition  string            `json:"edition"`
	Clause   string            `json:"clause"`
	Title    string            `json:"title"`
	Relation evidence.Relation `json:"relation"`
	Verified string            `json:"verified"`
}

// Limits say what the report cannot show.
type Limits struct {
	Method    []string        `json:"method"`
	Standards []StandardLimit `json:"standards"`
	Undecided []AreaCount     `json:"undecided"` // rules without a check, by area
}

// StandardLimit is what a scan can and cannot contribute to a standard.
type StandardLimit struct {
	Name  string `json:"name"`
	Shows string `json:"shows"`
	Never string `json:"never"`
}

// AreaCount counts the rules of an area that nothing decides yet.
type AreaCount struct {
	Area    string   `json:"area"`
	Title   string   `json:"title"`
	Decided int      `json:"decided"`
	Planned int      `json:"planned"`
	Rules   []string `json:"rules"` // the planned ones
}

// Certificate describes a certificate that findings name.
type Certificate struct {
	SHA256       string    `json:"sha256"`
	SPKI         string    `json:"spki_sha256,omitzero"`
	Subject      string    `json:"subject"`
	Issuer       string    `json:"issuer"`
	Serial       string    `json:"serial"`
	NotBefore    time.Time `json:"not_before,omitzero"`
	NotAfter     time.Time `json:"not_after,omitzero"`
	KeyAlgorithm string    `json:"key_algorithm"`
	KeyBits      int       `json:"key_bits"`
}

// Observation describes an observation that findings rest on.
type Observation struct {
	ID       int64           `json:"id"`
	Run      int64           `json:"run"`
	Method   evidence.Method `json:"method"`
	Kind     evidence.Kind   `json:"kind"`
	Endpoint string          `json:"endpoint"`
	At       time.Time       `json:"at"`
	Result   evidence.Result `json:"result"`
	Detail   string          `json:"detail,omitzero"`
	Raw      []string        `json:"raw"` // SHA-256 of the raw bytes, in order
}

// Run is one execution that contributed evidence.
type Run struct {
	ID             int64           `json:"id"`
	UUID           string          `json:"uuid"`
	Mode           evidence.Mode   `json:"mode"`
	Status         evidence.Status `json:"status,omitzero"` // empty: no end was recorded
	Started        time.Time       `json:"started"`
	Ended          time.Time       `json:"ended,omitzero"`
	Tool           string          `json:"tool"`
	ToolSHA256     string          `json:"tool_sha256,omitzero"`
	Catalogue      string          `json:"catalogue,omitzero"`
	Config         string          `json:"config,omitzero"`
	Operator       string          `json:"operator"`
	Authority      string          `json:"authority"`
	Sensor         string          `json:"sensor"`
	Note           string          `json:"note,omitzero"`
	EndNote        string          `json:"end_note,omitzero"` // what was lost and why, or what else is to be known
	Targets        int64           `json:"targets"`
	Reached        int64           `json:"reached"`
	PacketsSeen    int64           `json:"packets_seen,omitzero"`
	PacketsDropped int64           `json:"packets_dropped,omitzero"`
}

// Checkpoint is the signed head of the evidence log.
type Checkpoint struct {
	Origin string `json:"origin"`
	Size   int64  `json:"size"`
	Root   string `json:"root"`           // SHA-256, hex
	Note   string `json:"note,omitzero"`  // the signed note (C2SP), several lines
	State  string `json:"state,omitzero"` // what the last verification said
}
