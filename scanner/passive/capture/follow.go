package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// Follow opens a capture file that somebody still writes to. At its present end
// Next calls wait, which returns when it is worth looking again, or an error that
// then ends the capture: usually that of its context. An empty file is waited for, or
// the one that takes its name.
//
// A file whose name was given to another one, as programs do that rotate their
// output, is read to its end. One that becomes shorter is damaged for who follows it:
// what was not read of it is lost. In both cases [File.Replaced] then says that the
// name is worth to be followed anew.
func Follow(ctx context.Context, path string, wait func(context.Context) error) (*File, error) {
	for {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("follow capture: %w", err) // names the path
		}
		g := &growing{ctx: ctx, file: f, path: path, wait: wait}
		file, err := NewFile(path, g)
		if err == nil {
			file.closer, file.growing = f, g
			return file, nil
		}
		cerr := f.Close()
		if cerr != nil || !g.replaced || g.at > 0 {
			return nil, errors.Join(err, cerr)
		}
	}
}

// Replaced reports whether another file has the name of a file that was followed,
// or other content is in it. It is of use when Next returned an error.
func (f *File) Replaced() bool { return f.growing != nil && f.growing.replaced }

// growing reads a file on which more is to come.
type growing struct {
	ctx      context.Context //nolint:containedctx // a reader has no other way to get it
	file     *os.File
	path     string
	wait     func(context.Context) error
	at       int64
	replaced bool
}

// stoppedError ends a file that is followed: it is neither an end nor damage.
type stoppedError struct{ err error }

func (e *stoppedError) Error() string { return fmt.Sprintf("following ended: %v", e.err) }

func (e *stoppedError) Unwrap() error { return e.err }

// Read implements [io.Reader].
func (g *growing) Read(b []byte) (int, error) {
	for {
		if err := g.ctx.Err(); err != nil {
			return 0, &stoppedError{err}
		}
		n, err := g.file.Read(b)
		g.at += int64(n)
		if n > 0 || err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
		info, err := g.file.Stat()
		if err != nil {
			return 0, err
		}
		if info.Size() < g.at {
			g.replaced = true
			return 0, fmt.Errorf("the file became shorter, from %d to %d bytes", g.at, info.Size())
		}
		if g.replaced { // and whoever wrote it had the time of a wait to end
			return 0, io.EOF
		}
		if err := g.wait(g.ctx); err != nil {
			return 0, &stoppedError{err}
		}
		other, err := os.Stat(g.path)
		g.replaced = err == nil && !os.SameFile(info, other)
	}
}

// Interruptible returns a reader of what r gives until ctx ends. It is for
// standard input, of which a read that is under way cannot be called off: such a
// read may outlive ctx, and takes what it gets with it.
func Interruptible(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	go func() {
		// Alone, io.Copy would let a file choose a buffer of 32 KiB.
		buffer := make([]byte, 256<<10)
		defer clear(buffer)
		_, err := io.CopyBuffer(in, struct{ io.Reader }{r}, buffer)
		_ = in.CloseWithError(err) // always nil
	}()
	context.AfterFunc(ctx, func() { _ = out.Close() })
	return &stoppable{ctx, out}
}

// stoppable turns the error of a closed pipe into that of its context.
type stoppable struct {
	ctx context.Context //nolint:containedctx // a reader has no other way to get it
	r   io.Reader
}

// Read implements [io.Reader].
func (s *stoppable) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && s.ctx.Err() != nil {
		err = &stoppedError{s.ctx.Err()}
	}
	return n, err
}
