package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"probity/scanner/identify/fingerprint"
)

// maxFingerprintBytes bounds a file of fingerprints.
const maxFingerprintBytes = 1 << 20

func (a *app) fingerprintsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "fingerprints",
		Short: "List what devices are known by, with the source of each (Markdown)",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			set, err := fingerprint.Builtin()
			if err != nil {
				return err
			}
			return a.writeOutput("", func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "SHA-256 of the data: %s\n\n%s", set.Digest(), set.Markdown())
				return err
			})
		},
	}
}

func (a *app) testFingerprintsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test-fingerprints [FILE...]",
		Short: "Check files of fingerprints, or those of the program, by their examples",
		Long: "test-fingerprints reads each FILE as docs/new-fingerprint.md describes it and runs the\n" +
			"examples of every entry. It prints each one that fails, with the place and what to\n" +
			"change. Without a FILE it checks what the program carries.\n\n" +
			"Exit codes: 0 all examples hold; 1 an example fails; 2 a file is not readable.",
		Example: "  probity rules test-fingerprints acme.yaml",
		RunE:    func(_ *cobra.Command, args []string) error { return a.testFingerprints(args) },
	}
}

func (a *app) testFingerprints(files []string) error {
	if len(files) == 0 {
		set, err := fingerprint.Builtin()
		if err != nil {
			return err
		}
		n, failures := set.Check()
		return a.reportFingerprints(n, failures)
	}
	var n fingerprint.Count
	var failures []error
	for _, name := range files {
		data, err := readLimited(name, maxFingerprintBytes)
		if err != nil {
			return err
		}
		m, failed, err := fingerprint.CheckFile(name, data)
		if err != nil {
			return err
		}
		n.Entries, n.Examples = n.Entries+m.Entries, n.Examples+m.Examples
		failures = append(failures, failed...)
	}
	return a.reportFingerprints(n, failures)
}

func (a *app) reportFingerprints(n fingerprint.Count, failures []error) error {
	err := a.writeOutput("", func(w io.Writer) error {
		for _, f := range failures {
			if _, err := fmt.Fprintln(w, oneLine(f)); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(w, "%d fingerprints, %d examples, %d failed\n", n.Entries, n.Examples, len(failures))
		return err
	})
	if err == nil && len(failures) > 0 {
		return &statusError{exitNegative, errors.New("examples failed")}
	}
	return err
}
