package all_test

import (
	"bytes"
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"probity/evidence"
	"probity/lint"
	"probity/lint/all"
)

// memorySpill keeps what a stream spills.
type memorySpill struct{ bytes.Buffer }

// ReadAt implements [io.ReaderAt].
func (m *memorySpill) ReadAt(b []byte, at int64) (int, error) {
	return bytes.NewReader(m.Bytes()).ReadAt(b, at)
}

// inFiles is an observation of a file, of each thing that observations hold.
type inFiles struct{ obs []evidence.Observation }

func (f *inFiles) add(name string, a evidence.ArtefactFacts, der []byte) {
	o := evidence.Observation{
		ID: int64(len(f.obs) + 1), At: now, Method: evidence.Import, Kind: evidence.KindArtefact, Result: evidence.ResultData,
		Endpoint: evidence.Endpoint{Transport: evidence.File, Name: name}, Facts: evidence.Facts{Artefact: &a},
	}
	if der != nil {
		o.Certs = []evidence.Presented{{Role: evidence.RoleFile, DER: der}}
	}
	f.obs = append(f.obs, o)
}

// streamed are the results of all checks on a stream, and whole those on a corpus.
func streamed(t *testing.T, checks []lint.Check, obs []evidence.Observation, at time.Time, p *lint.Policy) (got, want []string) {
	t.Helper()
	var jobs []lint.Job
	for _, check := range checks {
		jobs = append(jobs, lint.Job{Check: check})
	}
	text := func(r lint.Result) string {
		return fmt.Sprintf("%s %s %s %q %v %s", r.Check, r.Subject.Endpoint, r.Subject.Locus(), r.Detail, r.Observations, r.Outcome)
	}
	stream := lint.NewStream(&memorySpill{}, nil)
	for _, o := range obs {
		if err := stream.Add(lint.ItemsOf(o)); err != nil {
			t.Fatal(err)
		}
	}
	left, err := stream.Run(jobs, at, p, func(_ int, r lint.Result) error {
		got = append(got, text(r))
		return nil
	})
	if err != nil || left != 0 {
		t.Fatal(left, err)
	}
	for i := range obs {
		obs[i].At = at
	}
	results, err := lint.Run(lint.NewCorpus(obs, nil), jobs, at, p)
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range results {
		for r := range of {
			want = append(want, text(r))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	return got, want
}

// TestStream_asCorpus holds that a stream has the results of a corpus: on what the
// cases hold, each as if it was read from files, and on hierarchies whose certificates
// are in several files.
func TestStream_asCorpus(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "*", "testdata", "*", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	checks := all.Checks()
	var everything inFiles
	compared := 0
	compare := func(name string, f inFiles, at time.Time, p *lint.Policy) {
		t.Helper()
		if len(f.obs) == 0 {
			return
		}
		got, want := streamed(t, checks, f.obs, at, p)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatalf("%s (-corpus +stream)\n%s", name, diff)
		}
		compared += len(got)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := readCase(t, archive)
		var f inFiles
		for i, o := range c.obs {
			name := fmt.Sprintf("%d.pem", i%3)
			for _, p := range o.Certs {
				f.add(name, evidence.ArtefactFacts{}, p.DER)
				everything.add(cmp.Or(o.Endpoint.Name, file), evidence.ArtefactFacts{}, p.DER)
			}
			if a := o.Facts.Artefact; a != nil && len(o.Certs) == 0 {
				f.add(name, *a, nil)
				everything.add(file, *a, nil)
			}
			for _, b := range o.Raw {
				if b.Media == lint.MediaOCSP {
					f.add(name, evidence.ArtefactFacts{OCSP: b.Data}, nil)
					everything.add(file, evidence.ArtefactFacts{OCSP: b.Data}, nil)
				}
			}
		}
		compare(file, f, c.at, &c.policy)
	}
	compare("everything", everything, now, &lint.Policy{})
	w := newWorld(t)
	for seed := range uint64(40) {
		h := w.hierarchy(seed)
		var f inFiles
		for i, c := range slices.Concat(h.cas, h.leafs, h.anchors) {
			for j := range 1 + h.r.IntN(3) {
				f.add(fmt.Sprintf("%d.pem", (i+7*j)%5), evidence.ArtefactFacts{}, c.Raw)
			}
		}
		p := &lint.Policy{}
		for _, a := range h.anchors {
			p.Anchors = append(p.Anchors, a.Raw)
		}
		compare(fmt.Sprint("hierarchy ", seed), f, now, p)
	}
	t.Logf("%d results compared", compared)
	if compared < 10_000 {
		t.Errorf("only %d results were compared", compared)
	}
}
