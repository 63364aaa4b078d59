package evidence

// Facts are the parsed, allow-listed fields of an observation. At most one
// field is set, the one of the observation's kind. Facts hold no patient data:
// a field that could carry it does not exist.
type Facts struct {
	TLS      *TLSFacts      `json:"tls,omitempty"`
	MTLS     *MTLSFacts     `json:"mtls,omitempty"`
	Flaw     *FlawFacts     `json:"flaw,omitempty"`
	SSH      *SSHFacts      `json:"ssh,omitempty"`
	DICOM    *DICOMFacts    `json:"dicom,omitempty"`
	HTTP     *HTTPFacts     `json:"http,omitempty"`
	FHIR     *FHIRFacts     `json:"fhir,omitempty"`
	SDC      *SDCFacts      `json:"sdc,omitempty"`
	Banner   *BannerFacts   `json:"banner,omitempty"`
	RDP      *RDPFacts      `json:"rdp,omitempty"`
	SMB      *SMBFacts      `json:"smb,omitempty"`
	VNC      *VNCFacts      `json:"vnc,omitempty"`
	MQTT     *MQTTFacts     `json:"mqtt,omitempty"`
	OPCUA    *OPCUAFacts    `json:"opcua,omitempty"`
	HL7      *HL7Facts      `json:"hl7,omitempty"`
	SNMP     *SNMPFacts     `json:"snmp,omitempty"`
	Identity *IdentityFacts `json:"identity,omitempty"`
	Artefact *ArtefactFacts `json:"artefact,omitempty"`
	Response *ResponseFacts `json:"response,omitempty"`
}

// Offer names the ClientHello that a TLS observation answers. The exact offer
// is in the raw bytes; the name tells a rule which question was asked.
type Offer string

// The offers of the active prober, from the most ordinary to the oddest, and
// the one word for handshakes of others.
const (
	OfferFull    Offer = "full"    // TLS 1.0 to 1.3 (OfferedMax tells), common suites; handshake completed where that shows more
	OfferTLS12   Offer = "tls1.2"  // at most TLS 1.2, sound and unsound suites, sound ones first
	OfferTLS11   Offer = "tls1.1"  // at most TLS 1.1
	OfferTLS10   Offer = "tls1.0"  // exactly TLS 1.0
	OfferSSL3    Offer = "ssl3"    // exactly SSL 3.0
	OfferSSL2    Offer = "ssl2"    // SSL 2.0 CLIENT-HELLO
	OfferWeak    Offer = "weak"    // at most TLS 1.2, suites of the classes in [TLSFacts.OfferedClasses], and of the kind of key that the server did not show yet
	OfferSmall   Offer = "small"   // at most TLS 1.2, in no more than 256 bytes, for stacks that bear no more
	OfferOther   Offer = "other"   // only suites or schemes of the kind of key that the server did not show yet
	OfferSuites  Offer = "suites"  // at most OfferedMax, every suite that was not chosen yet; the last is refused
	OfferRetry   Offer = "retry"   // TLS 1.3 without a key share, so that the server only names suite and group
	OfferName    Offer = "name"    // as the ordinary hello, with another server name or none
	OfferSession Offer = "session" // at most TLS 1.2, common suites, those not yet seen first; completed, and a session asked for
	OfferResume  Offer = "resume"  // the session of an earlier handshake, to be resumed
	OfferPassive Offer = "passive" // a handshake between others
)

// TLSFacts are what one TLS handshake, or the part of it that was seen, shows.
// Versions, suites, groups and schemes are the IANA code points.
type TLSFacts struct {
	Offer      Offer  `json:"offer"`
	OfferedMax uint16 `json:"offered_max,omitzero"` // highest version offered
	// OfferedVersions are those of the supported_versions extension, in order; at
	// most 16 (passive).
	OfferedVersions []uint16     `json:"offered_versions,omitzero"`
	OfferedSuites   []uint16     `json:"offered_suites,omitzero"` // at most 256
	OfferedClasses  []SuiteClass `json:"offered_classes,omitzero"`
	OfferedGroups   []uint16     `json:"offered_groups,omitzero"`  // in order; at most 64
	OfferedSchemes  []uint16     `json:"offered_schemes,omitzero"` // in order; at most 64
	ServerName      string       `json:"server_name,omitzero"`     // SNI that was sent
	ClientALPN      []string     `json:"client_alpn,omitzero"`
	// JA3 (32 hexadecimal digits) and JA4 of the ClientHello (passive): equal for
	// equal client software, which is not the same as equal devices.
	JA3 string `json:"ja3,omitzero"`
	JA4 string `json:"ja4,omitzero"`
	// Carrier is what the handshake travelled in where that is not TCP: "dtls",
	// "quic", or the protocol that asked for TLS, such as "smtp" or "rdp".
	Carrier string `json:"carrier,omitzero"`

	// Answer of the server. Version 0 means that no ServerHello was seen.
	Version              uint16 `json:"version,omitzero"`
	CipherSuite          uint16 `json:"cipher_suite,omitzero"`
	Group                uint16 `json:"group,omitzero"`            // named group of (EC)DHE or the TLS 1.3 key share
	DHBits               int    `json:"dh_bits,omitzero"`          // bits of the prime of finite-field DHE
	SignatureScheme      uint16 `json:"signature_scheme,omitzero"` // of ServerKeyExchange or CertificateVerify
	Compression          uint8  `json:"compression,omitzero"`
	SecureRenegotiation  *bool  `json:"secure_renegotiation,omitempty"`   // RFC 5746; nil: not applicable or not seen
	ExtendedMasterSecret *bool  `json:"extended_master_secret,omitempty"` // RFC 7627; nil: not applicable or not seen
	DowngradeSentinel    string `json:"downgrade_sentinel,omitzero"`      // "tls1.2" or "tls1.1" (RFC 8446 section 4.1.3)
	// UnixTime is what the first four bytes of the ServerHello's random say as
	// gmt_unix_time, up to TLS 1.2 (RFC 5246 section 7.4.1.2; active). Most servers
	// put random bytes there: alone it says nothing.
	UnixTime   uint32 `json:"unix_time,omitzero"`
	ALPN       string `json:"alpn,omitzero"`
	OCSPStaple bool   `json:"ocsp_staple,omitzero"`
	// OCSP is what the stapled response says; its bytes are among the raw ones
	// (passive).
	OCSP *OCSPFacts `json:"ocsp,omitempty"`
	// Possession and ClientPossession say whether the server and the client showed
	// that they hold the keys of their certificates (passive, up to TLS 1.2).
	Possession       Possession `json:"possession,omitzero"`
	ClientPossession Possession `json:"client_possession,omitzero"`
	// Signature and ClientSignature are those of ServerKeyExchange and
	// CertificateVerify where they are of DSA or ECDSA.
	Signature       *Signature `json:"signature,omitempty"`
	ClientSignature *Signature `json:"client_signature,omitempty"`
	SCTs            int        `json:"scts,omitzero"`            // signed certificate timestamps sent in TLS (RFC 6962 section 3.3)
	SessionTicket   *bool      `json:"session_ticket,omitempty"` // the server gives tickets; nil: not asked or not seen
	TicketLifetime  uint32     `json:"ticket_lifetime,omitzero"` // of a ticket that was read, in seconds
	// TicketKey is what a ticket that was read begins with: the name of its key
	// (16 bytes) where the server follows RFC 5077 section 4. Servers with one name
	// open each other's tickets.
	TicketKey []byte `json:"ticket_key,omitzero"`
	// SessionID is true when the server named a session to be resumed, below TLS
	// 1.3; nil: not seen.
	SessionID *bool `json:"session_id,omitempty"`
	// Resumed says whether a session of an earlier handshake was taken up, and
	// ResumedBy by what it was offered: "session-id", "ticket" or "psk". Nil: none
	// was offered, or the answer does not show it.
	Resumed   *bool  `json:"resumed,omitempty"`
	ResumedBy string `json:"resumed_by,omitzero"`
	// ClientRenegotiation says whether the server began a second handshake when
	// the client asked for one within the first, up to TLS 1.2; nil: not asked, or
	// not answered.
	ClientRenegotiation *bool `json:"client_renegotiation,omitempty"`
	// NameUsed is true when the server says that it used the name of the hello
	// (RFC 6066 section 3).
	NameUsed bool `json:"name_used,omitzero"`
	// Warning is the description of the last warning alert, such as 112
	// (a server name that it does not know); nil when none came.
	Warning *uint8 `json:"warning,omitempty"`
	// KeyShare is the SHA-256 of the server's ephemeral public key. Equal values
	// in two handshakes are one key used twice.
	KeyShare Digest `json:"key_share,omitzero"`
	// Retry is true when the server answered with a HelloRetryRequest, which names
	// version, suite and group.
	Retry bool `json:"retry,omitzero"`
	// ServerGroups are those that the server itself lists, the best for it first
	// (RFC 8446 section 4.2.7); at most 64.
	ServerGroups []uint16 `json:"server_groups,omitzero"`
	// SSL2Ciphers are the cipher kinds of a SERVER-HELLO of SSL 2.0.
	SSL2Ciphers []uint32 `json:"ssl2_ciphers,omitzero"`

	// Alert is the description of a fatal alert of the server, nil when none came.
	Alert *uint8 `json:"alert,omitempty"`
	// Handshake says how far it got.
	Handshake HandshakeStage `json:"handshake"`

	// ClientAuth says whether the server asked for a client certificate.
	ClientAuth ClientAuth `json:"client_auth,omitzero"`
	// Authorities are the distinguished names (DER) of the certificate request.
	Authorities [][]byte `json:"authorities,omitzero"`

	// RequestSchemes are the signature schemes of the certificate request.
	RequestSchemes []uint16 `json:"request_schemes,omitzero"`

	// CertificateHidden is true where the protocol hides the certificate from
	// this observer (TLS 1.3 seen passively), which is not "no certificate".
	CertificateHidden bool `json:"certificate_hidden,omitzero"`
	// NotTLS is true when the peer answered, but not in TLS. Spoke names the
	// protocol of the answer where its first bytes tell ("ssh", "dicom", "http").
	NotTLS bool   `json:"not_tls,omitzero"`
	Spoke  string `json:"spoke,omitzero"`
	// Ambiguous is true when overlapping bytes of the stream disagreed (passive).
	Ambiguous bool `json:"ambiguous,omitzero"`
}

// HandshakeStage says how far a handshake was observed to get.
type HandshakeStage string

// The stages, in order.
const (
	StageNone        HandshakeStage = "none"         // no ServerHello
	StageServerHello HandshakeStage = "server-hello" // stopped or failed after it
	StageCertificate HandshakeStage = "certificate"  // the server's certificates were read
	StageComplete    HandshakeStage = "complete"     // both Finished messages
)

// ClientAuth says whether a server asked for a client certificate. That a
// handshake completed without one does not show that the application accepts it.
type ClientAuth string

// The answers.
const (
	ClientAuthUnknown   ClientAuth = ""
	ClientAuthNotAsked  ClientAuth = "not-asked"
	ClientAuthRequested ClientAuth = "requested" // asked; the handshake was not seen to fail without one
	ClientAuthRequired  ClientAuth = "required"  // asked; the handshake failed without one
)

// SSHFacts are what a server shows before authentication (RFC 4253).
type SSHFacts struct {
	Version  string   `json:"version"` // identification string without CR LF
	KEX      []string `json:"kex,omitzero"`
	HostKeys []string `json:"host_keys,omitzero"` // algorithms offered
	Ciphers  []string `json:"ciphers,omitzero"`   // server to client
	MACs     []string `json:"macs,omitzero"`      // server to client
	// Signature is that of the key exchange, by the host key, where it is of DSA or
	// ECDSA (RFC 4253 section 8).
	Signature *Signature `json:"signature,omitempty"`
	// Client is what the client of a connection between others said (passive).
	Client *SSHClient `json:"client,omitempty"`
}

// SSHClient are the identification and the algorithms of an SSH client (RFC 4253
// sections 4.2 and 7.1).
type SSHClient struct {
	Version  string   `json:"version"`
	KEX      []string `json:"kex,omitzero"`
	HostKeys []string `json:"host_keys,omitzero"`
	Ciphers  []string `json:"ciphers,omitzero"` // client to server
	MACs     []string `json:"macs,omitzero"`    // client to server
}

// DICOMFacts are the association items of DICOM PS3.8 section 9.3. Titles and
// versions are configuration, not proof of identity.
type DICOMFacts struct {
	PDU               string   `json:"pdu"` // "rq", "ac", "rj", "abort"
	TLS               bool     `json:"tls,omitzero"`
	CalledAE          string   `json:"called_ae,omitzero"`
	CallingAE         string   `json:"calling_ae,omitzero"`
	ImplementationUID string   `json:"implementation_uid,omitzero"`
	Implementation    string   `json:"implementation,omitzero"` // version name
	MaxPDU            uint32   `json:"max_pdu,omitzero"`
	AbstractSyntaxes  []string `json:"abstract_syntaxes,omitzero"` // requested, at most 128
	Accepted          int      `json:"accepted,omitzero"`          // presentation contexts accepted
	RejectResult      uint8    `json:"reject_result,omitzero"`
	RejectSource      uint8    `json:"reject_source,omitzero"`
	RejectReason      uint8    `json:"reject_reason,omitzero"`
}

// HL7Facts are the header fields of one HL7 v2 message. Segments holds the
// names of the segments that followed (three characters each), never a value.
type HL7Facts struct {
	Sender               Role     `json:"sender,omitzero"`                // side of the connection that sent it
	SendingApplication   string   `json:"sending_application,omitzero"`   // MSH-3
	SendingFacility      string   `json:"sending_facility,omitzero"`      // MSH-4
	ReceivingApplication string   `json:"receiving_application,omitzero"` // MSH-5
	ReceivingFacility    string   `json:"receiving_facility,omitzero"`    // MSH-6
	MessageType          string   `json:"message_type,omitzero"`          // MSH-9
	ProcessingID         string   `json:"processing_id,omitzero"`         // MSH-11
	VersionID            string   `json:"version_id,omitzero"`            // MSH-12
	Segments             []string `json:"segments,omitzero"`              // at most 64, each name once, in order
}

// SNMPFacts are what an SNMPv3 engine says before authentication (RFC 3414
// section 4).
type SNMPFacts struct {
	EngineID    []byte `json:"engine_id"`
	EngineBoots uint32 `json:"engine_boots"`
	EngineTime  uint32 `json:"engine_time"` // seconds
}

// IdentityFacts are what a device says of itself in a protocol that is made for
// it or in the header of one that is not, or the mere fact that it speaks the
// protocol. They are configuration or broadcast, no proof. Texts are sanitised.
type IdentityFacts struct {
	Protocol string `json:"protocol"` // "arp", "dhcp", "lldp", "snmp", "ws-discovery", ...
	// Sender is the side of a connection that said it; empty for the endpoint itself.
	Sender Role `json:"sender,omitzero"`
	// Experimental marks a form that was read by no standard text and confirmed on
	// no device.
	Experimental bool     `json:"experimental,omitzero"`
	MAC          string   `json:"mac,omitzero"`       // EUI-48, lower case with colons
	Hostnames    []string `json:"hostnames,omitzero"` // at most 16
	Manufacturer string   `json:"manufacturer,omitzero"`
	Model        string   `json:"model,omitzero"`
	Version      string   `json:"version,omitzero"` // of firmware or product
	Serial       string   `json:"serial,omitzero"`
	Software     string   `json:"software,omitzero"`     // server or agent, such as "nginx/1.22"
	Description  string   `json:"description,omitzero"`  // SNMP sysDescr, LLDP system description, sender of LIS2
	ObjectID     string   `json:"object_id,omitzero"`    // SNMP sysObjectID, dotted
	VendorClass  string   `json:"vendor_class,omitzero"` // DHCP option 60
	ClientID     []byte   `json:"client_id,omitzero"`    // DHCP option 61
	Parameters   []int    `json:"parameters,omitzero"`   // DHCP option 55, in order
	Types        []string `json:"types,omitzero"`        // device and service types, at most 32
	Places       []string `json:"places,omitzero"`       // scheme, host and port offered, at most 8
	Secured      bool     `json:"secured,omitzero"`      // the protocol was seen to be authenticated or encrypted
	// Clock is the transmit timestamp of an NTP packet (RFC 5905 section 7.3).
	Clock *Clock `json:"clock,omitempty"`
}

// ArtefactFacts say what a file held.
type ArtefactFacts struct {
	Format string `json:"format"` // "pem", "der", "pkcs7", "pkcs12", "jks", "csr", "crl", "ocsp", "spki", "ssh", "jwk", "openpgp"
	Index  int    `json:"index"`  // position in the file, from 0
	// Request is the DER of a PKCS #10 certification request.
	Request []byte `json:"request,omitzero"`
	// Key is the DER SubjectPublicKeyInfo of a public key that stands alone,
	// whatever the format in which it stood.
	Key []byte `json:"key,omitzero"`
	// CRL is the DER of a certificate revocation list (RFC 5280 section 5).
	CRL []byte `json:"crl,omitzero"`
	// OCSP is the DER of an OCSP response (RFC 6960 section 4.2.1).
	OCSP []byte `json:"ocsp,omitzero"`
}
