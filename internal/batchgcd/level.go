package batchgcd

import (
	"bufio"
	"fmt"
	"io"
	"math/big"
	"os"
)

// spill is a file without a name that the levels of one tree are appended to.
type spill struct {
	file *os.File
	end  int64
}

func newSpill(dir string) (*spill, error) {
	f, err := os.CreateTemp(dir, "probity-products-*")
	if err != nil {
		return nil, err
	}
	s := &spill{file: f}
	if err := os.Remove(f.Name()); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// close gives up what the file holds, which nobody can read afterwards.
func (s *spill) close() { _ = s.file.Close() }

// level is one level of the tree, in memory or in a file.
type level struct {
	nodes []*big.Int
	spill *spill
	ends  []int64 // of the nodes in the file; the first is where they begin
}

// keep returns a level with the nodes, in a file in dir, or in memory if dir is
// empty.
func (t *tree) keep(dir string, nodes []*big.Int) (*level, error) {
	if dir == "" {
		return &level{nodes: nodes}, nil
	}
	if t.spill == nil {
		s, err := newSpill(dir)
		if err != nil {
			return nil, fmt.Errorf("keep a level of the tree: %w", err)
		}
		t.spill = s
	}
	l := &level{spill: t.spill, ends: make([]int64, 0, len(nodes)+1)}
	l.ends = append(l.ends, t.spill.end)
	out := bufio.NewWriterSize(io.NewOffsetWriter(t.spill.file, t.spill.end), 1<<20)
	for _, n := range nodes {
		b := n.Bytes()
		if _, err := out.Write(b); err != nil {
			return nil, noRoom(err)
		}
		t.spill.end += int64(len(b))
		l.ends = append(l.ends, t.spill.end)
	}
	if err := out.Flush(); err != nil {
		return nil, noRoom(err)
	}
	return l, nil
}

func noRoom(err error) error {
	return fmt.Errorf("keep a level of the tree: %w; give it a directory with more room", err)
}

func (l *level) len() int {
	if l.spill == nil {
		return len(l.nodes)
	}
	return len(l.ends) - 1
}

// node returns node i. It is safe for concurrent use.
func (l *level) node(i int) (*big.Int, error) {
	if l.spill == nil {
		return l.nodes[i], nil
	}
	b := make([]byte, l.ends[i+1]-l.ends[i])
	if _, err := l.spill.file.ReadAt(b, l.ends[i]); err != nil {
		return nil, fmt.Errorf("read a level of the tree: %w", err)
	}
	return new(big.Int).SetBytes(b), nil
}
