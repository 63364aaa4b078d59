//go:build cgo

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"probity/evidence/store"
	"probity/internal/safetext"
	"probity/lint/all"
	"probity/reports"
	"probity/rules"
	"probity/rules/catalogue"
	"probity/scanner"
)

// checkup is one line of the doctor's answer.
type checkup struct {
	Check string `json:"check"`
	State string `json:"state"` // ok, warn or bad
	Found string `json:"found"`
	Mend  string `json:"mend,omitempty"`
}

func (a *app) doctorCommand() *cobra.Command {
	var f storeFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check whether this machine can scan, and what to mend",
		Long: "doctor looks at this machine and the database only; it sends nothing.\n\n" +
			"Exit codes: 0 all is well; 2 something prevents a run; 3 something limits it.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			checks := []checkup{
				checkTool(), checkCatalogue(), checkPorts(), a.checkClock(), checkFiles(),
				checkNeighbours("/proc/sys/net/ipv4/neigh/default/gc_thresh3"), checkLive(), a.checkStore(cmd.Context(), f),
			}
			if err := a.writeOutput("", func(w io.Writer) error { return writeCheckups(w, checks, asJSON, a.tableWidth()) }); err != nil {
				return err
			}
			return doctorVerdict(checks)
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

func doctorVerdict(checks []checkup) error {
	code := exitOK
	for _, c := range checks {
		switch c.State {
		case "bad":
			return &statusError{code: exitCannotRun}
		case "warn":
			code = exitQualified
		}
	}
	if code == exitOK {
		return nil
	}
	return &statusError{code: code}
}

func writeCheckups(w io.Writer, checks []checkup, asJSON bool, width int) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(checks)
	}
	rows := make([][]string, 0, len(checks))
	for _, c := range checks {
		rows = append(rows, []string{c.Check, c.State, safetext.Clean(c.Found), safetext.Clean(c.Mend)})
	}
	return reports.Grid(w, []string{"CHECK", "STATE", "FOUND", "MEND"}, rows, width)
}

func checkTool() checkup {
	c := checkup{"program", "ok", toolName(), ""}
	if toolVersion() == "unknown" {
		c.State, c.Mend = "warn", "build with make build, so that evidence names the version"
	}
	if hash := toolHash(); !hash.IsZero() {
		c.Found += ", SHA-256 " + hash.String()
	}
	return c
}

func checkCatalogue() checkup {
	c := checkup{Check: "rule catalogue", State: "bad", Mend: "build again from an unchanged source tree"}
	cat, err := catalogue.Load()
	if err == nil {
		err = rules.Check(cat, all.Checks())
	}
	if err != nil {
		c.Found = err.Error()
		return c
	}
	decided := 0
	for _, r := range cat.Rules() {
		if r.Decided() {
			decided++
		}
	}
	return checkup{c.Check, "ok", fmt.Sprintf("version %s, %d rules, %d of them decided, SHA-256 %s",
		cat.Version(), len(cat.Rules()), decided, cat.Digest()), ""}
}

func checkPorts() checkup {
	table, err := scanner.LoadPorts()
	if err != nil {
		return checkup{"port table", "bad", err.Error(), "build again from an unchanged source tree"}
	}
	return checkup{"port table", "ok", "profiles " + strings.Join(table.Profiles(), ", "), ""}
}

// checkClock notices a clock that is certainly wrong: validity periods are
// judged by it.
func (a *app) checkClock() checkup {
	now := a.now().UTC()
	c := checkup{"clock", "ok", now.Format(time.RFC3339), ""}
	exe, err := os.Executable()
	if err != nil {
		return c
	}
	info, err := os.Stat(exe)
	if err == nil && now.Before(info.ModTime().Add(-time.Hour)) {
		c.State, c.Mend = "bad", "set the clock: it is before the day on which this program was built"
	}
	return c
}

// filesNeeded is what the default parallelism needs, with room.
const filesNeeded = 256

func checkFiles() checkup {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return checkup{"open files", "warn", err.Error(), ""}
	}
	c := checkup{"open files", "ok", fmt.Sprintf("limit %d", lim.Cur), ""}
	if lim.Cur < filesNeeded {
		c.State, c.Mend = "warn", fmt.Sprintf("ulimit -n %d, or scan with --parallel %d", filesNeeded, lim.Cur/4)
	}
	return c
}

// checkNeighbours reads the size of the kernel's neighbour table: a sweep of an
// on-link subnet with more silent addresses than that fails in silence.
func checkNeighbours(path string) checkup {
	c := checkup{"neighbour table", "ok", "not Linux: not checked", ""}
	b, err := os.ReadFile(path)
	if err != nil {
		return c
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return c
	}
	c.Found = fmt.Sprintf("%d entries", n)
	if n < 4096 {
		c.State = "ok"
		c.Mend = fmt.Sprintf("to scan more than %d on-link addresses at once: sysctl net.ipv4.neigh.default.gc_thresh3=16384", n*3/4)
	}
	return c
}

func (a *app) checkStore(ctx context.Context, f storeFlags) checkup {
	c := checkup{Check: "evidence database", State: "ok"}
	switch _, err := os.Stat(f.db); {
	case errors.Is(err, fs.ErrNotExist):
		dir := filepath.Dir(f.db)
		probe, err := os.CreateTemp(dir, ".probity-doctor-*")
		if err != nil {
			c.State, c.Found, c.Mend = "bad", err.Error(), "name a database in a folder that you may write, with --db"
			return c
		}
		_ = probe.Close()
		_ = os.Remove(probe.Name())
		c.Found = fmt.Sprintf("%q does not exist yet; the first run makes it", f.db)
		return c
	case err != nil:
		c.State, c.Found, c.Mend = "bad", err.Error(), "name another database with --db"
		return c
	}
	st, err := store.Open(ctx, f.db, store.Options{ReadOnly: true, Now: a.now})
	if err != nil {
		c.State, c.Found, c.Mend = "bad", err.Error(), "see the message"
		return c
	}
	defer func() { _ = st.Close() }()
	runs, err := st.Runs(ctx)
	if err != nil {
		c.State, c.Found, c.Mend = "bad", err.Error(), "run: probity verify --db "+f.db
		return c
	}
	c.Found = fmt.Sprintf("%q, %d runs", f.db, len(runs))
	return c
}
