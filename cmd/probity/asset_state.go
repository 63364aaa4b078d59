//go:build cgo

package main

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/scanner/identify"
	"probity/scanner/inventory"
)

// maxInventoryBytes bounds an inventory file.
const maxInventoryBytes = 64 << 20

// fileExists keeps a command that adds to a database from making one.
func fileExists(path string) error {
	_, err := os.Stat(path)
	return err
}

func (a *app) assetMergeCommand() *cobra.Command {
	var f factFlags
	cmd := &cobra.Command{
		Use:     "merge ASSET OTHER",
		Short:   "State that two assets are one device",
		Example: "  probity asset merge 192.0.2.7 192.0.2.8 --reason \"two cards in one cabinet\" --db hospital.db",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.state(cmd.Context(), f, args, func(assets []evidence.Asset, _ []evidence.AssetFact) ([]evidence.AssetFact, error) {
				x, err := findAsset(assets, args[0])
				if err != nil {
					return nil, err
				}
				y, err := findAsset(assets, args[1])
				if err != nil {
					return nil, err
				}
				if x.ID == y.ID {
					return nil, fmt.Errorf("%s and %s are one asset already: %s", args[0], args[1], x.ID)
				}
				return []evidence.AssetFact{{Kind: evidence.FactMerge, Asset: x.ID, Other: y.ID, Values: map[string]string{
					identify.MergeKept: stayIDs(x.Stays), identify.MergeEnded: stayIDs(y.Stays),
				}}}, nil
			})
			return err
		},
	}
	f.register(cmd)
	return cmd
}

func stayIDs(stays []evidence.Stay) string {
	ids := make([]string, len(stays))
	for i, s := range stays {
		ids[i] = s.ID
	}
	return strings.Join(ids, " ")
}

func (a *app) assetSplitCommand() *cobra.Command {
	var f factFlags
	cmd := &cobra.Command{
		Use:   "split ASSET ADDRESS|ID",
		Short: "State that what is at an address is another device than the rest of an asset",
		Long: "split takes what is at an address out of an asset, or what was there at the time that\n" +
			"has an id of its own; asset show lists these ids as what the asset is also known as.",
		Example: "  probity asset split asset-0a1b2c3d4e5f 192.0.2.8 --reason \"seen on site\" --db hospital.db",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := a.state(cmd.Context(), f, args, func(assets []evidence.Asset, _ []evidence.AssetFact) ([]evidence.AssetFact, error) {
				x, err := findAsset(assets, args[0])
				if err != nil {
					return nil, err
				}
				return splitFact(x, args[1])
			})
			return err
		},
	}
	f.register(cmd)
	return cmd
}

// splitFact names the stays on both sides, so that the statement stays clear
// whatever is seen later.
func splitFact(x evidence.Asset, what string) ([]evidence.AssetFact, error) {
	addr, err := netip.ParseAddr(what)
	addr = addr.Unmap()
	at := func(s evidence.Stay) bool { return err == nil && s.Addr == addr }
	now := func(s evidence.Stay) bool { return at(s) && !s.Ended && !s.Left }
	there := func(s evidence.Stay) bool { return s.ID == what || at(s) }
	if slices.ContainsFunc(x.Stays, now) {
		there = now
	}
	var apart, from []evidence.Stay
	for _, s := range x.Stays {
		if there(s) {
			apart = append(apart, s)
			addr = s.Addr
		} else {
			from = append(from, s)
		}
	}
	switch {
	case len(apart) == 0:
		return nil, fmt.Errorf("%s was not seen at %q; name one of the addresses or ids that probity asset show %s prints", x.ID, safetext.Clean(what), x.ID)
	case len(from) == 0:
		return nil, fmt.Errorf("%s was seen at %s only; nothing to split", x.ID, addr)
	}
	return []evidence.AssetFact{{Kind: evidence.FactSplit, Asset: x.ID, Address: addr, Values: map[string]string{
		identify.SplitApart: stayIDs(apart), identify.SplitFrom: stayIDs(from),
	}}}, nil
}

// labels are the names that a label may have.
func labels() []string {
	return []string{
		evidence.ValueStatus, evidence.ValueName, evidence.ValueOwner, evidence.ValueLocation, evidence.ValueAssetTag,
		evidence.ValueEndOfSupport, evidence.ValuePorts, evidence.ValueRenewal,
		string(evidence.AttrManufacturer), string(evidence.AttrModel), string(evidence.AttrVersion), string(evidence.AttrSerial),
		string(evidence.AttrClass), string(evidence.AttrUDI), string(evidence.AttrOS),
	}
}

func (a *app) assetLabelCommand() *cobra.Command {
	var f factFlags
	cmd := &cobra.Command{
		Use:   "label ASSET|ADDRESS NAME=VALUE...",
		Short: "State what a device is, whose, and whether it is in service",
		Long: "label states values of a device; the newest of each name counts. The names are\n" + strings.Join(labels(), ", ") + ".\n" +
			"status=retired says that it is out of service, so that it is noticed when it is seen\n" +
			"again. renewal=key (version, any) records a renewal or service that explains a change.",
		Example: "  probity asset label 192.0.2.7 class=pump status=active --reason \"label on the device\" --db hospital.db",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			values := map[string]string{}
			for _, arg := range args[1:] {
				name, value, ok := strings.Cut(arg, "=")
				if !ok || !slices.Contains(labels(), name) {
					return fmt.Errorf("label %q: want NAME=VALUE with one of %s", safetext.Clean(arg), strings.Join(labels(), ", "))
				}
				values[name] = safetext.Clean(value)
			}
			_, err := a.state(cmd.Context(), f, args, func(assets []evidence.Asset, _ []evidence.AssetFact) ([]evidence.AssetFact, error) {
				x, err := findAsset(assets, args[0])
				return []evidence.AssetFact{{Kind: evidence.FactLabel, Asset: x.ID, Values: values}}, err
			})
			return err
		},
	}
	f.register(cmd)
	return cmd
}

func (a *app) assetImportCommand() *cobra.Command {
	var f factFlags
	var mds2 bool
	cmd := &cobra.Command{
		Use:   "import FILE.csv",
		Short: "Take up an inventory (a CMMS list, a NetBox device export) or an MDS2 form",
		Long: "import reads CSV with a header. A row names its device by one of asset_tag, serial,\n" +
			"mac, udi, certificate (SHA-256), address or name, and may have manufacturer, model,\n" +
			"version, class, status, owner, location, end_of_support (a day) and ports. The columns\n" +
			"of NetBox's device export are known. A mistake names its line, and then nothing is\n" +
			"imported. A row that did not change is not recorded again.\n\n" +
			"With --mds2 FILE is the disclosure of a manufacturer about models (ANSI/NEMA HN 1-2019):\n" +
			"its worksheet saved as CSV, the question's id first, then its text, answer and note.",
		Example: "  probity asset import cmms.csv --db hospital.db\n" +
			"  probity asset import --mds2 pump-mds2.csv --db hospital.db",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			data, err := readLimited(args[0], maxInventoryBytes)
			if err != nil {
				return err
			}
			var list inventory.List
			if mds2 {
				list, err = a.readMDS2(args[0], data)
			} else {
				list, err = inventory.Read(args[0], bytes.NewReader(data))
			}
			if err != nil {
				return err
			}
			if len(list.Ignored) > 0 {
				a.note("columns that are not read: %s", strings.Join(list.Ignored, ", "))
			}
			n, err := a.state(cmd.Context(), f, nil, func(_ []evidence.Asset, said []evidence.AssetFact) ([]evidence.AssetFact, error) {
				return newRows(list, said), nil
			})
			if err == nil {
				a.note("%d rows read, %d new or changed", len(list.Rows), n)
			}
			return err
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&mds2, "mds2", false, "FILE is an MDS2 form")
	return cmd
}

// readMDS2 reads a form as a list of one row.
func (a *app) readMDS2(name string, data []byte) (inventory.List, error) {
	form, err := inventory.ReadMDS2(name, bytes.NewReader(data))
	if err != nil {
		return inventory.List{}, err
	}
	if len(form.Unknown) > 0 {
		a.note("questions that ANSI/NEMA HN 1-2019 does not have: %s", strings.Join(form.Unknown, ", "))
	}
	a.note("%d answers about %s %s", form.Answers, form.Values[string(evidence.AttrManufacturer)], form.Values[string(evidence.AttrModel)])
	return inventory.List{Rows: []inventory.Row{form.Row}}, nil
}

// newRows are the rows that say something else than the newest of their key.
func newRows(list inventory.List, said []evidence.AssetFact) []evidence.AssetFact {
	newest := map[string]map[string]string{}
	for _, s := range said {
		if s.Kind == evidence.FactInventory {
			newest[s.Other] = s.Values
		}
	}
	var out []evidence.AssetFact
	for _, r := range list.Rows {
		if old, ok := newest[r.Key]; !ok || !maps.Equal(old, r.Values) {
			out = append(out, evidence.AssetFact{Kind: evidence.FactInventory, Other: r.Key, Values: r.Values})
		}
	}
	return out
}
