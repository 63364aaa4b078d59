//go:build cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"

	"probity/evidence"
	"probity/evidence/store"
	"probity/internal/safetext"
	"probity/reports"
	"probity/scanner/identify"
)

func (a *app) assetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "asset",
		Short: "List devices, show their lives, and state facts about them",
		Long: "asset works with the devices that the observations amount to. What is stated with\n" +
			"merge, split, label and import is recorded with who, when and why. It is never\n" +
			"overwritten by what is observed, and it shows in every later assessment.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, c := range []*cobra.Command{
		a.assetListCommand(), a.assetShowCommand(), a.assetMergeCommand(), a.assetSplitCommand(), a.assetLabelCommand(), a.assetImportCommand(),
		a.assetExportCommand(), a.assetResolveCommand(),
	} {
		c.Args = friendlyArgs(c.Args)
		cmd.AddCommand(c)
	}
	return cmd
}

// assetView says how assets are printed.
type assetView struct {
	asJSON, wide bool
}

func (v *assetView) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&v.asJSON, "json", false, "print one JSON document")
	cmd.Flags().BoolVar(&v.wide, "wide", false, "nothing shortened")
}

func (a *app) assetListCommand() *cobra.Command {
	var f storeFlags
	var v assetView
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the devices of the newest resolution",
		Example: "  probity asset list --db hospital.db",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withAssets(cmd.Context(), f, nil, func(_ *store.Store, assets []evidence.Asset) error {
				records := make([]reports.AssetRecord, 0, len(assets))
				for _, asset := range assets {
					records = append(records, reports.NewAssetRecord(asset))
				}
				return a.writeOutput("", func(w io.Writer) error {
					if v.asJSON {
						return reports.AssetsJSON(w, records)
					}
					return reports.AssetsTable(w, records, reports.TableOptions{Wide: v.wide, Width: a.tableWidth()})
				})
			})
		},
	}
	f.register(cmd.Flags())
	v.register(cmd)
	return cmd
}

func (a *app) assetShowCommand() *cobra.Command {
	var f storeFlags
	var v assetView
	cmd := &cobra.Command{
		Use:   "show ASSET|ADDRESS",
		Short: "Show the life of a device, with the observation behind each line",
		Long: "show prints what is claimed of a device and its life: when it came and where, its\n" +
			"certificates, keys and versions over time, why its stays are one device, and what\n" +
			"people said of it. An id that the asset had once finds it, too.",
		Example: "  probity asset show 192.0.2.7 --db hospital.db",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withAssets(cmd.Context(), f, args, func(_ *store.Store, assets []evidence.Asset) error {
				asset, err := findAsset(assets, args[0])
				if err != nil {
					return err
				}
				record := reports.NewAssetRecord(asset)
				return a.writeOutput("", func(w io.Writer) error {
					if v.asJSON {
						return reports.AssetsJSON(w, record)
					}
					return reports.AssetTable(w, record, reports.TableOptions{Wide: v.wide, Width: a.tableWidth()})
				})
			})
		},
	}
	f.register(cmd.Flags())
	v.register(cmd)
	return cmd
}

func (a *app) assetExportCommand() *cobra.Command {
	var f storeFlags
	var format, output string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the inventory beside what was seen, as CSV for a CMMS or as JSON",
		Long: "export writes one line for each device and each row of the inventory, together where the\n" +
			"row is about the device. The columns of the inventory hold what people stated; those whose\n" +
			"names begin with probity_ what is known. asset import passes over the latter, so that it\n" +
			"reads what export wrote without a change. A line without the former is a device that\n" +
			"the inventory lacks, one without the latter a row of which no device was seen.",
		Example: "  probity asset export --db hospital.db --output cmms.csv",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			write, ok := map[string]func(io.Writer, []reports.InventoryRow) error{
				"csv": reports.InventoryCSV, "json": reports.InventoryJSON,
			}[format]
			if !ok {
				return fmt.Errorf("format %q: want csv or json", safetext.Clean(format))
			}
			return a.withAssets(cmd.Context(), f, nil, func(st *store.Store, assets []evidence.Asset) error {
				facts, err := st.AssetFacts(cmd.Context())
				if err != nil {
					return err
				}
				rows := reports.InventoryRows(assets, identify.Inventory(facts))
				return a.writeOutput(output, func(w io.Writer) error { return write(w, rows) })
			})
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().StringVar(&format, "format", "csv", "csv or json")
	cmd.Flags().StringVar(&output, "output", "", "write to `FILE` instead of standard output")
	return cmd
}

// withAssets calls do with the assets as they were last resolved, all or those that
// have one of some names, and with the store that they are from.
func (a *app) withAssets(ctx context.Context, f storeFlags, names []string, do func(*store.Store, []evidence.Asset) error) (err error) {
	st, err := a.openReader(ctx, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	load := func() ([]evidence.Asset, error) { return st.Assets(ctx) }
	if names != nil {
		load = func() ([]evidence.Asset, error) { return st.AssetsNamed(ctx, names...) }
	}
	assets, err := load()
	if errors.Is(err, store.ErrProjection) {
		err = fmt.Errorf("%w: run probity asset resolve --anew --db %s", err, f.db)
	}
	behind, berr := st.Unresolved(ctx)
	if err = errors.Join(err, berr); err != nil {
		return err
	}
	if behind > 0 {
		a.note("%d newer records are not taken into account yet; probity asset resolve does", behind)
	}
	return do(st, assets)
}

// findAsset finds an asset by its id, an id that it had, or an address that it
// has or, where nothing has it now, had.
func findAsset(assets []evidence.Asset, name string) (evidence.Asset, error) {
	addr, err := netip.ParseAddr(name)
	byAddress := err == nil
	var had []evidence.Asset
	for _, x := range assets {
		if x.ID == name || byAddress && slices.Contains(x.Addresses, addr.Unmap()) {
			return x, nil
		}
		if slices.ContainsFunc(x.Stays, func(s evidence.Stay) bool { return s.ID == name || byAddress && s.Addr == addr.Unmap() }) {
			had = append(had, x)
		}
	}
	switch len(had) {
	case 0:
		return evidence.Asset{}, fmt.Errorf("no asset %q; probity asset list shows all", safetext.Clean(name))
	case 1:
		return had[0], nil
	}
	ids := make([]string, len(had))
	for i, x := range had {
		ids[i] = x.ID
	}
	return evidence.Asset{}, fmt.Errorf("%d assets had the address %s: %v; name one", len(had), addr, ids)
}

// factFlags are those of commands that state facts.
type factFlags struct {
	storeFlags
	reason string
}

func (f *factFlags) register(cmd *cobra.Command) {
	f.registerWriter(cmd.Flags())
	cmd.Flags().StringVar(&f.reason, "reason", "", "why this is so")
}

// state records facts that make derives from the assets that have one of some names,
// as they are, as a run of its own, and resolves the assets anew. It returns the
// number of facts.
func (a *app) state(ctx context.Context, f factFlags, names []string, make func([]evidence.Asset, []evidence.AssetFact) ([]evidence.AssetFact, error)) (n int, err error) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(resolveMemory))
	if err := fileExists(f.db); err != nil {
		return 0, err
	}
	st, err := a.openWriter(ctx, f.storeFlags)
	if err != nil {
		return 0, err
	}
	defer func() {
		if cerr := st.Close(); err == nil {
			err = cerr
		}
	}()
	if err := a.resolve(ctx, st, source{after: st.ObservationsAfter}, false); err != nil {
		return 0, err
	}
	assets, err := a.whole(ctx, st, source{after: st.ObservationsAfter}, func() ([]evidence.Asset, error) { return st.AssetsNamed(ctx, names...) })
	if err != nil {
		return 0, err
	}
	said, err := st.AssetFacts(ctx)
	if err != nil {
		return 0, err
	}
	facts, err := make(assets, said)
	if err != nil || len(facts) == 0 {
		return 0, err
	}
	now := a.now()
	for i := range facts {
		facts[i].At, facts[i].Reason = now, f.reason
	}
	if err := a.recordFacts(ctx, st, f.storeFlags, facts); err != nil {
		return 0, err
	}
	return len(facts), a.resolve(ctx, st, source{after: st.ObservationsAfter}, false)
}

func (a *app) recordFacts(ctx context.Context, st *store.Store, f storeFlags, facts []evidence.AssetFact) error {
	run := a.newRun(evidence.ModeImport, f, nil)
	run.Note = fmt.Sprintf("%s of assets", facts[0].Kind)
	run, err := st.BeginRun(ctx, run, nil)
	if err != nil {
		return err
	}
	if err := st.RecordAssetFacts(ctx, run.ID, facts); err != nil {
		return err
	}
	ckpt, err := st.EndRun(ctx, evidence.RunEnd{Run: run.ID, Ended: a.now(), Status: evidence.StatusComplete})
	if err != nil {
		return err
	}
	return a.giveOut(ckpt, f)
}
