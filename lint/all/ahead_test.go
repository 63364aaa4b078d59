package all_test

import (
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"probity/evidence"
	"probity/lint"
	"probity/lint/all"
)

// sameAddr compares addresses, which cmp cannot look into.
var sameAddr = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// results are those of all checks.
func results(t *testing.T, c *lint.Corpus, jobs []lint.Job, at time.Time, p *lint.Policy) (out []lint.Result) {
	t.Helper()
	of, err := lint.Run(c, jobs, at, p)
	if err != nil {
		t.Fatal(err)
	}
	for _, results := range of {
		for r := range results {
			out = append(out, r)
		}
	}
	return out
}

// TestReading_ahead: what certificates are told before the assets are known is what
// they are told after, with their assets; for a part of the cases, of which each goes
// through all checks.
func TestReading_ahead(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "*", "testdata", "*", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	const part, fewer = 3, 24
	withAsset, withParams := 0, 0
	for i, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name, c := checkName(file), readCase(t, archive)
		set := c.params != nil && slices.ContainsFunc(all.Checks(), func(check lint.Check) bool { return check.Name == name && check.Certificate != nil })
		if i%part != 0 && !set {
			continue
		}
		var jobs, bare []lint.Job
		for _, check := range all.Checks() {
			j := lint.Job{Check: check}
			bare = append(bare, j)
			if check.Name == name {
				j.Params = c.params
			}
			jobs = append(jobs, j)
		}
		if len(c.assets) == 0 && len(c.obs) > 0 && c.obs[0].Endpoint.Addr.IsValid() {
			e := c.obs[0].Endpoint
			c.assets = []evidence.Asset{{ID: "a", Endpoints: []evidence.Endpoint{e}}}
		}
		want := results(t, lint.NewCorpus(c.obs, c.assets), jobs, c.at, &c.policy)
		for _, r := range want {
			if r.Asset != "" && r.Subject.Certificate != (evidence.Digest{}) {
				withAsset++
			}
		}
		if set {
			withParams++
		}
		// What was judged ahead with other parameters, at another time or under another
		// policy must not be taken.
		for label, judge := range map[string]func(lint.Reading) error{
			"ahead":      func(r lint.Reading) error { same := c.policy; return r.Ahead(jobs, c.at, &same) },
			"parameters": func(r lint.Reading) error { return r.Ahead(bare, c.at, &c.policy) },
			"time":       func(r lint.Reading) error { return r.Ahead(jobs, c.at.AddDate(70, 0, 0), &c.policy) },
			"policy":     func(r lint.Reading) error { return r.Ahead(jobs, c.at, &lint.Policy{Issuers: []string{"CN=other"}}) },
		} {
			if label != "ahead" && i%fewer != 0 && (label != "parameters" || !set) {
				continue
			}
			reading := lint.Decode(c.obs)
			if err := judge(reading); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, results(t, reading.NewCorpus(c.assets), jobs, c.at, &c.policy), sameAddr); diff != "" {
				t.Errorf("%s, %s: (-want +got)\n%s", file, label, diff)
			}
		}
	}
	if withAsset == 0 || withParams == 0 {
		t.Errorf("%d results on certificates name an asset, %d cases set parameters", withAsset, withParams)
	}
}
