package active_test

import (
	"context"
	"encoding/hex"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"probity/evidence"
	"probity/fixtures/lab"
	"probity/internal/wire/tlswire"
	"probity/scanner"
	"probity/scanner/active"
	"probity/scanner/probe/snmpprobe"
)

// offset keeps the lab of this test apart from other labs on the machine.
const offset = 20000

// TestLab scans a simulated hospital and compares what was observed with the
// truth: chains, versions, suites, client authentication, host keys, engines.
func TestLab(t *testing.T) {
	l, err := lab.New(lab.Config{Devices: lab.MinDevices(), Seed: 11, At: time.Now(), PortOffset: offset})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := l.WriteFiles(dir); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- l.Serve(ctx, time.Now, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()

	got := scanLab(t, filepath.Join(dir, "targets.txt"))
	byEndpoint := map[string][]evidence.Observation{}
	for _, o := range got.obs {
		if o.Kind == evidence.KindResponse {
			continue // no answer to a probe
		}
		byEndpoint[o.Endpoint.String()] = append(byEndpoint[o.Endpoint.String()], o)
	}
	for _, d := range l.Truth().Devices {
		for _, e := range d.Endpoints {
			obs := byEndpoint[e.Endpoint]
			if len(obs) == 0 {
				t.Errorf("%s of %s %v: not observed", e.Endpoint, d.ID, d.Traits)
				continue
			}
			switch {
			case e.TLS != nil:
				checkTLS(t, d, e, obs)
			case e.SSHHostKey != "":
				checkSSH(t, e, obs)
			case e.EngineID != "":
				if f := obs[0].Facts.SNMP; f == nil || hex.EncodeToString(f.EngineID) != e.EngineID {
					t.Errorf("%s: engine %+v, want %s", e.Endpoint, f, e.EngineID)
				}
			case e.Service == "dicom":
				// With its offset the port is not known for DICOM.
				again := scan(t, scanner.Gentle, scanner.ActionDICOM, strings.TrimPrefix(e.Endpoint, "tcp/"))
				if f := again.obs[len(again.obs)-1].Facts.DICOM; f == nil || f.PDU != "ac" {
					t.Errorf("%s: no association:%s", e.Endpoint, again)
				}
			default:
				if slices.ContainsFunc(obs, func(o evidence.Observation) bool { return o.Facts.TLS != nil && o.Facts.TLS.Version != 0 }) {
					t.Errorf("%s speaks TLS, against the truth", e.Endpoint)
				}
			}
		}
	}
}

// scanLab scans the endpoints of a target file.
func scanLab(t *testing.T, file string) *ledger {
	t.Helper()
	table, err := scanner.LoadPorts()
	if err != nil {
		t.Fatal(err)
	}
	targets, err := scanner.LoadTargets([]string{"@" + file})
	if err != nil {
		t.Fatal(err)
	}
	rates := scanner.DefaultRates()
	rates.Global, rates.Asset, rates.Parallel = 5000, 5000, 4
	all := append(probers(), snmpprobe.New())
	plan, err := scanner.NewPlan(scanner.Scope{Targets: targets}, table, nil, scanner.Standard, rates, all)
	if err != nil {
		t.Fatal(err)
	}
	got := &ledger{}
	sum, err := active.Run(t.Context(), plan, active.Options{Probers: all, Ledger: got, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", sum)
	for _, r := range got.rows {
		if r.Outcome == evidence.ProbeSkipped {
			t.Errorf("skipped: %+v", r)
		}
	}
	return got
}

func checkTLS(t *testing.T, d lab.Device, e lab.Endpoint, obs []evidence.Observation) {
	t.Helper()
	one := &ledger{obs: obs}
	full, first := one.first(t)
	chainOf := first
	if len(first.Certs) == 0 { // nothing that the full client can complete
		_, chainOf = one.offer(t, evidence.OfferTLS12)
	}
	var chain []string
	for _, c := range chainOf.Certs {
		chain = append(chain, evidence.DigestOf(c.DER).String())
	}
	if !slices.Equal(chain, e.TLS.Chain) {
		t.Errorf("%s of %s %v: chain of %d certificates, want %d:%s", e.Endpoint, d.ID, d.Traits, len(chain), len(e.TLS.Chain), one)
	}
	wantAuth := map[string]evidence.ClientAuth{"none": evidence.ClientAuthNotAsked, "request": evidence.ClientAuthRequested, "require": evidence.ClientAuthRequired}[e.TLS.ClientAuth]
	auth := full.ClientAuth
	if auth == evidence.ClientAuthUnknown {
		f, _ := one.offer(t, evidence.OfferTLS12)
		auth = f.ClientAuth
	}
	if auth != wantAuth {
		t.Errorf("%s %v: client certificate %q, want %q:%s", e.Endpoint, d.Traits, auth, wantAuth, one)
	}
	low, high := uint16(0xffff), uint16(0)
	for _, o := range obs {
		if v := o.Facts.TLS.Version; v != 0 {
			low, high = min(low, v), max(high, v)
		}
		if len(e.TLS.Suites) > 0 && o.Facts.TLS.Version != 0 && !slices.Contains(e.TLS.Suites, tlswire.SuiteName(o.Facts.TLS.CipherSuite)) {
			t.Errorf("%s: suite %s is not in the truth", e.Endpoint, tlswire.SuiteName(o.Facts.TLS.CipherSuite))
		}
	}
	name := func(v uint16) string { return strings.TrimPrefix(tlswire.VersionName(v), "TLS ") }
	if name(low) != e.TLS.MinVersion || name(high) != e.TLS.MaxVersion {
		t.Errorf("%s %v: TLS %s to %s, want %s to %s:%s", e.Endpoint, d.Traits, name(low), name(high), e.TLS.MinVersion, e.TLS.MaxVersion, one)
	}
	want := map[evidence.SuiteClass]bool{}
	for _, s := range tlswire.Suites() {
		if slices.Contains(e.TLS.Suites, s.Name) {
			for _, c := range s.Classes {
				want[c] = c != evidence.ClassCBC
			}
		}
	}
	accepted := one.accepted()
	for c, in := range want {
		if in && !slices.Contains(accepted, c) {
			t.Errorf("%s %v: class %s was not found:%s", e.Endpoint, d.Traits, c, one)
		}
	}
	for _, c := range accepted {
		if !want[c] {
			t.Errorf("%s %v: class %s is not in the truth:%s", e.Endpoint, d.Traits, c, one)
		}
	}
}

func checkSSH(t *testing.T, e lab.Endpoint, obs []evidence.Observation) {
	t.Helper()
	for _, o := range obs {
		for _, k := range o.Keys {
			if evidence.DigestOf(k.Blob).String() == e.SSHHostKey {
				return
			}
		}
	}
	t.Errorf("%s: host key not seen: %+v", e.Endpoint, obs)
}
