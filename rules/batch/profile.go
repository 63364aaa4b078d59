// Package batch judges a manufacturing batch of certificates: whether each one
// follows a profile that the manufacturer declares, and whether no certificate,
// key, serial number or device identifier repeats, in the batch and against
// earlier ones.
//
// Certificates are looked at one at a time and forgotten, so that a batch of a
// million fits memory. The package decides rules MD-DUP-007 and MD-DUP-008; common
// primes are found by internal/batchgcd. It does no I/O.
package batch

import (
	"encoding/asn1"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"probity/internal/safetext"
	"probity/internal/strictyaml"
	"probity/lint"
)

// Profile is what every certificate of a batch must look like. What it does not
// mention may be anything, but for extensions, names in the subject and kinds of
// alternative names: of these a certificate has what the profile lists.
type Profile struct {
	Name string

	issuers    []string
	keys       []keyKind
	signatures []string
	indefinite *bool
	minDays    int
	maxDays    int // 0: no limit
	subject    map[string]*regexp.Regexp
	optional   []string // further attributes of the subject
	san        nameKinds
	keyUsage   []string // nil: any
	purposes   []string // nil: any
	ca         bool
	policies   []string
	extensions *listing
	identifier string
	perDevice  int
}

// keyKind is one kind of key that is allowed.
type keyKind struct {
	algorithm lint.KeyAlgorithm
	curve     string
	bits      int // the least
}

// listing tells what must be there from what may be.
type listing struct{ required, optional []string }

func (l listing) has(s string) bool {
	return slices.Contains(l.required, s) || slices.Contains(l.optional, s)
}

type nameKinds struct {
	listing
	patterns map[string]*regexp.Regexp
}

// The shape of a profile file.
type (
	text = strictyaml.Value[string]

	profileYAML struct {
		Name       text            `yaml:"name"`
		Issuers    []text          `yaml:"issuers"`
		Keys       []keyYAML       `yaml:"keys"`
		Signatures []text          `yaml:"signatures"`
		Validity   validityYAML    `yaml:"validity"`
		Subject    map[string]text `yaml:"subject"`
		Optional   []text          `yaml:"optional_subject"`
		Names      map[string]text `yaml:"alternative_names"`
		NamesOpt   []text          `yaml:"optional_alternative_names"`
		KeyUsage   *[]text         `yaml:"key_usage"`
		Purposes   *[]text         `yaml:"extended_key_usage"`
		CA         bool            `yaml:"ca"`
		Policies   []text          `yaml:"policies"`
		Extensions *extensionsYAML `yaml:"extensions"`
		Identifier text            `yaml:"identifier"`
		PerDevice  int             `yaml:"certificates_per_device"`
	}
	keyYAML struct {
		Algorithm text `yaml:"algorithm"`
		Curve     text `yaml:"curve"`
		Bits      int  `yaml:"bits"`
	}
	validityYAML struct {
		Indefinite *bool `yaml:"indefinite"`
		MinDays    int   `yaml:"min_days"`
		MaxDays    int   `yaml:"max_days"`
	}
	extensionsYAML struct {
		Required []text `yaml:"required"`
		Optional []text `yaml:"optional"`
	}
)

// attributes are the names of a subject by their short text (RFC 4514 section 3
// and X.520).
func attributes() map[string]string {
	return map[string]string{
		"CN": "2.5.4.3", "serialNumber": "2.5.4.5", "C": "2.5.4.6", "L": "2.5.4.7", "ST": "2.5.4.8",
		"O": "2.5.4.10", "OU": "2.5.4.11", "title": "2.5.4.12", "dnQualifier": "2.5.4.46",
		"UID": "0.9.2342.19200300.100.1.1", "DC": "0.9.2342.19200300.100.1.25", "email": "1.2.840.113549.1.9.1",
	}
}

// nameKindsKnown are the kinds of alternative names (RFC 5280 section 4.2.1.6, RFC
// 4108 section 5).
func nameKindsKnown() []string {
	return []string{"dns", "email", "ip", "uri", "directory", "hardwareModuleName", "otherName"}
}

// identifiers are the places of what names a device.
func identifiers() []string {
	return []string{"serialNumber", "CN", "hardwareModuleName", "uri", "dns"}
}

// ParseProfile reads a profile from YAML. Errors name the file, line and column.
func ParseProfile(file string, data []byte) (*Profile, error) {
	var y profileYAML
	if err := strictyaml.Decode(file, data, &y); err != nil {
		return nil, err
	}
	r := reader{file: file}
	p := &Profile{
		Name: y.Name.V, ca: y.CA, indefinite: y.Validity.Indefinite,
		minDays: y.Validity.MinDays, maxDays: y.Validity.MaxDays,
		issuers: texts(y.Issuers), signatures: texts(y.Signatures), perDevice: max(y.PerDevice, 1),
	}
	if p.Name == "" {
		r.fail(y.Name.Pos, "a profile has a name: add name: ...")
	}
	for _, k := range y.Keys {
		p.keys = append(p.keys, r.key(k))
	}
	p.subject = r.patterns(y.Subject, "subject", slices.Sorted(maps.Keys(attributes())))
	p.optional = r.oneOf(y.Optional, "attribute", slices.Sorted(maps.Keys(attributes())))
	p.san.patterns = r.patterns(y.Names, "alternative_names", nameKindsKnown())
	p.san.required = slices.Sorted(maps.Keys(p.san.patterns))
	p.san.optional = r.oneOf(y.NamesOpt, "kind of name", nameKindsKnown())
	if y.KeyUsage != nil {
		p.keyUsage = append([]string{}, r.oneOf(*y.KeyUsage, "key usage", keyUsages())...)
	}
	if y.Purposes != nil {
		p.purposes = []string{}
		for _, u := range *y.Purposes {
			p.purposes = append(p.purposes, r.oid(u, purposes()))
		}
		slices.Sort(p.purposes)
	}
	for _, o := range y.Policies {
		p.policies = append(p.policies, r.oid(o, nil))
	}
	if y.Extensions != nil {
		p.extensions = &listing{}
		for _, o := range y.Extensions.Required {
			p.extensions.required = append(p.extensions.required, r.oid(o, extensions()))
		}
		for _, o := range y.Extensions.Optional {
			p.extensions.optional = append(p.extensions.optional, r.oid(o, extensions()))
		}
	}
	p.identifier = "serialNumber"
	if y.Identifier.V != "" {
		p.identifier = r.oneOf([]text{y.Identifier}, "identifier", identifiers())[0]
	}
	if p.minDays < 0 || p.maxDays < 0 || p.maxDays > 0 && p.minDays > p.maxDays {
		r.fail(strictyaml.Pos{}, "validity: min_days and max_days want 0 <= min_days <= max_days")
	}
	if r.err != nil {
		return nil, r.err
	}
	return p, nil
}

// reader keeps the first mistake of a file.
type reader struct {
	file string
	err  error
}

func (r *reader) fail(at strictyaml.Pos, format string, args ...any) {
	if r.err == nil {
		r.err = strictyaml.Errorf(r.file, at, format, args...)
	}
}

func (r *reader) key(k keyYAML) keyKind {
	out := keyKind{algorithm: lint.KeyAlgorithm(k.Algorithm.V), curve: k.Curve.V, bits: k.Bits}
	if out.algorithm == "" {
		r.fail(k.Algorithm.Pos, "a key has an algorithm: RSA, RSA-PSS, EC, Ed25519, Ed448, DSA or another name that lint prints")
	}
	if out.curve != "" && out.algorithm != lint.EC {
		r.fail(k.Curve.Pos, "only EC keys have a curve")
	}
	if out.bits < 0 || out.bits > lint.MaxKeyBits {
		r.fail(k.Algorithm.Pos, "bits: want 0 to %d", lint.MaxKeyBits)
	}
	return out
}

// maxPattern bounds the length of a pattern.
const maxPattern = 512

// patterns compiles RE2 patterns that must match a whole value.
func (r *reader) patterns(m map[string]text, what string, known []string) map[string]*regexp.Regexp {
	out := make(map[string]*regexp.Regexp)
	for _, name := range slices.Sorted(maps.Keys(m)) {
		v := m[name]
		if !slices.Contains(known, name) {
			r.fail(v.Pos, "%s: unknown name %q: want %s", what, safetext.Clean(name), strings.Join(known, ", "))
			continue
		}
		if len(v.V) > maxPattern {
			r.fail(v.Pos, "%s: %s: a pattern has at most %d characters", what, name, maxPattern)
			continue
		}
		re, err := regexp.Compile(`^(?:` + v.V + `)$`)
		if err != nil {
			r.fail(v.Pos, "%s: %s: %v; want an RE2 pattern that matches the whole value", what, name, err)
			continue
		}
		out[name] = re
	}
	return out
}

func (r *reader) oneOf(list []text, what string, known []string) []string {
	var out []string
	for _, v := range list {
		if !slices.Contains(known, v.V) {
			r.fail(v.Pos, "unknown %s %q: want %s", what, safetext.Clean(v.V), strings.Join(known, ", "))
		}
		out = append(out, v.V)
	}
	return out
}

// oid reads a dotted object identifier or one of the names.
func (r *reader) oid(v text, names map[string]string) string {
	if o, ok := names[v.V]; ok {
		return o
	}
	parts := strings.Split(v.V, ".")
	valid := len(parts) > 1
	for _, p := range parts {
		if _, err := strconv.ParseUint(p, 10, 63); err != nil {
			valid = false
		}
	}
	if !valid {
		r.fail(v.Pos, "%q is neither an object identifier nor one of %s", safetext.Clean(v.V), strings.Join(slices.Sorted(maps.Keys(names)), ", "))
	}
	return v.V
}

func texts(list []text) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.V)
	}
	return out
}

// keyUsages are the names of the bits, in their order (RFC 5280 section 4.2.1.3).
func keyUsages() []string {
	return []string{
		"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment",
		"keyAgreement", "keyCertSign", "cRLSign", "encipherOnly", "decipherOnly",
	}
}

// purposes are names of extended key usages (RFC 5280 section 4.2.1.12).
func purposes() map[string]string {
	return map[string]string{
		"any": "2.5.29.37.0", "serverAuth": "1.3.6.1.5.5.7.3.1", "clientAuth": "1.3.6.1.5.5.7.3.2",
		"codeSigning": "1.3.6.1.5.5.7.3.3", "emailProtection": "1.3.6.1.5.5.7.3.4",
		"timeStamping": "1.3.6.1.5.5.7.3.8", "OCSPSigning": "1.3.6.1.5.5.7.3.9",
	}
}

// extensions are names of extensions (RFC 5280 section 4.2).
func extensions() map[string]string {
	return map[string]string{
		"subjectKeyIdentifier": "2.5.29.14", "keyUsage": "2.5.29.15", "subjectAltName": "2.5.29.17",
		"basicConstraints": "2.5.29.19", "nameConstraints": "2.5.29.30", "cRLDistributionPoints": "2.5.29.31",
		"certificatePolicies": "2.5.29.32", "authorityKeyIdentifier": "2.5.29.35", "extKeyUsage": "2.5.29.37",
		"authorityInfoAccess": "1.3.6.1.5.5.7.1.1", "tlsFeature": "1.3.6.1.5.5.7.1.24",
	}
}

// extensionName is the name of an extension, or its dotted identifier.
func extensionName(oid string) string {
	for name, o := range extensions() {
		if o == oid {
			return name
		}
	}
	return oid
}

func purposeName(oid string) string {
	for name, o := range purposes() {
		if o == oid {
			return name
		}
	}
	return oid
}

// attributeName is the short text of an attribute, or its dotted identifier.
func attributeName(oid asn1.ObjectIdentifier) string {
	s := oid.String()
	for name, o := range attributes() {
		if o == s {
			return name
		}
	}
	return s
}

func quoted(s string) string { return fmt.Sprintf("%q", safetext.CleanN(s, 80)) }
