package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// research is where the inputs are when the project is worked on; a clone of the
// project alone does not have them.
const research = "../../../../../shared/data"

// TestTables_areGenerated regenerates the tables and compares.
func TestTables_areGenerated(t *testing.T) {
	if _, err := os.Stat(research); err != nil {
		t.Skipf("the research tables are not here (%s)", research)
	}
	files, _, err := generate(research, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		have, err := os.ReadFile(filepath.Join("..", "data", f.name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(have), string(f.data)); diff != "" {
			t.Errorf("%s is not what gen writes; run go generate ./scanner/identify/fingerprint (-have +gen):\n%s", f.name, diff)
		}
	}
}

// TestTables_holdNothingRemembered: a row without evidence is not shipped.
func TestTables_holdNothingRemembered(t *testing.T) {
	names, err := filepath.Glob("../data/*.tsv")
	if err != nil || len(names) != 4 {
		t.Fatalf("tables: %v, %v", names, err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
			f := strings.Split(line, "\t")
			if source := f[len(f)-1]; source == "" || strings.Contains(line, "recalled") {
				t.Errorf("%s:%d: no source, or one that is memory: %s", name, i+1, line)
			}
		}
	}
}

// TestRegistry_merge: newer registries add, move and drop assignments.
func TestRegistry_merge(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("medical_oui_vendors.tsv", "prefix_hex\tprefix\tregistry\torganisation_as_registered\tmanufacturer\tdevice_class\tconfidence\tsource\tstatus\n"+
		"00AA01\t-\tMA-L\tMindray Old\tMindray\tmonitoring\thigh\told\tverified\n"+
		"00AA02\t-\tMA-L\tDrager\tDräger\tventilation\thigh\told\tverified\n"+
		"00AA03\t-\tMA-L\tSold Medical\tSold Medical\tmonitoring\thigh\told\tverified\n"+
		"00AA0A\t-\tMA-L\tToray\u3000Medical\u3000Co\tToray Medical\tmonitoring\thigh\told\tverified\n"+
		"00AA09\t-\tMA-L\tMasimo Corp\tMasimo\tmonitoring\thigh\told\tverified\n"+
		"00AA04\t-\tMA-L\tMemory\tMemory\tmonitoring\thigh\told\trecalled\n")
	head := "Registry,Assignment,Organization Name,Organization Address\n"
	write("oui.csv", head+"MA-L,00AA01,\"Mindray Co., Ltd.\",x\nMA-L,00AA03,Other Toys,x\nMA-L,00AA05,Masimo Corporation,x\nMA-L,00AA06,Toys,x\nMA-L,00AA08,Dell Inc.,x\nMA-L,00AA0A,Toray Medical Co,x\nMA-L,00AA0B,AGFA NDT INC.,x\n")
	write("mam.csv", head+"MA-M,00AA071,Masimo Corporation,x\n")
	write("oui36.csv", head)
	npm := write("index.json", `{"00AA02":"Mindray Medical\nsome street"}`)
	rows, report, err := ouiTable(dir, dir, npm)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, r[0]+" "+r[1]+" "+r[2]+" "+r[5])
	}
	want := []string{
		"00aa01 Mindray Old Mindray old",
		"00aa02 Mindray Medical Mindray npm oui-data",
		"00aa05 Masimo Corporation Masimo Debian ieee-data",
		"00aa071 Masimo Corporation Masimo Debian ieee-data",
		"00aa09 Masimo Corp Masimo old",
		"00aa0a Toray\u3000Medical\u3000Co Toray Medical old", // a wide blank changes no owner
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if len(report) != 4 {
		t.Errorf("report of %d lines, want 4: %q", len(report), report)
	}

	// What was made can be joined again, without the research tables, and stays.
	made := t.TempDir()
	if err := os.WriteFile(filepath.Join(made, ouiFile), table(ouiHeader, rows), 0o600); err != nil {
		t.Fatal(err)
	}
	if report, err := run("", dir, npm, made); err != nil || len(report) > 0 {
		t.Errorf("joined again: %v %q", err, report)
	}
	again, err := os.ReadFile(filepath.Join(made, ouiFile))
	if diff := cmp.Diff(string(table(ouiHeader, rows)), string(again)); err != nil || diff != "" {
		t.Errorf("joined again: %v (-want +got):\n%s", err, diff)
	}
}
