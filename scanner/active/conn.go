package active

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// errByteBudget is what a prober sees when the peer sent, or the prober wants
// to send, more than the budget of one connection.
var errByteBudget = errors.New("byte budget of the connection is used up")

// fate is what became of one connection, as far as the breaker cares.
type fate int

const (
	fateAnswered    fate = iota // the peer sent at least one byte
	fateRefused                 // refused while connecting
	fateUnconnected             // no answer to connecting
	fateSilent                  // connected, but not a byte came in time
	fateReset                   // connected, and closed or reset by the peer without a byte
	fateUnused                  // closed by the prober before the peer could answer, or a local error
)

// conn counts and limits one connection. The peer's side of it is hostile.
type conn struct {
	net.Conn
	deadline time.Time // of the budget; a prober may only come before it
	limit    int64     // bytes, each way
	release  func(*conn)
	stop     func() bool // ends the watch on the context

	// inFlight is held for reading by every Read and Write, so that Close can
	// wait for those that goroutines of a protocol library left behind: the counts
	// of a closed connection are final.
	inFlight sync.RWMutex
	ended    bool

	now func() time.Time

	mu       sync.Mutex
	sent     int64
	received int64
	asked    time.Time // of the first byte sent
	answered time.Time // of the first byte received
	failure  error     // first error of a Read or Write

	once   sync.Once
	closed error // what closing said
}

func newConn(ctx context.Context, c net.Conn, deadline time.Time, g *gate, release func(*conn)) (*conn, error) {
	counted := &conn{Conn: c, deadline: deadline, limit: g.plan.Rates.MaxBytes, now: g.now, release: release}
	if err := c.SetDeadline(deadline); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	// Closing is the one way to stop a blocked Read or Write that a prober
	// cannot undo by a deadline of its own.
	counted.stop = context.AfterFunc(ctx, func() { c.Close() }) //nolint:errcheck // the prober's Close reports
	return counted, nil
}

// Read implements [io.Reader] within the byte budget.
func (c *conn) Read(p []byte) (int, error) {
	c.inFlight.RLock()
	defer c.inFlight.RUnlock()
	if c.ended {
		return 0, net.ErrClosed
	}
	c.mu.Lock()
	left := c.limit - c.received
	c.mu.Unlock()
	if left <= 0 {
		return 0, c.note(errByteBudget)
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), left)])
	c.mu.Lock()
	if n > 0 && c.received == 0 {
		c.answered = c.now()
	}
	c.received += int64(n)
	c.mu.Unlock()
	return n, c.note(err)
}

// Write implements [io.Writer] within the byte budget.
func (c *conn) Write(p []byte) (int, error) {
	c.inFlight.RLock()
	defer c.inFlight.RUnlock()
	if c.ended {
		return 0, net.ErrClosed
	}
	c.mu.Lock()
	left := c.limit - c.sent
	if c.asked.IsZero() {
		c.asked = c.now()
	}
	c.mu.Unlock()
	if int64(len(p)) > left {
		return 0, c.note(errByteBudget)
	}
	n, err := c.Conn.Write(p)
	c.mu.Lock()
	c.sent += int64(n)
	c.mu.Unlock()
	return n, c.note(err)
}

func (c *conn) note(err error) error {
	if err != nil {
		c.mu.Lock()
		if c.failure == nil {
			c.failure = err
		}
		c.mu.Unlock()
	}
	return err
}

// earlier caps a deadline at that of the budget; the zero value, which means
// none, is the budget's.
func (c *conn) earlier(t time.Time) time.Time {
	if t.IsZero() || t.After(c.deadline) {
		return c.deadline
	}
	return t
}

// SetDeadline implements [net.Conn]; the budget stays in force.
func (c *conn) SetDeadline(t time.Time) error { return c.Conn.SetDeadline(c.earlier(t)) }

// SetReadDeadline implements [net.Conn]; the budget stays in force.
func (c *conn) SetReadDeadline(t time.Time) error { return c.Conn.SetReadDeadline(c.earlier(t)) }

// SetWriteDeadline implements [net.Conn]; the budget stays in force.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.Conn.SetWriteDeadline(c.earlier(t)) }

// Close closes the connection. Protocol libraries close it from goroutines of
// their own: whoever comes second waits until the first is done, so that a
// prober that has closed can dial again.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.stop()
		if err := c.Conn.Close(); !errors.Is(err, net.ErrClosed) { // closed before: the context ended
			c.closed = err
		}
		c.inFlight.Lock()
		c.ended = true
		c.inFlight.Unlock()
		c.release(c)
	})
	return c.closed
}

// fate says what became of a closed connection.
func (c *conn) fate() fate {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.received > 0:
		return fateAnswered
	case c.failure == nil, errors.Is(c.failure, net.ErrClosed), errors.Is(c.failure, errByteBudget):
		return fateUnused
	case errors.Is(c.failure, syscall.ECONNREFUSED): // UDP: the port is closed
		return fateRefused
	case isTimeout(c.failure):
		return fateSilent
	}
	return fateReset
}

// dialFate says what a failed attempt to connect shows.
func dialFate(err error) fate {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fateRefused
	case errors.Is(err, syscall.ECONNRESET):
		return fateReset
	case isTimeout(err):
		return fateUnconnected
	}
	return fateUnused // no route, no socket: nothing was learned about the asset's health
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}
