package evidence

// The kinds of observation of services that are read without logging in. Each
// has at most one non-nil field in [Facts].
const (
	KindHTTP   Kind = "http"   // one HTTP request for "/", and its answer
	KindFHIR   Kind = "fhir"   // one FHIR CapabilityStatement or SMART configuration
	KindSDC    Kind = "sdc"    // one WS-Transfer Get to an IEEE 11073 SDC provider
	KindBanner Kind = "banner" // what an FTP or telnet server says first
	KindRDP    Kind = "rdp"    // one RDP connection request and its answer
	KindSMB    Kind = "smb"    // one SMB negotiation
	KindVNC    Kind = "vnc"    // version and security types of a remote framebuffer
	KindMQTT   Kind = "mqtt"   // one MQTT CONNECT without credentials (lab)
	KindOPCUA  Kind = "opcua"  // one GetEndpoints of an OPC UA server
)

// HTTPFacts are what one response to a GET of "/" shows. The page is not kept,
// nor are its address, its cookies and its title: a page may greet a person.
type HTTPFacts struct {
	TLS       bool   `json:"tls,omitzero"`
	Status    int    `json:"status"`
	Server    string `json:"server,omitzero"`     // header, sanitised, at most 128 bytes
	MediaType string `json:"media_type,omitzero"` // of the page, lower case, without parameters
	// Schemes are the authentication schemes of WWW-Authenticate, lower case, at
	// most 8.
	Schemes []string `json:"schemes,omitzero"`
	// Redirect says where a 3xx response points to.
	Redirect Redirect `json:"redirect,omitzero"`
	// HSTS is true if Strict-Transport-Security came over TLS with a max-age above
	// zero (RFC 6797 section 8.1), which HSTSAge holds in seconds.
	HSTS    bool  `json:"hsts,omitzero"`
	HSTSAge int64 `json:"hsts_age,omitzero"`
	// TitleSHA256 and IconSHA256 are hex SHA-256 of the title's text, without
	// white space around it, and of /favicon.ico. Equal products have equal ones.
	TitleSHA256 string `json:"title_sha256,omitzero"`
	IconSHA256  string `json:"icon_sha256,omitzero"`
	// IconMD5 is hex MD5 of /favicon.ico, as public lists of icons give it. It says
	// which icon it is to those lists and guards nothing.
	IconMD5 string `json:"icon_md5,omitzero"`
	// LoginForm is true if the page, as far as it was read, has a password field.
	LoginForm bool   `json:"login_form,omitzero"`
	Clock     *Clock `json:"clock,omitempty"` // the Date header; nil: not told
}

// Redirect classes the target of a redirection; the target itself is not kept.
type Redirect string

// The classes. A host is the same if it is the address or name that was asked.
const (
	RedirectNone       Redirect = ""
	RedirectLocal      Redirect = "local"       // the same scheme and host
	RedirectHTTPS      Redirect = "https"       // from HTTP to HTTPS, the same host
	RedirectHTTP       Redirect = "http"        // from HTTPS to HTTP, the same host
	RedirectOtherHTTPS Redirect = "other-https" // another host, over HTTPS
	RedirectOtherHTTP  Redirect = "other-http"  // another host, over HTTP
	RedirectUnknown    Redirect = "unknown"     // no or no readable target
)

// FHIRFacts are the software, version and security elements of a FHIR
// CapabilityStatement, or of a SMART configuration. No resource of a patient is
// looked at, and no address is kept.
type FHIRFacts struct {
	TLS      bool   `json:"tls,omitzero"`
	Document string `json:"document"` // "capability" or "smart"
	Status   int    `json:"status"`
	Version  string `json:"version,omitzero"`  // fhirVersion, such as "4.0.1"
	Software string `json:"software,omitzero"` // software.name
	Release  string `json:"release,omitzero"`  // software.version
	// Services are the codes of rest.security.service, such as "SMART-on-FHIR",
	// sorted, at most 16; none are not the same as no security.
	Services []string `json:"services,omitzero"`
	// Of a SMART configuration, in its order: capabilities (at most 64), and at most
	// 16 each of client authentication methods, grant types and PKCE methods.
	Capabilities []string `json:"capabilities,omitzero"`
	ClientAuth   []string `json:"client_auth,omitzero"`
	Grants       []string `json:"grants,omitzero"`
	PKCE         []string `json:"pkce,omitzero"`
	Clock        *Clock   `json:"clock,omitempty"` // the Date header; nil: not told
}

// SDCFacts are the DPWS characteristics of an SDC provider. The friendly name,
// which may hold a bed or a person, is not read.
type SDCFacts struct {
	TLS          bool   `json:"tls,omitzero"`
	Fault        bool   `json:"fault,omitzero"` // refused with a SOAP fault
	Manufacturer string `json:"manufacturer,omitzero"`
	ModelName    string `json:"model_name,omitzero"`
	ModelNumber  string `json:"model_number,omitzero"`
	Firmware     string `json:"firmware,omitzero"`
	Serial       string `json:"serial,omitzero"`
	Clock        *Clock `json:"clock,omitempty"` // the Date header; nil: not told
}

// BannerFacts are what a server said before anything was sent to it.
type BannerFacts struct {
	Protocol string `json:"protocol"`      // "ftp" or "telnet"
	Text     string `json:"text,omitzero"` // sanitised, at most 512 bytes; of FTP only
	// Options is true if a telnet server began to negotiate options (RFC 854).
	Options bool `json:"options,omitzero"`
}

// RDPFacts are the answer to an X.224 connection request that offered TLS and
// CredSSP (MS-RDPBCGR section 2.2.1.2).
type RDPFacts struct {
	// Negotiates is false if the server knows no negotiation: standard RDP security
	// only.
	Negotiates bool   `json:"negotiates,omitzero"`
	Selected   uint32 `json:"selected,omitzero"` // 0 standard RDP security, 1 TLS, 2 CredSSP, 8 CredSSP with early authorisation
	// Failure is the failureCode of MS-RDPBCGR section 2.2.1.2.2, 0 without one.
	Failure uint32 `json:"failure,omitzero"`
}

// SMBFacts are the answers to SMB negotiations (MS-SMB2 section 2.2.4, MS-CIFS
// section 2.2.4.52).
type SMBFacts struct {
	Offer string `json:"offer"` // "smb2" or "smb1": what was on offer
	// Dialect is the chosen DialectRevision of SMB 2, such as 0x0311; 0 if none.
	Dialect uint16 `json:"dialect,omitzero"`
	// SMB1 is true if the server chose an SMB 1 dialect.
	SMB1            bool   `json:"smb1,omitzero"`
	SigningEnabled  bool   `json:"signing_enabled,omitzero"`
	SigningRequired bool   `json:"signing_required,omitzero"`
	Clock           *Clock `json:"clock,omitempty"` // SystemTime (MS-SMB2 section 2.2.4); nil: not told
}

// VNCFacts are what an RFB server offers before authentication (RFC 6143 section
// 7.1).
type VNCFacts struct {
	Version string `json:"version"` // of the server, such as "3.8"
	// Types are the security types on offer, in its order: 1 none, 2 VNC
	// authentication, 5 and 6 RA2, 16 Tight, 18 TLS, 19 VeNCrypt, 30 Apple (registry
	// of IANA), at most 32.
	Types []int `json:"types,omitzero"`
	// Refused is true if the server offers none and hangs up.
	Refused bool `json:"refused,omitzero"`
}

// MQTTFacts are the answer to a CONNECT of MQTT 3.1.1 without user and password,
// in clear.
type MQTTFacts struct {
	Code uint8 `json:"code"` // of CONNACK: 0 accepted, 4 bad credentials, 5 not authorised (section 3.2.2.3)
}

// OPCUAFacts are what an OPC UA server answers to GetEndpoints (OPC 10000-4
// section 5.5.4). Its certificates are in the observation.
type OPCUAFacts struct {
	Application string          `json:"application,omitzero"` // ApplicationUri
	Product     string          `json:"product,omitzero"`     // ProductUri
	Name        string          `json:"name,omitzero"`        // ApplicationName
	Endpoints   []OPCUAEndpoint `json:"endpoints"`            // at most 64, in its order
	Clock       *Clock          `json:"clock,omitempty"`      // the timestamp of the answer (OPC 10000-4 section 7.34); nil: not told
}

// OPCUAEndpoint is one way to reach an OPC UA server.
type OPCUAEndpoint struct {
	Policy string `json:"policy"` // name of the security policy, such as "None" or "Basic256Sha256"
	Mode   string `json:"mode"`   // "none", "sign", "sign-and-encrypt"; empty: unknown
	// Tokens are the ways in which users may be authenticated: "anonymous",
	// "username", "certificate", "issued"; each once, sorted.
	Tokens []string `json:"tokens,omitzero"`
	Level  uint8    `json:"level"` // the server's own rating
	// Certificate is the SHA-256 of the leaf that it presents; zero without one.
	Certificate Digest `json:"certificate,omitzero"`
}
