//go:build cgo

package main

import (
	"context"
	"encoding/json"
	"io"

	"github.com/spf13/cobra"

	"probity/reports"
	"probity/rules/catalogue"
)

func (a *app) reportCommand() *cobra.Command {
	var f storeFlags
	var view viewFlags
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Show the newest assessment as table, JSON or HTML",
		Example: "  probity report --db hospital.db\n" +
			"  probity report --db hospital.db --format html --output report.html",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := view.check(); err != nil {
				return err
			}
			return a.withDocument(cmd.Context(), f, view.lists(), func(doc reports.Document) error { return a.show(doc, view) })
		},
	}
	f.register(cmd.Flags())
	view.register(cmd.Flags())
	return cmd
}

func (a *app) duplicatesCommand() *cobra.Command {
	var f storeFlags
	var asJSON, wide bool
	cmd := &cobra.Command{
		Use:   "duplicates",
		Short: "List certificates, keys and primes that more than one place holds",
		Long: "duplicates lists every group of the newest assessment with every instance: what is\n" +
			"shared, by which assets, and how sure it is that two physical devices hold it.",
		Example: "  probity duplicates --db hospital.db",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withDocument(cmd.Context(), f, false, func(doc reports.Document) error {
				return a.writeOutput("", func(w io.Writer) error {
					if asJSON {
						enc := json.NewEncoder(w)
						enc.SetIndent("", "  ")
						return enc.Encode(doc.Duplicates)
					}
					return reports.DuplicatesTable(w, doc, reports.TableOptions{Wide: wide, Width: a.width()})
				})
			})
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	cmd.Flags().BoolVar(&wide, "wide", false, "nothing shortened")
	return cmd
}

// withDocument calls do with what the database holds of the newest assessment.
func (a *app) withDocument(ctx context.Context, f storeFlags, lists bool, do func(reports.Document) error) error {
	st, err := a.openReader(ctx, f)
	if err != nil {
		return err
	}
	var doc reports.Document
	cat, err := catalogue.Load()
	if err == nil {
		doc, err = a.document(ctx, st, f.db, cat, lists)
	}
	if cerr := st.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return do(doc)
}
