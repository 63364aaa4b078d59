package passive

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"probity/fixtures/peer"
)

// TestPeer_openssh reads a connection of OpenSSH with itself and compares it with
// tshark: both identifications, all lists and the host key.
func TestPeer_openssh(t *testing.T) {
	t.Parallel() // it waits for programs
	paths := peer.Require(t, "sshd", "ssh", "ssh-keygen", "tshark")
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			key := filepath.Join(dir, "key")
			run(t, paths["ssh-keygen"], "-q", "-t", kind, "-N", "", "-f", key)
			server := freePort(t)
			_, port, _ := strings.Cut(server, ":")
			program, args := paths["sshd"], []string{"-D", "-e", "-f", "/dev/null", "-h", key, "-p", port, "-o", "ListenAddress=127.0.0.1", "-o", "PidFile=none"}
			if os.Geteuid() == 0 { // it wants the folder of its service unit, and gets one that nobody else sees
				program, args = peer.Require(t, "unshare")["unshare"], slices.Concat([]string{
					"--mount", "sh", "-c", `mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec "$@"`, "sh", program,
				}, args)
			}
			start(t, server, program, args...)
			p := tapTCP(t, server)
			_, port, _ = strings.Cut(p.addr, ":")
			run(t, paths["ssh"], "-F", "/dev/null", "-p", port, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "nobody@127.0.0.1", "true")
			path := p.save(t)
			list, stats := readFile(t, path)
			if len(list) != 1 || list[0].Facts.SSH == nil || stats.Incomplete() != nil || len(list[0].Keys) != 1 {
				t.Fatalf("%q, %q", summaries(list), stats.Incomplete())
			}
			f := list[0].Facts.SSH
			if f.Client == nil {
				t.Fatal("the client was not read")
			}
			said := map[string][]string{}
			fields := []string{
				"ssh.protocol", "ssh.kex_algorithms", "ssh.server_host_key_algorithms", "ssh.encryption_algorithms_client_to_server",
				"ssh.encryption_algorithms_server_to_client", "ssh.mac_algorithms_client_to_server", "ssh.mac_algorithms_server_to_client",
			}
			for _, q := range tsharkPackets(t, paths["tshark"], path, fmt.Sprintf("tcp.port==%d,ssh", list[0].Endpoint.Port), "ssh.protocol or ssh.kex_algorithms", append(fields, "tcp.dstport")...) {
				side := "server "
				if last(q["tcp.dstport"]) == strconv.Itoa(int(list[0].Endpoint.Port)) {
					side = "client "
				}
				for _, name := range fields {
					said[side+name] = append(said[side+name], q[name]...)
				}
			}
			ours := map[string][]string{
				"client ssh.protocol": {f.Client.Version}, "server ssh.protocol": {f.Version},
				"client ssh.kex_algorithms": f.Client.KEX, "server ssh.kex_algorithms": f.KEX,
				"client ssh.server_host_key_algorithms": f.Client.HostKeys, "server ssh.server_host_key_algorithms": f.HostKeys,
				"client ssh.encryption_algorithms_client_to_server": f.Client.Ciphers, "server ssh.encryption_algorithms_server_to_client": f.Ciphers,
				"client ssh.mac_algorithms_client_to_server": f.Client.MACs, "server ssh.mac_algorithms_server_to_client": f.MACs,
			}
			for name, list := range ours {
				if want := said[name]; len(want) != 1 || want[0] != strings.Join(list, ",") {
					t.Errorf("%s: tshark %q, ours %q", name, want, list)
				}
			}
			public, err := os.ReadFile(key + ".pub")
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.Fields(string(public))[1]; want != base64.StdEncoding.EncodeToString(list[0].Keys[0].Blob) {
				t.Errorf("host key %x is not that of %s", list[0].Keys[0].Blob, public)
			}
		})
	}
}
