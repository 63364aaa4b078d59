//go:build cgo

package main

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"probity/fixtures/peer"
)

// TestPeer_assetLife scans an sshd before and after one of its two host keys is
// made anew: it stays one device, its life tells the change with the digests that
// ssh-keygen prints, and the change is a finding until somebody records why.
func TestPeer_assetLife(t *testing.T) {
	paths := peer.Require(t, "sshd", "ssh-keygen", "sqlite3")
	const port = "2222"
	host, dir := device(t, port), t.TempDir()
	at := net.JoinHostPort(host, port)
	program, args := paths["sshd"], []string{"-D", "-e", "-f", "/dev/null", "-p", port, "-o", "ListenAddress=" + host, "-o", "PidFile=none"}
	if os.Geteuid() == 0 {
		program, args = peer.Require(t, "unshare")["unshare"], slices.Concat([]string{
			"--mount", "sh", "-c", `mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec "$@"`, "sh", program,
		}, args)
	}
	newKey := func(kind string) (file, digest string) {
		file = filepath.Join(t.TempDir(), kind)
		tool(t, paths["ssh-keygen"], "-q", "-t", kind, "-N", "", "-f", file)
		return file, keyDigests(t, tool(t, paths["ssh-keygen"], "-lf", file+".pub"))[0]
	}
	db := database{t, filepath.Join(dir, "evidence.db")}
	scan := func(keys ...string) {
		t.Run("scan", func(t *testing.T) { // whose end ends the sshd
			more := slices.Clone(args)
			for _, k := range keys {
				more = append(more, "-h", k)
			}
			start(t, []string{at}, program, more...)
			probity(t, exitOK, "scan", "--db", db.path, "--probes", "standard", "--rate", "200", "--asset-rate", "50", "--quiet", at)
		})
	}
	steady, _ := newKey("ecdsa")
	first, before := newKey("ed25519")
	scan(first, steady)
	second, after := newKey("ed25519")
	scan(second, steady)

	db.want("SELECT count(*) FROM v_asset", "1")
	db.want("SELECT subject, before, after, detail FROM v_asset_event WHERE kind='key-changed'",
		"SSH host key of tcp/"+at+"|"+before+"|"+after+"|ssh-ed25519")
	db.want("SELECT value FROM v_claim WHERE attribute='ssh_host_key' AND value IN ('"+before+"','"+after+"')", after)
	const rule = "SELECT outcome FROM v_finding WHERE rule='MD-ID-006' AND run=(SELECT max(run) FROM v_finding)"
	db.want(rule, "warn")

	probity(t, exitOK, "asset", "label", host, "renewal=key", "--reason", "new image", "--db", db.path)
	scan(second, steady)
	db.want(rule, "pass")
	probity(t, exitQualified, "verify", "--db", db.path)
}
