package evidence

import (
	"cmp"
	"encoding/hex"
	"net/netip"
	"strings"
	"time"
)

// Asset is one physical device or system. Everything known about it is a claim
// with the observation that showed it.
type Asset struct {
	ID        string       // stable over runs
	Addresses []netip.Addr // where it is now, sorted; empty when others are there now
	Endpoints []Endpoint   // at those addresses
	Claims    []Claim
	FirstSeen time.Time
	LastSeen  time.Time
	// Stays are the places and times of which the asset is made, by time.
	Stays []Stay
	// Joins say why the stays are one asset. Each ended an id of its own.
	Joins []Join
	// Events are what changed over the life of the asset, by time.
	Events []Event
	// Facts are what people said of the asset, in the order in which they said it.
	Facts []AssetFact
}

// Attribute names what a claim is about.
type Attribute string

// The attributes.
const (
	AttrManufacturer   Attribute = "manufacturer"
	AttrFamily         Attribute = "product_family" // what a manufacturer sells under one name, such as "IntelliVue"
	AttrModel          Attribute = "model"
	AttrVersion        Attribute = "version" // of the product or its firmware
	AttrSerial         Attribute = "serial"
	AttrUDI            Attribute = "udi" // unique device identifier, as presented
	AttrClass          Attribute = "class"
	AttrDeviceType     Attribute = "device_type" // what it is in words, finer than the class
	AttrRole           Attribute = "role"        // what it does in the network, such as "DICOM archive"
	AttrOS             Attribute = "operating_system"
	AttrToolkit        Attribute = "toolkit" // software library, not the product
	AttrToolkitVersion Attribute = "toolkit_version"
	AttrApplication    Attribute = "application"
	AttrHint           Attribute = "hint" // what makes the other claims doubtful, such as "honeypot"
	AttrHostname       Attribute = "hostname"
	AttrMAC            Attribute = "mac"
	AttrSSHHostKey     Attribute = "ssh_host_key" // SHA-256 of the key blob
	AttrEngineID       Attribute = "engine_id"    // SNMP, hex
	AttrEngineBoot     Attribute = "engine_boot"  // SNMP: engine id, boots and the second of start

	// What all claims together amount to; the layer of these is [LayerVerdict].
	AttrIdentity Attribute = "identity" // a [Level]
	AttrConflict Attribute = "conflict" // layers that contradict each other: attribute, values, layers
)

// LayerVerdict is the layer of claims that are drawn from all other claims of an
// asset. They can be dropped and drawn again.
const LayerVerdict = "verdict"

// Level says how well a device is identified.
type Level string

// The levels, rising. Below the first nothing is claimed.
const (
	LevelNone       Level = "unknown"
	LevelPossible   Level = "possible"   // hints: a network card, a name, free text
	LevelProbable   Level = "probable"   // one layer that is hard to be wrong about
	LevelIdentified Level = "identified" // two independent layers agree
	LevelConfirmed  Level = "confirmed"  // the device says so in the protocol made for it, or a person does
)

// Claim is one statement about an asset.
type Claim struct {
	Attribute   Attribute
	Value       string
	Confidence  int    // 0 to 100
	Layer       string // "x509", "ssh", "dicom", "hl7", "snmp"; independent layers add up
	Source      string // id of the fingerprint that drew the conclusion; empty for a value that was read as it is
	Observation int64  // the observation that showed it
}

// Compare orders assets as they are listed: by their lowest address or, for those
// that have none any more, the lowest that they had; then by id.
func (a Asset) Compare(b Asset) int {
	return cmp.Or(a.lowest().Compare(b.lowest()), cmp.Compare(a.ID, b.ID))
}

func (a Asset) lowest() netip.Addr {
	if len(a.Addresses) > 0 {
		return a.Addresses[0] // sorted
	}
	var low netip.Addr
	for _, s := range a.Stays {
		if !low.IsValid() || s.Addr.Less(low) {
			low = s.Addr
		}
	}
	return low
}

// OwnMAC reports whether a MAC address ("00:1b:21:0a:0b:0c") is one that a single
// card has: no group address, none that was set locally, and none of the virtual ones
// of VRRP (RFC 9568 section 7.3), HSRP and GLBP, which move between machines.
func OwnMAC(s string) bool {
	b, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || len(b) != 6 || len(s) != 17 || b[0]&3 != 0 {
		return false
	}
	s = strings.ToLower(s)
	for _, virtual := range []string{
		"00:00:00:00:00:00", "00:00:5e:00:01", "00:00:5e:00:02", "00:00:0c:07:ac", "00:00:0c:9f:f", "00:05:73:a0:0", "00:07:b4:00:0",
	} {
		if strings.HasPrefix(s, virtual) {
			return false
		}
	}
	return true
}
