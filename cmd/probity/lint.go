package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"probity/evidence"
	"probity/lint"
	"probity/reports"
	"probity/scanner/artefact"
	"probity/scanner/identify"
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
	var obs []evidence.Observation
	passed := 0
	err = eachFile(files, func(file artefactFile) error {
		found, err := file.read(password)
		if err != nil && file.passable() {
			passed++
			return nil
		}
		obs = append(obs, found...)
		return err
	})
	if errors.Is(err, artefact.ErrPassword) {
		return fmt.Errorf("%w: give the right one as the first line of --password-file FILE", err)
	}
	if err != nil {
		return err
	}
	if len(obs) == 0 {
		return errors.New("the files hold nothing that lint reads; give certificates, requests, keys, or revocation lists")
	}
	if passed > 0 {
		_, _ = fmt.Fprintf(a.stderr, "probity: %d files in directories and archives hold nothing that lint reads\n", passed)
	}
	for i := range obs {
		obs[i].ID = int64(i + 1)
		obs[i].At = j.at
	}
	if f.store.used() {
		return a.lintIntoStore(ctx, f, j, obs)
	}
	doc, err := a.lintDocument(j, obs)
	if err != nil {
		return err
	}
	if err := a.show(doc, f.view); err != nil {
		return err
	}
	return verdict(j.negative, false)
}

// lintDocument is a report on files alone: nothing was stored, so there is no
// run and no log.
func (a *app) lintDocument(j *judgement, obs []evidence.Observation) (reports.Document, error) {
	var findings reports.FindingList
	for f, err := range j.findings(lint.NewCorpus(obs, identify.Resolve(obs))) {
		if err != nil {
			return reports.Document{}, err
		}
		findings = append(findings, f)
	}
	return reports.Build(reports.Input{
		Tool: toolName(), Generated: a.now().UTC(), AsOf: j.at, Profile: string(j.policy.Profile),
		Policy: j.policy.Digest, Catalogue: j.catalogue, Findings: findings,
		Observations: obs, Certificates: certificatesOf(obs),
	}), nil
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
