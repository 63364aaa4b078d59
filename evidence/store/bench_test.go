package store

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"path/filepath"
	"testing"

	"probity/evidence"
)

// BenchmarkSaveFindings keeps the findings of 60 rules on many endpoints, each
// resting on an observation of its own.
func BenchmarkSaveFindings(b *testing.B) {
	const rules, endpoints = 60, 2000
	ctx := context.Background()
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		s := openT(b, filepath.Join(b.TempDir(), fmt.Sprint(i, ".db")))
		record(b, s, endpoints)
		var all []evidence.Rule
		for i := range rules {
			r := testRules()[0]
			r.ID = fmt.Sprintf("MD-DUP-%03d", i)
			all = append(all, r)
		}
		if err := s.SaveCatalogue(ctx, "1", catalogueDigest(), all); err != nil {
			b.Fatal(err)
		}
		run, err := s.BeginRun(ctx, testRun(evidence.ModeAssess), nil)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := s.SaveFindings(ctx, run.ID, manyFindings(all, endpoints)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*rules*endpoints)/b.Elapsed().Seconds(), "findings/s")
}

// manyFindings yields a finding of each rule on each endpoint.
func manyFindings(rules []evidence.Rule, endpoints int) iter.Seq2[evidence.Finding, error] {
	return func(yield func(evidence.Finding, error) bool) {
		for _, r := range rules {
			for i := range endpoints {
				at := evidence.Subject{Endpoint: evidence.Endpoint{
					Addr: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), Port: 443, Transport: evidence.TCP,
				}}
				f := evidence.Finding{
					Key: evidence.FindingKey(r.ID, at), Rule: r.ID, Severity: r.Severity, Outcome: evidence.Pass, Subject: at,
					Asset: "asset-" + at.Endpoint.Addr.String(), Title: r.Title, Detail: "The certificate is as it should be, which takes a sentence.",
					Observations: []int64{int64(i + 1)},
				}
				if !yield(f, nil) {
					return
				}
			}
		}
	}
}
