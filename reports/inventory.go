package reports

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"probity/evidence"
	"probity/internal/safetext"
)

// InventoryRow is one line of the comparison of an inventory with what was seen: a
// row of the inventory, a device, or both where the row is about the device.
type InventoryRow struct {
	// Stated are the values of the row, as `probity asset import` reads them; nil
	// for a device that no row is about.
	Stated map[string]string `json:"stated"`
	// Matched is what shows that the row is about the device, such as "serial".
	Matched string `json:"matched,omitzero"`
	// Known are what probity knows of the device; nil for a row of which no device
	// was seen.
	Known map[string]string `json:"known"`
}

// InventoryRows compares assets with the rows of the inventory that are in force.
// Devices come in the order given, each with its rows, then the rows of which no
// device was seen.
func InventoryRows(assets []evidence.Asset, rows []evidence.AssetFact) []InventoryRow {
	out := []InventoryRow{}
	met := map[int64]bool{}
	for _, a := range assets {
		known := NewAssetRecord(a).known()
		before := len(out)
		for _, f := range a.Facts {
			if f.Kind == evidence.FactInventory && !f.Disclosure() {
				met[f.ID] = true
				out = append(out, InventoryRow{statedValues(f), safetext.Clean(f.Matched), known})
			}
		}
		if len(out) == before {
			out = append(out, InventoryRow{Known: known})
		}
	}
	for _, f := range rows {
		if !met[f.ID] {
			out = append(out, InventoryRow{Stated: statedValues(f)})
		}
	}
	return out
}

// columnID is the value that names a row and is kept in its key alone.
const columnID = "id"

func statedValues(f evidence.AssetFact) map[string]string {
	out := map[string]string{}
	for k, v := range f.Values {
		out[safetext.Clean(k)] = safetext.Clean(v)
	}
	if id, ok := strings.CutPrefix(f.Other, columnID+"="); ok {
		out[columnID] = safetext.Clean(id)
	}
	return out
}

// statedColumns are those of an inventory in the order in which it is written.
func statedColumns() []string {
	return []string{
		evidence.ValueAssetTag, columnID, string(evidence.AttrSerial), string(evidence.AttrUDI), string(evidence.AttrMAC),
		evidence.ValueAddress, evidence.ValueName, string(evidence.AttrManufacturer), string(evidence.AttrModel),
		string(evidence.AttrVersion), string(evidence.AttrClass), string(evidence.AttrOS), evidence.ValueStatus, evidence.ValueOwner,
		evidence.ValueLocation, evidence.ValueEndOfSupport, evidence.ValuePorts, evidence.ValueCertificate,
	}
}

// knownPrefix begins the names of columns that tell what probity knows; an import
// passes over them.
const knownPrefix = "probity_"

func knownColumns() []string {
	return []string{
		"asset", "asset_tag", "owner", "location", "address", "mac", "name", "identity", "manufacturer", "model", "version", "serial", "udi", "class", "class_confidence",
		"operating_system", "services", "status", "first_seen", "last_seen",
	}
}

// known are the values of an asset by the names of knownColumns.
func (a AssetRecord) known() map[string]string {
	all := TableOptions{Wide: true}
	class := a.bestClaim(evidence.AttrClass)
	out := map[string]string{
		"asset": a.ID, "address": strings.Join(a.Addresses, " "), "mac": strings.Join(a.values(evidence.AttrMAC), " "),
		"asset_tag": a.stated(evidence.ValueAssetTag), "owner": a.stated(evidence.ValueOwner), "location": a.stated(evidence.ValueLocation),
		"name": cmp.Or(a.stated(evidence.ValueName), a.best(evidence.AttrHostname)), "identity": a.identity(), "manufacturer": a.best(evidence.AttrManufacturer),
		"model": cmp.Or(a.best(evidence.AttrModel), a.best(evidence.AttrFamily)), "version": a.best(evidence.AttrVersion),
		"serial": a.best(evidence.AttrSerial), "udi": a.best(evidence.AttrUDI), "class": class.Value,
		"operating_system": a.best(evidence.AttrOS), "services": strings.TrimPrefix(a.services(all), "-"), "status": a.Status,
		"first_seen": a.FirstSeen.Format(time.RFC3339), "last_seen": a.LastSeen.Format(time.RFC3339),
	}
	if class.Value != "" {
		out["class_confidence"] = confidenceText(class)
	}
	maps.DeleteFunc(out, func(_, v string) bool { return v == "" })
	return out
}

// InventoryJSON writes rows as one JSON document.
func InventoryJSON(w io.Writer, rows []InventoryRow) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(rows)
}

// InventoryCSV writes rows as CSV (RFC 4180) with a header: what the inventory
// states in the columns that `probity asset import` reads, and beside it what is
// known, which it passes over. So an import of what was written changes nothing.
// Text that a spreadsheet would take for a formula begins with an apostrophe.
func InventoryCSV(w io.Writer, rows []InventoryRow) error {
	c := csv.NewWriter(w)
	c.UseCRLF = true
	stated, known := statedColumns(), knownColumns()
	head := slices.Clone(stated)
	for _, k := range known {
		head = append(head, knownPrefix+k)
	}
	if err := c.Write(append(head, knownPrefix+"matched")); err != nil {
		return err
	}
	for _, r := range rows {
		line := make([]string, 0, len(head)+1)
		for _, k := range stated {
			line = append(line, cell(r.Stated[k]))
		}
		for _, k := range known {
			line = append(line, cell(r.Known[k]))
		}
		if err := c.Write(append(line, r.Matched)); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}
