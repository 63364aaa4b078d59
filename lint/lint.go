package lint

import (
	"net/netip"
	"time"

	"probity/evidence"
)

// Check is one lint. Exactly one of Certificate, List, Endpoint, Asset and Fleet is
// set; it says what the subject is.
type Check struct {
	// Name is "<package>/<property>", lower case with underscores, phrased so
	// that a pass answers it with yes: "cert/not_expired".
	Name string
	// Source cites what the check implements: RFC section, guidance, paper.
	Source string
	// Params are the parameters that a rule may set.
	Params []Param

	Certificate func(env *Env, s *CertificateSubject) Verdict
	List        func(env *Env, s *ListSubject) Verdict
	Endpoint    func(env *Env, s *EndpointSubject) Verdict
	Asset       func(env *Env, s *AssetSubject) Verdict
	Fleet       func(env *Env, c *Corpus) []GroupVerdict
}

// Param declares one parameter of a check: its name, what it means and the
// value in force when no rule or policy sets it. The default also fixes the
// type: int, bool, string, []string or map[string]int.
type Param struct {
	Name    string
	Doc     string
	Default any
}

// Verdict is what a check concludes on one subject.
type Verdict struct {
	Outcome evidence.Outcome
	// Detail is one sentence that says what was seen, with the values.
	Detail string
	// Observations are further observations the verdict rests on, besides those
	// of the subject.
	Observations []int64
}

// GroupVerdict is a verdict of a fleet check. A zero Group means the fleet as a
// whole: the check's answer when no group needs a finding of its own.
type GroupVerdict struct {
	Verdict
	Group evidence.Duplicate
}

// Result is a verdict with its subject, ready to become a finding.
type Result struct {
	Check        string
	Subject      *evidence.Subject // shared by the results on it, not to be changed
	Asset        string
	Outcome      evidence.Outcome
	Detail       string
	Observations []int64 // rising, unique
}

// Env is what a check may know besides the facts.
type Env struct {
	// At is the instant of judgement.
	At time.Time
	// Policy is what the site has declared; never nil in a check.
	Policy *Policy
	// Corpus is everything observed, for checks that need more than their
	// subject (a missing intermediate that another device sent).
	Corpus *Corpus
	// params are the values in force for the check that runs.
	params map[string]any
	// memo is for what the check makes of them and of the policy; nil remembers
	// nothing.
	memo *Memo
}

// Policy is what a site or manufacturer declares. The zero value declares
// nothing; rules that need a declaration then answer inconclusive or
// not-applicable.
type Policy struct {
	// Anchors are the DER certificates that device identities must chain to.
	Anchors [][]byte
	// Intermediates are certificates that paths may be completed with.
	Intermediates []Intermediate `json:",omitzero"`
	// Issuers are the issuer names (RFC 4514 text) that may issue to devices;
	// PolicyOIDs the acceptable certificate policies. Both empty: no policy.
	Issuers    []string
	PolicyOIDs []string
	// SharedIdentity lists groups of addresses that share a certificate or key on
	// purpose (an HA pair, a load balancer).
	SharedIdentity []SharedIdentity
	// Names are the names by which clients reach an address.
	Names map[netip.Addr][]string
	// EndOfLife is the last day of service of the device at an address.
	EndOfLife map[netip.Addr]time.Time
	// Revocation says how the site shuts out a device whose certificates name no
	// status service, such as "deny list of the RADIUS servers". Empty: not declared.
	Revocation string `json:",omitzero"`
	// Ports adds service names ("dicom", "dicom-tls", "hl7", "hl7-tls", "sdc",
	// "web") to the built-in port table.
	Ports map[uint16]string
	// ManufacturerIssuers are issuer names (RFC 4514 text) whose certificates are
	// initial device identities (IDevID, IEEE 802.1AR).
	ManufacturerIssuers []string
	// KeyLists are the site's lists of keys whose private half others know.
	KeyLists []*KeyList `json:"-"`
	// Inventory are the rows of the site's inventory that are in force, matched or
	// not. Empty: the site gave none.
	Inventory []evidence.AssetFact
	// Disclosures are what manufacturers disclose of models (MDS2), in force.
	Disclosures []evidence.AssetFact `json:",omitempty"`
}

// SharedIdentity is a declared group.
type SharedIdentity struct {
	Name      string
	Reason    string
	Addresses []netip.Addr
}
