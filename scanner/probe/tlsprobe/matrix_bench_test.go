package tlsprobe

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/fixtures/tlsmatrix"
	"probity/scanner"
)

// BenchmarkEnumeration holds what an exhaustive probe of every server of the matrix
// costs against its bound, without other scanners.
func BenchmarkEnumeration(b *testing.B) { matrix(b) }

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

// BenchmarkGentle holds what a gentle probe costs the devices of the matrix against
// the script ssl-enum-ciphers of nmap, and its verdicts on classes of suites
// against what nmap found. Servers in the process of the test count for
// connections only.
func BenchmarkGentle(b *testing.B) {
	path := peer.Require(b, "nmap")["nmap"]
	keys := tlsmatrix.NewKeys(b)
	for b.Loop() {
		var conns, times []float64
		var our, their struct{ conns, device float64 }
		classes, decided := 0, 0
		for _, s := range tlsmatrix.Servers() {
			server := s.Start(b, keys)
			var obs []evidence.Observation
			ours := measured(b, server, func(address string) posture {
				obs = ours(b, scanner.Gentle, address)
				return of(obs)
			})
			other := measured(b, server, func(address string) posture { return nmap(path).scan(b, address) })
			known := holdClasses(b, server.Address, obs, other)
			classes, decided = classes+len(weakClasses()), decided+known
			conns = append(conns, float64(other.connections)/float64(ours.connections))
			our.conns += float64(ours.connections)
			their.conns += float64(other.connections)
			if ours.device > 0 {
				times = append(times, float64(other.device)/float64(ours.device))
				our.device += float64(ours.device)
				their.device += float64(other.device)
			}
			b.Logf("%-40s %3d connections, nmap %3d; %8v on the device, nmap %8v; %d classes decided", s.Name, ours.connections, other.connections,
				ours.device.Round(10*time.Microsecond), other.device.Round(10*time.Microsecond), known)
		}
		b.ReportMetric(100*float64(decided)/float64(classes), "%-decided")
		slices.Sort(conns)
		slices.Sort(times)
		b.ReportMetric(their.conns/our.conns, "nmap-conns/ours")
		b.ReportMetric(conns[len(conns)/2], "median-conns")
		b.ReportMetric(conns[0], "least-conns")
		b.ReportMetric(their.device/our.device, "nmap-cpu/ours")
		b.ReportMetric(times[len(times)/2], "median-cpu")
		b.ReportMetric(times[0], "least-cpu")
	}
}

// tally counts servers by what their enumeration costs.
type tally struct {
	servers, within, allWithin, needed int
	beyond                             []string
}

func (t *tally) count(name string, conns, all, aim, needed int) {
	t.servers++
	if all <= aim {
		t.allWithin++
	}
	switch {
	case conns <= aim:
		t.within++
	case conns <= needed:
		t.needed++
	default:
		t.beyond = append(t.beyond, fmt.Sprintf("%s by %d", name, conns-needed))
	}
}

// report prints the counts as a benchmark of their own, because one that has
// others prints none.
func (t *tally) report(b *testing.B) {
	slices.Sort(t.beyond)
	b.Run("all", func(b *testing.B) {
		for b.Loop() {
			b.ReportMetric(float64(t.servers), "servers")
			b.ReportMetric(float64(t.within), "within-bound")
			b.ReportMetric(float64(t.allWithin), "all-within-bound")
			b.ReportMetric(float64(t.needed), "within-needed")
			b.ReportMetric(float64(len(t.beyond)), "beyond")
		}
		b.Logf("beyond what is needed: %s", strings.Join(t.beyond, ", "))
	})
}

func matrix(b *testing.B, others ...scannerOf) {
	keys := tlsmatrix.NewKeys(b)
	all := map[string]comparison{}
	for _, s := range tlsmatrix.Servers() {
		b.Run(strings.ReplaceAll(s.Name, "/", "_"), func(b *testing.B) {
			c := compare(b, s, keys, others)
			all[s.Name] = c
			for b.Loop() {
				ours(b, scanner.Exhaustive, c.address)
			}
			b.ReportMetric(float64(c.enumeration), "conns")
			b.ReportMetric(float64(c.exhaustive.connections), "all-conns")
			b.ReportMetric(float64(bound(c.exhaustive)), "bound")
			b.ReportMetric(float64(c.needed), "needed")
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
	var t tally
	for name, c := range all {
		t.count(name, c.enumeration, c.exhaustive.connections, bound(c.exhaustive), c.needed)
	}
	t.report(b)
}
