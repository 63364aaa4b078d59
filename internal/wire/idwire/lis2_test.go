package idwire

import (
	"strings"
	"testing"
)

// TestLIS2_senders reads the senders of analysers as they stand in public test data
// of interfaces to them (senaite.astm, and others that cite recorded messages), with
// other numbers.
func TestLIS2_senders(t *testing.T) {
	for _, tt := range []struct{ sender, model, version, serial string }{
		{"H500^920YOXH01234^2.2.2.2b", "H500", "2.2.2.2b", "920YOXH01234"}, // Horiba
		{"DCA VANTAGE^04.04.00.00^S012345", "DCA VANTAGE", "04.04.00.00", "S012345"},
		{"Afinion 2 Analyzer^^AF20012345", "Afinion 2 Analyzer", "", "AF20012345"},
		{"ARCHITECT^7.01^F5200001234^H1P1O1R1C1Q1L1", "ARCHITECT", "7.01", "F5200001234"},
		{"    XN-550^00-24^21234^^^^BD612345", "XN-550", "00-24", "21234"}, // Sysmex
		{"XP-100^00-13^^^^A1234^BS612345", "XP-100", "00-13", "BS612345"},
		{"Sofia^29012345", "Sofia", "", "29012345"},
		{"c311^1", "c311", "", ""}, // Roche
		{"C111^Roche^c111^4.2.2.1730^1^12345", "C111", "4.2.2.1730", "12345"},
		{"1234 Hospital^GeneXpert^4.8", "1234 Hospital", "4.8", ""}, // the name that a site gives it
		{"OCD^VISION^5.14.0^Simulator", "OCD", "5.14.0", ""},
		{"MAKER, INC.^piccolo xpress^3.1.37^0000P12345", "MAKER, INC.", "3.1.37", "0000P12345"},
		{"miniVidas^biomerieux^1.0.0", "miniVidas", "1.0.0", ""},
		{"HSX00^V1.0", "HSX00", "V1.0", ""},
		{"GeneXpert PC^GeneXpert^Dx4.6a.5_Demo", "GeneXpert PC", "", ""},
		{"ABX", "ABX", "", ""},
		{"X^-^.^--^1^v", "X", "", ""},
	} {
		f, ok := LIS2([]byte("\x021H|\\^&|id||" + tt.sender + "|||||||P|1|2026\r"))
		if !ok || f.Model != tt.model || f.Version != tt.version || f.Serial != tt.serial || f.Description != strings.TrimSpace(tt.sender) {
			t.Errorf("%s: %+v, %v", tt.sender, f, ok)
		}
	}
}

// TestLIS2_framing reads a header in each form in which it comes over TCP.
func TestLIS2_framing(t *testing.T) {
	const record = `H|\^&|||c311^1|||||host|RSUPL^REAL|P|1` + "\r"
	for _, before := range []string{
		"\x021", "\x05\x021", "\x05\x05\x05\x021", "\x04\x05\x021", "\x06\x06\x06\x05\x021", "\x15\x05\x021", // LIS01-A2
		"\x02", "\x05\x02", // no number
		"\x0b", "", // MLLP, and none
	} {
		if f, ok := LIS2([]byte(before + record)); !ok || f.Model != "c311" {
			t.Errorf("%q: %+v, %v", before, f, ok)
		}
		for n := range len(before) + 5 {
			if _, is, more := LIS2Header([]byte(before + record)[:n]); is || !more {
				t.Errorf("%q of %q: %v, more %v", (before + record)[:n], before, is, more)
			}
		}
	}
	if f, ok := LIS2([]byte("\x021H|@^\\|GXM-1||ICU^GeneXpert^1.0|||||LIS\r")); !ok || f.Version != "1.0" {
		t.Errorf("other delimiters: %+v, %v", f, ok)
	}
	for _, b := range []string{"HELF\x1c\x00\x00\x00", "HTTP/1.1 200 OK\r\n", "H|||||", "\x021P|\\^&|", "\x029H|\\^&|", "1H|\\^&|", "\x021H|\\^&^", "HEAD / HTTP/1.1"} {
		if _, is, more := LIS2Header([]byte(b)); is || more {
			t.Errorf("%q: %v, more %v", b, is, more)
		}
	}
}

// TestPOCT1_names reads hellos that have no model but a name, as those of Quidel's
// Sofia and PixCell's HemoScreen in public descriptions of them.
func TestPOCT1_names(t *testing.T) {
	for in, want := range map[string]string{
		`<DEV.serial_id V="0001"/><DEV.manufacturer_name V="QUIDEL"/><DEV.device_name V="Sofia"/>`: "QUIDEL Sofia 0001",
		`<DEV.vendor_id V="PIX"/><DEV.device_name V="HemoScreen"/><DEV.serial_id V="1-HS"/>`:       "PIX HemoScreen 1-HS",
		`<DEV.device_name V="DLO-OV"/><DEV.vendor_id V="NOVABIO"/><DEV.model_id V="StatStrip"/>`:   "NOVABIO StatStrip ",
	} {
		f, ok := POCT1([]byte("<HEL.R01><DEV>" + in + "</DEV></HEL.R01>"))
		if got := f.Manufacturer + " " + f.Model + " " + f.Serial; !ok || got != want {
			t.Errorf("%s: %q, %v", in, got, ok)
		}
	}
}
