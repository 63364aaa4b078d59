package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/batchgcd"
	"probity/internal/safetext"
	"probity/reports"
	"probity/rules/batch"
	"probity/rules/catalogue"
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
	for _, dir := range dirs {
		if _, err := os.Stat(dir); err != nil {
			return fmt.Errorf("--batch: %w", err)
		}
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
	files, last := 0, ""
	judge := func(f artefactFile) judgedFile { return judgeFile(profile, f, password) }
	for r, err := range readFiles(ctx, dirs, judge) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err != nil { // of finding files
			r = judgedFile{file: strings.Join(dirs, ", "), err: err}
		}
		if r.file != last { // not another part of it
			files, last = files+1, r.file
		}
		if r.err != nil {
			b.Fail(safetext.Clean(r.file), r.err)
			continue
		}
		for _, j := range r.judged {
			b.Add(j)
			keys.take(j, false)
		}
		if err := keep.record(ctx, r.found); err != nil {
			return err
		}
	}
	b.Finish()
	if err := keep.end(ctx, files, files-len(b.Unreadable)); err != nil {
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

func (k *batchKeys) take(j batch.Judged, earlier bool) {
	k.certificates++
	if j.Key != nil && j.Key.N != nil && j.Key.N.Sign() > 0 && j.Key.N.BitLen() <= batchgcd.MaxBits {
		k.keys = append(k.keys, batchgcd.Key{Label: j.Place().String(), N: j.Key.N, Earlier: earlier})
	}
}

// judgedFile is what one file of a batch holds.
type judgedFile struct {
	file   string
	found  []evidence.Observation
	judged []batch.Judged
	err    error
}

func judgeFile(p *batch.Profile, f artefactFile, password string) judgedFile {
	r := judgedFile{file: f.name}
	if r.found, r.err = f.read(password); r.err != nil {
		return r
	}
	for _, o := range r.found {
		for _, c := range o.Certs {
			r.judged = append(r.judged, p.Judge(batch.Place{File: safetext.Clean(f.name), Number: o.Facts.Artefact.Index + 1}, c.DER))
		}
	}
	if len(r.judged) == 0 && !f.part {
		r.err = errors.New("the file holds no certificate")
	}
	return r
}

// sharedPrimes looks for common primes among the keys, and for those and equal keys
// among the moduli of --moduli.
func (a *app) sharedPrimes(ctx context.Context, f lintFlags, b *batch.Batch, keys []batchgcd.Key) error {
	if len(keys) == 0 {
		return nil
	}
	report, err := a.compare(ctx, f.gcd, keys)
	if err != nil {
		return err
	}
	for _, s := range report.Shared {
		b.SharedDivisor(s.Value.BitLen(), s.Splits, s.Given, s.Remembered)
	}
	for _, e := range report.Equal {
		if len(e.Remembered) > 0 {
			b.RememberedKey(e.Given, e.Remembered)
		}
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
