package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"probity/scanner/identify/fingerprint"
)

// file is one table to write.
type file struct {
	name string
	data []byte
}

const (
	ouiFile   = "oui.tsv"
	ouiHeader = "prefix\torganisation\tmanufacturer\tclass\tconfidence\tsource"
)

// generate makes all tables of the folder of the research tables. Of a folder that
// holds tables that were made, it joins that of hardware addresses with the registries.
func generate(data, ieee, npm string) ([]file, []string, error) {
	if _, err := os.Stat(filepath.Join(data, ouiFile)); err == nil {
		rows, err := read(data, ouiFile)
		if err != nil {
			return nil, nil, err
		}
		known := map[string][]string{}
		for _, r := range rows {
			known[r["prefix"]] = []string{r["prefix"], r["organisation"], r["manufacturer"], r["class"], r["confidence"], r["source"]}
		}
		oui, report, err := join(known, ieee, npm)
		return []file{{ouiFile, table(ouiHeader, oui)}}, report, err
	}
	uid, err := uidTable(data)
	if err != nil {
		return nil, nil, err
	}
	pen, err := penTable(data)
	if err != nil {
		return nil, nil, err
	}
	oui, report, err := ouiTable(data, ieee, npm)
	if err != nil {
		return nil, report, err
	}
	ports, err := portTable(data)
	if err != nil {
		return nil, report, err
	}
	return []file{
		{"dicom_uid.tsv", table("root\tattribute\tvalue\tclass\tconfidence\tsource", uid)},
		{"pen.tsv", table("number\torganisation\tmanufacturer\tclass\tconfidence\tsource", pen)},
		{ouiFile, table(ouiHeader, oui)},
		{"ports.tsv", table("port\ttransport\tservice\tsource", ports)},
	}, report, nil
}

// table writes rows by their first columns.
func table(header string, rows [][]string) []byte {
	lines := make([]string, 0, len(rows))
	for _, r := range rows {
		lines = append(lines, strings.Join(r, "\t")+"\n")
	}
	slices.Sort(lines)
	var b bytes.Buffer
	b.WriteString(header + "\n")
	for _, l := range lines {
		b.WriteString(l)
	}
	return b.Bytes()
}

// read returns the rows of a research table as maps from column to value.
func read(folder, name string) ([]map[string]string, error) {
	data, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		return nil, fmt.Errorf("read a research table: %w", err)
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	header := strings.Split(lines[0], "\t")
	var out []map[string]string
	for i, line := range lines[1:] {
		f := strings.Split(line, "\t")
		if len(f) > len(header) || len(f) < 2 {
			return nil, fmt.Errorf("%s:%d: %d columns, want %d", name, i+2, len(f), len(header))
		}
		row := map[string]string{}
		for j, column := range header {
			if j < len(f) {
				row[column] = strings.TrimSpace(f[j])
			}
		}
		out = append(out, row)
	}
	return out, nil
}

// remembered reports whether any part of a row rests on memory only.
func remembered(row map[string]string) bool {
	return strings.Contains(row["status"]+row["source"], "recalled") || strings.Contains(row["note"], "owner not")
}

// uidTable keeps the roots whose owner is known.
func uidTable(data string) ([][]string, error) {
	rows, err := read(data, "dicom_uid_roots.tsv")
	if err != nil {
		return nil, err
	}
	var out [][]string
	for _, r := range rows {
		if remembered(r) || strings.Contains(r["status"], "owner unknown") {
			continue
		}
		attribute, class := "manufacturer", ""
		switch kind := r["kind"]; {
		case strings.HasPrefix(kind, "toolkit"), kind == "anonymiser/tool":
			attribute = "toolkit"
		case kind == "PACS":
			class = "archive"
		case kind == "workstation", kind == "gateway":
			class = kind
		case kind == "manufacturer", kind == "manufacturer/PACS", kind == "vendor":
		default:
			continue // registries, protocols and archives of research own no device
		}
		owner := bare(r["owner_or_product"])
		if owner == "OsiriX/Horos" { // programs, by several makers
			attribute = "product_family"
		}
		out = append(out, []string{r["uid_root"], attribute, owner, class, "70", shipped(r["source"])})
	}
	return out, nil
}

// bare drops what stands in brackets behind a name.
func bare(s string) string {
	s, _, _ = strings.Cut(s, " (")
	return strings.TrimSuffix(s, " implementation class arc")
}

// shipped writes a source in words that hold in the tree: our own captures by
// where they are, and public code as that.
func shipped(source string) string {
	return strings.NewReplacer(
		"pcaps/live_*", "fixtures/data/captures",
		"find_string hit in a public C++ source", "public C++ source", "find_string hit in", "public", "; find_string", "; public code",
		"as above", "public C++ source (MergeCOM3_340)",
	).Replace(source)
}

// confidenceOf rates a row by how it came into the research table: a medical
// manufacturer, a group that also makes other things, a word in a name.
func confidenceOf(r map[string]string, high, medium, low, keyword string) string {
	switch r["confidence"] {
	case "high":
		return high
	case "medium":
		return medium
	case "keyword":
		return keyword
	}
	return low
}

// class is the class of device that a registry entry hints at; a manufacturer of
// several classes hints at none but medical.
func class(text string) string {
	switch text {
	case "imaging", "dialysis", "dialysis/blood":
		return strings.TrimSuffix(text, "/blood")
	case "monitoring", "monitoring/neuro":
		return "monitor"
	case "ventilation":
		return "ventilator"
	case "infusion":
		return "pump"
	case "lab/POCT":
		return "analyser"
	case "mixed":
		return ""
	}
	return fingerprint.ClassMedical
}

func penTable(data string) ([][]string, error) {
	rows, err := read(data, "medical_pen.tsv")
	if err != nil {
		return nil, err
	}
	var out [][]string
	for _, r := range rows {
		// Roots of toolkits are in the table of DICOM roots.
		if remembered(r) || strings.Contains(r["confidence"], "DICOM") {
			continue
		}
		out = append(out, []string{
			r["pen"], r["organisation_as_registered"], bare(r["manufacturer"]), class(r["device_class"]),
			confidenceOf(r, "65", "60", "50", "30"), r["source"],
		})
	}
	return out, nil
}

func portTable(data string) ([][]string, error) {
	rows, err := read(data, "medical_ports.tsv")
	if err != nil {
		return nil, err
	}
	var out [][]string
	for _, r := range rows {
		if remembered(r) || !strings.HasPrefix(r["status"], "verified") || r["source"] == "general" {
			continue
		}
		for port := range strings.SplitSeq(r["port"], ",") {
			if strings.Trim(port, "0123456789") != "" || !clinical(r["service"]) {
				continue
			}
			for transport := range strings.SplitSeq(r["transport"], "/") {
				out = append(out, []string{port, transport, bare(r["service"]), r["source"]})
			}
		}
	}
	return out, nil
}

// clinical reports whether a service is one of medical devices.
func clinical(service string) bool {
	s := strings.ToLower(service)
	return slices.ContainsFunc([]string{"dicom", "hl7", "orthanc", "sdc", "11073", "carescape", "alaris", "intellivue", "poct"}, func(w string) bool {
		return strings.Contains(s, w)
	})
}

// ouiTable is the research table joined with newer registries.
func ouiTable(data, ieee, npm string) (out [][]string, report []string, err error) {
	rows, err := read(data, "medical_oui_vendors.tsv")
	if err != nil {
		return nil, nil, err
	}
	known := map[string][]string{}
	for _, r := range rows {
		if remembered(r) {
			continue
		}
		prefix := strings.ToLower(r["prefix_hex"])
		known[prefix] = []string{
			prefix, r["organisation_as_registered"], bare(r["manufacturer"]), class(r["device_class"]),
			confidenceOf(r, "30", "25", "10", "15"), r["source"],
		}
	}
	return join(known, ieee, npm)
}

// join joins assignments, by prefix, with newer registries.
func join(known map[string][]string, ieee, npm string) (out [][]string, report []string, err error) {
	registries, err := registries(ieee, npm)
	if err != nil {
		return nil, nil, err
	}
	set, err := fingerprint.Builtin()
	if err != nil && len(registries) > 0 {
		return nil, nil, err
	}
	makers := map[string]bool{} // of medical devices, as the research table has them
	for _, row := range known {
		if name, ok := set.Manufacturer(row[1]); ok {
			makers[name] = true
		}
	}
	newest := map[string]assignment{}
	for _, reg := range registries { // of two, the later one counts
		for prefix, owner := range reg.owners {
			newest[prefix] = assignment{owner, reg.source}
		}
	}
	report = merge(newest, known, makers, set)
	for _, prefix := range slices.Sorted(maps.Keys(known)) {
		out = append(out, known[prefix])
	}
	return out, report, nil
}

// assignment is the owner of a prefix, and the registry that says so.
type assignment struct{ owner, source string }

// registry is a list of assignments.
type registry struct {
	source string
	owners map[string]string // by prefix in lower-case hex digits
}

// merge adds the assignments of known makers of medical devices, and follows those
// that changed hands.
func merge(newest map[string]assignment, known map[string][]string, makers map[string]bool, set *fingerprint.Set) (report []string) {
	for _, prefix := range slices.Sorted(maps.Keys(newest)) {
		owner, source := newest[prefix].owner, newest[prefix].source
		name, medical := set.Manufacturer(owner)
		medical = medical && makers[name]
		row, have := known[prefix]
		switch {
		case have && sameOwner(row[1], owner):
		case have && medical:
			report = append(report, fmt.Sprintf("%s: %q is %q in %s", prefix, row[1], owner, source))
			row[1], row[2], row[5] = owner, name, source
		case have:
			report = append(report, fmt.Sprintf("%s: %q is %q in %s, which is no known manufacturer: dropped", prefix, row[1], owner, source))
			delete(known, prefix)
		case medical:
			report = append(report, fmt.Sprintf("%s: new: %q", prefix, owner))
			known[prefix] = []string{prefix, owner, name, fingerprint.ClassMedical, "25", source}
		}
	}
	return report
}

// sameOwner compares names by their first word: registries cut and respell them.
func sameOwner(a, b string) bool {
	first := func(s string) string {
		words := strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return unicode.IsSpace(r) || r == ',' || r == '.' || r == '-' })
		if len(words) == 0 {
			return ""
		}
		return words[0]
	}
	return first(a) == first(b)
}

func registries(ieee, npm string) ([]registry, error) {
	var out []registry
	if ieee != "" {
		r := registry{source: "Debian ieee-data", owners: map[string]string{}}
		for _, name := range []string{"oui.csv", "mam.csv", "oui36.csv"} {
			if err := r.readIEEE(filepath.Join(ieee, name)); err != nil {
				return nil, err
			}
		}
		out = append(out, r)
	}
	if npm != "" {
		data, err := os.ReadFile(npm)
		if err != nil {
			return nil, fmt.Errorf("read a registry: %w", err)
		}
		var list map[string]string
		if err := json.Unmarshal(data, &list); err != nil {
			return nil, fmt.Errorf("read %s: %w", npm, err)
		}
		r := registry{source: "npm oui-data", owners: map[string]string{}}
		for prefix, text := range list {
			owner, _, _ := strings.Cut(text, "\n")
			r.owners[strings.ToLower(prefix)] = owner
		}
		out = append(out, r)
	}
	return out, nil
}

// readIEEE reads a list as the IEEE publishes it: registry, assignment,
// organisation, address.
func (g registry) readIEEE(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no %s: install ieee-data, or leave -ieee out", path)
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	r := csv.NewReader(f)
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	for _, row := range rows[min(1, len(rows)):] {
		if len(row) >= 3 {
			g.owners[strings.ToLower(row[1])] = strings.Join(strings.Fields(row[2]), " ")
		}
	}
	return nil
}
