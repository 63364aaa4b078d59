package batchgcd

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"

	"probity/internal/ntt"
)

// Bounds of what a set takes: keys over 16,384 bits are never used in a computation,
// and a label is a place in a file.
const (
	MaxBits  = 16384
	maxLabel = 1 << 10
	perFile  = 1024
)

// Key is a modulus with the place that it came from, such as "batch.pem:3".
type Key struct {
	Label string
	N     *big.Int
	// Earlier says that the key was compared before: it is given in case that the set
	// does not have it.
	Earlier bool
}

// Set is a directory that remembers moduli, so that new ones are compared with all
// of them without computing the old ones' tree again. Each file holds up to 1,024
// moduli, their labels, their product, and the SHA-256 of all that; an index says
// which files belong to the set. Files are never changed: new ones are written, then
// the index is replaced, so that a crash leaves the set as it was before or as it is
// after. A Set is for one process, which holds a lock from OpenSet to Close.
type Set struct {
	dir   string
	lock  *os.File
	files []indexed
}

// OpenSet opens the set in dir, and makes the directory if there is none.
func OpenSet(dir string) (*Set, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open set of moduli: %w", err)
	}
	lock, err := acquire(dir)
	if err != nil {
		return nil, fmt.Errorf("open set of moduli: %w", err)
	}
	s := &Set{dir: dir, lock: lock}
	if s.files, err = readIndex(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("open set of moduli: %w", err), s.Close())
	}
	return s, nil
}

// Close gives the set to other processes; a nil set is closed.
func (s *Set) Close() error {
	if s == nil {
		return nil
	}
	return s.lock.Close()
}

// Compare compares the keys with each other and, if s is not nil, with all keys of
// the set, to which it then adds those with new moduli. Keys that the set has are
// compared again, so that a second call says the same, but for those that are said to
// be earlier: they count as remembered.
func (s *Set) Compare(ctx context.Context, keys []Key, o Options) (Report, error) {
	c := &comparison{set: s, mul: ntt.New(), o: o, at: make(map[mark]int32, len(keys))}
	for _, k := range keys {
		if err := c.take(k); err != nil {
			return Report{}, err
		}
	}
	if err := c.findKnown(ctx); err != nil {
		return Report{}, err
	}
	c.leaveEarlier()
	moduli := make([]*big.Int, len(c.given))
	for i, g := range c.given {
		moduli[i] = g.N
	}
	gcds, err := divisorsWith(ctx, moduli, c.products(), o)
	if err != nil {
		return Report{}, err
	}
	// What shares with the set needs its partners there.
	partners, err := c.partners(ctx, gcds)
	if err != nil {
		return Report{}, err
	}
	for _, k := range partners {
		moduli = append(moduli, k.key.N)
		gcds = append(gcds, k.common)
	}
	found, err := takeApart(ctx, moduli, gcds)
	if err != nil {
		return Report{}, err
	}
	fresh := c.fresh()
	r := c.report(found, partners, len(fresh))
	if s == nil {
		return r, nil
	}
	return r, s.add(fresh)
}

// add appends keys: the last file is filled up first.
func (s *Set) add(keys []Key) error {
	if len(keys) == 0 {
		return nil
	}
	files := slices.Clone(s.files)
	if n := len(files); n > 0 && files[n-1].keys < perFile {
		last, err := s.read(n - 1)
		if err != nil {
			return err
		}
		files = files[:n-1]
		keys = append(last.all(), keys...)
	}
	mul := ntt.New()
	chunks := slices.Collect(slices.Chunk(keys, perFile))
	at := len(files)
	files = append(files, make([]indexed, len(chunks))...)
	errs := make([]error, len(chunks))
	mul.Each(len(chunks), func(i int) {
		leaves := make([]*big.Int, len(chunks[i]))
		for j, k := range chunks[i] {
			leaves[j] = k.N
		}
		files[at+i], errs[i] = writeFile(s.dir, at+i, chunks[i], productOf(mul, leaves))
	})
	err := errors.Join(errs...)
	if err == nil {
		err = writeIndex(s.dir, files)
	}
	if err != nil {
		return fmt.Errorf("add to set of moduli: %w; the set is as it was before", err)
	}
	s.files = files
	return s.tidy()
}

// tidy removes files that are not of the set: what the last one replaced, and what
// a crash left.
func (s *Set) tidy() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("tidy set of moduli: %w", err)
	}
	have := make(map[string]bool)
	for _, f := range s.files {
		have[f.name] = true
	}
	for _, e := range entries {
		if stale := isTemporary(e.Name()) || filepath.Ext(e.Name()) == extension && !have[e.Name()]; !stale {
			continue
		}
		if err := os.Remove(filepath.Join(s.dir, e.Name())); err != nil {
			return fmt.Errorf("tidy set of moduli: %w", err)
		}
	}
	return nil
}

func productOf(mul *ntt.Multiplier, leaves []*big.Int) *big.Int {
	if len(leaves) == 1 {
		return leaves[0]
	}
	h := len(leaves) / 2
	return mul.Mul(productOf(mul, leaves[:h]), productOf(mul, leaves[h:]))
}
