//go:build cgo && linux

package main

import (
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"probity/evidence/store"
	fixture "probity/fixtures/device"
)

// TestScan_protectedClass scans a device that says in its first answer what it
// is: a ventilator is sent nothing more in the same run, nor in the next; a maker
// of ventilators alone is no reason.
func TestScan_protectedClass(t *testing.T) {
	for _, tt := range []struct {
		name, maker, model string
		protected          bool
	}{
		{"ventilator", "Drägerwerk AG & Co. KGaA", "Babylog VN800", true},
		{"pump of a company that was bought", "Hospira, Inc.", "Plum 360", true},
		{"laboratory", "Roche Diagnostics", "cobas b 123", false},
		{"unknown", "Aldermere Infusion", "Volumat 3", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const sdc, web = "6464", "8080"
			host := device(t, sdc, web)
			served, err := fixture.Serve(t.Context(), fixture.Spec{
				Service: fixture.SDCTLS, Addr: netip.MustParseAddrPort(net.JoinHostPort(host, sdc)),
				SDC: &fixture.SDCSpec{EPR: "urn:uuid:0", Manufacturer: tt.maker, Model: tt.model, Serial: "S-1"},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = served.Close() }()
			var connections atomic.Int64
			listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(host, web))
			if err != nil {
				t.Fatal(err)
			}
			page := &http.Server{
				Handler: http.NotFoundHandler(),
				ConnState: func(_ net.Conn, s http.ConnState) {
					if s == http.StateNew {
						connections.Add(1)
					}
				},
			}
			go func() { _ = page.Serve(listener) }()
			defer func() { _ = page.Close() }()

			db := filepath.Join(t.TempDir(), "evidence.db")
			args := []string{
				"scan", "--db", db, "--rate", "500", "--asset-rate", "100", "--quiet", "--fail-on", "none",
				net.JoinHostPort(host, sdc), net.JoinHostPort(host, web),
			}
			want := exitOK
			if tt.protected {
				want = exitQualified
			}
			for run := range 2 {
				connections.Store(0)
				probity(t, want, args...)
				if got := connections.Load() == 0; got != tt.protected {
					t.Errorf("run %d: the web server was left alone: %v, want %v", run+1, got, tt.protected)
				}
			}
			st, err := store.Open(t.Context(), db, store.Options{ReadOnly: true})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = st.Close() }()
			runs, err := st.Runs(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			noted := 0
			for _, r := range runs {
				if strings.Contains(r.Run.Note+r.End.Note, "left alone for their class: "+host) {
					noted++
				}
			}
			if want := map[bool]int{true: 2, false: 0}[tt.protected]; noted != want {
				t.Errorf("%d runs name the device, want %d", noted, want)
			}
		})
	}
}
