package identify

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/zmap/zcrypto/x509"

	"probity/evidence"
	"probity/internal/safetext"
)

// sort names what an identifier is. docs/identity.md has the reasons for the
// weights.
type sort uint8

const (
	sortMAC         sort = iota // address of the network card
	sortSerial                  // serial number told in a protocol made for it
	sortEngine                  // SNMP engine id
	sortBoot                    // one start of one SNMP engine
	sortSSH                     // SSH host key
	sortTLS                     // key of a TLS server
	sortSubject                 // subject of its certificate
	sortName                    // host name that the device gives itself
	sortModel                   // manufacturer and model told in a protocol made for it
	sortCertificate             // certificate; for the history only
	numSorts
)

// weight says what agreement and disagreement in an identifier are worth. Two
// times of one address are the same device while the sum is above 0; two
// addresses need enough.
type weight struct{ same, differ int }

// enough is the sum that joins what was seen at two addresses. No single key or
// name reaches it.
const enough = 110

// samePlace is what it is worth that two times are of one address.
const samePlace = 40

func weights() [numSorts]weight {
	return [numSorts]weight{
		sortMAC:     {300, 60},
		sortSerial:  {300, 1000},
		sortEngine:  {80, 60},
		sortSSH:     {80, 60},
		sortTLS:     {80, 40},
		sortSubject: {50, 40},
		sortName:    {40, 40},
		sortModel:   {0, 150},
	}
}

// isKey reports whether a sort is of keys and the like, which a service shows
// whenever it is asked.
func (s sort) isKey() bool {
	return s == sortSSH || s == sortTLS || s == sortEngine || s == sortSerial
}

func (s sort) String() string {
	return [numSorts]string{
		"MAC address", "serial number", "SNMP engine id", "start of the SNMP engine", "SSH host key", "TLS key",
		"certificate subject", "host name", "model", "certificate",
	}[s]
}

// mark is one identifier in one observation. The track is the place within the
// device at which there can be one value at a time, such as a port.
type mark struct {
	sort  sort
	track string
	value string
	start int64 // of an engine, Unix milliseconds
}

// serverMarks are the identifiers of the device that answered, besides those in
// its certificate.
func serverMarks(o *evidence.Observation) []mark {
	port := strconv.Itoa(int(o.Endpoint.Port))
	switch f := &o.Facts; {
	case f.SSH != nil && o.Method != evidence.Passive: // from outside the signature cannot be checked
		var out []mark
		for _, k := range o.Keys {
			out = append(out, mark{sort: sortSSH, track: port + "/" + k.Algorithm, value: digestText(k.Blob)})
		}
		return out
	case f.SNMP != nil && o.Method != evidence.Passive && len(f.SNMP.EngineID) > 0:
		// A clock that anyone can forge joins no addresses.
		id := hexText(f.SNMP.EngineID)
		start := o.At.UnixMilli() - int64(f.SNMP.EngineTime)*1000
		return []mark{
			{sort: sortEngine, track: port, value: id},
			{sort: sortBoot, track: port, value: id + "/" + strconv.FormatUint(uint64(f.SNMP.EngineBoots), 10), start: start},
		}
	case f.SDC != nil:
		return toldMarks("sdc/"+port, f.SDC.Manufacturer, f.SDC.ModelName, f.SDC.Serial)
	case f.Identity != nil && f.Identity.Sender != evidence.RoleClient:
		return identityMarks(f.Identity)
	}
	return nil
}

// clientMarks are the identifiers of the device that called. A client
// certificate is none: many devices call from behind one address.
func clientMarks(o *evidence.Observation) []mark {
	if f := o.Facts.Identity; f != nil && f.Sender == evidence.RoleClient {
		return identityMarks(f)
	}
	return nil
}

func identityMarks(f *evidence.IdentityFacts) []mark {
	var out []mark
	if evidence.OwnMAC(f.MAC) {
		out = append(out, mark{sort: sortMAC, value: f.MAC})
	}
	if len(f.Hostnames) == 1 && !f.Experimental {
		name, _, _ := strings.Cut(strings.ToLower(f.Hostnames[0]), ".")
		out = append(out, mark{sort: sortName, track: f.Protocol, value: safetext.Clean(name)})
	}
	switch f.Protocol {
	case "poct1", "sdc", "ws-discovery", "dpws", "11073":
		out = append(out, toldMarks(f.Protocol, f.Manufacturer, f.Model, f.Serial)...)
	}
	return out
}

// toldMarks are the serial number and model of a protocol that is made to tell
// them. A serial number says nothing without its maker.
func toldMarks(track, manufacturer, model, serial string) []mark {
	var out []mark
	if manufacturer != "" && model != "" {
		m := safetext.Clean(strings.ToLower(manufacturer + "\t" + model))
		out = append(out, mark{sort: sortModel, track: track, value: m})
		if usableSerial(serial) {
			out = append(out, mark{sort: sortSerial, track: track, value: m + "\t" + safetext.Clean(strings.TrimSpace(serial))})
		}
	}
	return out
}

// usableSerial leaves out what stands where a serial number should be.
func usableSerial(s string) bool {
	s = strings.TrimSpace(s)
	if len(s) < 2 || strings.Trim(s, "0-. ") == "" || strings.Trim(strings.ToLower(s), "x-. ") == "" {
		return false
	}
	switch strings.ToLower(s) {
	case "unknown", "none", "n/a", "default", "123456", "1234567", "12345678", "123456789", "serial", "serialnumber", "to be filled by o.e.m.":
		return false
	}
	return true
}

// leaf is what identity takes from the certificate of a server.
type leaf struct {
	digest, key, subject string // SHA-256 in hexadecimal; empty where it does not parse
	algorithm            string
	notAfter             int64 // Unix seconds
}

// leafOf reads a certificate with the given digest; nil where it does not parse.
func leafOf(sum evidence.Digest, c *x509.Certificate) leaf {
	l := leaf{digest: sum.String()}
	if c == nil {
		return l
	}
	l.key, l.algorithm, l.notAfter = digestText(c.RawSubjectPublicKeyInfo), c.PublicKeyAlgorithm.String(), c.NotAfter.Unix()
	if len(c.Subject.Names) > 0 {
		l.subject = digestText(c.RawSubject)
	}
	return l
}

// leafMarks are the identifiers in the certificate of a server. It has one for
// each name and kind of key.
func leafMarks(l leaf, port, name string) []mark {
	track := port + "/" + name + "/" + l.algorithm
	out := []mark{{sort: sortCertificate, track: track, value: l.digest}}
	if l.key != "" {
		out = append(out, mark{sort: sortTLS, track: track, value: l.key})
	}
	if l.subject != "" {
		out = append(out, mark{sort: sortSubject, track: track, value: l.subject})
	}
	return out
}

func digestText(b []byte) string { return evidence.DigestOf(b).String() }

// appendMark writes a mark in a form that no two marks share.
func appendMark(b []byte, m mark) []byte {
	b = append(b, byte(m.sort))
	for _, s := range []string{m.track, m.value} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return binary.AppendVarint(b, m.start)
}
