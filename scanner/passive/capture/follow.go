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
// then ends the capture: usually that of its context. A file that becomes shorter
// was replaced and is damaged for who follows it.
func Follow(ctx context.Context, path string, wait func(context.Context) error) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("follow capture: %w", err) // names the path
	}
	file, err := NewFile(path, &growing{ctx: ctx, file: f, wait: wait})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	file.closer = f
	return file, nil
}

// growing reads a file on which more is to come.
type growing struct {
	ctx  context.Context //nolint:containedctx // a reader has no other way to get it
	file *os.File
	wait func(context.Context) error
	at   int64
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
			return 0, fmt.Errorf("the file became shorter, from %d to %d bytes", g.at, info.Size())
		}
		if err := g.wait(g.ctx); err != nil {
			return 0, &stoppedError{err}
		}
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
