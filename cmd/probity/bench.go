//go:build cgo

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"probity/evidence"
	"probity/evidence/store"
	"probity/lint"
	"probity/scanner"
	"probity/scanner/active"
	"probity/scanner/probe/mtlsprobe"
)

// benchFlags are everything that bench takes.
type benchFlags struct {
	owner       bool
	allowPublic bool
	application string
	credentials credentialFlags
	rates       scanner.Rates
	policy      string
	profile     string
	store       storeFlags
	dryRun      bool
	asJSON      bool
	output      string
}

func (a *app) benchCommand() *cobra.Command {
	f := benchFlags{rates: scanner.DefaultRates()}
	cmd := &cobra.Command{
		Use:   "bench ADDRESS:PORT",
		Short: "Try whether one TLS server on a bench refuses bad client certificates",
		Long: "bench connects to one server, one connection at a time: without a client certificate,\n" +
			"with bad ones that it makes (self-signed; of an unknown CA with an accepted name;\n" +
			"expired; not yet valid; wrong purpose), and with those that you supply, in TLS 1.2 and\n" +
			"TLS 1.3 apart. After each handshake it asks the application one harmless thing, so that\n" +
			"a finished handshake is not taken for acceptance. Supply a good certificate: only the\n" +
			"difference shows that the certificate is the reason.\n\n" +
			"It is for a device that you own and that serves nobody. No scan does any of this.\n\n" +
			"Exit codes: 0 all bad clients were refused; 1 one was not; 2 could not run; 3 something\n" +
			"stayed inconclusive; 4 refused by policy; 130 interrupted.",
		Example: "  probity bench 192.0.2.5:2762 --i-own-this-device --client-cert good.pem --client-key good.key\n" +
			"  probity bench 192.0.2.5:8443 --i-own-this-device --dry-run",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.bench(cmd.Context(), f, args[0]) },
	}
	fs := cmd.Flags()
	fs.BoolVar(&f.owner, "i-own-this-device", false, "the device is yours, on a bench, and serves nobody")
	fs.BoolVar(&f.allowPublic, "allow-public", false, "allow a public address")
	fs.StringVar(&f.application, "application", "auto", "asked after the handshake: http, dicom, none; auto: by the port")
	f.credentials.register(fs)
	fs.Float64Var(&f.rates.Asset, "asset-rate", f.rates.Asset, "connections a second")
	fs.DurationVar(&f.rates.MaxTime, "timeout", f.rates.MaxTime, "bound of one connection")
	fs.StringVar(&f.policy, "policy", "", "site `FILE` with anchors and rule parameters (YAML)")
	fs.StringVar(&f.profile, "profile", "", "hospital, premarket or legacy (default: of the policy, else hospital)")
	f.store.registerWriter(fs)
	fs.BoolVar(&f.dryRun, "dry-run", false, "print every connection that would be made; send nothing")
	fs.BoolVar(&f.asJSON, "json", false, "print one JSON document")
	fs.StringVar(&f.output, "output", "", "write to `FILE` instead of standard output")
	return cmd
}

func (a *app) bench(ctx context.Context, f benchFlags, target string) error {
	if !f.owner && !f.dryRun {
		return &statusError{exitRefused, errors.New("bad certificates are tried on a device that you own and that serves nobody: say so with --i-own-this-device, or look with --dry-run")}
	}
	prober, plan, err := a.benchPlan(f, target)
	if err != nil {
		return err
	}
	if f.dryRun {
		return a.writeOutput(f.output, func(w io.Writer) error { return writeBenchPlan(w, target, plan, a.tableWidth()) })
	}
	j, err := a.newJudgement(judgeFlags{policy: f.policy, profile: f.profile, failOn: "none"})
	if err != nil {
		return err
	}
	st, err := a.openWriter(ctx, f.store)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	obs, err := a.runBench(ctx, st, f, plan, prober, j, target)
	if err != nil {
		return err
	}
	if err := a.assess(ctx, st, f.store, j, nil); err != nil {
		return err
	}
	result := newBenchResult(obs)
	err = a.writeOutput(f.output, func(w io.Writer) error {
		if f.asJSON {
			return result.writeJSON(w)
		}
		return result.write(w, a.tableWidth())
	})
	if err != nil {
		return err
	}
	return verdict(result.has(lint.NotEnforced), result.qualified())
}

// benchPlan reads what the flags name and plans the trials, so that a mistake
// shows before anything is sent.
func (a *app) benchPlan(f benchFlags, target string) (*mtlsprobe.Prober, *scanner.Plan, error) {
	t, err := scanner.ParseTarget(target)
	if err != nil {
		return nil, nil, err
	}
	if t.Name != "" {
		return nil, nil, fmt.Errorf("target %q is a name; give the address of the device", t.Text)
	}
	table, err := scanner.LoadPorts()
	if err != nil {
		return nil, nil, err
	}
	application, err := applicationOf(f.application, table.Lookup(t.Transport, t.Port))
	if err != nil {
		return nil, nil, err
	}
	options := mtlsprobe.Options{Application: application}
	if options.Supplied, err = f.credentials.load(a.now()); err != nil {
		return nil, nil, err
	}
	if _, err := rand.Read(options.Seed[:]); err != nil {
		return nil, nil, fmt.Errorf("seed of the test certificates: %w", err)
	}
	prober, err := mtlsprobe.New(options)
	if err != nil {
		return nil, nil, err
	}
	scope := scanner.Scope{Targets: []scanner.Target{t}, AllowPublic: f.allowPublic}
	plan, err := scanner.NewBenchPlan(scope, table, f.rates, prober)
	if errors.Is(err, scanner.ErrRefused) {
		return nil, nil, &statusError{exitRefused, err}
	}
	return prober, plan, err
}

// applicationOf chooses what to ask after the handshake. A listener that must
// not see a byte of its own protocol is asked nothing, whoever wants it.
func applicationOf(flag string, port scanner.Port) (string, error) {
	switch flag {
	case mtlsprobe.ApplicationHTTP, mtlsprobe.ApplicationDICOM:
		if port.Action == scanner.ActionTLSOnly {
			return "", &statusError{exitRefused, fmt.Errorf("--application %s: port %d (%s) gets TLS and nothing else", flag, port.Number, port.Service)}
		}
		return flag, nil
	case "none":
		return mtlsprobe.ApplicationNone, nil
	case "auto":
		switch {
		case port.Action == scanner.ActionDICOM:
			return mtlsprobe.ApplicationDICOM, nil
		case slices.Contains(port.Profiles, "web"):
			return mtlsprobe.ApplicationHTTP, nil
		}
		return mtlsprobe.ApplicationNone, nil
	}
	return "", fmt.Errorf("--application %q: want auto, http, dicom or none", flag)
}

// runBench makes the trials as one run of the store, sealed whatever happens to
// ctx, and returns what was observed.
func (a *app) runBench(ctx context.Context, st *store.Store, f benchFlags, plan *scanner.Plan, prober *mtlsprobe.Prober,
	j *judgement, target string,
) ([]evidence.Observation, error) {
	run := a.newRun(evidence.ModeActive, f.store, j)
	run.Config = plan.Digest()
	run.Note = "bench; plan SHA-256 " + run.Config.String()
	run, err := st.BeginRun(ctx, run, []evidence.ScopeEntry{{Target: target, Allowed: true}})
	if err != nil {
		return nil, err
	}
	ledger := &benchLedger{runLedger: runLedger{st, run.ID}}
	summary, err := active.Run(ctx, plan, active.Options{Probers: []scanner.Prober{prober}, Ledger: ledger, Now: a.now})
	end := evidence.RunEnd{
		Run: run.ID, Ended: a.now(), Targets: int64(summary.Endpoints), Reached: int64(summary.Reached),
		Status: scanStatus(summary, err), Note: scanNote(summary),
	}
	ckpt, endErr := st.EndRun(context.WithoutCancel(ctx), end)
	if err := errors.Join(err, endErr); err != nil {
		return nil, err
	}
	_, _ = fmt.Fprintf(a.stderr, "probity: %s, %d bytes sent; run %d sealed at entry %d\n",
		count(summary.Connections, "connection"), summary.BytesSent, run.ID, ckpt.Size)
	if err := a.giveOut(ckpt, f.store); err != nil {
		return nil, err
	}
	if summary.Interrupted {
		return nil, &statusError{exitInterrupted, errors.New("interrupted; what was observed is recorded and sealed")}
	}
	if summary.Reached == 0 {
		return nil, &statusError{exitQualified, fmt.Errorf("%s did not answer: %s", target, ledger.failure())}
	}
	return ledger.obs, nil
}

// benchLedger keeps the observations of the one probe beside writing them.
type benchLedger struct {
	runLedger
	obs []evidence.Observation
}

// RecordProbe implements [active.Ledger].
func (l *benchLedger) RecordProbe(ctx context.Context, rec evidence.ProbeRecord, obs []evidence.Observation) error {
	l.obs = append(l.obs, obs...)
	return l.runLedger.RecordProbe(ctx, rec, obs)
}

func (l *benchLedger) failure() string {
	var out []string
	for _, o := range l.obs {
		out = append(out, o.Detail)
	}
	return strings.Join(out, "; ")
}
