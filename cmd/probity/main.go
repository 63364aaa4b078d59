// Command probity collects evidence that medical devices can be trusted: it
// scans or listens, checks what it saw against a catalogue of rules, and keeps
// the evidence in a database that an auditor can verify.
//
// This package is wiring: it turns flags into calls and errors into exit codes.
// What is decided is decided in the packages it calls. Each command has one
// file; testdata holds the contract of the command line as scripts.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// version is set by the linker; see the Makefile.
var version = ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, now: time.Now}
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
