package store

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"probity/evidence"
	"probity/fixtures/measure"
)

// BenchmarkRecordProbe keeps probes of many endpoints, each with an observation of
// a handshake that has a certificate of its own and that of its CA, by the number
// of probes that wait at the same time. It reports the processor time of the
// process.
func BenchmarkRecordProbe(b *testing.B) {
	const endpoints = 4000
	leaves, root := chains(b, endpoints)
	for _, together := range []int{1, 16, 128} {
		b.Run(fmt.Sprint(together), func(b *testing.B) {
			var used time.Duration
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				s := openT(b, filepath.Join(b.TempDir(), fmt.Sprint(i, ".db")))
				run, err := s.BeginRun(b.Context(), testRun(evidence.ModeActive), nil)
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				began := measure.ProcessorTime(b)
				recordProbes(b, s, run.ID, together, leaves, root)
				used += measure.ProcessorTime(b) - began
			}
			b.ReportMetric(float64(used.Microseconds())/float64(b.N*endpoints), "cpu-us/probe")
		})
	}
}

func recordProbes(b *testing.B, s *Store, run int64, together int, leaves [][]byte, root []byte) {
	jobs := make(chan int)
	var workers sync.WaitGroup
	for range together {
		workers.Go(func() {
			for i := range jobs {
				p, obs := handshakeOf(run, i, leaves[i], root)
				if err := s.RecordProbe(b.Context(), p, obs); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range leaves {
		jobs <- i
	}
	close(jobs)
	workers.Wait()
}

// handshakeOf is what a probe of one connection leads to.
func handshakeOf(run int64, i int, leaf, root []byte) (evidence.ProbeRecord, []evidence.Observation) {
	at := evidence.Endpoint{Addr: netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), Port: 443, Transport: evidence.TCP}
	now := time.UnixMilli(1_700_000_000_000)
	sent, received, secret := make([]byte, 400), make([]byte, 1500), make([]byte, 160)
	for _, raw := range [][]byte{sent, received, secret} {
		_, _ = rand.Read(raw)
	}
	obs := evidence.Observation{
		Run: run, Method: evidence.Active, Kind: evidence.KindTLS, Endpoint: at, At: now, Result: evidence.ResultData,
		Raw:   []evidence.Blob{{Media: "application/x-sent", Data: sent}, {Media: "application/x-received", Data: received}, {Media: "application/x-secret", Data: secret}},
		Certs: []evidence.Presented{{Role: evidence.RoleServer, DER: leaf}, {Role: evidence.RoleServer, Position: 1, DER: root}},
	}
	obs.Facts.TLS = &evidence.TLSFacts{
		Offer: evidence.OfferFull, OfferedMax: 0x0304, OfferedSuites: make([]uint16, 44), OfferedGroups: make([]uint16, 4), OfferedSchemes: make([]uint16, 22),
		Version: 0x0304, CipherSuite: 0x1301, Group: 23, SignatureScheme: 0x0403, Handshake: evidence.StageComplete,
	}
	return evidence.ProbeRecord{
		Run: run, Endpoint: at, Probe: "tls", Started: now, Ended: now, Connections: 1, BytesSent: 400, BytesReceived: 1500,
		Outcome: evidence.ProbeSent, Reason: "port 443 is https",
	}, []evidence.Observation{obs}
}

// chains makes certificates for one key, and that of their CA.
func chains(b *testing.B, n int) (leaves [][]byte, root []byte) {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	issue := func(serial int64, name string) []byte {
		t := &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{Organization: []string{"Example"}, CommonName: name},
			NotBefore: time.Unix(1_700_000_000, 0), NotAfter: time.Unix(1_800_000_000, 0), DNSNames: []string{"pump.ward.example"},
		}
		der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
		if err != nil {
			b.Fatal(err)
		}
		return der
	}
	for i := range n {
		leaves = append(leaves, issue(int64(i+2), fmt.Sprint("pump ", i)))
	}
	return leaves, issue(1, "CA")
}
