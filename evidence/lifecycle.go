package evidence

import (
	"net/netip"
	"strings"
	"time"
)

// Stay is a time in which one device answered at an address without a break.
type Stay struct {
	// ID is what the asset would be called were it made of this stay only; it is
	// an alias of the asset.
	ID    string     `json:"id"`
	Addr  netip.Addr `json:"address"`
	First time.Time  `json:"first"`
	Last  time.Time  `json:"last"`
	// Ended is true when another device has the address now, Left when the device
	// itself has gone to another address and nobody was seen at this one since.
	Ended bool `json:"ended,omitzero"`
	Left  bool `json:"left,omitzero"`
}

// Join is the reason why two stays are one asset.
type Join struct {
	Kept   string `json:"kept"`   // id of the one stay
	Ended  string `json:"ended"`  // id of the other
	Reason string `json:"reason"` // such as "the same MAC address 00:1a:..., one after the other"
	// Observations show it, in rising order; none for what a person decided.
	Observations []int64 `json:"observations,omitempty"`
}

// EventKind says what changed.
type EventKind string

// The kinds of event.
const (
	EventAppeared    EventKind = "appeared"    // first seen
	EventMoved       EventKind = "moved"       // came to an address
	EventLeft        EventKind = "left"        // another device was seen at its address
	EventJoined      EventKind = "joined"      // what had an id of its own was shown to be this asset
	EventApart       EventKind = "kept-apart"  // what shares an identifier was shown to be another
	EventRenewed     EventKind = "renewed"     // another certificate, with a sign that it is the successor
	EventReplaced    EventKind = "replaced"    // another certificate without such a sign
	EventKeyChanged  EventKind = "key-changed" // identity key of SSH or TLS
	EventChanged     EventKind = "changed"     // another value of a claim: version, MAC address, engine id, name
	EventBackwards   EventKind = "backwards"   // a version lower than before
	EventStated      EventKind = "stated"      // a person said something of it
	EventReturned    EventKind = "returned"    // seen after it was said to be retired
	EventInventoried EventKind = "inventoried" // a row of an inventory was matched to it
)

// Event is one line of the life of an asset.
type Event struct {
	At       time.Time `json:"at"`
	Kind     EventKind `json:"kind"`
	Subject  string    `json:"subject"` // what it is about: "tcp/192.0.2.1:443 certificate", "version by sdc"
	Before   string    `json:"before,omitzero"`
	After    string    `json:"after,omitzero"`
	Detail   string    `json:"detail,omitzero"`
	Endpoint Endpoint  `json:"endpoint,omitzero"`
	Since    time.Time `json:"since,omitzero"`  // when the value before was last seen
	Expiry   time.Time `json:"expiry,omitzero"` // certificates: when the one before expired or would have
	Fact     int64     `json:"fact,omitzero"`   // id of what a person said
	// Observations show it: where there are two, the last one before and the first
	// one after. None for what a person said.
	Observations []int64 `json:"observations,omitempty"`
}

// FactKind says what sort of statement a person made about assets.
type FactKind string

// The kinds of statement.
const (
	FactMerge     FactKind = "merge"     // Asset and Other are one device
	FactSplit     FactKind = "split"     // what was seen at Address is not Asset
	FactLabel     FactKind = "label"     // Values are so of Asset
	FactInventory FactKind = "inventory" // Values are a row of an inventory
)

// AssetFact is a statement of a person about an asset. It is evidence like an
// observation: recorded with who, when and why, never changed and never
// overwritten by what a network shows.
type AssetFact struct {
	ID      int64             `json:"id"`
	Run     int64             `json:"run"`
	At      time.Time         `json:"at"`
	Kind    FactKind          `json:"kind"`
	Asset   string            `json:"asset,omitzero"`   // id; empty for an inventory row, which is matched
	Other   string            `json:"other,omitzero"`   // merge: the id that ends; inventory: the row's own key
	Address netip.Addr        `json:"address,omitzero"` // split
	Values  map[string]string `json:"values,omitempty"`
	Reason  string            `json:"reason,omitzero"`
	By      string            `json:"by,omitzero"` // who said it
	// Matched is what an inventory row and the asset have in common: the name of
	// the value. It is worked out, not recorded.
	Matched string `json:"matched,omitzero"`
}

// The names of values in labels and inventory rows, besides those of an
// [Attribute].
const (
	ValueStatus       = "status" // "active", "retired", ...; see [Retired]
	ValueName         = "name"
	ValueOwner        = "owner"
	ValueLocation     = "location"
	ValueAssetTag     = "asset_tag"
	ValueAddress      = "address"
	ValueEndOfSupport = "end_of_support" // day, 2006-01-02
	ValuePorts        = "ports"          // documented ports, "tcp/104 udp/161"
	ValueCertificate  = "certificate"    // SHA-256 of the DER
	ValueRenewal      = "renewal"        // note of a renewal or service event: "key", "version" or "any"
	ValueMDS2         = "mds2"           // the document that a disclosure of a manufacturer is; the answers are by question, such as "NAUT-3"
	ValueReleased     = "released"       // of that document
)

// Disclosure reports whether a row of an inventory is what a manufacturer discloses
// of a model (MDS2), and about no one device.
func (f AssetFact) Disclosure() bool { return f.Kind == FactInventory && f.Values[ValueMDS2] != "" }

// Retired reports whether a status, in any spelling, says that a device is out of
// service or that nobody knows where it is.
func Retired(status string) bool {
	switch strings.ToLower(strings.TrimSpace(status)) {
	case "retired", "decommissioned", "decommissioning", "disposed", "lost", "stolen":
		return true
	}
	return false
}
