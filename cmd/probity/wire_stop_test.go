//go:build cgo && linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// stopped holds that the scanner sent nothing later than a moment, but for what
// was on its way.
func (w *wire) stopped(t *testing.T, at time.Time, least int) {
	t.Helper()
	const late = 100 * time.Millisecond // between a process and the wire lies the scheduler
	w.settle(t)
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.flows); n < least {
		t.Errorf("%d connections before the end, want some", n)
	}
	if after := w.lastSent.Sub(at); after > late {
		t.Errorf("a connection, or bytes, %v after the end", after)
	}
}

// fleet are devices of which each answers TLS, more than a scan gets through.
func fleet(t *testing.T) []string {
	t.Helper()
	var targets, addresses []string
	for i := range 200 {
		host := fmt.Sprintf("127.5.1.%d", 1+i)
		targets = append(targets, host+":2575")
		addresses = append(addresses, host+":2575")
	}
	newTally(t, addresses)
	return append(targets, "--rate", "40", "--asset-rate", "10", "--quiet", "--fail-on", "none")
}

// TestPeer_interruptedOnTheWire stops a scan with SIGINT: from then on, nothing
// goes over the wire.
func TestPeer_interruptedOnTheWire(t *testing.T) {
	if !isolated(t) {
		return
	}
	targets := fleet(t)
	w := newWire(t)
	cmd, stderr := process(t, append([]string{"scan", "--db", filepath.Join(t.TempDir(), "evidence.db")}, targets...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.await(t, 20)
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	w.stopped(t, at, 20)
}

// TestPeer_windowOnTheWire lets the window of a scan close: from that moment on,
// nothing goes over the wire.
func TestPeer_windowOnTheWire(t *testing.T) {
	if !isolated(t) {
		return
	}
	targets := fleet(t)
	w := newWire(t)
	var closes time.Time
	begin := sync.OnceFunc(func() { closes = time.Now().Add(4 * time.Second) }) // a busy machine is slow to start
	end := time.Date(2026, 11, 23, 13, 0, 0, 0, time.UTC)                       // a Monday
	var stderr bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: &stderr, now: func() time.Time { begin(); return end.Add(-time.Until(closes)) }}
	code := a.run(t.Context(), append([]string{"scan", "--db", filepath.Join(t.TempDir(), "evidence.db"), "--window", "Mon 12:00-13:00 UTC"}, targets...))
	if code != exitQualified {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
	w.stopped(t, closes, 20)
}

// await returns when so many connections were begun.
func (w *wire) await(t *testing.T, connections int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 4000 {
		w.mu.Lock()
		n := len(w.flows)
		w.mu.Unlock()
		if n >= connections {
			return
		}
		<-tick.C
	}
	t.Fatal("the scan does not begin")
}
