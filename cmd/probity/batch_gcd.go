package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"probity/internal/batchgcd"
	"probity/internal/safetext"
	"probity/lint"
	"probity/reports"
)

// maxModulusLine is the longest line of a list of moduli: 16,384 bits in hex, with
// room for "Modulus=".
const maxModulusLine = 2*batchgcd.MaxBits/8 + 64

// gcdFlags are those of lint --batch-gcd.
type gcdFlags struct {
	on      bool
	batch   bool
	set     string
	scratch string
	memory  string
}

func (f *gcdFlags) register(fs *pflag.FlagSet) {
	fs.BoolVar(&f.on, "batch-gcd", false, "only look for RSA moduli that share a prime; files may also hold one modulus a line")
	fs.BoolVar(&f.batch, "batch", false, "judge all files below directories as one manufacturing batch, against --profile `FILE`")
	fs.StringVar(&f.set, "moduli", "", "with --batch-gcd or --batch: compare with the moduli in `DIR`, and remember the new ones there")
	fs.StringVar(&f.scratch, "scratch", os.TempDir(), "keep what does not fit memory in `DIR`, which is on a disk")
	fs.StringVar(&f.memory, "memory", "3G", "with --batch-gcd or --batch: how much memory to use, about; less takes longer")
}

func (f *gcdFlags) check(fs *pflag.FlagSet) error {
	if f.on && f.batch {
		return errors.New("--batch-gcd and --batch exclude each other; a batch is searched for shared primes anyway")
	}
	for _, name := range []string{"moduli", "memory"} {
		if !f.on && !f.batch && fs.Changed(name) {
			return fmt.Errorf("--%s belongs to --batch-gcd and --batch; give one of them", name)
		}
	}
	if _, err := sizeOf(f.memory); err != nil {
		return fmt.Errorf("--memory: %w", err)
	}
	if info, err := os.Stat(f.scratch); fs.Changed("scratch") && (err != nil || !info.IsDir()) {
		return fmt.Errorf("--scratch %q is no directory; make it, or give another", f.scratch)
	}
	return nil
}

// compare compares keys with each other and with those of --moduli.
func (a *app) compare(ctx context.Context, f gcdFlags, keys []batchgcd.Key) (report batchgcd.Report, err error) {
	set, err := openModuli(f.set)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, set.Close()) }()
	limit, err := sizeOf(f.memory)
	if err != nil {
		return report, err
	}
	shown := newProgress(a.stderr, a.now)
	defer shown.end()
	report, err = set.Compare(ctx, keys, batchgcd.Options{
		Dir: f.scratch, Memory: max(limit-boundMemory(limit), 1),
		Progress: func(done, steps int) {
			shown.say("%d of %d steps to compare %d moduli are done", done, steps, len(keys))
		},
	})
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("--memory %s, --scratch %q: %w", f.memory, f.scratch, err)
	}
	return report, err
}

// boundMemory tells the garbage collector of the limit, unless the environment does,
// and returns how many bytes are in use. The trees of products leave as much garbage
// as is live, which may be gigabytes.
func boundMemory(limit int64) int64 {
	if os.Getenv("GOMEMLIMIT") == "" && os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
		debug.SetMemoryLimit(limit)
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func openModuli(dir string) (*batchgcd.Set, error) {
	if dir == "" {
		return nil, nil
	}
	return batchgcd.OpenSet(dir)
}

// batchGCD compares all RSA moduli of the files with each other, and with those of
// earlier calls.
func (a *app) batchGCD(ctx context.Context, f lintFlags, files []string) error {
	if f.view.format != "table" && f.view.format != "json" {
		return fmt.Errorf("--format %q: --batch-gcd prints a table or json", f.view.format)
	}
	password, err := readPassword(f.passwordFile)
	if err != nil {
		return err
	}
	r := &moduliReader{ctx: ctx, password: password}
	for _, name := range files {
		if err := r.read(name); err != nil {
			return err
		}
	}
	if len(r.keys) == 0 && len(r.leftOut) == 0 {
		return errors.New("the files hold no RSA modulus; give certificates with RSA keys, or one modulus a line")
	}
	for _, l := range r.leftOut[:min(len(r.leftOut), mostLabels)] {
		_, _ = fmt.Fprintf(a.stderr, "probity: %s is not compared: %s\n", l.Place, l.Reason)
	}
	if more := len(r.leftOut) - mostLabels; more > 0 {
		_, _ = fmt.Fprintf(a.stderr, "probity: nor are %d more\n", more)
	}
	if r.passed > 0 {
		_, _ = fmt.Fprintf(a.stderr, "probity: %d files in directories and archives hold nothing that lint reads\n", r.passed)
	}
	report, err := a.compare(ctx, f.gcd, r.keys)
	if err != nil {
		return err
	}
	err = a.writeOutput(f.view.output, func(w io.Writer) error {
		if f.view.format == "json" {
			return moduliJSON(w, report, r.leftOut)
		}
		return moduliTable(w, report, a.width(), f.view.max)
	})
	if err != nil {
		return err
	}
	return verdict(len(report.Shared)+len(report.Equal) > 0, len(r.leftOut) > 0)
}

// leftOut is a modulus that is not compared.
type leftOut struct {
	Place  string `json:"place"`
	Reason string `json:"reason"`
}

// moduliReader collects the RSA moduli of files: lists of one hexadecimal modulus a
// line, and anything that lint reads, also in directories and archives.
type moduliReader struct {
	ctx      context.Context
	password string
	keys     []batchgcd.Key
	leftOut  []leftOut
	passed   int // files found that hold nothing of use
}

func (r *moduliReader) read(name string) error {
	list, err := isModulusList(name)
	if err != nil {
		return err
	}
	if list {
		return r.readLines(name)
	}
	return eachFile([]string{name}, func(f artefactFile) error {
		found, err := f.read(r.password)
		if err == nil {
			err = r.ctx.Err()
		} else if f.passable() {
			r.passed++
			return nil
		}
		for _, o := range found {
			if k := lint.ArtefactKey(&o); k != nil && k.N != nil {
				r.take(safetext.Clean(f.name)+":"+strconv.Itoa(o.Facts.Artefact.Index+1), k.N)
			}
		}
		return err
	})
}

// take keeps a modulus out of a certificate or key, unless it is none.
func (r *moduliReader) take(place string, n *big.Int) {
	if reason := notCompared(n); reason != "" {
		r.leftOut = append(r.leftOut, leftOut{Place: place, Reason: reason})
		return
	}
	r.keys = append(r.keys, batchgcd.Key{Label: place, N: n})
}

// notCompared says why a number cannot be compared; empty if it can.
func notCompared(n *big.Int) string {
	switch {
	case n.Sign() <= 0 || n.BitLen() < 2:
		return "its modulus is no number above 1"
	case n.BitLen() > batchgcd.MaxBits:
		return fmt.Sprintf("its modulus has %d bits, more than %d", n.BitLen(), batchgcd.MaxBits)
	}
	return ""
}

// isModulusList says whether the file is a list of moduli.
func isModulusList(name string) (bool, error) {
	in, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer func() { _ = in.Close() }()
	if info, err := in.Stat(); err != nil || info.IsDir() {
		return false, err
	}
	head := make([]byte, len("Modulus="))
	n, err := io.ReadFull(in, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, fmt.Errorf("read %q: %w", name, err)
	}
	return isModulus(head[:n]), nil
}

// isModulus says whether a file that begins with head is a list of moduli. A PEM
// file begins with dashes or text, a DER file with a byte that is no letter.
func isModulus(head []byte) bool {
	head, _, _ = bytes.Cut(head, []byte("\n"))
	if bytes.HasPrefix(head, []byte("Modulus=")) || bytes.HasPrefix(head, []byte("#")) || bytes.HasPrefix(head, []byte("0x")) {
		return true
	}
	return len(head) > 0 && len(bytes.Trim(head, "0123456789abcdefABCDEF\r")) == 0
}

func (r *moduliReader) readLines(name string) error {
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 0, maxModulusLine), maxModulusLine)
	line := 1
	for ; s.Scan(); line++ {
		text := strings.TrimSpace(s.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		n, ok := parseModulus(text)
		if !ok || notCompared(n) != "" {
			return fmt.Errorf("%q, line %d: want one modulus of 2 to %d bits in hexadecimal, as openssl x509 -modulus prints it", name, line, batchgcd.MaxBits)
		}
		r.keys = append(r.keys, batchgcd.Key{Label: safetext.Clean(name) + ":" + strconv.Itoa(line), N: n})
		if err := r.ctx.Err(); err != nil {
			return err
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("%q, line %d: %w; want one modulus of at most %d bits a line", name, line, err, batchgcd.MaxBits)
	}
	return nil
}

// surelyDecimal is a length from which a number without a letter is decimal: of as
// many random hexadecimal digits, one in 10^13 has none.
const surelyDecimal = 64

// parseModulus reads a modulus in hexadecimal, or in decimal where that is sure.
func parseModulus(text string) (*big.Int, bool) {
	bare := strings.TrimPrefix(strings.TrimPrefix(text, "Modulus="), "0x")
	if bare == text && len(text) >= surelyDecimal && strings.Trim(text, "0123456789") == "" {
		return new(big.Int).SetString(text, 10)
	}
	return new(big.Int).SetString(bare, 16)
}

// moduliDocument is the JSON form of a comparison.
type moduliDocument struct {
	Moduli  int             `json:"moduli"` // distinct ones compared
	Added   int             `json:"added"`  // of those, not seen before
	LeftOut []leftOut       `json:"left_out"`
	Equal   [][]string      `json:"equal"` // places that have one modulus
	Shared  []sharedDivisor `json:"shared"`
}

type sharedDivisor struct {
	Divisor string   `json:"divisor"` // hexadecimal
	Bits    int      `json:"bits"`
	Prime   bool     `json:"prime"` // it and what it leaves of each modulus can be prime
	Whole   bool     `json:"whole"` // all that one modulus shares with others; not taken apart
	Keys    []string `json:"keys"`
}

func moduliJSON(w io.Writer, r batchgcd.Report, left []leftOut) error {
	doc := moduliDocument{Moduli: r.Moduli, Added: r.Added, LeftOut: left, Equal: [][]string{}, Shared: []sharedDivisor{}}
	for _, e := range r.Equal {
		doc.Equal = append(doc.Equal, e.All())
	}
	if doc.LeftOut == nil {
		doc.LeftOut = []leftOut{}
	}
	for _, s := range r.Shared {
		doc.Shared = append(doc.Shared, sharedDivisor{Divisor: s.Value.Text(16), Bits: s.Value.BitLen(), Prime: s.Splits, Whole: s.Whole, Keys: s.All()})
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(doc)
}

// mostLabels is how many places a row names; JSON names all.
const mostLabels = 10

func places(labels []string) string {
	text := strings.Join(labels[:min(len(labels), mostLabels)], "\n")
	if more := len(labels) - mostLabels; more > 0 {
		text += fmt.Sprintf("\nand %d more", more)
	}
	return text
}

// moduliTable shows at most limit rows, those with shared primes first; 0 is all.
func moduliTable(w io.Writer, r batchgcd.Report, width, limit int) error {
	if limit == 0 {
		limit = len(r.Shared) + len(r.Equal)
	}
	var rows, others [][]string
	for _, s := range r.Shared {
		row := []string{strconv.Itoa(s.Value.BitLen()) + " bits", "share a prime: anyone can compute their private keys", places(s.All())}
		switch {
		case s.Splits && len(rows) < limit:
			rows = append(rows, row)
		case s.Splits || len(others) >= limit:
		case s.Whole:
			row[1] = "shares this with others; it was not taken apart, because there is too much of it"
			others = append(others, row)
		default:
			row[1] = "share a divisor, and are not products of two large primes"
			others = append(others, row)
		}
	}
	for _, e := range r.Equal[:min(limit, len(r.Equal))] {
		rows = append(rows, []string{"all", "have the same modulus: one key in several places", places(e.All())})
	}
	rows = append(rows, others...)
	rows = rows[:min(limit, len(rows))]
	if len(rows) > 0 {
		if err := reports.Grid(w, []string{"Common", "What it means", "Moduli"}, rows, width); err != nil {
			return err
		}
	}
	if all := len(r.Shared) + len(r.Equal); len(rows) < all {
		if _, err := fmt.Fprintf(w, "%d of %d rows are shown (--max).\n", len(rows), all); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d distinct moduli compared, %d of them new; %d divisors shared, %d moduli in several places.\n",
		r.Moduli, r.Added, len(r.Shared), len(r.Equal))
	return err
}
