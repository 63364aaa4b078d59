package rules

import (
	"encoding/pem"
	"errors"
	"iter"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/lint"
	"probity/rules/catalogue"
)

func mustLoad(t *testing.T) *catalogue.Catalogue {
	t.Helper()
	cat, err := catalogue.Load()
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

// stubs returns one check for every rule with a lint; each answers
// not-applicable for the fleet, except those given in answers.
func stubs(cat *catalogue.Catalogue, answers map[string][]lint.GroupVerdict) []lint.Check {
	var checks []lint.Check
	for _, r := range cat.Rules() {
		if r.Lint == "" {
			continue
		}
		verdicts, ok := answers[r.Lint]
		if !ok {
			verdicts = []lint.GroupVerdict{{Verdict: lint.NotApplicablef("stub")}}
		}
		c := lint.Check{Name: r.Lint, Fleet: func(env *lint.Env, _ *lint.Corpus) []lint.GroupVerdict {
			if days := env.Int("warn_days"); days != 0 && days != 60 {
				return []lint.GroupVerdict{{Verdict: lint.Warnf("warn_days is %d", days)}}
			}
			return verdicts
		}}
		for name, v := range r.Params {
			c.Params = append(c.Params, lint.Param{Name: name, Default: v})
		}
		checks = append(checks, c)
	}
	return checks
}

func group(value string) evidence.Duplicate {
	return evidence.Duplicate{Kind: evidence.DuplicateKey, Value: value, Confidence: 90}
}

var sameAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

var at = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// collect takes findings up to an error.
func collect(all iter.Seq2[evidence.Finding, error]) (fs []evidence.Finding, err error) {
	for f, err := range all {
		if err != nil {
			return nil, err
		}
		fs = append(fs, f)
	}
	return fs, nil
}

func assess(t *testing.T, p Policy, answers map[string][]lint.GroupVerdict) []evidence.Finding {
	t.Helper()
	cat := mustLoad(t)
	got, err := collect(Assess(cat, stubs(cat, answers), lint.NewCorpus(nil, nil), p, at))
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(got, func(f evidence.Finding) bool { return f.Outcome == evidence.NotApplicable })
}

func TestAssess(t *testing.T) {
	b, a := group("bb"), group("aa")
	got := assess(t, Policy{}, map[string][]lint.GroupVerdict{
		"fleet/unique_key": {
			{Verdict: lint.Verdict{Outcome: evidence.Fail, Detail: "Two.", Observations: []int64{3, 1}}, Group: b},
			{Verdict: lint.Verdict{Outcome: evidence.Warn, Detail: "One.", Observations: []int64{7}}, Group: a},
			{Verdict: lint.Verdict{Outcome: evidence.Fail, Detail: "One, proved.", Observations: []int64{5}}, Group: a},
		},
	})
	want := []evidence.Finding{
		{
			Rule: "MD-DUP-002", Severity: evidence.Critical, Outcome: evidence.Fail, Subject: evidence.Subject{Group: &a},
			Title: "No two devices share a public key under different certificates", Detail: "One, proved.", Observations: []int64{5, 7},
		},
		{
			Rule: "MD-DUP-002", Severity: evidence.Critical, Outcome: evidence.Fail, Subject: evidence.Subject{Group: &b},
			Title: "No two devices share a public key under different certificates", Detail: "Two.", Observations: []int64{1, 3},
		},
	}
	for i := range want {
		want[i].Key = evidence.FindingKey(want[i].Rule, want[i].Subject)
	}
	if diff := cmp.Diff(want, got, sameAddr); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func TestAssess_profiles(t *testing.T) {
	warn := map[string][]lint.GroupVerdict{}
	strict, plain := "endpoint/no_static_rsa", "endpoint/tls13_supported"
	for _, name := range []string{strict, plain} {
		warn[name] = []lint.GroupVerdict{{Verdict: lint.Warnf("Seen.")}}
	}
	off := false
	on := true
	for _, tt := range []struct {
		name   string
		policy Policy
		want   map[string]evidence.Outcome
	}{
		{"hospital", Policy{Profile: Hospital}, map[string]evidence.Outcome{"MD-TLS-010": evidence.Warn, "MD-TLS-004": evidence.Warn}},
		{"legacy", Policy{Profile: Legacy}, map[string]evidence.Outcome{"MD-TLS-010": evidence.Warn, "MD-TLS-004": evidence.Warn}},
		{"premarket", Policy{Profile: Premarket}, map[string]evidence.Outcome{"MD-TLS-010": evidence.Fail, "MD-TLS-004": evidence.Warn}},
		{
			"premarket_off",
			Policy{Profile: Premarket, Rules: map[string]Setting{"MD-TLS-010": {Strict: &off}}},
			map[string]evidence.Outcome{"MD-TLS-010": evidence.Warn, "MD-TLS-004": evidence.Warn},
		},
		{
			"hospital_on",
			Policy{Rules: map[string]Setting{"MD-TLS-010": {Strict: &on}}},
			map[string]evidence.Outcome{"MD-TLS-010": evidence.Fail, "MD-TLS-004": evidence.Warn},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := map[string]evidence.Outcome{}
			for _, f := range assess(t, tt.policy, warn) {
				got[f.Rule] = f.Outcome
				if f.Rule == "MD-TLS-010" && f.Severity != evidence.Medium {
					t.Errorf("severity %s changed with the profile", f.Severity)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("outcomes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAssess_params(t *testing.T) {
	p, err := ParsePolicy("p.yaml", []byte("version: 1\nrules:\n  md-cert-004: {warn_days: 90}\n"), Files{})
	if err != nil {
		t.Fatal(err)
	}
	got := assess(t, p, nil)
	if len(got) != 1 || got[0].Rule != "MD-CERT-004" || got[0].Detail != "warn_days is 90" {
		t.Errorf("got %+v", got)
	}
}

func TestCheck_bothDirections(t *testing.T) {
	cat := mustLoad(t)
	checks := stubs(cat, nil)
	if err := Check(cat, checks); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(checks, func(c lint.Check) bool { return c.Name == "cert/not_expired" })
	for _, tt := range []struct {
		name   string
		checks []lint.Check
		want   string
	}{
		{"missing", slices.Delete(slices.Clone(checks), i, i+1), `rule MD-CERT-002: no check "cert/not_expired"`},
		{"unused", append(slices.Clone(checks), lint.Check{Name: "cert/new"}), `check cert/new: no rule names it`},
		{"twice", append(slices.Clone(checks), checks[i]), `check cert/not_expired is listed twice`},
		{"undeclared", slices.Concat(checks[:i], []lint.Check{{Name: "cert/not_expired"}}, checks[i+1:]), `rule MD-CERT-002: check cert/not_expired has no parameter "clock_skew_s"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := Check(cat, tt.checks)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// outerCertificate is the smallest DER that has the outer form of a certificate.
var outerCertificate = []byte{0x30, 0x09, 0x30, 0x00, 0x30, 0x00, 0x03, 0x03, 0x00, 0x01, 0x02}

func readFrom(files map[string][]byte) Files {
	read := func(name string) ([]byte, error) {
		if data, ok := files[name]; ok {
			return data, nil
		}
		return nil, os.ErrNotExist
	}
	certificates := func(name string) ([]lint.Intermediate, error) {
		if name == "empty" {
			return nil, nil
		}
		data, err := read(name)
		return []lint.Intermediate{{File: name, DER: data}}, err
	}
	return Files{read, certificates}
}

const goodPolicy = `version: 1
profile: premarket
anchors: [anchors.pem, root.der]
intermediates: [aia]
issuers: ["CN=Site Issuing CA,O=Hospital"]
manufacturer_issuers: ["CN=Maker CA"]
policy_oids: [1.3.6.1.4.1.99999.1]
shared_identity:
  - name: pacs
    reason: HA pair behind one name
    addresses: [192.0.2.10, "2001:db8::10"]
names:
  192.0.2.10: [pacs.example.org]
end_of_life:
  192.0.2.11: 2031-12-31
ports:
  11112: dicom-tls
classes:
  192.0.2.32/28: infusion pump
  ward-7.example.org: workstation
rules:
  MD-CERT-004: {warn_days: 90}
  MD-TLS-010: {strict: false}
`

// TestParsePolicy_documented reads the policy of the manual.
func TestParsePolicy_documented(t *testing.T) {
	page, err := os.ReadFile("../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "```yaml\n")
	text, _, _ = strings.Cut(text, "```")
	p, err := ParsePolicy("docs/site.yaml", []byte(text), readFrom(map[string][]byte{
		"docs/device-ca.pem":      pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: outerCertificate}),
		"docs/oem-ca.der":         outerCertificate,
		"docs/aia":                outerCertificate,
		"docs/blacklist.RSA-2048": []byte("00112233445566778899\n"),
	}))
	if err != nil {
		t.Fatal(err)
	}
	cat := mustLoad(t)
	if err := p.Validate(cat, stubs(cat, nil)); err != nil {
		t.Error(err)
	}
	var shape policyYAML
	for _, field := range reflect.VisibleFields(reflect.TypeOf(shape)) {
		if key := field.Tag.Get("yaml"); !strings.Contains("\n"+text, "\n"+key+":") {
			t.Errorf("the manual does not show %q", key)
		}
	}
}

func TestParsePolicy(t *testing.T) {
	files := map[string][]byte{
		"site/anchors.pem": slices.Concat(
			pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: outerCertificate}),
			pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: outerCertificate})),
		"site/root.der": outerCertificate,
		"site/aia":      []byte("an intermediate"),
	}
	p, err := ParsePolicy("site/policy.yaml", []byte(goodPolicy), readFrom(files))
	if err != nil {
		t.Fatal(err)
	}
	pacs := netip.MustParseAddr("192.0.2.10")
	want := lint.Policy{
		Anchors:       [][]byte{outerCertificate, outerCertificate, outerCertificate},
		Intermediates: []lint.Intermediate{{File: "site/aia", DER: files["site/aia"]}},
		Issuers:       []string{"CN=Site Issuing CA,O=Hospital"}, ManufacturerIssuers: []string{"CN=Maker CA"},
		PolicyOIDs: []string{"1.3.6.1.4.1.99999.1"},
		SharedIdentity: []lint.SharedIdentity{{
			Name: "pacs", Reason: "HA pair behind one name",
			Addresses: []netip.Addr{pacs, netip.MustParseAddr("2001:db8::10")},
		}},
		Names:     map[netip.Addr][]string{pacs: {"pacs.example.org"}},
		EndOfLife: map[netip.Addr]time.Time{netip.MustParseAddr("192.0.2.11"): time.Date(2031, 12, 31, 0, 0, 0, 0, time.UTC)},
		Ports:     map[uint16]string{11112: "dicom-tls"},
	}
	if diff := cmp.Diff(want, p.Site, sameAddr); diff != "" {
		t.Errorf("site (-want +got):\n%s", diff)
	}
	if p.Profile != Premarket || p.Rules["MD-TLS-010"].Strict == nil || *p.Rules["MD-TLS-010"].Strict {
		t.Errorf("profile %q, rules %+v", p.Profile, p.Rules)
	}
	if diff := cmp.Diff([]Class{{"192.0.2.32/28", "infusion pump"}, {"ward-7.example.org", "workstation"}}, p.Classes); diff != "" {
		t.Errorf("classes (-want +got):\n%s", diff)
	}
	cat := mustLoad(t)
	if err := p.Validate(cat, stubs(cat, nil)); err != nil {
		t.Error(err)
	}
	files["site/root.der"] = append(slices.Clone(outerCertificate[:len(outerCertificate)-1]), 0x04)
	other, err := ParsePolicy("site/policy.yaml", []byte(goodPolicy), readFrom(files))
	if err != nil || other.Digest == p.Digest || p.Digest.IsZero() {
		t.Errorf("the digest %s does not cover the anchors (%v)", p.Digest, err)
	}
}

func TestParsePolicy_errors(t *testing.T) {
	files := map[string][]byte{"text.pem": []byte("hello"), "key.pem": []byte("-----BEGIN KEY-----\nAA==\n-----END KEY-----\n")}
	for _, tt := range []struct{ name, in, want string }{
		{"unknown_key", "version: 1\nanchor: [x]\n", `p.yaml:2:1: unknown key "anchor": did you mean "anchors"?`},
		{"no_intermediates", "version: 1\nintermediates: [missing]\n", `p.yaml:2:17: intermediates "missing": file does not exist`},
		{"empty_intermediates", "version: 1\nintermediates: [empty]\n", `p.yaml:2:17: intermediates "empty": no certificate is there`},
		{"version", "version: 2\n", `p.yaml:1:10: version 2: this program reads version 1`},
		{"no_version", "profile: hospital\n", `version 0: this program reads version 1`},
		{"profile", "version: 1\nprofile: clinic\n", `p.yaml:2:10: profile "clinic": want hospital, premarket or legacy`},
		{"anchor_missing", "version: 1\nanchors: [none.pem]\n", `p.yaml:2:11: anchor "none.pem": file does not exist`},
		{"anchor_text", "version: 1\nanchors: [text.pem]\n", `p.yaml:2:11: anchor "text.pem": not a certificate in PEM or DER`},
		{"anchor_key", "version: 1\nanchors: [key.pem]\n", `anchor "key.pem": no CERTIFICATE block in the PEM file`},
		{"key_list_missing", "version: 1\nkey_lists: [none]\n", `p.yaml:2:13: key list "none": file does not exist`},
		{"key_list_text", "version: 1\nkey_lists: [text.pem]\n", `p.yaml:2:13: key list "text.pem": line 1: want 20 hexadecimal digits`},
		{"oid", "version: 1\npolicy_oids: [abc]\n", `p.yaml:2:15: policy identifier "abc": want numbers with dots`},
		{"shared", "version: 1\nshared_identity:\n  - {name: a, addresses: [192.0.2.1, 192.0.2.2]}\n", `shared_identity "a": want a name, a reason and at least two addresses`},
		{"shared_address", "version: 1\nshared_identity:\n  - {name: a, reason: b, addresses: [192.0.2.1, host]}\n", `p.yaml:3:49: address "host": want an IPv4 or IPv6 address`},
		{"name_address", "version: 1\nnames:\n  pacs: [pacs.example.org]\n", `address "pacs": want an IPv4 or IPv6 address`},
		{"class_place", "version: 1\nclasses:\n  192.0.2.300: pump\n", `p.yaml:3:16: class of "192.0.2.300": want an address, a prefix or a name`},
		{"class_bits", "version: 1\nclasses:\n  192.0.2.1/28: pump\n", `p.yaml:3:17: class of "192.0.2.1/28": host bits are set; did you mean 192.0.2.0/28`},
		{"day", "version: 1\nend_of_life:\n  192.0.2.1: someday\n", `p.yaml:3:14: end of life "someday": want a day as 2031-12-31`},
		{"port", "version: 1\nports:\n  70000: web\n", `p.yaml:3:10: port "70000": want a number from 1 to 65535`},
		{"service", "version: 1\nports:\n  443: www\n", `p.yaml:3:8: service "www": want one of dicom, dicom-tls, hl7, hl7-tls, sdc, web`},
		{"strict", "version: 1\nrules:\n  MD-TLS-010: {strict: 1}\n", `MD-TLS-010: strict is 1: want true or false`},
		{"twice", "version: 1\nrules:\n  MD-TLS-010: {strict: true}\n  md-tls-010: {strict: true}\n", `rule MD-TLS-010 is set twice`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParsePolicy("p.yaml", []byte(tt.in), readFrom(files))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestPolicy_Validate_errors(t *testing.T) {
	cat := mustLoad(t)
	for _, tt := range []struct{ name, in, want string }{
		{"rule", "  MD-CRT-004: {warn_days: 9}\n", `p.yaml:3:15: no rule "MD-CRT-004": did you mean MD-CERT-004?`},
		{"planned", "  MD-CERT-004: {warn_days: 9}\n  MD-FW-001: {x: 1}\n", `p.yaml:4:14: MD-FW-001: no check decides this rule yet, so it takes no parameters`},
		{"parameter", "  MD-CERT-004: {days: 9}\n", `MD-CERT-004: check cert/outside_renewal_window has no parameter "days"`},
		{"type", "  MD-CERT-004: {warn_days: soon}\n", `parameter "warn_days": got soon, want a whole number`},
		{"strict", "  MD-CERT-004: {strict: true}\n", `MD-CERT-004: this rule cannot be strict`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := ParsePolicy("p.yaml", []byte("version: 1\nrules:\n"+tt.in), Files{})
			if err != nil {
				t.Fatal(err)
			}
			err = p.Validate(cat, stubs(cat, nil))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if _, err := collect(Assess(cat, stubs(cat, nil), lint.NewCorpus(nil, nil), p, at)); err == nil {
				t.Error("Assess accepts the policy")
			}
		})
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(goodPolicy))
	f.Add([]byte("version: 1\nanchors: [a]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := ParsePolicy("p.yaml", data, readFrom(map[string][]byte{"a": outerCertificate}))
		if err != nil && !strings.HasPrefix(err.Error(), "policy: p.yaml") {
			t.Fatalf("error without a place: %v", err)
		}
		if errors.Is(err, os.ErrInvalid) {
			t.Fatal(err)
		}
	})
}
