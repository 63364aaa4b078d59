package all_test

import (
	"encoding/json"
	"go/build"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"probity/evidence"
	"probity/lint"
	"probity/lint/all"
)

// vector is a test of NIST's Public Key Interoperability Test Suite, as the
// tests of Go's crypto/x509 list them.
type vector struct {
	Name              string
	CertPath, CRLPath []string // anchor first
	ShouldValidate    bool
}

// TestPeer_pkits judges the certificates and revocation lists of NIST's test suite for
// path validation: whatever is invalid must never be found valid,
// and whatever is valid must be, except where the difference is named here.
func TestPeer_pkits(t *testing.T) {
	dir := pythonVectors(t, "x509/PKITS_data")
	data, err := os.ReadFile(filepath.Join(build.Default.GOROOT, "src/crypto/x509/testdata/nist-pkits/vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	var checks []lint.Check
	for _, c := range all.Checks() {
		switch c.Name {
		case "chain/anchored", "cert/not_expired", "cert/already_valid", "status/not_revoked":
			checks = append(checks, c)
		}
	}
	judged := 0
	for _, v := range vectors {
		section := strings.Split(v.Name, ".")[1]
		if slices.Contains([]string{"8", "9", "10", "11", "12"}, section) {
			continue // certificate policies, which are not followed
		}
		judged++
		t.Run(v.Name, func(t *testing.T) {
			got, why := v.judge(t, dir, checks)
			reason, differs := pkitsDifferences()[strings.Fields(v.Name)[0]]
			switch {
			case !v.ShouldValidate && got == evidence.Pass:
				t.Errorf("an invalid path passes")
			case v.ShouldValidate && got == evidence.Pass && differs:
				t.Errorf("passes now, so that the list of differences is wrong")
			case v.ShouldValidate && got != evidence.Pass && !differs:
				t.Errorf("a valid path is not: %s", why)
			case differs:
				t.Logf("%s: %s", reason, why)
			}
		})
	}
	if judged < 140 {
		t.Errorf("only %d tests were judged", judged)
	}
}

// pythonVectors returns a directory of Debian's package of test data of Python's
// cryptography.
func pythonVectors(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join("/usr/lib/python3/dist-packages/cryptography_vectors", dir)
	if _, err := os.Stat(path); err != nil {
		missing(t, "python3-cryptography-vectors")
	}
	return path
}

// pkitsDifferences are the tests whose path is valid and is not found so.
func pkitsDifferences() map[string]string {
	return map[string]string{
		"4.1.5": "a DSA key without parameters of its own (RFC 3279 section 2.3.2) is not completed from its issuer's",
	}
}

// judge is pass if every certificate below the anchor is valid, has a path and is not
// revoked; otherwise the first other outcome and why.
func (v vector) judge(t *testing.T, dir string, checks []lint.Check) (evidence.Outcome, string) {
	t.Helper()
	read := func(kind, name string) []byte {
		t.Helper()
		der, err := os.ReadFile(filepath.Join(dir, kind, name))
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	server := evidence.Observation{
		ID: 1, Run: 1, Method: evidence.Active, Kind: evidence.KindTLS, Result: evidence.ResultData, At: now,
		Endpoint: evidence.Endpoint{Addr: netip.MustParseAddr("192.0.2.1"), Port: 443, Transport: evidence.TCP},
	}
	path := slices.Clone(v.CertPath)
	slices.Reverse(path)
	for i, name := range path[:len(path)-1] {
		server.Certs = append(server.Certs, evidence.Presented{Role: evidence.RoleServer, Position: i, DER: read("certs", name)})
	}
	var crls [][]byte
	for _, name := range v.CRLPath {
		crls = append(crls, read("crls", name))
	}
	policy := &lint.Policy{Anchors: [][]byte{read("certs", v.CertPath[0])}}
	corpus := lint.NewCorpus(append(lists(crls...), server), nil)
	for _, check := range checks {
		results, err := lint.Run(corpus, []lint.Job{{Check: check}}, now, policy)
		if err != nil {
			t.Fatal(err)
		}
		for r := range results[0] {
			if r.Outcome != evidence.Pass && r.Outcome != evidence.NotApplicable {
				return r.Outcome, r.Check + ": " + r.Detail
			}
		}
	}
	return evidence.Pass, ""
}
