package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"probity/evidence"
	"probity/internal/safetext"
)

// app is what a command may touch of the outside world.
type app struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	now    func() time.Time
}

// run executes one command line and returns its exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(ctx)
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		err = &statusError{exitInterrupted, errors.New("interrupted; what was recorded is kept")}
	}
	var s *statusError
	if err != nil && (!errors.As(err, &s) || s.err != nil) {
		_, _ = fmt.Fprintf(a.stderr, "probity: %s\n", oneLine(err))
	}
	return exitCode(err)
}

// oneLine shows an error as one clean line.
func oneLine(err error) string {
	return safetext.Clean(strings.Join(strings.Fields(err.Error()), " "))
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "probity",
		Short: "Evidence that medical devices can be trusted",
		Long: "probity scans or listens to medical devices, checks their certificates, keys and\n" +
			"transport security against a catalogue of rules with clauses, and keeps the\n" +
			"evidence in a database that an auditor can verify.\n\n" +
			"Exit codes: 0 done; 1 negative verdict; 2 could not run; 3 done with a\n" +
			"qualification (not all reached, loss, unanchored); 4 refused by policy; 130 interrupted.",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.NoArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see: %s --help", err, cmd.CommandPath())
	})
	for _, c := range a.commands() {
		if c.Args == nil {
			c.Args = cobra.NoArgs
		}
		c.Args = friendlyArgs(c.Args)
		root.AddCommand(c)
	}
	root.SetHelpCommand(&cobra.Command{Use: "no-help", Hidden: true})
	return root
}

// friendlyArgs adds to an argument error where to read on.
func friendlyArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return fmt.Errorf("%w; see: %s --help", err, cmd.CommandPath())
		}
		return nil
	}
}

// pureCommands are the commands that need no evidence store; every build has them.
func (a *app) pureCommands() []*cobra.Command {
	return []*cobra.Command{
		a.planCommand(), a.explainCommand(), a.rulesCommand(), a.labCommand(),
		a.completionCommand(), a.versionCommand(),
	}
}

// toolName is what a run records as the program that made it. An unknown
// version is said, not hidden.
func toolName() string { return "probity " + toolVersion() }

func toolVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "unknown"
}

// toolHash returns the SHA-256 of the running executable, or zero when it cannot
// be read.
var toolHash = sync.OnceValue(func() evidence.Digest {
	path, err := os.Executable()
	if err != nil {
		return evidence.Digest{}
	}
	f, err := os.Open(path)
	if err != nil {
		return evidence.Digest{}
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil { // a program is too large to hold for its digest
		return evidence.Digest{}
	}
	return evidence.Digest(h.Sum(nil))
})

// writeOutput calls write with stdout, or with a file that replaces path in one
// step once it is complete.
func (a *app) writeOutput(path string, write func(io.Writer) error) error {
	if path == "" || path == "-" {
		out := bufio.NewWriter(a.stdout)
		if err := write(out); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return fmt.Errorf("write to standard output: %w", err)
		}
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("--output %q: %w", path, err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // fails after the rename, as it should
	if err := write(f); err != nil {
		_ = f.Close()
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("--output %q: %w", path, err)
	}
	return nil
}

// width is the width of the terminal behind stdout, or 0 when there is none.
func (a *app) width() int {
	f, ok := a.stdout.(*os.File)
	if !ok {
		return 0
	}
	w, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return w
}

// unwrapped is the width of a table that nobody looks at in a terminal: one row a
// line, for grep.
const unwrapped = 1 << 12

// tableWidth is the width of the terminal, or wide enough for any row.
func (a *app) tableWidth() int { return cmp.Or(a.width(), unwrapped) }

// note tells the operator something that is no result.
func (a *app) note(format string, args ...any) {
	_, _ = fmt.Fprintf(a.stderr, "probity: %s\n", oneLine(fmt.Errorf(format, args...)))
}

// tell notes each of several things.
func (a *app) tell(notes []string) {
	for _, n := range notes {
		a.note("%s", n)
	}
}
