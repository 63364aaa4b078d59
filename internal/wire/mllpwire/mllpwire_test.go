package mllpwire

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sample = "\x0bMSH|^~\\&|MONITOR|WARD3|EHR|HOSP|20260101||ORU^R01|17|P|2.5\r" +
	"PID|1||MARKER-ID||MARKER^NAME\rOBR|1\rOBX|1|NM|MARKER||72\rOBX|2|NM|X||73\r\x1c\r"

func TestParse(t *testing.T) {
	want := Message{
		SendingApplication: "MONITOR", SendingFacility: "WARD3", ReceivingApplication: "EHR", ReceivingFacility: "HOSP",
		MessageType: "ORU^R01", ProcessingID: "P", VersionID: "2.5", Segments: []string{"PID", "OBR", "OBX"},
	}
	got, complete, err := Parse([]byte(sample))
	if err != nil || !complete {
		t.Fatalf("complete %v, error %v", complete, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParse_everyCut(t *testing.T) {
	header := strings.IndexByte(sample, '\r') + 1
	end := strings.IndexByte(sample, EndBlock) + 1
	for n := range len(sample) {
		m, complete, err := Parse([]byte(sample[:n]))
		switch {
		case n < header && !errors.Is(err, ErrShort):
			t.Errorf("cut after %d bytes: error %v, want ErrShort", n, err)
		case n >= header && err != nil:
			t.Errorf("cut after %d bytes: %v", n, err)
		case complete != (n >= end):
			t.Errorf("cut after %d bytes: complete %v", n, complete)
		case strings.Contains(fmt.Sprint(m, err), "MARKER"):
			t.Errorf("cut after %d bytes: patient data in %+v", n, m)
		}
	}
}

func TestParse_notHL7(t *testing.T) {
	for name, in := range map[string]string{
		"other protocol":       "GET / HTTP/1.1\r\n",
		"no MSH":               "\x0bPID|1\r\x1c\r",
		"letter for separator": "\x0bMSHA^~\\&A\r\x1c\r",
		"endless header":       "\x0bMSH|^~\\&|" + strings.Repeat("x", maxHeader),
		"no fields":            "\x0bMSH|\r\x1c\r",
	} {
		if _, _, err := Parse([]byte(in)); !errors.Is(err, ErrNotHL7) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestParse_bounds(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, "\x0bMSH|^~\\&|%s|\r", strings.Repeat("x", 1000))
	for i := range 200 {
		fmt.Fprintf(&b, "Z%02d|\r", i%100)
		fmt.Fprintf(&b, "Y%02d|\r", i%100)
	}
	m, _, err := Parse([]byte(b.String()))
	if err != nil || len(m.SendingApplication) != MaxField || len(m.Segments) != MaxSegments {
		t.Errorf("%d bytes of field, %d segments, %v", len(m.SendingApplication), len(m.Segments), err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("\x0bMSH|^~\\&|a\rPID"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, _, err := Parse(b)
		if err != nil {
			return
		}
		for _, s := range m.Segments {
			if len(s) != 3 {
				t.Fatalf("segment name of %d bytes", len(s))
			}
		}
		for _, s := range []string{m.SendingApplication, m.SendingFacility, m.ReceivingApplication, m.ReceivingFacility, m.MessageType, m.ProcessingID, m.VersionID} {
			if len(s) > MaxField {
				t.Fatalf("field of %d bytes", len(s))
			}
		}
	})
}
