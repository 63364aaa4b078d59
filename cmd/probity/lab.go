package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"probity/fixtures/lab"
)

func (a *app) labCommand() *cobra.Command {
	var devices, offset int
	var seed uint64
	var dir, at string
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Run a simulated hospital on loopback to try probity on",
		Long: "lab serves simulated devices on addresses in 127.0.0.0/8 until it is interrupted.\n" +
			"DIR gets targets.txt, policy.yaml, anchors.pem, certificates.pem (what the devices\n" +
			"present) and truth.json, which says for each device what must and what must not be\n" +
			"found. The same seed and time make the same lab.",
		Example: "  probity lab --dir lab &\n" +
			"  probity scan --targets lab/targets.txt --policy lab/policy.yaml --rate 400 --asset-rate 20\n" +
			"  probity lint lab/certificates.pem --policy lab/policy.yaml",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			when := a.now().UTC().Truncate(time.Hour)
			if at != "" {
				var err error
				if when, err = time.Parse(time.RFC3339, at); err != nil {
					return fmt.Errorf("--at %q: want a time such as 2026-11-23T10:00:00Z", at)
				}
			}
			l, err := lab.New(lab.Config{Devices: devices, Seed: seed, At: when, PortOffset: offset})
			if err != nil {
				return err
			}
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("--dir: %w", err)
			}
			if err := l.WriteFiles(dir); err != nil {
				return err
			}
			ready := func() {
				_, _ = fmt.Fprintf(a.stdout, "ready: %d devices, files in %s; Ctrl-C ends the lab\n", devices, dir)
			}
			return l.Serve(cmd.Context(), a.now, ready)
		},
	}
	cmd.AddCommand(a.labTrafficCommand())
	cmd.Flags().IntVar(&devices, "devices", 60, "number of devices, at most 10,000")
	cmd.Flags().Uint64Var(&seed, "seed", 1, "seed of everything that varies")
	cmd.Flags().IntVar(&offset, "port-offset", 0, "add this to every port, where the usual ones are taken (negative: toward privileged ports)")
	cmd.Flags().StringVar(&dir, "dir", "lab", "folder for the lab's files")
	cmd.Flags().StringVar(&at, "at", "", "make the certificates as of this RFC 3339 `TIME` (default: this hour)")
	return cmd
}
