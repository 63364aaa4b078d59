package rules

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"probity/evidence"
	"probity/internal/strictyaml"
	"probity/lint"
)

// Profile says how outcomes are gated. Severities are the same in every profile.
type Profile string

// The profiles.
const (
	// Hospital takes verdicts as the catalogue lists them. It is the default.
	Hospital Profile = "hospital"
	// Premarket raises a warn to a fail for the rules that the catalogue marks as
	// strict: FDA's premarket guidance (Appendix 1, section C) asks new devices
	// not to implement deprecated algorithms.
	Premarket Profile = "premarket"
	// Legacy takes verdicts as listed; each fail needs a recorded waiver and stays
	// visible.
	Legacy Profile = "legacy"
)

// ParseProfile reads the text form; empty text is [Hospital].
func ParseProfile(s string) (Profile, error) {
	switch p := Profile(s); p {
	case "":
		return Hospital, nil
	case Hospital, Premarket, Legacy:
		return p, nil
	}
	return "", fmt.Errorf("profile %q: want hospital, premarket or legacy", s)
}

// Policy is what a site or manufacturer declares. The zero value declares
// nothing and takes verdicts as the catalogue lists them.
type Policy struct {
	File    string // name of the policy file; empty when there is none
	Profile Profile
	Site    lint.Policy
	Rules   map[string]Setting // by rule id in upper case
	// Classes are the kinds of devices by address, prefix or name, as the site
	// declares them; for scans, not for verdicts.
	Classes []Class
	// Digest is the SHA-256 over the policy file and the files that it names, in
	// order, each as its own SHA-256, and over the intermediates, likewise; zero when
	// there is no policy.
	Digest evidence.Digest
}

// Class says of what kind the devices at a place are.
type Class struct {
	Place string // an address, a prefix or a name
	Class string // such as "infusion pump"
}

// Setting is what a policy sets for one rule.
type Setting struct {
	Params map[string]any
	Strict *bool // raise a warn to a fail; nil: as the profile says
	at     strictyaml.Pos
}

// The shape of a policy file.
type (
	policyYAML struct {
		Version             strictyaml.Value[int]                       `yaml:"version"`
		Profile             strictyaml.Value[string]                    `yaml:"profile"`
		Anchors             []strictyaml.Value[string]                  `yaml:"anchors"`
		Intermediates       []strictyaml.Value[string]                  `yaml:"intermediates"`
		Issuers             []string                                    `yaml:"issuers"`
		ManufacturerIssuers []string                                    `yaml:"manufacturer_issuers"`
		PolicyOIDs          []strictyaml.Value[string]                  `yaml:"policy_oids"`
		KeyLists            []strictyaml.Value[string]                  `yaml:"key_lists"`
		SharedIdentity      []strictyaml.Value[sharedYAML]              `yaml:"shared_identity"`
		Names               map[string]strictyaml.Value[[]string]       `yaml:"names"`
		EndOfLife           map[string]strictyaml.Value[string]         `yaml:"end_of_life"`
		Revocation          string                                      `yaml:"revocation"`
		Ports               map[string]strictyaml.Value[string]         `yaml:"ports"`
		Classes             map[string]strictyaml.Value[string]         `yaml:"classes"`
		Rules               map[string]strictyaml.Value[map[string]any] `yaml:"rules"`
	}
	sharedYAML struct {
		Name      string                     `yaml:"name"`
		Reason    string                     `yaml:"reason"`
		Addresses []strictyaml.Value[string] `yaml:"addresses"`
	}
)

// Files is how a policy reaches the files that it names.
type Files struct {
	// Read returns a file.
	Read func(name string) ([]byte, error)
	// Certificates returns the certificates of a file, or of all files of a folder
	// or an archive.
	Certificates func(name string) ([]lint.Intermediate, error)
}

// ParsePolicy reads a policy file. name stands for it in errors, which give line
// and column; what it names is read from files, relative to the folder of name.
// Rule settings are checked later by [Policy.Validate], because only the
// catalogue knows them.
func ParsePolicy(name string, data []byte, files Files) (Policy, error) {
	var y policyYAML
	if err := strictyaml.Decode(name, data, &y); err != nil {
		return Policy{}, fmt.Errorf("policy: %w", err)
	}
	r := policyReader{file: name, files: files}
	digests := []evidence.Digest{evidence.DigestOf(data)}
	if y.Version.V != 1 {
		r.failf(y.Version.Pos, "version %d: this program reads version 1", y.Version.V)
	}
	profile, err := ParseProfile(y.Profile.V)
	if err != nil {
		r.failf(y.Profile.Pos, "%v", err)
	}
	p := Policy{File: name, Profile: profile, Rules: r.settings(y.Rules), Classes: r.classes(y.Classes)}
	p.Site = lint.Policy{
		Issuers: y.Issuers, ManufacturerIssuers: y.ManufacturerIssuers, PolicyOIDs: r.oids(y.PolicyOIDs),
		SharedIdentity: r.shared(y.SharedIdentity), Names: r.names(y.Names),
		EndOfLife: r.endOfLife(y.EndOfLife), Revocation: strings.TrimSpace(y.Revocation), Ports: r.ports(y.Ports),
	}
	for _, a := range y.Anchors {
		certs, digest := r.anchors(a)
		p.Site.Anchors = append(p.Site.Anchors, certs...)
		digests = append(digests, digest)
	}
	for _, i := range y.Intermediates {
		certs, digest := r.intermediates(i)
		p.Site.Intermediates = append(p.Site.Intermediates, certs...)
		digests = append(digests, digest)
	}
	for _, l := range y.KeyLists {
		list, digest := r.keyList(l)
		p.Site.KeyLists = append(p.Site.KeyLists, list)
		digests = append(digests, digest)
	}
	if err := errors.Join(r.errs...); err != nil {
		return Policy{}, fmt.Errorf("policy: %w", err)
	}
	var all []byte
	for _, d := range digests {
		all = append(all, d[:]...)
	}
	p.Digest = evidence.DigestOf(all)
	return p, nil
}

// policyReader checks the values of a policy and collects what is wrong.
type policyReader struct {
	file  string
	files Files
	errs  []error
}

func (r *policyReader) failf(at strictyaml.Pos, format string, args ...any) {
	r.errs = append(r.errs, strictyaml.Errorf(r.file, at, format, args...))
}

func (r *policyReader) addr(at strictyaml.Pos, s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		r.failf(at, "address %q: want an IPv4 or IPv6 address", s)
	}
	return a.Unmap()
}

// path is that of a file which the policy names, relative to its own folder.
func (r *policyReader) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(r.file), name)
}

// keyList reads a list of keys whose private half others know.
func (r *policyReader) keyList(file strictyaml.Value[string]) (*lint.KeyList, evidence.Digest) {
	data, err := r.files.Read(r.path(file.V))
	if err != nil {
		r.failf(file.Pos, "key list %q: %v", file.V, err)
		return nil, evidence.Digest{}
	}
	l, err := lint.ParseKeyList(filepath.Base(file.V), data)
	if err != nil {
		r.failf(file.Pos, "key list %q: %v", file.V, err)
	}
	return l, evidence.DigestOf(data)
}

// anchors reads the certificates of one file: PEM blocks, or one DER value.
func (r *policyReader) anchors(file strictyaml.Value[string]) ([][]byte, evidence.Digest) {
	data, err := r.files.Read(r.path(file.V))
	if err != nil {
		r.failf(file.Pos, "anchor %q: %v", file.V, err)
		return nil, evidence.Digest{}
	}
	var certs [][]byte
	if bytes.Contains(data, []byte("-----BEGIN ")) {
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "CERTIFICATE" {
				certs = append(certs, block.Bytes)
			}
		}
	} else {
		certs = [][]byte{data}
	}
	if len(certs) == 0 {
		r.failf(file.Pos, "anchor %q: no CERTIFICATE block in the PEM file", file.V)
	}
	for _, der := range certs {
		if !isCertificate(der) {
			r.failf(file.Pos, "anchor %q: not a certificate in PEM or DER", file.V)
			break
		}
	}
	return certs, evidence.DigestOf(data)
}

// intermediates reads the certificates of a file or a folder. The digest is over
// theirs.
func (r *policyReader) intermediates(file strictyaml.Value[string]) ([]lint.Intermediate, evidence.Digest) {
	certs, err := r.files.Certificates(r.path(file.V))
	switch {
	case err != nil:
		r.failf(file.Pos, "intermediates %q: %v", file.V, err)
	case len(certs) == 0:
		r.failf(file.Pos, "intermediates %q: no certificate is there", file.V)
	}
	var all []byte
	for _, c := range certs {
		d := evidence.DigestOf(c.DER)
		all = append(all, d[:]...)
	}
	return certs, evidence.DigestOf(all)
}

// isCertificate checks the outer structure only (RFC 5280 section 4.1): anchors
// of old devices break rules that a full parser enforces.
func isCertificate(der []byte) bool {
	var outer struct {
		TBS       asn1.RawValue
		Algorithm asn1.RawValue
		Signature asn1.BitString
	}
	rest, err := asn1.Unmarshal(der, &outer)
	return err == nil && len(rest) == 0
}

func (r *policyReader) oids(list []strictyaml.Value[string]) []string {
	out := make([]string, 0, len(list))
	for _, v := range list {
		arcs := strings.Split(v.V, ".")
		bad := slices.ContainsFunc(arcs, func(a string) bool { _, err := strconv.ParseUint(a, 10, 64); return err != nil })
		if bad || len(arcs) < 2 {
			r.failf(v.Pos, "policy identifier %q: want numbers with dots, such as 1.3.6.1.4.1.99999.1", v.V)
		}
		out = append(out, v.V)
	}
	return out
}

func (r *policyReader) shared(list []strictyaml.Value[sharedYAML]) []lint.SharedIdentity {
	var out []lint.SharedIdentity
	for _, v := range list {
		s := lint.SharedIdentity{Name: v.V.Name, Reason: v.V.Reason}
		if s.Name == "" || s.Reason == "" || len(v.V.Addresses) < 2 {
			r.failf(v.Pos, "shared_identity %q: want a name, a reason and at least two addresses", s.Name)
		}
		for _, a := range v.V.Addresses {
			s.Addresses = append(s.Addresses, r.addr(a.Pos, a.V))
		}
		out = append(out, s)
	}
	return out
}

func (r *policyReader) names(m map[string]strictyaml.Value[[]string]) map[netip.Addr][]string {
	out := make(map[netip.Addr][]string, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out[r.addr(m[k].Pos, k)] = m[k].V
	}
	return out
}

func (r *policyReader) endOfLife(m map[string]strictyaml.Value[string]) map[netip.Addr]time.Time {
	out := make(map[netip.Addr]time.Time, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		day, err := time.Parse(time.DateOnly, m[k].V)
		if err != nil {
			r.failf(m[k].Pos, "end of life %q: want a day as 2031-12-31", m[k].V)
		}
		out[r.addr(m[k].Pos, k)] = day
	}
	return out
}

// classes reads the declared kinds of devices. Names are told from mistyped
// addresses by a letter.
func (r *policyReader) classes(m map[string]strictyaml.Value[string]) []Class {
	var out []Class
	for _, k := range slices.Sorted(maps.Keys(m)) {
		_, addrErr := netip.ParseAddr(k)
		prefix, prefixErr := netip.ParsePrefix(k)
		isName := strings.ContainsFunc(k, unicode.IsLetter) && !strings.ContainsAny(k, "/: ")
		switch {
		case strings.TrimSpace(m[k].V) == "":
			r.failf(m[k].Pos, "class of %q is empty: want one such as \"infusion pump\"", k)
		case prefixErr == nil && prefix != prefix.Masked():
			r.failf(m[k].Pos, "class of %q: host bits are set; did you mean %s", k, prefix.Masked())
		case addrErr != nil && prefixErr != nil && !isName:
			r.failf(m[k].Pos, "class of %q: want an address, a prefix or a name", k)
		}
		out = append(out, Class{Place: k, Class: strings.TrimSpace(m[k].V)})
	}
	return out
}

func (r *policyReader) ports(m map[string]strictyaml.Value[string]) map[uint16]string {
	services := []string{"dicom", "dicom-tls", "hl7", "hl7-tls", "sdc", "web"}
	out := make(map[uint16]string, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		port, err := strconv.ParseUint(k, 10, 16)
		if err != nil || port == 0 {
			r.failf(m[k].Pos, "port %q: want a number from 1 to 65535", k)
		}
		if !slices.Contains(services, m[k].V) {
			r.failf(m[k].Pos, "service %q: want one of %s", m[k].V, strings.Join(services, ", "))
		}
		out[uint16(port)] = m[k].V
	}
	return out
}

// settings splits the parameters of each rule into those of the check and
// "strict", which belongs to the gate.
func (r *policyReader) settings(m map[string]strictyaml.Value[map[string]any]) map[string]Setting {
	out := make(map[string]Setting, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		id := strings.ToUpper(k)
		if _, twice := out[id]; twice {
			r.failf(m[k].Pos, "rule %s is set twice", id)
		}
		s := Setting{Params: map[string]any{}, at: m[k].Pos}
		for _, name := range slices.Sorted(maps.Keys(m[k].V)) {
			v := m[k].V[name]
			if name != "strict" {
				s.Params[name] = v
				continue
			}
			strict, ok := v.(bool)
			if !ok {
				r.failf(m[k].Pos, "%s: strict is %v: want true or false", id, v)
			}
			s.Strict = &strict
		}
		out[id] = s
	}
	return out
}
