package batchgcd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"probity/internal/ntt"
)

// Bounds of what a set takes: keys over 16,384 bits are never used in a computation,
// and a label is a place in a file.
const (
	MaxBits  = 16384
	maxLabel = 1 << 10
	perFile  = 1024
)

// setMagic begins every file of a set; its last byte is the version of the format.
const setMagic = "probity moduli\x00\x01"

// Key is a modulus with the place that it came from, such as "batch.pem:3".
type Key struct {
	Label string
	N     *big.Int
}

// Set is a directory that remembers moduli, so that new ones are compared with all
// of them without computing the old ones' tree again. Each file holds up to 1,024
// moduli, their labels, their product, and the SHA-256 of all that. Files are
// replaced whole, so that a crash loses nothing that Add has returned for.
type Set struct {
	dir   string
	files []string
}

// OpenSet opens the set in dir, and makes the directory if there is none.
func OpenSet(dir string) (*Set, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open set of moduli: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open set of moduli: %w", err)
	}
	s := &Set{dir: dir}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".moduli") {
			s.files = append(s.files, e.Name())
		}
	}
	for i, name := range s.files { // ReadDir sorts
		if name != fileName(i) {
			return nil, fmt.Errorf("open set of moduli %q: %q is missing; bring it back from a backup, or start a new set", dir, fileName(i))
		}
	}
	return s, nil
}

func fileName(i int) string { return fmt.Sprintf("%08d.moduli", i) }

// Shared is a divisor with the labels of the keys that it divides.
type Shared struct {
	Divisor
	Labels []string
}

// Report says what was found among new keys, and between them and those of a set.
type Report struct {
	// Equal are the groups of labels that have one modulus.
	Equal [][]string
	// Shared are the divisors that a given modulus has in common with another one.
	Shared []Shared
	// Moduli is how many distinct moduli were compared, and Added how many of them
	// are new.
	Moduli, Added int
}

// Compare compares the keys with each other and, if s is not nil, with all keys of
// the set, to which it then adds those with new moduli. Keys that the set has are
// compared again, so that a second call says the same.
func (s *Set) Compare(ctx context.Context, keys []Key, o Options) (Report, error) {
	c := &comparison{set: s, mul: ntt.New(), labels: make(map[string][]string)}
	for _, k := range keys {
		if k.N.Sign() <= 0 || k.N.BitLen() > MaxBits || len(k.Label) > maxLabel {
			return Report{}, fmt.Errorf("modulus of %q has %d bits; 1 to %d are compared", k.Label, k.N.BitLen(), MaxBits)
		}
		c.take(k)
	}
	if err := c.findKnown(ctx); err != nil {
		return Report{}, err
	}
	moduli := moduliOf(c.given)
	gcds, err := divisorsWith(ctx, moduli, c.products(), o)
	if err != nil {
		return Report{}, err
	}
	// What shares with the set needs its partners there.
	all := slices.Clone(moduli)
	partners, err := c.partners(ctx, gcds)
	if err != nil {
		return Report{}, err
	}
	for _, k := range partners {
		all = append(all, k.key.N)
		gcds = append(gcds, k.common)
	}
	owners := slices.Clone(c.given)
	for _, k := range partners {
		owners = append(owners, k.key)
	}
	r := c.report(takeApart(all, gcds), owners)
	if s == nil {
		return r, nil
	}
	return r, s.add(c.fresh)
}

// comparison is one Compare.
type comparison struct {
	set    *Set
	mul    *ntt.Multiplier
	labels map[string][]string // by modulus
	given  []Key               // the first key of each modulus, in the order given
	fresh  []Key               // those of them that the set does not have
	known  int                 // moduli in the set
}

func (c *comparison) take(k Key) {
	text := string(k.N.Bytes())
	if c.labels[text] == nil {
		c.given = append(c.given, k)
	}
	if !slices.Contains(c.labels[text], k.Label) {
		c.labels[text] = append(c.labels[text], k.Label)
	}
}

// findKnown tells the fresh moduli from those that the set has.
func (c *comparison) findKnown(ctx context.Context) error {
	have := make(map[string]bool)
	err := c.set.each(ctx, func(f *file) error {
		c.known += len(f.keys)
		for _, k := range f.keys {
			text := string(k.N.Bytes())
			labels := c.labels[text]
			if labels == nil {
				continue
			}
			have[text] = true
			if !slices.Contains(labels, k.Label) {
				c.labels[text] = append([]string{k.Label}, labels...)
			}
		}
		return nil
	})
	c.fresh = slices.DeleteFunc(slices.Clone(c.given), func(k Key) bool { return have[string(k.N.Bytes())] })
	return err
}

// others returns the keys of f that are not given.
func (c *comparison) others(f *file) []Key {
	return slices.DeleteFunc(slices.Clone(f.keys), func(k Key) bool { return c.labels[string(k.N.Bytes())] != nil })
}

// products yields the products of the set's files, without the moduli that are
// given, which must not meet themselves.
func (c *comparison) products() factors {
	if c.set == nil || len(c.set.files) == 0 {
		return nil
	}
	i := 0
	return func(ctx context.Context) (*big.Int, error) {
		if i == len(c.set.files) || ctx.Err() != nil {
			return nil, ctx.Err()
		}
		f, err := c.set.read(i)
		if err != nil {
			return nil, err
		}
		i++
		others := c.others(f)
		switch len(others) {
		case len(f.keys):
			return f.product, nil
		case 0:
			return big.NewInt(1), nil
		}
		return productOf(c.mul, moduliOf(others)), nil
	}
}

// partner is a key of the set with what it has in common with the new ones.
type partner struct {
	key    Key
	common *big.Int
}

// partners returns the keys of the set that have something in common with what the
// new ones share.
func (c *comparison) partners(ctx context.Context, gcds []*big.Int) ([]partner, error) {
	var shared []*big.Int
	for _, g := range gcds {
		if !isOne(g) {
			shared = append(shared, g)
		}
	}
	if len(shared) == 0 {
		return nil, nil
	}
	all := product(shared)
	var out []partner
	err := c.set.each(ctx, func(f *file) error {
		here := new(big.Int).Mod(f.product, all)
		here.GCD(nil, nil, here, all)
		if isOne(here) {
			return nil
		}
		for _, k := range c.others(f) {
			common := new(big.Int).Mod(here, k.N)
			if common.GCD(nil, nil, common, k.N); !isOne(common) {
				out = append(out, partner{key: k, common: common})
			}
		}
		return nil
	})
	return out, err
}

func (c *comparison) report(found []Divisor, keys []Key) Report {
	r := Report{Moduli: c.known + len(c.fresh), Added: len(c.fresh)}
	for _, l := range c.labels {
		if len(l) > 1 {
			r.Equal = append(r.Equal, slices.Sorted(slices.Values(l)))
		}
	}
	slices.SortFunc(r.Equal, slices.Compare)
	for _, d := range found {
		s := Shared{Divisor: d}
		for _, i := range d.Moduli {
			labels := c.labels[string(keys[i].N.Bytes())]
			if labels == nil {
				labels = []string{keys[i].Label}
			}
			s.Labels = append(s.Labels, labels...)
		}
		slices.Sort(s.Labels)
		r.Shared = append(r.Shared, s)
	}
	return r
}

// file is one file of a set.
type file struct {
	keys    []Key
	product *big.Int
}

// each calls f for every file; a nil set has none.
func (s *Set) each(ctx context.Context, f func(*file) error) error {
	if s == nil {
		return nil
	}
	for i := range s.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		got, err := s.read(i)
		if err != nil {
			return err
		}
		if err := f(got); err != nil {
			return err
		}
	}
	return nil
}

// add appends keys: the last file is filled up first.
func (s *Set) add(keys []Key) error {
	if len(keys) == 0 {
		return nil
	}
	at := len(s.files)
	if at > 0 {
		last, err := s.read(at - 1)
		if err != nil {
			return err
		}
		if len(last.keys) < perFile {
			at--
			keys = append(last.keys, keys...)
		}
	}
	mul := ntt.New()
	chunks := slices.Collect(slices.Chunk(keys, perFile))
	errs := make([]error, len(chunks))
	mul.Each(len(chunks), func(i int) {
		errs[i] = s.write(at+i, &file{keys: chunks[i], product: productOf(mul, moduliOf(chunks[i]))})
	})
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i := range chunks {
		if at+i == len(s.files) {
			s.files = append(s.files, fileName(at+i))
		}
	}
	return syncDir(s.dir)
}

func moduliOf(keys []Key) []*big.Int {
	out := make([]*big.Int, len(keys))
	for i, k := range keys {
		out[i] = k.N
	}
	return out
}

func productOf(mul *ntt.Multiplier, leaves []*big.Int) *big.Int {
	if len(leaves) == 1 {
		return leaves[0]
	}
	h := len(leaves) / 2
	return mul.Mul(productOf(mul, leaves[:h]), productOf(mul, leaves[h:]))
}

func (s *Set) write(i int, f *file) error {
	var b bytes.Buffer
	b.WriteString(setMagic)
	put := func(data []byte) {
		b.Write(binary.BigEndian.AppendUint32(nil, uint32(len(data))))
		b.Write(data)
	}
	b.Write(binary.BigEndian.AppendUint32(nil, uint32(len(f.keys))))
	for _, k := range f.keys {
		put([]byte(k.Label))
		put(k.N.Bytes())
	}
	put(f.product.Bytes())
	sum := sha256.Sum256(b.Bytes())
	b.Write(sum[:])
	name := filepath.Join(s.dir, fileName(i))
	if err := replace(name, b.Bytes()); err != nil {
		return fmt.Errorf("write set of moduli: %w", err)
	}
	return nil
}

// replace writes a file that is there whole or not at all.
func replace(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("write set of moduli: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("write set of moduli: %w", err)
	}
	return nil
}

// maxFile bounds what is read: 1,024 moduli of the greatest size, twice.
const maxFile = perFile*(2*MaxBits/8+maxLabel+8) + 1<<10

func (s *Set) read(i int) (*file, error) {
	name := filepath.Join(s.dir, s.files[i])
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("read set of moduli: %w; bring it back from a backup", err)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("read set of moduli: %q has %d bytes, no file of a set has more than %d", name, info.Size(), maxFile)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read set of moduli: %w", err)
	}
	f, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("read set of moduli: %q: %w; bring it back from a backup, or start a new set", name, err)
	}
	return f, nil
}

// parse reads one file of a set.
func parse(data []byte) (*file, error) {
	body := len(data) - sha256.Size
	if body < len(setMagic)+4 || string(data[:len(setMagic)]) != setMagic {
		return nil, errors.New("not a file of a set of moduli")
	}
	if sum := sha256.Sum256(data[:body]); !bytes.Equal(sum[:], data[body:]) {
		return nil, errors.New("the file was changed or cut short")
	}
	rest := data[len(setMagic):body]
	bad := false
	number := func() int {
		if len(rest) < 4 {
			bad = true
			return 0
		}
		n := binary.BigEndian.Uint32(rest)
		rest = rest[4:]
		return int(n)
	}
	take := func() []byte {
		n := number()
		if bad || n > len(rest) {
			bad = true
			return nil
		}
		b := rest[:n]
		rest = rest[n:]
		return b
	}
	n := number()
	if n < 1 || n > perFile {
		return nil, errors.New("wrong number of moduli")
	}
	f := &file{keys: make([]Key, n)}
	for i := range f.keys {
		f.keys[i] = Key{Label: string(take()), N: new(big.Int).SetBytes(take())}
		bad = bad || f.keys[i].N.Sign() == 0
	}
	f.product = new(big.Int).SetBytes(take())
	if bad || f.product.Sign() == 0 {
		return nil, errors.New("wrong lengths")
	}
	return f, nil
}
