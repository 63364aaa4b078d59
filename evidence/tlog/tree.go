package tlog

import (
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a SHA-256 value of the tree.
type Hash = tlog.Hash

// LeafHash returns the hash of a canonical line: SHA-256(0x00 || line), RFC 6962
// section 2.1.
func LeafHash(line []byte) Hash { return tlog.RecordHash(line) }

// Tree is a compact range from the first leaf: the roots of the perfect subtrees
// that make up the tree, at most 63. It grows leaf by leaf and knows its root at
// any time. The zero value is the empty tree.
type Tree struct {
	size  int64
	peaks []Hash // roots of the perfect subtrees, the largest first
}

// Size is the number of leaves.
func (t *Tree) Size() int64 { return t.size }

// Append adds a leaf hash at the end.
func (t *Tree) Append(leaf Hash) {
	h := leaf
	// Each trailing one bit of the size is a perfect subtree of the height that
	// the new one has reached.
	for n := t.size; n&1 == 1; n >>= 1 {
		last := len(t.peaks) - 1
		h = tlog.NodeHash(t.peaks[last], h)
		t.peaks = t.peaks[:last]
	}
	t.peaks = append(t.peaks, h)
	t.size++
}

// Root is the Merkle tree hash of RFC 6962 section 2.1. The root of the empty
// tree is the SHA-256 of no bytes.
func (t *Tree) Root() Hash {
	if t.size == 0 {
		return emptyRoot()
	}
	h := t.peaks[len(t.peaks)-1]
	for _, p := range slices.Backward(t.peaks[:len(t.peaks)-1]) {
		h = tlog.NodeHash(p, h)
	}
	return h
}

// Clone returns a copy that grows on its own.
func (t *Tree) Clone() Tree { return Tree{size: t.size, peaks: slices.Clone(t.peaks)} }

// Audit replays a log and compares it with checkpoints from elsewhere: those
// that it was sealed with, and copies that someone kept outside.
type Audit struct {
	tree Tree
	want map[int64][]Checkpoint
	errs []error
}

// NewAudit returns an audit of the checkpoints cs.
func NewAudit(cs []Checkpoint) *Audit {
	a := &Audit{want: make(map[int64][]Checkpoint)}
	for _, c := range cs {
		a.want[c.Size] = append(a.want[c.Size], c)
	}
	a.compare()
	return a
}

// Append adds the next leaf hash of the log.
func (a *Audit) Append(leaf Hash) {
	a.tree.Append(leaf)
	a.compare()
}

// Finish returns the tree and one [InconsistentError] for each checkpoint that
// the log does not reproduce, in rising order of size.
func (a *Audit) Finish() (Tree, []error) {
	sizes := make([]int64, 0, len(a.want))
	for n := range a.want {
		sizes = append(sizes, n)
	}
	slices.Sort(sizes)
	errs := a.errs
	for _, n := range sizes {
		for _, c := range a.want[n] {
			errs = append(errs, &InconsistentError{Checkpoint: c, Size: a.tree.size})
		}
	}
	return a.tree, errs
}

func (a *Audit) compare() {
	cs, ok := a.want[a.tree.size]
	if !ok {
		return
	}
	delete(a.want, a.tree.size)
	root := a.tree.Root()
	for _, c := range cs {
		if c.Root != root {
			a.errs = append(a.errs, &InconsistentError{Checkpoint: c, Size: a.tree.size, Root: root})
		}
	}
}

// InconsistentError says that a log does not reproduce a checkpoint: its history
// was rewritten, or it is shorter than it once was.
type InconsistentError struct {
	Checkpoint Checkpoint
	Size       int64 // of the log where it was compared; below that of the checkpoint: entries are gone
	Root       Hash  // of the log at the size of the checkpoint
}

func (e *InconsistentError) Error() string {
	if e.Size < e.Checkpoint.Size {
		return fmt.Sprintf("checkpoint at %d entries: the log has only %d", e.Checkpoint.Size, e.Size)
	}
	return fmt.Sprintf("checkpoint at %d entries: root is %x, the checkpoint says %x", e.Checkpoint.Size, e.Root[:], e.Checkpoint.Root[:])
}
