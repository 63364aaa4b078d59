package bacnetwire

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// answer is a ReadPropertyMultiple-ACK with vendor and model, and an error in
// place of the firmware revision.
const answer = "\x81\x0a\x00\x37\x01\x00\x30\x07\x0e" +
	"\x0c\x02\x00\x04\xd2\x1e" +
	"\x29\x79\x4e\x75\x05\x00ACME\x4f" +
	"\x29\x46\x4e\x75\x06\x00AHU-7\x4f" +
	"\x29\x2c\x5e\x91\x02\x91\x20\x5f" +
	"\x29\x0c\x4e\x73\x00v1\x4f" + "\x1f"

func TestReadDevice(t *testing.T) {
	want := []byte("\x81\x0a\x00\x19\x01\x04\x00\x05\x07\x0e\x0c\x02\x3f\xff\xff\x1e\x09\x79\x09\x46\x09\x2c\x09\x0c\x1f")
	if got := ReadDevice(7); !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

func TestParseDevice(t *testing.T) {
	whole := []byte(answer)
	whole[3] = byte(len(whole))
	got, err := ParseDevice(whole, 7)
	want := Device{Instance: 1234, VendorName: "ACME", ModelName: "AHU-7", ApplicationVersion: "v1"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	if d, err := ParseDevice(whole, 8); err == nil {
		t.Errorf("another invoke identifier: %+v", d)
	}
	for at := range whole {
		cut := bytes.Clone(whole[:at])
		if at > 3 {
			cut[3] = byte(at)
		}
		if d, err := ParseDevice(cut, 7); err == nil {
			t.Errorf("cut at byte %d: %+v", at, d)
		}
	}
	for _, refusal := range []string{"\x81\x0a\x00\x0d\x01\x00\x50\x07\x0e\x91\x02\x91\x1f", "\x81\x0a\x00\x09\x01\x00\x60\x07\x09", "\x81\x0a\x00\x09\x01\x00\x71\x07\x04"} {
		if d, err := ParseDevice([]byte(refusal), 7); err != nil || !d.Refused {
			t.Errorf("%q: %+v, %v", refusal, d, err)
		}
	}
}

// TestParseDevice_recorded reads what servers of others (npm) answered to our
// request.
func TestParseDevice_recorded(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		invoke byte
		want   Device
	}{
		"bacstack 0.0.1-beta.14": {
			"810a00450100305d0e0c020004d21e29794e750e0041434d4520436f6e74726f6c734f29464e7506004148552d374f292c4e7400322e314f290c4e75060061707020394f1f", 0x5d,
			Device{Instance: 1234, VendorName: "ACME Controls", ModelName: "AHU-7", Firmware: "2.1", ApplicationVersion: "app 9"},
		},
		"node-bacnet 0.2.4": {
			"810a003a010030350e0c020004d21e29794e75050041434d454f29464e75070050756d7020374f292c4e7400312e324f290c4e7400332e344f1f", 0x35,
			Device{Instance: 1234, VendorName: "ACME", ModelName: "Pump 7", Firmware: "1.2", ApplicationVersion: "3.4"},
		},
		"node-bacnet 0.2.4 that knows no such object": {"810a000d0100508c0e9102911f", 0x8c, Device{Refused: true}},
	} {
		b, err := hex.DecodeString(tt.answer)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseDevice(b, tt.invoke)
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%s: error %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func FuzzParseDevice(f *testing.F) {
	whole := []byte(answer)
	whole[3] = byte(len(whole))
	f.Add(whole)
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDevice(b, 7)
		if n := len(d.VendorName) + len(d.ModelName) + len(d.Firmware) + len(d.ApplicationVersion); err == nil && n > len(b) {
			t.Errorf("%d bytes of text in %d bytes", n, len(b))
		}
	})
}
