package batch

import (
	"crypto/x509/pkix"
	stdasn1 "encoding/asn1"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/zmap/zcrypto/x509"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/lint"
)

// Deviation is one difference between a certificate and the profile.
type Deviation struct {
	// Field is the part of the certificate, such as "subject.O".
	Field string
	// Outcome is Fail where something that the profile asks for is missing or
	// different, and Warn where the certificate has more than the profile lists.
	Outcome evidence.Outcome
	// Detail says what was found and what the profile wants.
	Detail string
}

// deviations collects what is wrong with one certificate.
type deviations []Deviation

func (d *deviations) fail(field, format string, args ...any) {
	*d = append(*d, Deviation{Field: field, Outcome: evidence.Fail, Detail: fmt.Sprintf(format, args...)})
}

func (d *deviations) warn(field, format string, args ...any) {
	*d = append(*d, Deviation{Field: field, Outcome: evidence.Warn, Detail: fmt.Sprintf(format, args...)})
}

// Check returns how a certificate differs from the profile, in the order of the
// fields of a certificate; nothing means that it follows the profile. One that
// cannot be decoded differs.
func (p *Profile) Check(c *lint.Certificate) []Deviation {
	var d deviations
	if !c.Decoded() {
		d.fail("certificate", "It cannot be decoded: %s.", safetext.CleanN(fmt.Sprint(c.ParseError), 200))
		return d
	}
	p.checkSignature(c, &d)
	p.checkValidity(c.X509(), &d)
	p.checkSubject(c.X509(), &d)
	p.checkKey(c.Key, &d)
	p.checkUsage(c.X509(), &d)
	p.checkNames(c.X509(), &d)
	p.checkExtensions(c.X509(), &d)
	return d
}

func (p *Profile) checkSignature(c *lint.Certificate, d *deviations) {
	if s := c.X509().SignatureAlgorithm.String(); p.signatures != nil && !slices.Contains(p.signatures, s) {
		d.fail("signature", "It is %s; the profile wants %s.", quoted(s), strings.Join(p.signatures, " or "))
	}
	issuer := c.Issuer()
	if p.issuers != nil && !slices.ContainsFunc(p.issuers, func(s string) bool { return lint.SameName(s, issuer) }) {
		d.fail("issuer", "It is %s; the profile wants %s.", quoted(issuer), strings.Join(p.issuers, " or "))
	}
}

func (p *Profile) checkValidity(x *x509.Certificate, d *deviations) {
	indefinite := lint.Indefinite(x.NotAfter)
	if p.indefinite != nil && indefinite != *p.indefinite {
		if indefinite {
			d.fail("validity", "It has no well-defined end; the profile wants one.")
		} else {
			d.fail("validity", "It ends on %s; the profile wants no well-defined end (99991231235959Z).", x.NotAfter.UTC().Format(time.DateOnly))
		}
	}
	days := int(x.NotAfter.Sub(x.NotBefore)/(24*time.Hour)) + 1
	switch {
	case indefinite:
	case p.minDays > 0 && days < p.minDays:
		d.fail("validity", "It is valid for %d days; the profile wants at least %d.", days, p.minDays)
	case p.maxDays > 0 && days > p.maxDays:
		d.fail("validity", "It is valid for %d days; the profile wants at most %d.", days, p.maxDays)
	}
}

func (p *Profile) checkSubject(x *x509.Certificate, d *deviations) {
	seen := make(map[string][]string)
	for _, a := range subjectAttributes(x) {
		seen[a.name] = append(seen[a.name], a.value)
	}
	for _, name := range sortedKeys(p.subject) {
		p.match("subject."+name, p.subject[name], seen[name], d)
	}
	for _, name := range sortedKeys(seen) {
		if p.subject[name] == nil && !slices.Contains(p.optional, name) {
			d.warn("subject."+name, "The profile does not list it; it is %s.", quoted(strings.Join(seen[name], ", ")))
		}
	}
}

// match asks for one value that the pattern matches whole.
func (p *Profile) match(field string, re *regexp.Regexp, values []string, d *deviations) {
	pattern := strings.TrimSuffix(strings.TrimPrefix(re.String(), "^(?:"), ")$")
	switch {
	case len(values) == 0:
		d.fail(field, "It is missing; the profile wants %s.", quoted(pattern))
	case len(values) > 1:
		d.fail(field, "There are %d of them; the profile wants one.", len(values))
	case !re.MatchString(values[0]):
		d.fail(field, "It is %s; the profile wants %s.", quoted(values[0]), quoted(pattern))
	}
}

func (p *Profile) checkKey(k *lint.Key, d *deviations) {
	if p.keys == nil {
		return
	}
	if k == nil {
		d.fail("key", "It cannot be read.")
		return
	}
	var want []string
	for _, w := range p.keys {
		if k.Algorithm == w.algorithm && (w.curve == "" || k.Curve == w.curve) && k.Bits >= w.bits {
			return
		}
		text := string(w.algorithm)
		if w.curve != "" {
			text += " " + w.curve
		}
		if w.bits > 0 {
			text += fmt.Sprintf(" of %d bits or more", w.bits)
		}
		want = append(want, text)
	}
	got := string(k.Algorithm)
	if k.Curve != "" {
		got += " " + k.Curve
	}
	d.fail("key", "It is %s of %d bits; the profile wants %s.", got, k.Bits, strings.Join(want, " or "))
}

func (p *Profile) checkUsage(x *x509.Certificate, d *deviations) {
	if ca := x.BasicConstraintsValid && x.IsCA; ca != p.ca {
		d.fail("basicConstraints", "cA is %v; the profile wants %v.", ca, p.ca)
	}
	if p.keyUsage != nil {
		p.sameSet("keyUsage", usages(x.KeyUsage), p.keyUsage, d)
	}
	if p.purposes != nil {
		var got, want []string
		for _, o := range extendedUsages(x) {
			got = append(got, purposeName(o))
		}
		for _, o := range p.purposes {
			want = append(want, purposeName(o))
		}
		p.sameSet("extKeyUsage", got, want, d)
	}
	var policies []string
	for _, o := range x.PolicyIdentifiers {
		policies = append(policies, o.String())
	}
	for _, o := range p.policies {
		if !slices.Contains(policies, o) {
			d.fail("certificatePolicies", "The policy %s is missing.", o)
		}
	}
}

func (p *Profile) sameSet(field string, got, want []string, d *deviations) {
	a, b := slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(a, b) {
		d.fail(field, "It is %s; the profile wants %s.", list(got), list(want))
	}
}

func list(s []string) string {
	if len(s) == 0 {
		return "empty"
	}
	return strings.Join(s, ", ")
}

func (p *Profile) checkNames(x *x509.Certificate, d *deviations) {
	seen := alternativeNames(x)
	for _, kind := range p.san.required {
		p.match("subjectAltName."+kind, p.san.patterns[kind], seen[kind], d)
	}
	for _, kind := range sortedKeys(seen) {
		if !p.san.has(kind) {
			d.warn("subjectAltName."+kind, "The profile does not list it; it is %s.", quoted(strings.Join(seen[kind], ", ")))
		}
	}
}

func (p *Profile) checkExtensions(x *x509.Certificate, d *deviations) {
	if p.extensions == nil {
		return
	}
	seen := make(map[string]bool)
	for _, e := range x.Extensions {
		oid := e.Id.String()
		if seen[oid] {
			d.fail("extensions", "%s stands twice.", extensionName(oid))
		}
		seen[oid] = true
		if !p.extensions.has(oid) {
			d.warn("extensions", "The profile does not list %s.", extensionName(oid))
		}
	}
	for _, oid := range p.extensions.required {
		if !seen[oid] {
			d.fail("extensions", "%s is missing.", extensionName(oid))
		}
	}
}

// identifierOf returns what names the device, from where the profile says it stands.
func (p *Profile) identifierOf(x *x509.Certificate) string {
	switch p.identifier {
	case "serialNumber", "CN":
		for _, a := range subjectAttributes(x) {
			if a.name == p.identifier {
				return a.value
			}
		}
		return ""
	}
	if names := alternativeNames(x)[p.identifier]; len(names) > 0 {
		return names[0]
	}
	return ""
}

type attribute struct{ name, value string }

// subjectAttributes are the attributes of the subject, in their order.
func subjectAttributes(x *x509.Certificate) []attribute {
	var rdn pkix.RDNSequence
	if rest, err := stdasn1.Unmarshal(x.RawSubject, &rdn); err != nil || len(rest) != 0 {
		return nil
	}
	var out []attribute
	for _, set := range rdn {
		for _, a := range set {
			out = append(out, attribute{name: attributeName(a.Type), value: fmt.Sprint(a.Value)})
		}
	}
	return out
}

// hardwareModuleName is id-on-hardwareModuleName, RFC 4108 section 5.
const hardwareModuleName = "1.3.6.1.5.5.7.8.4"

// alternativeNames are the alternative names by kind, in their order. Values
// without text are in hexadecimal.
func alternativeNames(x *x509.Certificate) map[string][]string {
	out := make(map[string][]string)
	add := func(kind string, values ...string) {
		if len(values) > 0 {
			out[kind] = append(out[kind], values...)
		}
	}
	add("dns", x.DNSNames...)
	add("email", x.EmailAddresses...)
	add("uri", x.URIs...)
	for _, ip := range x.IPAddresses {
		add("ip", ip.String())
	}
	for range x.DirectoryNames {
		add("directory", "")
	}
	for _, o := range x.OtherNames {
		kind := "otherName"
		if o.TypeID.String() == hardwareModuleName {
			kind = "hardwareModuleName"
		}
		add(kind, hex.EncodeToString(o.Value.Bytes))
	}
	return out
}

func usages(u x509.KeyUsage) []string {
	var out []string
	for i, name := range keyUsages() {
		if u&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}

// extendedUsages are the purposes as dotted identifiers.
func extendedUsages(x *x509.Certificate) []string {
	e, ok := x.ExtensionsMap[extensions()["extKeyUsage"]]
	if !ok {
		return nil
	}
	var oids []stdasn1.ObjectIdentifier
	if rest, err := stdasn1.Unmarshal(e.Value, &oids); err != nil || len(rest) != 0 {
		return nil
	}
	var out []string
	for _, o := range oids {
		out = append(out, o.String())
	}
	return out
}
