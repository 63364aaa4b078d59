package capture

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFollow_grows adds to a file byte by byte, each time the reader waits.
func TestFollow_grows(t *testing.T) {
	for name, whole := range map[string][]byte{
		"pcap": pcapFile(binary.LittleEndian, false, Ethernet), "pcapng": pcapngFile(binary.BigEndian, Ethernet, false),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			w, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			at := 0
			f, err := Follow(t.Context(), path, func(context.Context) error {
				if at == len(whole) {
					return context.Canceled
				}
				_, err := w.Write(whole[at : at+1])
				at++
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			got, err := rest(f)
			if !errors.Is(err, context.Canceled) || errors.Is(err, ErrTruncated) {
				t.Errorf("ends with %v", err)
			}
			want, err := drain(whole)
			if diff := cmp.Diff(want, got); diff != "" || !errors.Is(err, io.EOF) {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// rest reads all packets that are left.
func rest(f *File) ([]Packet, error) {
	var out []Packet
	for {
		p, err := f.Next()
		if err != nil {
			return out, err
		}
		p.Data = bytes.Clone(p.Data)
		out = append(out, p)
	}
}

func TestFollow_replaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcap")
	whole := pcapFile(binary.LittleEndian, false, Ethernet)
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Follow(t.Context(), path, func(context.Context) error { return os.Truncate(path, 10) })
	if err == nil {
		defer f.Close()
		_, err = rest(f)
	}
	if !errors.Is(err, ErrTruncated) || !strings.Contains(err.Error(), "shorter") || !f.Replaced() {
		t.Errorf("a file that was overwritten: %v", err)
	}
	if _, err := Follow(t.Context(), path+".none", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

// TestFollow_renamed: a file whose name another one has is read to its end, also
// what is written to it while the other one comes.
func TestFollow_renamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcap")
	whole := pcapFile(binary.LittleEndian, false, Ethernet)
	if err := os.WriteFile(path, nil, 0o600); err != nil { // its header is still to come
		t.Fatal(err)
	}
	waits := 0
	steps := []func() error{
		func() error { return os.WriteFile(path, whole[:50], 0o600) },
		func() error { return os.Rename(path, path+".1") },
		func() error { return nil }, // the name is free
		func() error {
			return errors.Join(os.WriteFile(path+".1", whole, 0o600), os.WriteFile(path, whole, 0o600))
		},
		func() error { return nil },
	}
	f, err := Follow(t.Context(), path, func(context.Context) error {
		waits++
		if waits > len(steps) {
			return errors.New("it waits for ever")
		}
		return steps[waits-1]()
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := rest(f)
	want, _ := NewFile("whole", bytes.NewReader(whole))
	all, _ := rest(want)
	if !errors.Is(err, io.EOF) || !f.Replaced() || len(got) != len(all) || len(all) == 0 {
		t.Errorf("%d of %d packets, replaced %t: %v", len(got), len(all), f.Replaced(), err)
	}
}

// TestFollow_renamedEmpty: another file takes the name of one that nothing was
// written to.
func TestFollow_renamedEmpty(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pcap")
	whole := pcapFile(binary.LittleEndian, false, Ethernet)
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.WriteFile(path+".new", whole, 0o600)); err != nil {
		t.Fatal(err)
	}
	end := errors.New("at its end")
	waits := 0
	f, err := Follow(t.Context(), path, func(context.Context) error {
		if waits++; waits == 1 {
			return os.Rename(path+".new", path)
		}
		return end
	})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := rest(f); len(got) == 0 || !errors.Is(err, end) || f.Replaced() {
		t.Errorf("%d packets, replaced %t: %v", len(got), f.Replaced(), err)
	}
}

// TestInterruptible ends a reading whose source gives nothing more.
func TestInterruptible(t *testing.T) {
	silent, w := io.Pipe()
	defer silent.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	whole := pcapFile(binary.LittleEndian, false, Ethernet)
	written := make(chan error, 1)
	go func() {
		_, err := w.Write(whole[:len(whole)-1])
		written <- err
	}()
	f, err := NewFile("standard input", Interruptible(ctx, silent))
	if err != nil {
		t.Fatal(err)
	}
	first, err := f.Next()
	if err != nil || string(first.Data) != "first" {
		t.Fatalf("%q, %v", first.Data, err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := rest(f); !errors.Is(err, context.Canceled) || errors.Is(err, ErrTruncated) {
		t.Errorf("ends with %v", err)
	}
	whole2, err := NewFile("standard input", Interruptible(t.Context(), bytes.NewReader(whole)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := rest(whole2); len(got) != len(sample(Ethernet)) || !errors.Is(err, io.EOF) {
		t.Errorf("%d packets, %v", len(got), err)
	}
}

// TestFile_manyInterfaces reads a section with interfaces of several link types.
func TestFile_manyInterfaces(t *testing.T) {
	order := binary.LittleEndian
	links := []LinkType{Ethernet, Raw, LinuxSLL2, Ethernet}
	section := order.AppendUint32(nil, byteOrderMagic)
	section = append(section, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	file := block(order, blockSection, section)
	for _, l := range links {
		file = append(file, block(order, blockInterface, append(order.AppendUint16(nil, uint16(l)), make([]byte, 6)...))...)
	}
	want := []LinkType{LinuxSLL2, Ethernet, Raw, Ethernet, LinuxSLL2}
	for _, number := range []uint32{2, 0, 1, 3, 2} {
		body := order.AppendUint32(nil, number)
		body = append(body, make([]byte, 8)...)
		body = append(order.AppendUint32(order.AppendUint32(body, 4), 4), "data"...)
		file = append(file, block(order, blockEnhancedPacket, body)...)
	}
	list, err := drain(file)
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	var got []LinkType
	for _, p := range list {
		got = append(got, p.Link)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("link types (-want +got):\n%s", diff)
	}
}
