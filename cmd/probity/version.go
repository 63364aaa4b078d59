package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"probity/rules/catalogue"
	"probity/scanner/identify/fingerprint"
)

func (a *app) versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version and the digest of the rule catalogue",
		RunE: func(*cobra.Command, []string) error {
			cat, err := catalogue.Load()
			if err != nil {
				return err
			}
			prints, err := fingerprint.Builtin()
			if err != nil {
				return err
			}
			return a.writeOutput("", func(w io.Writer) error {
				if asJSON {
					return json.NewEncoder(w).Encode(map[string]string{
						"version": toolVersion(), "catalogue": cat.Version(),
						"catalogue_sha256": cat.Digest().String(), "fingerprints_sha256": prints.Digest().String(), "go": runtime.Version(),
						"platform": runtime.GOOS + "/" + runtime.GOARCH,
					})
				}
				_, err := fmt.Fprintf(w, "%s\ncatalogue %s, SHA-256 %s\nfingerprints, SHA-256 %s\n%s %s/%s\n", toolName(),
					cat.Version(), cat.Digest(), prints.Digest(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}
