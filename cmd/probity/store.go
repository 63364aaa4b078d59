//go:build cgo

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/user"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"probity/evidence"
	"probity/evidence/store"
	"probity/lint"
	"probity/scanner/identify"
)

// commands are those of the full build.
func (a *app) commands() []*cobra.Command {
	return append(append(a.pureCommands(), a.liveCommands()...),
		a.scanCommand(), a.benchCommand(), a.readCommand(), a.lintCommand(), a.reportCommand(),
		a.duplicatesCommand(), a.assetCommand(), a.verifyCommand(), a.doctorCommand())
}

// storeFlags say where the evidence is kept.
type storeFlags struct {
	db            string
	key           string
	operator      string
	authority     string
	checkpointOut string
	gather        time.Duration // see store.Options
}

func (f *storeFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.db, "db", "probity.db", "evidence database `FILE`")
}

// registerWriter adds the flags of commands that add evidence.
func (f *storeFlags) registerWriter(fs *pflag.FlagSet) {
	f.register(fs)
	fs.StringVar(&f.key, "key", "", "signing key `FILE`, made on first use (default: the database's name with .key)")
	fs.StringVar(&f.operator, "operator", "", "who runs this (default: the user's name)")
	fs.StringVar(&f.authority, "authority", "", "under which authority: ticket, contract, owner")
	fs.StringVar(&f.checkpointOut, "checkpoint-out", "", "also write the signed checkpoint to `FILE`, to be kept elsewhere")
}

// openWriter opens the database for adding to it, or makes it.
func (a *app) openWriter(ctx context.Context, f storeFlags) (*store.Store, error) {
	return store.Open(ctx, f.db, store.Options{KeyFile: f.key, Now: a.now, Gather: f.gather})
}

// openReader opens an existing database without writing to it.
func (a *app) openReader(ctx context.Context, f storeFlags) (*store.Store, error) {
	return store.Open(ctx, f.db, store.Options{ReadOnly: true, Now: a.now})
}

// newRun fills in what every run records about who made it and with what. A run
// that judges nothing has no judgement.
func (a *app) newRun(mode evidence.Mode, f storeFlags, j *judgement) evidence.Run {
	r := evidence.Run{
		Mode: mode, Started: a.now(), Tool: toolName(), ToolHash: toolHash(),
		Operator: f.operator, Authority: f.authority,
	}
	if j != nil {
		r.Catalogue, r.Config = j.catalogue.Digest(), j.policy.Digest
	}
	if r.Operator == "" {
		if u, err := user.Current(); err == nil {
			r.Operator = u.Username
		}
	}
	if host, err := os.Hostname(); err == nil {
		r.Sensor = host
	}
	return r
}

// assess judges all that the store holds and records the findings as a run of
// their own, sealed. The run is under way when the judgement begins, so that a
// crash in between stays visible. What has begun early, if anything, is finished.
func (a *app) assess(ctx context.Context, st *store.Store, f storeFlags, j *judgement, begun *early) error {
	run := a.newRun(evidence.ModeAssess, f, j)
	run.AsOf = j.at
	run.Note = noteProfile + string(j.policy.Profile)
	rules := make([]evidence.Rule, 0, len(j.catalogue.Rules()))
	for _, r := range j.catalogue.Rules() {
		rules = append(rules, r.Rule)
	}
	if err := st.SaveCatalogue(ctx, j.catalogue.Version(), j.catalogue.Digest(), rules); err != nil {
		return err
	}
	run, err := st.BeginRun(ctx, run, nil)
	if err != nil {
		return err
	}
	facts, err := st.AssetFacts(ctx)
	if err != nil {
		return err
	}
	j.policy.Site.Inventory, j.policy.Site.Disclosures = identify.Inventory(facts), identify.Disclosures(facts)
	corpus, err := a.corpus(ctx, st, j, begun)
	if err != nil {
		return err
	}
	if err := st.SaveFindings(ctx, run.ID, j.findings(corpus)); err != nil {
		return err
	}
	end := evidence.RunEnd{Run: run.ID, Ended: a.now(), Status: evidence.StatusComplete}
	ckpt, err := st.EndRun(ctx, end)
	if err != nil {
		return err
	}
	return a.giveOut(ckpt, f)
}

// corpus is what is judged: the observations of the store. Their certificates are
// decoded, and judged, while they are resolved into assets.
func (a *app) corpus(ctx context.Context, st *store.Store, j *judgement, begun *early) (*lint.Corpus, error) {
	if begun == nil {
		begun = a.beginEarly(ctx, st)
		defer begun.stop()
	}
	obs, err := begun.loaded()
	if err != nil {
		return nil, err
	}
	decoded := begun.read.Decode(obs)
	var judging sync.WaitGroup
	var judged error
	judging.Go(func() { judged = j.ahead(decoded) })
	assets, err := []evidence.Asset(nil), begun.resolved()
	if err == nil {
		assets, err = a.assets(ctx, st, read(obs))
	}
	judging.Wait()
	if err := errors.Join(err, judged); err != nil {
		return nil, err
	}
	return decoded.NewCorpus(assets), nil
}

// giveOut hands the checkpoint to the operator, who keeps it elsewhere.
func (a *app) giveOut(c store.Checkpoint, f storeFlags) error {
	if f.checkpointOut == "" {
		return nil
	}
	return a.writeOutput(f.checkpointOut, func(w io.Writer) error {
		_, err := w.Write(c.Note)
		return err
	})
}
