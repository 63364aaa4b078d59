package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite golden files in the scripts")

// testClock is the real clock, unless PROBITY_TEST_NOW names an instant.
func testClock() func() time.Time {
	s := os.Getenv("PROBITY_TEST_NOW")
	if s == "" {
		return time.Now
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Now
	}
	return func() time.Time { return at }
}

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		command()
	}
	if run := asPeer(); run != nil {
		run()
		return
	}
	testscript.Main(m, map[string]func(){"probity": command})
}

// asCommand in the environment makes the test binary the program itself, for
// tests that need a process of its own.
const asCommand = "PROBITY_TEST_AS_COMMAND"

// command is main with the clock of the tests.
func command() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, now: testClock()}
	profiled := profile()
	code := a.run(ctx, os.Args[1:])
	stop()
	profiled()
	if path := os.Getenv(peakFile); path != "" {
		status, _ := os.ReadFile("/proc/self/status")
		_ = os.WriteFile(path, status, 0o600)
	}
	os.Exit(code)
}

// profileDir in the environment names a folder that gets profiles of processor
// and memory of every command that a benchmark runs, by process.
const profileDir = "PROBITY_TEST_PROFILE"

// profile begins a profile where one is asked for, and returns what ends it.
func profile() (end func()) {
	dir := os.Getenv(profileDir)
	if dir == "" {
		return func() {}
	}
	create := func(kind string) *os.File {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%d.%s", os.Args[1], os.Getpid(), kind)))
		if err != nil {
			panic(err)
		}
		return f
	}
	processor := create("cpu")
	_ = pprof.StartCPUProfile(processor)
	return func() {
		pprof.StopCPUProfile()
		memory := create("mem")
		_ = pprof.Lookup("allocs").WriteTo(memory, 0)
		_ = memory.Close()
		_ = processor.Close()
	}
}

// peakFile in the environment names a file that gets the status of the process
// when the command ends, with its peak memory.
const peakFile = "PROBITY_TEST_STATUS"

func TestScripts(t *testing.T) {
	captures, err := filepath.Abs(filepath.Join("..", "..", "fixtures", "data", "captures"))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("CAPTURES", captures)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exit": cmdExit,
			"oneline": func(ts *testscript.TestScript, _ bool, args []string) {
				cmdOneLine(ts, args)
			},
		},
	})
}

// cmdExit runs a command and asserts its exit code: exit CODE COMMAND ARGS...
func cmdExit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit CODE COMMAND ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		exit, ok := err.(*exec.ExitError) //nolint:errorlint // testscript returns it unwrapped
		if !ok {
			ts.Fatalf("run %s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("%s: exit code %d, want %d\nstderr: %s", strings.Join(args[1:], " "), got, want, ts.ReadFile("stderr"))
	}
}

// cmdOneLine asserts that standard error of the last command is one line.
func cmdOneLine(ts *testscript.TestScript, args []string) {
	if len(args) != 0 {
		ts.Fatalf("usage: oneline")
	}
	s := strings.TrimSuffix(ts.ReadFile("stderr"), "\n")
	if s == "" || strings.Contains(s, "\n") {
		ts.Fatalf("standard error is not one line: %q", s)
	}
}
