package lint

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/zmap/zcrypto/x509"

	"probity/evidence"
	"probity/internal/wire/sigwire"
)

// Mark stands for a value among many: the first half of a SHA-256. Two of a million
// values are taken for one with a probability of 2^-88.
type Mark [16]byte

func markOf(parts ...[]byte) (m Mark) {
	h := sha256.New()
	for _, p := range parts {
		var length [8]byte // keeps the parts apart
		binary.BigEndian.PutUint64(length[:], uint64(len(p)))
		h.Write(length[:])
		h.Write(p)
	}
	copy(m[:], h.Sum(nil))
	return m
}

// Compare orders marks.
func (m Mark) Compare(o Mark) int { return bytes.Compare(m[:], o[:]) }

// Record is what the checks of the fleet compare of a certificate, a request or a lone
// key. It is small, because there may be millions.
type Record struct {
	Digest evidence.Digest
	// SPKI is that of [Key]; HasKey says that it could be read.
	SPKI evidence.Digest
	// Authority stands for the issuer by name and key (see [Certificate.Authority]), and
	// Name for it with the subject.
	Authority, Name Mark
	// Identifier is [Certificate.DeviceIdentifier].
	Identifier string
	// Modulus is of an RSA key within the bounds of computation; else nil.
	Modulus *big.Int
	// R stands for the number R of the signature; 0 where that is not of DSA or ECDSA.
	R uint64

	notBefore, notAfter int64  // in seconds since 1970
	serial              string // sign, then the number, big-endian; empty without one
	algorithm           x509.SignatureAlgorithm

	HasKey, Request, SelfIssued, CA, CodeSigning, Named bool
}

// HasSerial reports whether there is a certificate with a serial number.
func (r *Record) HasSerial() bool { return r.serial != "" }

// Serial is the serial number; nil without one.
func (r *Record) Serial() *big.Int {
	if r.serial == "" {
		return nil
	}
	n := new(big.Int).SetBytes([]byte(r.serial[1:]))
	if r.serial[0] == '-' {
		n.Neg(n)
	}
	return n
}

// CompareSerials orders records by their serial numbers.
func (r *Record) CompareSerials(o *Record) int {
	if r.serial == "" || o.serial == "" || r.serial[0] != o.serial[0] {
		return cmp.Compare(serialRank(r.serial), serialRank(o.serial))
	}
	n := cmp.Or(cmp.Compare(len(r.serial), len(o.serial)), strings.Compare(r.serial, o.serial))
	if r.serial[0] == '-' {
		return -n
	}
	return n
}

func serialRank(s string) int {
	switch {
	case s == "":
		return 0
	case s[0] == '-':
		return 1
	}
	return 2
}

// IssuerSerial stands for the issuer, by name and key, and the serial number.
func (r *Record) IssuerSerial() Mark { return markOf(r.Authority[:], []byte(r.serial)) }

// NotBefore is the beginning of the validity.
func (r *Record) NotBefore() time.Time { return time.Unix(r.notBefore, 0) }

// ValidAt reports whether t is within the validity.
func (r *Record) ValidAt(t time.Time) bool {
	return !t.After(time.Unix(r.notAfter, 0)) && !t.Before(time.Unix(r.notBefore, 0))
}

// Algorithm is that of the signature.
func (r *Record) Algorithm() x509.SignatureAlgorithm { return r.algorithm }

func recordOf(c *Certificate) Record {
	r := Record{Digest: c.Digest, Request: c.Request}
	if c.Key != nil {
		r.SPKI, r.HasKey = c.Key.SPKI, true
		if c.Key.N != nil && c.Key.N.Sign() > 0 {
			r.Modulus = c.Key.N
		}
	}
	x := c.X509()
	if x == nil {
		return r
	}
	authority := c.Authority()
	r.Authority = markOf(x.RawIssuer, []byte(authority))
	r.Name = markOf(r.Authority[:], x.RawSubject)
	r.Identifier, r.Named = c.DeviceIdentifier(), len(x.Subject.OriginalRDNS) > 0
	r.notBefore, r.notAfter = x.NotBefore.Unix(), x.NotAfter.Unix()
	if n := x.SerialNumber; n != nil {
		sign := "+"
		if n.Sign() < 0 {
			sign = "-"
		}
		r.serial = sign + string(n.Bytes())
	}
	r.algorithm, r.SelfIssued, r.CA = x.SignatureAlgorithm, c.SelfIssued(), c.IsCA()
	r.CodeSigning = c.HasExtKeyUsage(x509.ExtKeyUsageCodeSigning)
	if DSAHash(x.SignatureAlgorithm) != 0 {
		if s := sigwire.ParseDER(x.Signature); s != nil {
			r.R = HashR(s.R)
		}
	}
	return r
}

// HashR stands for the number R of a signature among many; never 0.
func HashR(r []byte) uint64 {
	sum := sha256.Sum256(r)
	return binary.BigEndian.Uint64(sum[:]) | 1
}

// Authority identifies the key of the issuer: the subject key of a self-issued
// certificate, else the authority key identifier. The certificate was decoded.
func (c *Certificate) Authority() string {
	if c.SelfIssued() {
		if c.Key != nil {
			return c.Key.SPKI.String()
		}
		return evidence.DigestOf(c.X509().RawSubjectPublicKeyInfo).String()
	}
	return evidence.DigestOf(c.authorityKeyID).String()
}

// Spot is a sighting of a certificate; see [Sighting].
type Spot struct {
	Certificate     int32 // index of the record
	Leaf, Forgeable bool
	Role            evidence.Role
	Endpoint        evidence.Endpoint // of the holder; a client has no port
	Observation     int64
}

// ShownKey is an SSH host key at an endpoint.
type ShownKey struct {
	Blob evidence.Digest // SHA-256 of the key as SSH has it
	// Key is nil where it is of a kind that is not known.
	Key *Key
	Shower
}

// ShownValue is something else that two devices should not have in common.
type ShownValue struct {
	// Value is the SHA-256 of the public value of a key exchange, or begins with the
	// name of a session-ticket key, of 16 bytes.
	Value evidence.Digest
	Shower
}

// Shower is the server that showed something.
type Shower struct {
	Endpoint    evidence.Endpoint
	Observation int64
	Passive     bool            // only heard
	Leaf        evidence.Digest // of the certificate that it presented; may be zero
}

// Fleet is what the checks of the fleet compare of certificates and handshakes,
// without what they were decoded to.
type Fleet struct {
	// Records are the distinct certificates, requests and lone keys, by digest, and
	// Spots where they were seen, by endpoint.
	Records []Record
	Spots   []Spot
	// Keys, Exchanges and Tickets are what the endpoints showed besides.
	Keys               []ShownKey
	Exchanges, Tickets []ShownValue

	signed   []*evidence.Observation // that hold a signature of DSA or ECDSA
	byRecord []int32                 // spots, by record
	starts   []int32                 // of each record in byRecord, and the end
	load     func(i int32) *Certificate
}

// SpotsOf returns the spots of a record, as indexes in their order.
func (f *Fleet) SpotsOf(record int32) []int32 {
	return f.byRecord[f.starts[record]:f.starts[record+1]]
}

// Certificate decodes a record again, to say more than it holds.
func (f *Fleet) Certificate(record int32) *Certificate { return f.load(record) }

// index fills in what follows from records and spots.
func (f *Fleet) index() {
	f.starts = make([]int32, len(f.Records)+1)
	for i := range f.Spots {
		f.starts[f.Spots[i].Certificate+1]++
	}
	for i := range f.Records {
		f.starts[i+1] += f.starts[i]
	}
	next := slices.Clone(f.starts)
	f.byRecord = make([]int32, len(f.Spots))
	for i := range f.Spots {
		c := f.Spots[i].Certificate
		f.byRecord[next[c]] = int32(i)
		next[c]++
	}
}

// Fleet returns what the checks of the fleet compare.
func (c *Corpus) Fleet() *Fleet {
	c.fleetOnce.Do(func() {
		if c.fleet == nil {
			c.fleet = c.newFleet()
		}
	})
	return c.fleet
}

func (c *Corpus) newFleet() *Fleet {
	all := slices.Clone(c.order)
	for _, r := range c.requests {
		all = append(all, r)
	}
	slices.SortFunc(all, compareCertificates)
	f := &Fleet{Records: make([]Record, len(all)), Spots: make([]Spot, len(c.sightings))}
	at := make(map[*Certificate]int32, len(all))
	for i, cert := range all {
		if r := cert.record.Load(); r != nil {
			f.Records[i] = *r
		} else {
			f.Records[i] = recordOf(cert)
		}
		at[cert] = int32(i)
	}
	for i, s := range c.sightings {
		f.Spots[i] = Spot{
			Certificate: at[s.Certificate], Leaf: s.Leaf(), Forgeable: s.Forgeable, Role: s.Role,
			Endpoint: s.Endpoint, Observation: s.Observation,
		}
	}
	for _, s := range c.Endpoints() {
		for _, o := range s.TLS() {
			f.handshake(o)
		}
		for _, o := range s.Of(evidence.KindSSH) {
			f.hostKeys(o)
		}
	}
	f.signed = c.signed
	f.load = func(i int32) *Certificate { return all[i] }
	f.index()
	return f
}

// Signed returns the observations of all runs that hold a signature of DSA or ECDSA,
// by time: a number that a key used twice gives it away whenever that was.
func (f *Fleet) Signed() []*evidence.Observation { return f.signed }

func shower(o *evidence.Observation) Shower {
	s := Shower{Endpoint: o.Endpoint, Observation: o.ID, Passive: o.Method == evidence.Passive}
	for _, p := range o.Certs {
		if p.Role == evidence.RoleServer && p.Position == 0 {
			s.Leaf = evidence.DigestOf(p.DER)
		}
	}
	return s
}

// handshake takes what a server showed in an answered handshake.
func (f *Fleet) handshake(o *evidence.Observation) {
	t := o.Facts.TLS
	if k := t.KeyShare; !k.IsZero() && !t.Retry {
		f.Exchanges = append(f.Exchanges, ShownValue{k, shower(o)})
	}
	if name := t.TicketKey; looksRandom(name) {
		v := ShownValue{Shower: shower(o)}
		copy(v.Value[:], name)
		f.Tickets = append(f.Tickets, v)
	}
}

// TicketKeyName is how many bytes the name of a session-ticket key has (RFC 5077
// section 4).
const TicketKeyName = 16

// looksRandom reports whether the name of a session-ticket key may be drawn at random:
// one in a hundred million such names has fewer different bytes. Not every server
// follows RFC 5077 section 4, and the first bytes of other tickets may be equal
// without telling anything.
func looksRandom(name []byte) bool {
	const different = 12
	seen := make(map[byte]bool, TicketKeyName)
	for _, b := range name {
		seen[b] = true
	}
	return len(name) == TicketKeyName && len(seen) >= different
}

func (f *Fleet) hostKeys(o *evidence.Observation) {
	for _, k := range o.Keys {
		f.Keys = append(f.Keys, ShownKey{evidence.DigestOf(k.Blob), ParseSSHKey(k.Blob), shower(o)})
	}
}

// holdsSignature reports whether an observation holds a signature of DSA or ECDSA.
func holdsSignature(o *evidence.Observation) bool {
	t, s := o.Facts.TLS, o.Facts.SSH
	return t != nil && (t.Signature != nil || t.ClientSignature != nil) || s != nil && s.Signature != nil
}
