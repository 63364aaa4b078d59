package evidence

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Outcome is the verdict of a rule on a subject.
type Outcome string

// The outcomes. Missing data is always inconclusive, never pass and never fail.
const (
	Pass          Outcome = "pass"
	Fail          Outcome = "fail"
	Warn          Outcome = "warn"
	NotApplicable Outcome = "not-applicable"
	Inconclusive  Outcome = "inconclusive"
)

// Outcomes lists all outcomes, the most urgent first.
func Outcomes() []Outcome { return []Outcome{Fail, Warn, Inconclusive, Pass, NotApplicable} }

// Severity is how much a negative outcome of a rule matters. It is a property
// of the rule, not of the finding.
type Severity string

// The severities.
const (
	Info     Severity = "info"
	Low      Severity = "low"
	Medium   Severity = "medium"
	High     Severity = "high"
	Critical Severity = "critical"
)

// Severities lists all severities in rising order.
func Severities() []Severity { return []Severity{Info, Low, Medium, High, Critical} }

// Compare orders severities in rising order; unknown values come first.
func (s Severity) Compare(o Severity) int {
	all := Severities()
	return cmp.Compare(slices.Index(all, s), slices.Index(all, o))
}

// ParseSeverity reads the text form.
func ParseSeverity(s string) (Severity, error) {
	if v := Severity(strings.ToLower(s)); slices.Contains(Severities(), v) {
		return v, nil
	}
	return "", fmt.Errorf("severity %q: want one of info, low, medium, high, critical", s)
}

// Subject is what a finding is about. Fields that do not apply are zero.
type Subject struct {
	Endpoint    Endpoint   `json:"endpoint,omitzero"`
	Certificate Digest     `json:"certificate,omitzero"` // SHA-256 of the DER
	Group       *Duplicate `json:"group,omitempty"`      // fleet findings
	Asset       string     `json:"asset,omitzero"`       // id, of findings about a device as a whole
}

// Locus is the stable text form of the subject; with the rule it makes the
// finding's key.
func (s Subject) Locus() string { return string(s.appendLocus(nil)) }

func (s Subject) appendLocus(b []byte) []byte {
	n := len(b)
	if s.Endpoint != (Endpoint{}) {
		b = s.Endpoint.appendText(b)
	}
	if !s.Certificate.IsZero() {
		if len(b) > n {
			b = append(b, ' ')
		}
		b = append(b, "cert/"...)
		b = hex.AppendEncode(b, s.Certificate[:])
	}
	if s.Group != nil {
		if len(b) > n {
			b = append(b, ' ')
		}
		b = append(b, "group/"...)
		b = append(b, s.Group.Kind...)
		b = append(b, '/')
		b = append(b, s.Group.Value...)
	}
	if s.Asset != "" {
		b = append(append(b, "asset/"...), s.Asset...)
	}
	if len(b) == n {
		b = append(b, "fleet"...)
	}
	return b
}

// Compare orders subjects by endpoint and then by locus.
func (s Subject) Compare(o Subject) int {
	if n := s.Endpoint.Compare(o.Endpoint); n != 0 {
		return n
	}
	if s.Group == nil && o.Group == nil && !s.Certificate.IsZero() && !o.Certificate.IsZero() {
		return bytes.Compare(s.Certificate[:], o.Certificate[:]) // as the order of their hexadecimal digits
	}
	return cmp.Compare(s.Locus(), o.Locus())
}

// DuplicateKind says what is shared between the members of a group.
type DuplicateKind string

// The kinds of duplicate.
const (
	DuplicateCertificate  DuplicateKind = "certificate"
	DuplicateKey          DuplicateKind = "key"
	DuplicateIssuerSerial DuplicateKind = "issuer-serial"
	DuplicateSSHHostKey   DuplicateKind = "ssh-host-key"
	DuplicatePrime        DuplicateKind = "prime"
	DuplicateIdentifier   DuplicateKind = "identifier"
	DuplicateNonce        DuplicateKind = "nonce"         // the secret number of two signatures
	DuplicateEphemeralKey DuplicateKind = "ephemeral-key" // of a key exchange
	DuplicateTicketKey    DuplicateKind = "ticket-key"    // the name of what encrypts session tickets
	DuplicateSubject      DuplicateKind = "subject"       // the name that one issuer certifies
	DuplicateSerials      DuplicateKind = "serials"       // the pattern of an issuer's serial numbers
)

// Duplicate is a group of certificates or keys that share what should be
// unique, with every instance listed.
type Duplicate struct {
	Kind         DuplicateKind `json:"kind"`
	Value        string        `json:"value"`                  // the shared value: digest, "issuer|serial" or shared factor, in hex or text
	Certificates []Digest      `json:"certificates,omitempty"` // sorted, unique
	Assets       []string      `json:"assets,omitempty"`       // sorted asset ids
	Endpoints    []Endpoint    `json:"endpoints,omitempty"`    // sorted
	// Confidence is 0 to 100: how sure it is that at least two physical devices
	// hold the shared value; of a pattern, that it is no chance.
	Confidence int `json:"confidence"`
}

// Finding is the outcome of one rule on one subject, with the observations that
// it rests on.
type Finding struct {
	ID       int64    `json:"id,omitzero"` // assigned by the store
	Run      int64    `json:"run,omitzero"`
	Key      Digest   `json:"key"` // SHA-256 of rule and locus; stable over runs
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Outcome  Outcome  `json:"outcome"`
	Subject  Subject  `json:"subject"`
	Asset    string   `json:"asset,omitzero"` // id of the asset the endpoint belongs to
	Title    string   `json:"title"`
	Detail   string   `json:"detail"` // what was seen, in one sentence
	// Observations are the ids of what the outcome rests on, in rising order.
	Observations []int64 `json:"observations"`
}

// FindingKey returns the key of a finding of rule on subject.
func FindingKey(rule string, s Subject) Digest {
	b := append(append(make([]byte, 0, 192), rule...), 0)
	return DigestOf(s.appendLocus(b))
}
