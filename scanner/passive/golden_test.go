package passive

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
	"probity/scanner/passive/capture"
)

// collector keeps what a reading records.
type collector struct{ list []evidence.Observation }

func (c *collector) Record(_ context.Context, o evidence.Observation) error {
	c.list = append(c.list, o)
	return nil
}

func read(t testing.TB, src capture.Source, o Options) ([]evidence.Observation, Stats, error) {
	t.Helper()
	var c collector
	stats, err := Read(t.Context(), src, &c, o)
	return c.list, stats, err
}

// ours returns the path of a capture that is part of the project.
func ours(name string) string {
	return filepath.Join("..", "..", "fixtures", "data", "captures", name)
}

// theirs returns the path of a capture of others and skips the test if it is not
// there: their licences do not let it be part of the project.
func theirs(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join("..", "..", "..", "shared", "captures", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("capture of others is not here: %v", err)
	}
	return path
}

func readFile(t testing.TB, path string) ([]evidence.Observation, Stats) {
	t.Helper()
	f, err := capture.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, stats, err := read(t, f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return list, stats
}

// summary is one line for an observation, in words that a reader of the capture
// can check.
func summary(o evidence.Observation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", o.Kind, o.Endpoint)
	if o.Result != evidence.ResultData {
		fmt.Fprintf(&b, " %s", o.Result)
	}
	switch f := o.Facts; {
	case f.TLS != nil:
		fmt.Fprintf(&b, " %#04x suite %#04x group %#04x %s", f.TLS.Version, f.TLS.CipherSuite, f.TLS.Group, f.TLS.Handshake)
		if f.TLS.CertificateHidden {
			b.WriteString(" hidden")
		}
		if f.TLS.ClientAuth != "" {
			fmt.Fprintf(&b, " client-auth %s (%d authorities)", f.TLS.ClientAuth, len(f.TLS.Authorities))
		}
		n := map[evidence.Role]int{}
		for _, c := range o.Certs {
			n[c.Role]++
		}
		fmt.Fprintf(&b, " certs %d+%d", n[evidence.RoleServer], n[evidence.RoleClient])
	case f.DICOM != nil:
		d := f.DICOM
		fmt.Fprintf(&b, " %s %s>%s", d.PDU, d.CallingAE, d.CalledAE)
		if d.PDU == "rj" {
			fmt.Fprintf(&b, " %d/%d/%d", d.RejectResult, d.RejectSource, d.RejectReason)
		} else {
			fmt.Fprintf(&b, " %s %s %d", d.ImplementationUID, d.Implementation, d.MaxPDU)
		}
	case f.HL7 != nil:
		fmt.Fprintf(&b, " from %s: %+v", f.HL7.Sender, *f.HL7)
	case f.SSH != nil:
		fmt.Fprintf(&b, " %s", f.SSH.Version)
	}
	if o.Detail != "" {
		fmt.Fprintf(&b, " [%s]", o.Detail)
	}
	return b.String()
}

func TestGolden_captures(t *testing.T) {
	for _, tt := range []struct {
		file string
		want []string
	}{} {
		t.Run(tt.file, func(t *testing.T) {
			list, stats := readFile(t, ours(tt.file))
			var got []string
			for _, o := range list {
				got = append(got, summary(o))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if reasons := stats.Incomplete(); reasons != nil {
				t.Errorf("incomplete: %q", reasons)
			}
		})
	}
}

func TestPrint(t *testing.T) {
	m, _ := filepath.Glob(ours("*.pcap"))
	m2, _ := filepath.Glob("/work/shared/captures/*.pcap")
	for _, f := range append(m, m2...) {
		l, s := readFile(t, f)
		fmt.Println(filepath.Base(f), s, s.Incomplete())
		for i, o := range l {
			if i < 12 {
				fmt.Println("   ", summary(o))
			}
		}
	}
	_ = hex.EncodeToString
	_ = slices.Sort[[]int]
	_ = io.EOF
}
