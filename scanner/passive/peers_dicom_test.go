package passive

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/fixtures/peer"
)

// TestDICOM_tshark compares the association messages of DCMTK, Orthanc, dcmjs and
// pynetdicom with what tshark finds in them.
func TestDICOM_tshark(t *testing.T) {
	tshark := peer.Require(t, "tshark")["tshark"]
	files, err := filepath.Glob(ours("live_dicom_[eoqr]*.pcap"))
	if err != nil || len(files) < 6 {
		t.Fatalf("%d captures, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel() // it waits for tshark
			list, _ := readFile(t, path)
			var got []string
			decode := ""
			for _, o := range list {
				f := o.Facts.DICOM
				if f == nil {
					continue
				}
				decode = fmt.Sprintf("tcp.port==%d,dicom", o.Endpoint.Port)
				if f.PDU == "rj" {
					got = append(got, fmt.Sprintf("rj %d %d %d", f.RejectResult, f.RejectSource, f.RejectReason))
				} else {
					got = append(got, strings.Join([]string{f.PDU, f.CalledAE, f.CallingAE, f.ImplementationUID, f.Implementation, strconv.Itoa(int(f.MaxPDU))}, " "))
				}
			}
			if len(got) == 0 {
				t.Fatal("no association was read")
			}
			var want []string
			for _, p := range tsharkPackets(t, tshark, path, decode, "dicom.pdu.type in {1,2,3}",
				"dicom.pdu.type", "dicom.assoc.ae.called", "dicom.assoc.ae.calling", "dicom.userinfo.uid", "dicom.userinfo.version", "dicom.max_pdu_len",
				"dicom.assoc.reject.result", "dicom.assoc.reject.source", "dicom.assoc.reject.reason") {
				kind := map[string]string{"0x01": "rq", "0x02": "ac", "0x03": "rj"}[last(p["dicom.pdu.type"])]
				if kind == "rj" {
					want = append(want, strings.Join([]string{kind, number(t, p["dicom.assoc.reject.result"]), number(t, p["dicom.assoc.reject.source"]), number(t, p["dicom.assoc.reject.reason"])}, " "))
					continue
				}
				title := func(field string) string { return strings.TrimSpace(last(p[field])) }
				want = append(want, strings.Join([]string{
					kind, title("dicom.assoc.ae.called"), title("dicom.assoc.ae.calling"), title("dicom.userinfo.uid"), title("dicom.userinfo.version"), title("dicom.max_pdu_len"),
				}, " "))
			}
			for _, l := range []*[]string{&got, &want} {
				slices.Sort(*l)
				*l = slices.Compact(*l)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-tshark +ours):\n%s", diff)
			}
		})
	}
}

// number is the decimal form of the last value that tshark prints.
func number(t *testing.T, values []string) string {
	t.Helper()
	n, err := strconv.ParseUint(last(values), 0, 8)
	if err != nil {
		t.Fatalf("tshark: %v", err)
	}
	return strconv.FormatUint(n, 10)
}
