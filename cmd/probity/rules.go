package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"probity/lint/all"
	"probity/reports"
	"probity/rules/catalogue"
)

func (a *app) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "explain RULE",
		Short:   "Say what a rule tests, why, under which clauses, and what to do",
		Example: "  probity explain MD-CERT-002",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			cat, err := catalogue.Load()
			if err != nil {
				return err
			}
			rule, err := cat.Rule(args[0])
			if err != nil {
				return err
			}
			return a.writeOutput("", func(w io.Writer) error { return reports.ExplainRule(w, rule, a.explanation(cat, rule)) })
		},
	}
}

func (a *app) rulesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Work with the rule catalogue",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var asJSON bool
	list := &cobra.Command{
		Use:   "list",
		Short: "List all rules, also those that nothing decides yet",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cat, err := catalogue.Load()
			if err != nil {
				return err
			}
			return a.writeOutput("", func(w io.Writer) error {
				if asJSON {
					enc := json.NewEncoder(w)
					enc.SetIndent("", "  ")
					return enc.Encode(cat.Rules())
				}
				return reports.RulesTable(w, cat.Rules(), a.width())
			})
		},
	}
	list.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	cmd.AddCommand(list, a.fingerprintsCommand(), a.testFingerprintsCommand())
	return cmd
}

// explanation adds what the catalogue does not know: the check behind a rule.
func (a *app) explanation(cat *catalogue.Catalogue, rule catalogue.Rule) reports.Explanation {
	x := reports.Explanation{Sources: cat.Sources(), Width: a.width()}
	for _, c := range all.Checks() {
		if c.Name != rule.Lint {
			continue
		}
		x.CheckSource = c.Source
		for _, p := range c.Params {
			value := p.Default
			if set, ok := rule.Params[p.Name]; ok {
				value = set
			}
			x.Params = append(x.Params, reports.ParamText{Name: p.Name, Doc: p.Doc, Value: fmt.Sprint(value)})
		}
	}
	return x
}
