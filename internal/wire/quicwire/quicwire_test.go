package quicwire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// seal makes an Initial packet, as the peer of the keys' owner would.
func seal(k *Keys, version uint32, dst, src, token, payload []byte, number byte) []byte {
	first := byte(0xc0)
	if version == Version2 {
		first = 0xd0
	}
	head := []byte{first, byte(version >> 24), byte(version >> 16), byte(version >> 8), byte(version), byte(len(dst))}
	head = append(append(append(head, dst...), byte(len(src))), src...)
	head = append(append(head, 0x40|byte(len(token)>>8), byte(len(token))), token...)
	n := 1 + len(payload) + k.aead.Overhead()
	head = append(head, 0x40|byte(n>>8), byte(n))
	at := len(head)
	head = append(head, number)
	nonce := bytes.Clone(k.iv)
	nonce[11] ^= number
	packet := k.aead.Seal(bytes.Clone(head), nonce, payload, head)
	var mask [16]byte
	k.header.Encrypt(mask[:], packet[at+4:at+20])
	packet[0] ^= mask[0] & 0x0f
	packet[at] ^= mask[1]
	return packet
}

// TestNewKeys_vectors opens the server's packet of RFC 9001 appendix A.3 and
// holds initialisation vectors against appendix A.1 of both RFCs.
func TestNewKeys_vectors(t *testing.T) {
	destination := unhex(t, "8394c8f03e515708")
	for version, want := range map[uint32][2]string{
		Version1: {"fa044b2f42a3fd3b46fb255c", "0ac1493ca1905853b0bba03e"},
		Version2: {"91f73e2351d8fa91660e909f", "dd13c276499c0249d3310652"},
	} {
		client, server, err := NewKeys(version, destination)
		if err != nil || hex.EncodeToString(client.iv) != want[0] || hex.EncodeToString(server.iv) != want[1] {
			t.Errorf("version %x: %x, %x, %v", version, client.iv, server.iv, err)
		}
	}
	_, server, err := NewKeys(Version1, destination)
	if err != nil {
		t.Fatal(err)
	}
	packet := unhex(t, "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee")
	frames, err := server.Open(packet)
	if err != nil || len(frames) != 1 || frames[0].Offset != 0 || frames[0].Data[0] != 2 {
		t.Fatalf("%d frames, %v", len(frames), err)
	}
	packet[40] ^= 1
	if _, err := server.Open(packet); !errors.Is(err, ErrNotInitial) {
		t.Errorf("a changed packet opens: %v", err)
	}
}

func TestOpen_coalesced(t *testing.T) {
	for _, version := range []uint32{Version1, Version2} {
		client, _, err := NewKeys(version, []byte("12345678"))
		if err != nil {
			t.Fatal(err)
		}
		one := seal(client, version, []byte("12345678"), []byte("src"), nil, []byte("\x01\x02\x05\x00\x01\x00\x00\x01\x06\x00\x03abc\x00\x00\x00\x00\x00\x00"), 0)
		two := seal(client, version, []byte("12345678"), nil, []byte("token"), []byte("\x06\x03\x02de\x1c\x06\x00\x01x\x00\x00\x00\x00\x00\x00"), 1)
		frames, err := client.Open(append(append(one, two...), 0, 0, 0))
		if err != nil || len(frames) != 2 || string(frames[0].Data) != "abc" || frames[1].Offset != 3 || string(frames[1].Data) != "de" {
			t.Errorf("version %x: %+v, %v", version, frames, err)
		}
	}
}

func TestParseHeader_refuses(t *testing.T) {
	for name, s := range map[string]string{
		"short header":  "40000000010000000000",
		"version":       "c0000000020000000000",
		"identifier":    "c00000000115" + "000000000000000000000000000000000000000000" + "000000",
		"retry":         "f0000000010000000000",
		"length":        "c000000001000000407f",
		"nothing":       "",
		"token too big": "c0000000010000bfffffff00",
	} {
		if _, err := ParseHeader(unhex(t, s)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzOpen(f *testing.F) {
	client, _, err := NewKeys(Version1, []byte("12345678"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seal(client, Version1, []byte("12345678"), nil, nil, []byte("\x06\x00\x03abc\x00\x00\x00\x00\x00\x00"), 0), []byte("\x06\x00\x03abc"))
	f.Fuzz(func(t *testing.T, b, plain []byte) {
		frames, _ := client.Open(b)
		for _, c := range append(frames, cryptoFrames(plain)...) {
			if len(c.Data) > max(len(b), len(plain)) {
				t.Fatalf("%d bytes", len(c.Data))
			}
		}
	})
}
