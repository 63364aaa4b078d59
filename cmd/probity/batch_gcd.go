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
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"probity/evidence"
	"probity/internal/batchgcd"
	"probity/internal/safetext"
	"probity/lint"
	"probity/reports"
	"probity/scanner/artefact"
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
}

func (f *gcdFlags) register(fs *pflag.FlagSet) {
	fs.BoolVar(&f.on, "batch-gcd", false, "only look for RSA moduli that share a prime; files may also hold one modulus a line")
	fs.BoolVar(&f.batch, "batch", false, "judge all files below directories as one manufacturing batch, against --profile `FILE`")
	fs.StringVar(&f.set, "moduli", "", "with --batch-gcd or --batch: compare with the moduli in `DIR`, and remember the new ones there")
	fs.StringVar(&f.scratch, "scratch", os.TempDir(), "with --batch-gcd or --batch: keep what does not fit memory in `DIR`")
}

func (f *gcdFlags) check(fs *pflag.FlagSet) error {
	if f.on && f.batch {
		return errors.New("--batch-gcd and --batch exclude each other; a batch is searched for shared primes anyway")
	}
	for _, name := range []string{"moduli", "scratch"} {
		if !f.on && !f.batch && fs.Changed(name) {
			return fmt.Errorf("--%s belongs to --batch-gcd and --batch; give one of them", name)
		}
	}
	return nil
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
	var keys []batchgcd.Key
	for _, name := range files {
		found, err := readModuli(name, password)
		if err != nil {
			return err
		}
		keys = append(keys, found...)
	}
	if len(keys) == 0 {
		return errors.New("the files hold no RSA modulus; give certificates with RSA keys, or one modulus a line")
	}
	boundGarbage()
	set, err := openModuli(f.gcd.set)
	if err != nil {
		return err
	}
	report, err := set.Compare(ctx, keys, batchgcd.Options{Dir: f.gcd.scratch})
	if err != nil {
		return err
	}
	err = a.writeOutput(f.view.output, func(w io.Writer) error {
		if f.view.format == "json" {
			return moduliJSON(w, report)
		}
		return moduliTable(w, report, a.width())
	})
	if err != nil {
		return err
	}
	return verdict(len(report.Shared)+len(report.Equal) > 0, false)
}

// boundGarbage collects garbage earlier than by default: the trees of products leave
// as much as is live, which may be gigabytes.
func boundGarbage() {
	if os.Getenv("GOMEMLIMIT") == "" && os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
}

func openModuli(dir string) (*batchgcd.Set, error) {
	if dir == "" {
		return nil, nil
	}
	return batchgcd.OpenSet(dir)
}

// readModuli returns the RSA moduli of a file: a list of one hexadecimal modulus a
// line, or anything that lint reads, also in directories and archives.
func readModuli(name, password string) ([]batchgcd.Key, error) {
	list, err := isModulusList(name)
	if err != nil {
		return nil, err
	}
	if list {
		return readModulusLines(name)
	}
	var keys []batchgcd.Key
	err = eachFile([]string{name}, func(f artefactFile) error {
		found, err := []evidence.Observation(nil), f.err
		if err == nil {
			found, err = artefact.Read(f.name, f.data, password)
		}
		if err != nil && f.inside {
			return nil
		}
		for i, o := range found {
			k := lint.ArtefactKey(&o)
			if k != nil && k.N != nil && k.N.Sign() > 0 && k.N.BitLen() <= batchgcd.MaxBits {
				keys = append(keys, batchgcd.Key{Label: safetext.Clean(f.name) + ":" + strconv.Itoa(i+1), N: k.N})
			}
		}
		return err
	})
	return keys, err
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

func readModulusLines(name string) ([]batchgcd.Key, error) {
	in, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	var keys []batchgcd.Key
	s := bufio.NewScanner(in)
	s.Buffer(make([]byte, 0, maxModulusLine), maxModulusLine)
	line := 1
	for ; s.Scan(); line++ {
		text := strings.TrimSpace(s.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		text = strings.TrimPrefix(strings.TrimPrefix(text, "Modulus="), "0x")
		n, ok := new(big.Int).SetString(text, 16)
		if !ok || n.Sign() <= 0 || n.BitLen() > batchgcd.MaxBits {
			return nil, fmt.Errorf("%q, line %d: want one modulus of 1 to %d bits in hexadecimal, as openssl x509 -modulus prints it", name, line, batchgcd.MaxBits)
		}
		keys = append(keys, batchgcd.Key{Label: safetext.Clean(name) + ":" + strconv.Itoa(line), N: n})
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("%q, line %d: %w; want one modulus of at most %d bits a line", name, line, err, batchgcd.MaxBits)
	}
	return keys, nil
}

// moduliDocument is the JSON form of a comparison.
type moduliDocument struct {
	Moduli int             `json:"moduli"` // distinct ones compared
	Added  int             `json:"added"`  // of those, not seen before
	Equal  [][]string      `json:"equal"`  // places that have one modulus
	Shared []sharedDivisor `json:"shared"`
}

type sharedDivisor struct {
	Divisor string   `json:"divisor"` // hexadecimal
	Bits    int      `json:"bits"`
	Prime   bool     `json:"prime"` // it and what it leaves of each modulus can be prime
	Keys    []string `json:"keys"`
}

func moduliJSON(w io.Writer, r batchgcd.Report) error {
	doc := moduliDocument{Moduli: r.Moduli, Added: r.Added, Equal: r.Equal, Shared: []sharedDivisor{}}
	if doc.Equal == nil {
		doc.Equal = [][]string{}
	}
	for _, s := range r.Shared {
		doc.Shared = append(doc.Shared, sharedDivisor{Divisor: s.Value.Text(16), Bits: s.Value.BitLen(), Prime: s.Splits, Keys: s.Labels})
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(doc)
}

func moduliTable(w io.Writer, r batchgcd.Report, width int) error {
	var rows [][]string
	for _, s := range r.Shared {
		kind := "share a prime: anyone can compute their private keys"
		if !s.Splits {
			kind = "share a divisor, and are not products of two primes"
		}
		rows = append(rows, []string{strconv.Itoa(s.Value.BitLen()) + " bits", kind, strings.Join(s.Labels, "\n")})
	}
	for _, l := range r.Equal {
		rows = append(rows, []string{"all", "have the same modulus: one key in several places", strings.Join(l, "\n")})
	}
	if len(rows) > 0 {
		if err := reports.Grid(w, []string{"Common", "What it means", "Moduli"}, rows, width); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d distinct moduli compared, %d of them new; %d divisors shared, %d moduli in several places.\n",
		r.Moduli, r.Added, len(r.Shared), len(r.Equal))
	return err
}
