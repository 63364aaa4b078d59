package evidence

import "time"

// Method says how an observation was made.
type Method string

// The methods of observation.
const (
	Active  Method = "active"
	Passive Method = "passive"
	Import  Method = "import"
)

// Result says what came of an attempt to observe. Every value but
// [ResultData] is itself evidence: it says why nothing is known.
type Result string

// The results.
const (
	ResultData    Result = "data"    // the peer answered; Facts and Raw say what
	ResultRefused Result = "refused" // connection refused
	ResultTimeout Result = "timeout" // no answer within the budget
	ResultReset   Result = "reset"   // closed or reset before an answer was complete
	ResultError   Result = "error"   // anything else; Detail says what
)

// Kind names what an observation is about.
type Kind string

// The kinds of observation. Each has at most one non-nil field in [Facts].
const (
	KindTLS      Kind = "tls"      // one TLS handshake or hello
	KindMTLS     Kind = "mtls"     // one trial of a client certificate (bench)
	KindSSH      Kind = "ssh"      // one SSH key exchange up to the host key
	KindDICOM    Kind = "dicom"    // one DICOM association negotiation
	KindHL7      Kind = "hl7"      // one HL7 v2 message header (passive)
	KindSNMP     Kind = "snmp"     // one SNMPv3 engine discovery
	KindIdentity Kind = "identity" // what a device says of itself in another protocol (passive)
	KindArtefact Kind = "artefact" // a certificate, request or key read from a file
)

// Role is the part that the holder of a certificate or key played.
type Role string

// The roles.
const (
	RoleServer Role = "server"
	RoleClient Role = "client"
	RoleFile   Role = "file" // read from a file; no role was observed
)

// Blob is raw bytes as they came from the wire or file. The store keeps them
// once, by SHA-256.
type Blob struct {
	Media string // IANA media type, or "application/x-probity-<what>"
	Data  []byte
}

// Presented is a certificate in the place at which it was presented.
type Presented struct {
	Role     Role
	Position int    // 0 is the leaf
	DER      []byte // as received, whether or not it parses
}

// HostKey is a public key in the place at which it was presented outside of
// X.509 (an SSH host key).
type HostKey struct {
	Algorithm string // RFC 4253 name, such as "ssh-ed25519"
	Blob      []byte // RFC 4253 section 6.6 public key encoding
}

// Observation is one immutable fact: at this time, by this method, this
// endpoint did this.
type Observation struct {
	ID       int64 // assigned by the store; 0 before
	Run      int64
	Probe    int64 // the row of the probe ledger that caused it; 0 for passive and import
	Method   Method
	Kind     Kind
	Endpoint Endpoint
	Peer     Endpoint // passive: the other side of the conversation
	At       time.Time
	Result   Result
	Detail   string // why there is no data, or a qualification; sanitised text
	Raw      []Blob // the bytes that Facts were read from
	Certs    []Presented
	Keys     []HostKey
	Facts    Facts
}
