package batchgcd

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Names in the directory of a set.
const (
	indexName = "index"
	lockName  = "lock"
	extension = ".moduli"
	temporary = "new-"
)

func isTemporary(name string) bool { return strings.HasPrefix(name, temporary) }

// setMagic begins every file of a set, and indexMagic its index; the version of the
// format follows.
const (
	setMagic   = "probity moduli\x00"
	setVersion = 2
	indexMagic = "probity moduli, format "
)

// ErrLocked says that another process has the set.
var ErrLocked = errors.New("the set is in use by another process")

// acquire locks the set. The lock ends with the process, however that ends.
func acquire(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = fmt.Errorf("%q: %w; wait until that one has ended, or give another directory", dir, ErrLocked)
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// indexed is one file of a set, as the index has it.
type indexed struct {
	name   string
	keys   int
	digest [sha256.Size]byte
}

const restore = "bring the directory back from a backup, or start a new set"

// readIndex returns the files of a set. A new directory gets an empty index, so that
// one without an index has lost it.
func readIndex(dir string) ([]indexed, error) {
	name := filepath.Join(dir, indexName)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if old, _ := filepath.Glob(filepath.Join(dir, "*"+extension)); len(old) > 0 {
			return nil, fmt.Errorf("%q is missing, but %q is there; %s", name, filepath.Base(old[0]), restore)
		}
		return nil, writeIndex(dir, nil)
	}
	if err != nil {
		return nil, err
	}
	files, err := parseIndex(string(data))
	if err != nil {
		return nil, fmt.Errorf("%q: %w; %s", name, err, restore)
	}
	for _, f := range files {
		if _, err := os.Stat(filepath.Join(dir, f.name)); err != nil {
			return nil, fmt.Errorf("%w; %s", err, restore)
		}
	}
	return files, nil
}

func parseIndex(text string) ([]indexed, error) {
	version, _, _ := strings.Cut(strings.TrimPrefix(text, indexMagic), "\n")
	switch {
	case !strings.HasPrefix(text, indexMagic):
		return nil, errors.New("not the index of a set of moduli")
	case version != strconv.Itoa(setVersion):
		return nil, fmt.Errorf("the set has format %.10q, and this probity reads format %d", version, setVersion)
	}
	body := strings.LastIndexByte(strings.TrimSuffix(text, "\n"), '\n') + 1
	if sum := sha256.Sum256([]byte(text[:body])); text[body:] != hex.EncodeToString(sum[:])+"\n" {
		return nil, errors.New("the file was changed or cut short")
	}
	var files []indexed
	for i, line := range strings.Split(strings.TrimSuffix(text[:body], "\n"), "\n")[1:] {
		var f indexed
		var digest string
		if _, err := fmt.Sscanf(line, "%s %d %s", &f.name, &f.keys, &digest); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+2, err)
		}
		raw, err := hex.DecodeString(digest)
		if err != nil || len(raw) != len(f.digest) || f.keys < 1 || f.keys > perFile || filepath.Base(f.name) != f.name {
			return nil, fmt.Errorf("line %d: want a name, 1 to %d moduli and a SHA-256", i+2, perFile)
		}
		f.digest = [sha256.Size]byte(raw)
		files = append(files, f)
	}
	return files, nil
}

func writeIndex(dir string, files []indexed) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%d\n", indexMagic, setVersion)
	for _, f := range files {
		fmt.Fprintf(&b, "%s %d %x\n", f.name, f.keys, f.digest)
	}
	sum := sha256.Sum256([]byte(b.String()))
	fmt.Fprintf(&b, "%x\n", sum)
	if err := replace(filepath.Join(dir, indexName), []byte(b.String())); err != nil {
		return err
	}
	return syncDir(dir)
}

// writeFile writes file number i of a set under a name that no other content has.
func writeFile(dir string, i int, keys []Key, product *big.Int) (indexed, error) {
	var b bytes.Buffer
	b.WriteString(setMagic)
	b.WriteByte(setVersion)
	put := func(data []byte) {
		b.Write(binary.BigEndian.AppendUint32(nil, uint32(len(data))))
		b.Write(data)
	}
	b.Write(binary.BigEndian.AppendUint32(nil, uint32(len(keys))))
	for _, k := range keys {
		put([]byte(k.Label))
		put(k.N.Bytes())
	}
	put(product.Bytes())
	sum := sha256.Sum256(b.Bytes())
	b.Write(sum[:])
	f := indexed{name: fmt.Sprintf("%08d-%x%s", i, sum[:4], extension), keys: len(keys), digest: sum}
	return f, replace(filepath.Join(dir, f.name), b.Bytes())
}

// replace writes a file that is there whole or not at all.
func replace(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), temporary+"*")
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
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// file is one file of a set.
type file struct {
	keys       []rawKey
	rawProduct []byte
}

// rawKey is a key as the file has it.
type rawKey struct{ label, modulus []byte }

func (f *file) product() *big.Int { return new(big.Int).SetBytes(f.rawProduct) }

func (f *file) all() []Key {
	out := make([]Key, len(f.keys))
	for i, k := range f.keys {
		out[i] = Key{Label: string(k.label), N: new(big.Int).SetBytes(k.modulus)}
	}
	return out
}

// maxFile bounds what is read: 1,024 moduli of the greatest size, twice.
const maxFile = perFile*(2*MaxBits/8+maxLabel+8) + 1<<10

func (s *Set) read(i int) (*file, error) {
	name := filepath.Join(s.dir, s.files[i].name)
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("read set of moduli: %w; %s", err, restore)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("read set of moduli: %q has %d bytes, and no file of a set more than %d; %s", name, info.Size(), maxFile, restore)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read set of moduli: %w", err)
	}
	f, digest, err := parse(data)
	if err == nil && (digest != s.files[i].digest || len(f.keys) != s.files[i].keys) {
		err = errors.New("not the file that the index names")
	}
	if err != nil {
		return nil, fmt.Errorf("read set of moduli: %q: %w; %s", name, err, restore)
	}
	return f, nil
}

// parse reads one file of a set, of which it keeps parts of data.
func parse(data []byte) (*file, [sha256.Size]byte, error) {
	var sum [sha256.Size]byte
	body := len(data) - sha256.Size
	switch {
	case body < len(setMagic)+5 || string(data[:len(setMagic)]) != setMagic:
		return nil, sum, errors.New("not a file of a set of moduli")
	case data[len(setMagic)] != setVersion:
		return nil, sum, fmt.Errorf("the file has format %d, and this probity reads format %d", data[len(setMagic)], setVersion)
	}
	if sum = sha256.Sum256(data[:body]); !bytes.Equal(sum[:], data[body:]) {
		return nil, sum, errors.New("the file was changed or cut short")
	}
	rest := data[len(setMagic)+1 : body]
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
		if bad || n < 0 || n > len(rest) {
			bad = true
			return nil
		}
		b := rest[:n]
		rest = rest[n:]
		return b
	}
	n := number()
	if n < 1 || n > perFile {
		return nil, sum, errors.New("wrong number of moduli")
	}
	f := &file{keys: make([]rawKey, n)}
	for i := range f.keys {
		f.keys[i] = rawKey{label: take(), modulus: take()}
		m := f.keys[i].modulus
		bad = bad || len(m) == 0 || m[0] == 0 || len(m) > MaxBits/8
	}
	f.rawProduct = take()
	if bad || len(f.rawProduct) == 0 || f.rawProduct[0] == 0 || len(rest) > 0 {
		return nil, sum, errors.New("wrong lengths")
	}
	return f, sum, nil
}
