package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"probity/evidence"
	"probity/lint"
	"probity/lint/all"
	"probity/reports"
	"probity/rules"
	"probity/scanner/artefact"
)

// lintFlags are everything that lint takes.
type lintFlags struct {
	judge        judgeFlags
	view         viewFlags
	store        lintStore // empty in a build without cgo
	passwordFile string
	gcd          gcdFlags
}

func (a *app) lintCommand() *cobra.Command {
	var f lintFlags
	cmd := &cobra.Command{
		Use:   "lint FILE|DIR...",
		Short: "Judge certificates, requests and keys in files",
		Long: "lint reads certificates (PEM, DER, PKCS #7, PKCS #12, Java key stores), certification\n" +
			"requests, public keys (PEM, DER, SSH, known_hosts, JWK, OpenPGP), revocation lists and\n" +
			"OCSP responses, also below directories and in tar and zip archives, and judges them alone\n" +
			"and against each other. Private keys in the files are skipped and never kept.\n\n" +
			"Exit codes: 0 nothing at or above --fail-on; 1 findings; 2 a file could not be read;\n" +
			"3 a file of a batch could not be read.",
		Example: "  probity lint device.pem request.csr --policy factory.yaml --fail-on medium\n" +
			"  probity lint --batch line3/ --profile idevid.yaml --format junit --output batch.xml\n" +
			"  probity lint --batch-gcd --moduli known-moduli batch-*.pem",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.gcd.check(cmd.Flags()); err != nil {
				return err
			}
			if f.gcd.batch {
				return a.lintBatch(cmd.Context(), f, args)
			}
			if err := f.view.check(); err != nil {
				return err
			}
			if f.gcd.on {
				return a.batchGCD(cmd.Context(), f, args)
			}
			return a.lint(cmd.Context(), f, args)
		},
	}
	f.judge.register(cmd.Flags())
	f.view.register(cmd.Flags())
	f.store.register(cmd.Flags())
	f.gcd.register(cmd.Flags())
	cmd.Flags().StringVar(&f.passwordFile, "password-file", "", "`FILE` whose first line is the password of PKCS #12 files")
	return cmd
}

func (a *app) lint(ctx context.Context, f lintFlags, files []string) error {
	j, err := a.newJudgement(f.judge)
	if err != nil {
		return err
	}
	password, err := readPassword(f.passwordFile)
	if err != nil {
		return err
	}
	if f.store.used() {
		var obs []evidence.Observation
		err := a.readArtefacts(ctx, files, password, func(found lint.Items) error {
			o := found.Observation()
			o.At = j.at
			obs = append(obs, o)
			return nil
		})
		if err != nil {
			return err
		}
		return a.lintIntoStore(ctx, f, j, obs)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(lintMemory)
	}
	kept := newSpill(f.gcd.scratch)
	defer kept.close()
	stream := lint.NewStream(kept, nil)
	stream.Scratch = f.gcd.scratch
	if err := a.readArtefacts(ctx, files, password, stream.Add); err != nil {
		return err
	}
	findings := newSpooledFindings(f.gcd.scratch)
	defer findings.close()
	if err := a.judgeStream(ctx, j, stream, findings); err != nil {
		return err
	}
	if err := a.show(a.lintDocument(j, stream, findings, f.view), f.view); err != nil || findings.err != nil {
		return errors.Join(err, findings.err)
	}
	return verdict(j.negative, false)
}

// lintMemory is what the garbage collector is told to keep the memory of lint below.
const lintMemory = 1600 << 20

// readArtefacts reads files in order, and calls take for each thing that they hold.
func (a *app) readArtefacts(ctx context.Context, files []string, password string, take func(lint.Items) error) error {
	type read struct {
		items  []lint.Items
		passed bool
		err    error
	}
	passed, taken := 0, 0
	for r, err := range readFiles(ctx, files, func(file artefactFile) (r read) {
		found, err := file.read(password)
		if err != nil && file.passable() {
			return read{passed: true}
		}
		for _, o := range found {
			r.items = append(r.items, lint.ItemsOf(o))
		}
		r.err = err
		return r
	}) {
		if r.passed {
			passed++
		}
		for _, items := range r.items {
			if err := take(items); err != nil {
				return err
			}
			taken++
		}
		if err = cmp.Or(err, r.err); errors.Is(err, artefact.ErrPassword) {
			return fmt.Errorf("%w: give the right one as the first line of --password-file FILE", err)
		}
		if err != nil {
			return err
		}
	}
	if taken == 0 {
		return errors.New("the files hold nothing that lint reads; give certificates, requests, keys, or revocation lists")
	}
	if passed > 0 {
		_, _ = fmt.Fprintf(a.stderr, "probity: %d files in directories and archives hold nothing that lint reads\n", passed)
	}
	return nil
}

// judgeStream judges what a stream took.
func (a *app) judgeStream(ctx context.Context, j *judgement, stream *lint.Stream, findings *spooledFindings) error {
	left, err := rules.AssessStream(j.catalogue, all.Checks(), stream, j.policy, j.at, func(f evidence.Finding) error {
		j.see(f)
		return cmp.Or(ctx.Err(), findings.add(f))
	})
	if err != nil {
		return fmt.Errorf("judge the evidence: %w", err)
	}
	if left > 0 {
		_, _ = fmt.Fprintf(a.stderr, "probity: %d certificates have the name of an issuer and were not tried as one, because there are so many; "+
			"give fewer files at once\n", left)
	}
	return nil
}

// lintDocument is a report on files alone: nothing was stored, so there is no
// run and no log.
func (a *app) lintDocument(j *judgement, stream *lint.Stream, findings *spooledFindings, view viewFlags) reports.Document {
	in := reports.Input{
		Tool: toolName(), Generated: a.now().UTC(), AsOf: j.at, Profile: string(j.policy.Profile),
		Policy: j.policy.Digest, Catalogue: j.catalogue, Findings: findings,
	}
	if view.lists() {
		in.Lists = &reports.Lists{
			Observations: func(yield func(evidence.Observation, error) bool) {
				for o, err := range stream.Observations() {
					if o.At = j.at; !yield(o, err) {
						return
					}
				}
			},
			Certificates: func(yield func(reports.Certificate, error) bool) {
				for der, err := range stream.Certificates() {
					var c reports.Certificate
					if err == nil {
						c = described(der)
					}
					if !yield(c, err) {
						return
					}
				}
			},
		}
	}
	return reports.Build(in)
}

func readPassword(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("--password-file: %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}
