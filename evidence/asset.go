package evidence

import (
	"net/netip"
	"time"
)

// Asset is one physical device or system. Everything known about it is a claim
// with the observation that showed it.
type Asset struct {
	ID        string // stable over runs
	Addresses []netip.Addr
	Endpoints []Endpoint
	Claims    []Claim
	FirstSeen time.Time
	LastSeen  time.Time
}

// Attribute names what a claim is about.
type Attribute string

// The attributes.
const (
	AttrManufacturer Attribute = "manufacturer"
	AttrModel        Attribute = "model"
	AttrVersion      Attribute = "version"
	AttrSerial       Attribute = "serial"
	AttrClass        Attribute = "class"
	AttrToolkit      Attribute = "toolkit" // software library, not the product
	AttrApplication  Attribute = "application"
	AttrHostname     Attribute = "hostname"
	AttrMAC          Attribute = "mac"
	AttrSSHHostKey   Attribute = "ssh_host_key" // SHA-256 of the key blob
	AttrEngineID     Attribute = "engine_id"    // SNMP, hex
	AttrEngineBoot   Attribute = "engine_boot"  // SNMP: engine id, boots and the second of start
)

// Claim is one statement about an asset.
type Claim struct {
	Attribute   Attribute
	Value       string
	Confidence  int    // 0 to 100
	Layer       string // "x509", "ssh", "dicom", "hl7", "snmp"; independent layers add up
	Observation int64  // the observation that showed it
}
