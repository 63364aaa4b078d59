package passive

import (
	"crypto/ed25519"
	"net"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"
)

// recorder keeps what is written to a connection.
type recorder struct {
	net.Conn
	said []byte
}

func (r *recorder) Write(b []byte) (int, error) {
	r.said = append(r.said, b...)
	return r.Conn.Write(b)
}

// TestRead_sshKeys reads a key exchange of x/crypto/ssh.
func TestRead_sshKeys(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // a pipe without a buffer would block both
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	client, server := &recorder{Conn: a}, &recorder{Conn: b}
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(signer)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer b.Close()
		_, _, _, _ = ssh.NewServerConn(server, config)
	}()
	c, _, _, err := ssh.NewClientConn(client, "loopback", &ssh.ClientConfig{HostKeyCallback: ssh.FixedHostKey(signer.PublicKey())})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	<-done
	greeting := []byte("Authorised use only.\r\nSee the house rules.\n") // RFC 4253 section 4.2
	for _, size := range []int{1, 100, 1400} {
		k := newTalk(t, "10.0.0.1:40000", "10.0.0.2:22").open()
		for side, said := range [][]byte{client.said, slices.Concat(greeting[:len(greeting)*(size%2)], server.said)} {
			for chunk := range slices.Chunk(said, size) {
				k.say(side, string(chunk))
			}
		}
		list, stats, err := read(t, &packets{list: k.list}, Options{})
		if err != nil || len(list) != 1 || stats.Incomplete() != nil {
			t.Fatalf("%q, %+v, %v", summaries(list), stats, err)
		}
		o := list[0]
		if f := o.Facts.SSH; f.Version != "SSH-2.0-Go" || len(f.KEX) == 0 || len(f.MACs) == 0 || !slices.Equal(f.HostKeys, []string{"ssh-ed25519"}) {
			t.Errorf("%+v", f)
		}
		if len(o.Keys) != 1 || string(o.Keys[0].Blob) != string(signer.PublicKey().Marshal()) {
			t.Errorf("host keys %v", o.Keys)
		}
	}
}

func FuzzSSH(f *testing.F) {
	f.Add([]byte("SSH-2.0-x\r\n\x00\x00\x00\x0c\x04\x1f\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"), uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		s := newSSHSession()
		for chunk := range slices.Chunk(b, int(size)+1) {
			if s.feed(0, chunk) {
				break
			}
		}
		if s.held() > 3*maxSSHRead {
			t.Fatalf("%d bytes held", s.held())
		}
		fl := &flow{opener: 1, reset: unknownSide}
		s.conclude(fl)
	})
}
