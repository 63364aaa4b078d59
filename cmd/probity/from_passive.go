//go:build cgo

package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/pflag"

	"probity/evidence"
	"probity/evidence/store"
	"probity/scanner"
)

// sightingFlags name the passive run whose sightings become targets.
type sightingFlags struct{ run string }

func (f *sightingFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.run, "from-passive", "", "take the endpoints that passive `RUN` saw speak TLS, DICOM or SSH, and the SDC providers it heard; last: the newest")
}

// registerDB is for a command that has no database of its own.
func (f *sightingFlags) registerDB(fs *pflag.FlagSet, db *string) {
	fs.StringVar(db, "db", "probity.db", "evidence database `FILE` for --from-passive")
}

func (f *sightingFlags) used() bool { return f.run != "" }

// targets lists the servers that a passive run saw, in the order of endpoints.
// Public addresses are left out as exclusions, unless they are allowed: a
// device's calls to its vendor are no reason to scan the vendor.
func (f *sightingFlags) targets(ctx context.Context, db string, allowPublic bool) ([]scanner.Target, error) {
	if f.run == "" {
		return nil, nil
	}
	st, err := store.Open(ctx, db, store.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = st.Close() }()
	run, _, err := findRun(ctx, st, f.run, evidence.ModePassive)
	if err != nil {
		return nil, fmt.Errorf("--from-passive: %w", err)
	}
	// Whether the certificate was hidden says why the endpoint is worth a
	// connection.
	reasons := map[evidence.Endpoint]string{}
	asked := map[string]scanner.Target{} // by URL
	for o, err := range st.Observations(ctx) {
		if err != nil {
			return nil, err
		}
		if o.Run != run.ID || !o.Endpoint.Addr.IsValid() || o.Endpoint.Port == 0 {
			continue
		}
		for _, t := range providers(o) {
			asked[t.URL] = t
		}
		if o.Endpoint.Transport != evidence.TCP {
			continue
		}
		if slices.Contains([]evidence.Kind{evidence.KindTLS, evidence.KindDICOM, evidence.KindSSH}, o.Kind) {
			if reasons[o.Endpoint] = fmt.Sprintf("seen by run %d: %s", run.ID, o.Kind); hidesCertificate(o) {
				reasons[o.Endpoint] += ", certificate hidden"
			}
		}
	}
	if len(reasons)+len(asked) == 0 {
		return nil, fmt.Errorf("--from-passive: run %d saw no TLS, DICOM or SSH, and no SDC provider", run.ID)
	}
	out := slices.Collect(maps.Values(asked))
	for ep, reason := range reasons {
		t := scanner.Target{
			Text: ep.String(), From: ep.Addr, To: ep.Addr, Name: ep.Name, Port: ep.Port, Transport: ep.Transport,
			Reason: reason,
		}
		out = append(out, t)
	}
	for i := range out {
		out[i].Source = fmt.Sprintf("run %d", run.ID)
		if !allowPublic && !scanner.IsOwn(out[i].From) {
			out[i].Excluded, out[i].Reason = true, "a public address, "+out[i].Reason
		}
	}
	slices.SortFunc(out, func(a, b scanner.Target) int {
		return cmp.Or(endpointOf(a).Compare(endpointOf(b)), cmp.Compare(a.URL, b.URL))
	})
	return out, nil
}

// providers returns the addresses at which a device that announces itself as a medical
// one (IEEE 11073-20702) can be asked, as targets. Only addresses of the announcing
// machine count: nobody can have another one scanned.
func providers(o evidence.Observation) (out []scanner.Target) {
	f := o.Facts.Identity
	if f == nil || f.Protocol != "ws-discovery" || !slices.Contains(f.Types, "MedicalDevice") {
		return nil
	}
	for _, at := range f.Places {
		t, err := scanner.ParseURL(scanner.SDCProbe, at)
		if err != nil || t.From != o.Endpoint.Addr {
			continue
		}
		t.Reason = fmt.Sprintf("seen by run %d: SDC provider", o.Run)
		out = append(out, t)
	}
	return out
}

func endpointOf(t scanner.Target) evidence.Endpoint {
	return evidence.Endpoint{Addr: t.From, Port: t.Port, Transport: t.Transport, Name: t.Name}
}

// hidesCertificate reports whether a conversation was TLS 1.3, in which the
// certificate travels encrypted.
func hidesCertificate(o evidence.Observation) bool {
	return o.Facts.TLS != nil && o.Facts.TLS.Version >= 0x0304 && len(o.Certs) == 0
}

// findRun returns the run that text names by its number, or with "last" the
// newest of a mode, and all runs.
func findRun(ctx context.Context, st *store.Store, text string, mode evidence.Mode) (evidence.Run, []store.RunInfo, error) {
	runs, err := st.Runs(ctx)
	if err != nil {
		return evidence.Run{}, nil, err
	}
	if text == "last" {
		for _, r := range slices.Backward(runs) {
			if r.Run.Mode == mode {
				return r.Run, runs, nil
			}
		}
		return evidence.Run{}, nil, fmt.Errorf("there is no run of mode %s", mode)
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return evidence.Run{}, nil, fmt.Errorf("run %q: want a number, or last", text)
	}
	i := slices.IndexFunc(runs, func(r store.RunInfo) bool { return r.Run.ID == id })
	switch {
	case i < 0:
		return evidence.Run{}, nil, fmt.Errorf("there is no run %d; v_run lists them", id)
	case runs[i].Run.Mode != mode:
		return evidence.Run{}, nil, fmt.Errorf("run %d is of mode %s, not %s", id, runs[i].Run.Mode, mode)
	}
	return runs[i].Run, runs, nil
}
