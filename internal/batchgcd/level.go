package batchgcd

import (
	"fmt"
	"math/big"
	"os"
)

// level is one level of the tree, in memory or in a file.
type level struct {
	nodes []*big.Int
	file  *os.File
	ends  []int64 // of the nodes in file
}

// keep returns a level with the nodes, in a file in dir that has no name, or in
// memory if dir is empty.
func keep(dir string, nodes []*big.Int) (*level, error) {
	if dir == "" {
		return &level{nodes: nodes}, nil
	}
	f, err := os.CreateTemp(dir, "products-*")
	if err != nil {
		return nil, fmt.Errorf("keep a level of the tree: %w", err)
	}
	l := &level{file: f, ends: make([]int64, len(nodes))}
	if err := os.Remove(f.Name()); err != nil {
		l.close()
		return nil, fmt.Errorf("keep a level of the tree: %w", err)
	}
	var end int64
	for i, n := range nodes {
		b := n.Bytes()
		if _, err := f.WriteAt(b, end); err != nil {
			l.close()
			return nil, fmt.Errorf("keep a level of the tree: %w; give it a directory with more room", err)
		}
		end += int64(len(b))
		l.ends[i] = end
	}
	return l, nil
}

func (l *level) len() int {
	if l.file == nil {
		return len(l.nodes)
	}
	return len(l.ends)
}

// node returns node i. It is safe for concurrent use.
func (l *level) node(i int) (*big.Int, error) {
	if l.file == nil {
		return l.nodes[i], nil
	}
	var start int64
	if i > 0 {
		start = l.ends[i-1]
	}
	b := make([]byte, l.ends[i]-start)
	if _, err := l.file.ReadAt(b, start); err != nil {
		return nil, fmt.Errorf("read a level of the tree: %w", err)
	}
	return new(big.Int).SetBytes(b), nil
}

// close gives up what the level holds. What is lost with it is not needed.
func (l *level) close() {
	if l.file != nil {
		_ = l.file.Close()
	}
	l.nodes = nil
}
