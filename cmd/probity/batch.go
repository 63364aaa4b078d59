package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"probity/evidence"
	"probity/internal/batchgcd"
	"probity/internal/safetext"
	"probity/reports"
	"probity/rules/batch"
	"probity/rules/catalogue"
	"probity/scanner/artefact"
)

// lintBatch judges all certificates below the directories as one manufacturing
// batch.
func (a *app) lintBatch(ctx context.Context, f lintFlags, dirs []string) error {
	if err := checkBatchView(&f.view); err != nil {
		return err
	}
	if f.judge.profile == "" {
		return errors.New("--batch wants --profile FILE, which says what every certificate looks like; docs/batch.md has an example")
	}
	data, err := readLimited(f.judge.profile, maxPolicyBytes)
	if err != nil {
		return fmt.Errorf("--profile: %w", err)
	}
	profile, err := batch.ParseProfile(f.judge.profile, data)
	if err != nil {
		return fmt.Errorf("--profile: %w", err)
	}
	password, err := readPassword(f.passwordFile)
	if err != nil {
		return err
	}
	files, err := filesBelow(dirs)
	if err != nil {
		return err
	}
	b := batch.New(profile)
	keep, err := a.openBatchStore(ctx, f, evidence.DigestOf(data))
	if err != nil {
		return err
	}
	defer keep.close()
	keys, err := keep.earlier(ctx, b)
	if err != nil {
		return err
	}
	earlier := keys.certificates
	for r := range judgeFiles(ctx, profile, files, password) {
		if r.err != nil {
			b.Fail(safetext.Clean(r.file), r.err)
			continue
		}
		for _, j := range r.judged {
			b.Add(j)
			keys.take(j)
		}
		if err := keep.record(ctx, r.found); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	b.Finish()
	if err := keep.end(ctx, len(files), len(files)-len(b.Unreadable)); err != nil {
		return err
	}
	if err := a.sharedPrimes(ctx, f, b, keys.keys); err != nil {
		return err
	}
	doc, err := a.batchDocument(b, evidence.DigestOf(data), earlier)
	if err != nil {
		return err
	}
	if err := a.showBatch(doc, f.view); err != nil {
		return err
	}
	negative, qualified := false, false
	for _, o := range b.Outcomes() {
		negative = negative || o == evidence.Fail
		qualified = qualified || o == evidence.Inconclusive
	}
	return verdict(negative, qualified)
}

// batchKeys are the RSA moduli of a batch and of earlier ones.
type batchKeys struct {
	certificates int // also those with other keys
	keys         []batchgcd.Key
}

func (k *batchKeys) take(j batch.Judged) {
	k.certificates++
	if j.Key != nil && j.Key.N != nil && j.Key.N.Sign() > 0 && j.Key.N.BitLen() <= batchgcd.MaxBits {
		k.keys = append(k.keys, batchgcd.Key{Label: j.Place().String(), N: j.Key.N})
	}
}

// filesBelow lists the regular files below the directories, in the order of their
// names.
func filesBelow(dirs []string) ([]string, error) {
	var files []string
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.Type().IsRegular() {
				files = append(files, path)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("--batch: %w", err)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// judgedFile is what one file of a batch holds.
type judgedFile struct {
	file   string
	found  []evidence.Observation
	judged []batch.Judged
	err    error
}

// judgeFiles reads and judges files on all processors, and yields them in order.
func judgeFiles(ctx context.Context, p *batch.Profile, files []string, password string) iter.Seq[judgedFile] {
	return func(yield func(judgedFile) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		work := make(chan chan judgedFile, 64)
		next := make(chan func(), 64)
		for range runtime.GOMAXPROCS(0) {
			wg.Go(func() {
				for do := range next {
					do()
				}
			})
		}
		wg.Go(func() {
			defer close(work)
			defer close(next)
			for _, name := range files {
				done := make(chan judgedFile, 1)
				select {
				case work <- done:
				case <-ctx.Done():
					return
				}
				select {
				case next <- func() { done <- judgeFile(p, name, password) }:
				case <-ctx.Done():
					return
				}
			}
		})
		for done := range work {
			select {
			case r := <-done:
				if !yield(r) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func judgeFile(p *batch.Profile, name, password string) judgedFile {
	r := judgedFile{file: name}
	data, err := readLimited(name, maxArtefactBytes)
	if err != nil {
		r.err = err
		return r
	}
	found, err := artefact.Read(name, data, password)
	if err != nil {
		r.err = err
		return r
	}
	r.found = found
	for i, o := range found {
		for _, c := range o.Certs {
			r.judged = append(r.judged, p.Judge(batch.Place{File: safetext.Clean(name), Number: i + 1}, c.DER))
		}
	}
	if len(r.judged) == 0 {
		r.err = errors.New("the file holds no certificate")
	}
	return r
}

// sharedPrimes looks for common primes among the keys, and with the moduli of
// --moduli.
func (a *app) sharedPrimes(ctx context.Context, f lintFlags, b *batch.Batch, keys []batchgcd.Key) error {
	if len(keys) == 0 {
		return nil
	}
	boundGarbage()
	set, err := openModuli(f.gcd.set)
	if err != nil {
		return err
	}
	report, err := set.Compare(ctx, keys, batchgcd.Options{Dir: f.gcd.scratch})
	if err != nil {
		return err
	}
	for _, s := range report.Shared {
		b.SharedPrime(s.Value.BitLen(), s.Labels)
	}
	return nil
}

func (a *app) batchDocument(b *batch.Batch, profile evidence.Digest, earlier int) (reports.Batch, error) {
	cat, err := catalogue.Load()
	if err != nil {
		return reports.Batch{}, err
	}
	doc := reports.Batch{
		Tool: toolName(), Generated: a.now().UTC(), Profile: safetext.Clean(b.Profile.Name), SHA256: profile.String(),
		Count: len(b.Entries), Earlier: earlier, Failures: []reports.BatchFile{},
	}
	outcomes := b.Outcomes()
	for _, id := range []string{batch.RuleUnique, batch.RuleProfile} {
		rule, err := cat.Rule(id)
		if err != nil {
			return reports.Batch{}, err
		}
		doc.Rules = append(doc.Rules, reports.BatchRule{Rule: id, Title: rule.Title, Outcome: outcomes[id]})
	}
	for _, u := range b.Unreadable {
		doc.Failures = append(doc.Failures, reports.BatchFile{File: u.File, Reason: safetext.Clean(u.Reason)})
	}
	doc.Entries = func(yield func(reports.BatchEntry) bool) {
		for _, e := range b.Entries {
			if !yield(batchEntry(e)) {
				return
			}
		}
	}
	return doc, nil
}

func batchEntry(e batch.Entry) reports.BatchEntry {
	out := reports.BatchEntry{
		File: e.File, Number: e.Number, SHA256: e.SHA256.String(), Identifier: e.Identifier,
		Outcome: e.Outcome(), Reasons: []reports.BatchReason{},
	}
	for _, r := range e.Repeats {
		out.Reasons = append(out.Reasons, reports.BatchReason{Rule: batch.RuleUnique, Outcome: evidence.Fail, Detail: r})
	}
	for _, d := range e.Deviations {
		out.Reasons = append(out.Reasons, reports.BatchReason{Rule: batch.RuleProfile, Outcome: d.Outcome, Field: d.Field, Detail: d.Detail})
	}
	return out
}

// batchFormats are those of a report on a batch.
func batchFormats() []string { return []string{"table", "json", "csv", "junit"} }

func (a *app) showBatch(doc reports.Batch, f viewFlags) error {
	return a.writeOutput(f.output, func(w io.Writer) error {
		switch f.format {
		case "json":
			return reports.BatchJSON(w, doc)
		case "csv":
			return reports.BatchCSV(w, doc)
		case "junit":
			return reports.BatchJUnit(w, doc)
		default:
			return reports.BatchTable(w, doc, a.width(), f.max)
		}
	})
}

// checkBatchView settles the format of a report on a batch.
func checkBatchView(f *viewFlags) error {
	if f.json {
		f.format = "json"
	}
	f.format = strings.ToLower(f.format)
	if f.jsonl || !slices.Contains(batchFormats(), f.format) {
		return fmt.Errorf("--format %q: a batch is shown as %s", f.format, strings.Join(batchFormats(), ", "))
	}
	if _, err := os.Stat(filepath.Dir(f.output)); f.output != "" && err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	return nil
}
