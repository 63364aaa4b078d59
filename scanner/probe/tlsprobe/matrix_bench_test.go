package tlsprobe

import (
	"strings"
	"testing"
	"time"

	"probity/fixtures/peer"
	"probity/fixtures/tlsmatrix"
	"probity/scanner"
)

// BenchmarkMatrix holds exhaustive and gentle probes of every server of the
// matrix against nmap and sslscan, and fails on a difference that is not theirs.
func BenchmarkMatrix(b *testing.B) {
	paths := peer.Require(b, "nmap", "sslscan")
	matrix(b, nmap(paths["nmap"]), sslscan(paths["sslscan"]))
}

// BenchmarkMatrix_testssl does the same with testssl.sh besides. It takes about a
// minute a server.
func BenchmarkMatrix_testssl(b *testing.B) {
	paths := peer.Require(b, "nmap", "sslscan", "testssl")
	matrix(b, nmap(paths["nmap"]), sslscan(paths["sslscan"]), testssl(paths["testssl"]))
}

func matrix(b *testing.B, others ...scannerOf) {
	keys := tlsmatrix.NewKeys(b)
	for _, s := range tlsmatrix.Servers() {
		b.Run(strings.ReplaceAll(s.Name, "/", "_"), func(b *testing.B) {
			c := compare(b, s, keys, others)
			for b.Loop() {
				ours(b, scanner.Exhaustive, c.address)
			}
			b.ReportMetric(float64(c.exhaustive.connections), "conns")
			b.ReportMetric(float64(bound(c.exhaustive)), "bound")
			b.ReportMetric(float64(c.gentle.connections), "gentle-conns")
			for i, other := range others {
				p := c.others[i]
				b.ReportMetric(float64(p.connections)/float64(c.gentle.connections), other.name+"-conns/gentle")
				if c.gentle.device > 0 {
					b.ReportMetric(float64(p.device)/float64(c.gentle.device), other.name+"-cpu/gentle")
				}
				if other.name == "testssl" {
					b.ReportMetric(p.wall.Seconds()/(b.Elapsed()/time.Duration(b.N)).Seconds(), "x-faster-than-testssl")
				}
			}
		})
	}
}
