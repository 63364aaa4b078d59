package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// How often progress is reported on a terminal, and elsewhere.
const (
	progressOnTerminal = 200 * time.Millisecond
	progressElsewhere  = 30 * time.Second
)

// progress is one status line on a terminal, or a plain line now and then.
type progress struct {
	w        io.Writer
	now      func() time.Time
	terminal bool
	last     time.Time
	shown    bool
}

func newProgress(w io.Writer, now func() time.Time) *progress {
	f, ok := w.(*os.File)
	return &progress{w: w, now: now, last: now(), terminal: ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"}
}

// line reports how far a scan is, unless the last report was just now.
func (p *progress) line(done, planned int, connections int64) {
	p.say("%d of %d probes done, %d connections", done, planned, connections)
}

// say reports, unless the last report was just now.
func (p *progress) say(format string, args ...any) {
	every := progressElsewhere
	if p.terminal {
		every = progressOnTerminal
	}
	now := p.now()
	if now.Sub(p.last) < every {
		return
	}
	p.last = now
	text := fmt.Sprintf(format, args...)
	if p.terminal {
		p.shown = true
		_, _ = fmt.Fprintf(p.w, "\r\x1b[K%s", text)
		return
	}
	_, _ = fmt.Fprintf(p.w, "probity: %s\n", text)
}

// end clears the status line.
func (p *progress) end() {
	if p.shown {
		_, _ = io.WriteString(p.w, "\r\x1b[K")
	}
}
