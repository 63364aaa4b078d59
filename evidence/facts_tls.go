package evidence

import "time"

// Possession says whether a signature in a handshake shows that a side held the
// private key of the certificate it presented. A certificate alone shows nothing
// of the kind, because everyone who has seen it can present it.
//
// [PossessionVerified] is proof that the holder of the key made this handshake,
// not that it was made now: a recorded handshake can be replayed to an observer.
type Possession string

// The answers. The empty one means that nothing was signed in clear (RSA key
// exchange, a resumed session, TLS 1.3), that not all of it was captured, or that
// the algorithm is not read.
const (
	PossessionVerified Possession = "verified" // the signature is of the presented key
	PossessionRefuted  Possession = "refuted"  // it is not
)

// OCSPFacts are what an OCSP response says (RFC 6960 section 4.2). Its signature
// is not checked, so that it proves nothing about the certificate by itself.
type OCSPFacts struct {
	// Response is the OCSPResponseStatus; 0 is successful, and all others come
	// without the rest.
	Response int          `json:"response"`
	Produced time.Time    `json:"produced,omitzero"`
	Statuses []OCSPStatus `json:"statuses,omitzero"` // at most 8
}

// OCSPStatus is the status of one certificate.
type OCSPStatus struct {
	Serial     string    `json:"serial"` // hex of the DER INTEGER, lower case
	Status     string    `json:"status"` // "good", "revoked" or "unknown"
	ThisUpdate time.Time `json:"this_update,omitzero"`
	NextUpdate time.Time `json:"next_update,omitzero"`
	RevokedAt  time.Time `json:"revoked_at,omitzero"`
}

// Signature is a DSA or ECDSA signature that a key made in an exchange. Every such
// signature is made with a number of its own, and R tells which: a key that uses one
// number for two signatures can be computed by anyone who has seen both (FIPS 186-5
// section 6.3). R and S are big-endian, without leading zeros.
type Signature struct {
	R []byte `json:"r"`
	S []byte `json:"s"`
	// Digest is the hash of what was signed; empty where only the two sides can
	// compute it (SSH).
	Digest []byte `json:"digest,omitzero"`
	// Verified is true where the signature was found to be one of the key
	// presented. Where it is false and there is a digest, anyone can find out.
	Verified bool `json:"verified,omitzero"`
	// Before is an earlier signature of the same key with the same R, of an exchange
	// that was not recorded because nothing else in it was new (passive).
	Before *Signature `json:"before,omitempty"`
}
