package evidence

// MTLSFacts are what one trial of a TLS server's client authentication shows:
// which certificate was presented, how the handshake and the connection ended,
// and what the application said. Whether the server enforces anything is no
// fact of one trial; it follows from all trials of a version together.
type MTLSFacts struct {
	Trial       int               `json:"trial"`             // position in the probe, from 1
	Version     uint16            `json:"version"`           // the only version offered
	Certificate ClientCertificate `json:"certificate"`       // what the client had
	Supplied    bool              `json:"supplied,omitzero"` // by the operator; otherwise made for the probe
	Control     Control           `json:"control,omitzero"`
	Leaf        Digest            `json:"leaf,omitzero"` // SHA-256 of the leaf that was presented

	// Requested is true when a CertificateRequest was received. A certificate is
	// presented only then.
	Requested bool `json:"requested,omitzero"`
	// Authorities are the distinguished names (DER) of the certificate request,
	// Schemes its signature schemes (IANA code points); at most 128 each.
	Authorities [][]byte `json:"authorities,omitzero"`
	Schemes     []uint16 `json:"schemes,omitzero"`

	// Handshake says how far it got, as the client sees it. In TLS 1.3 the client
	// is done before the server judges the certificate.
	Handshake HandshakeStage `json:"handshake"`
	// Alert is the description of the server's alert, nil when none came.
	Alert *uint8 `json:"alert,omitempty"`
	End   End    `json:"end"`

	// Application is the protocol that was asked after the handshake: "http",
	// "dicom", or empty where the client only listened.
	Application string `json:"application,omitzero"`
	// Answered is true when application data came.
	Answered   bool `json:"answered,omitzero"`
	HTTPStatus int  `json:"http_status,omitzero"`
	// HTTPCertificate is true when the body of an HTTP error speaks of the
	// client's certificate.
	HTTPCertificate bool   `json:"http_certificate,omitzero"`
	DICOM           string `json:"dicom,omitzero"` // "ac", "rj", "abort"
}

// ClientCertificate says what is wrong, or right, with the certificate that a
// trial presents.
type ClientCertificate string

// The certificates of the trials, in the order in which they are tried.
const (
	ClientCertNone         ClientCertificate = "none"
	ClientCertGood         ClientCertificate = "good"          // the operator's: the positive control
	ClientCertSelfSigned   ClientCertificate = "self-signed"   // signed by its own key
	ClientCertUnknownCA    ClientCertificate = "unknown-ca"    // of a CA with an accepted name and a key of its own
	ClientCertExpired      ClientCertificate = "expired"       //
	ClientCertNotYetValid  ClientCertificate = "not-yet-valid" //
	ClientCertWrongPurpose ClientCertificate = "wrong-purpose" // extended key usage without clientAuth
	ClientCertRevoked      ClientCertificate = "revoked"       // on the site's revocation list
)

// Control marks the trials that show whether the server is well.
type Control string

// The controls. A control is the good certificate where there is one, and no
// certificate otherwise.
const (
	ControlBefore Control = "before" // the other trials of the version
	ControlAfter  Control = "after"
)

// End says how a connection ended, as the client sees it.
type End string

// The ends of a connection.
const (
	EndUnreached End = "unreached" // no connection was made
	EndOpen      End = "open"      // by the client, when it had seen enough
	EndAlert     End = "alert"     // by a fatal alert of the server
	EndClosed    End = "closed"    // by the server, in order
	EndReset     End = "reset"     // by the server, with a reset or in mid-message
	EndTimeout   End = "timeout"   // no answer within the bound of the handshake
	EndLocal     End = "local"     // the client could not go on
)
