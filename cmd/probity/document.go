//go:build cgo

package main

import (
	"context"
	"fmt"
	"strings"

	"probity/evidence"
	"probity/evidence/store"
	"probity/reports"
	"probity/rules/catalogue"
)

// noteProfile precedes the profile in the note of an assessment.
const noteProfile = "profile "

// document collects what a report shows of the newest finished assessment, with or
// without what only some formats list: certificates, and the digests of raw bytes.
func (a *app) document(ctx context.Context, st *store.Store, db string, cat *catalogue.Catalogue, lists bool) (reports.Document, error) {
	var none reports.Document
	in, assessment, err := a.runs(ctx, st)
	if err != nil {
		return none, err
	}
	if assessment == nil {
		return none, fmt.Errorf("%q holds no finished assessment; run scan, read or lint --db first", db)
	}
	in.AsOf = assessment.AsOf
	in.Policy = assessment.Config
	in.Profile = strings.TrimPrefix(assessment.Note, noteProfile)
	in.Catalogue = cat
	if in.Findings, err = st.Findings(ctx, assessment.ID); err != nil {
		return none, err
	}
	if in.Assets, err = st.Assets(ctx); err != nil {
		return none, err
	}
	if in.Observations, err = observations(ctx, st); err != nil {
		return none, err
	}
	if lists {
		in.Certificates = certificatesOf(in.Observations)
		if in.Raw, err = st.RawDigests(ctx); err != nil {
			return none, err
		}
	}
	ckpt, err := st.LastCheckpoint(ctx)
	if err != nil {
		return none, err
	}
	in.Checkpoint = &reports.Checkpoint{Origin: ckpt.Origin, Size: ckpt.Size, Root: ckpt.Root.String(), Note: string(ckpt.Note)}
	in.Verify = verifySteps(db)
	return reports.Build(in), nil
}

// runs lists the runs with their scope and probes, and the newest assessment
// that ended regularly.
func (a *app) runs(ctx context.Context, st *store.Store) (in reports.Input, assessment *evidence.Run, err error) {
	in = reports.Input{Tool: toolName(), Generated: a.now().UTC()}
	infos, err := st.Runs(ctx)
	if err != nil {
		return in, nil, err
	}
	for _, info := range infos {
		if info.Run.Mode == evidence.ModeAssess && info.End != nil && info.End.Status == evidence.StatusComplete {
			run := info.Run
			assessment = &run
		}
		scope, err := st.Scope(ctx, info.Run.ID)
		if err != nil {
			return in, nil, err
		}
		in.Runs = append(in.Runs, reports.RunRecord{Run: info.Run, End: info.End, Scope: scope})
		probes, err := st.Probes(ctx, info.Run.ID)
		if err != nil {
			return in, nil, err
		}
		in.Probes = append(in.Probes, probes...)
	}
	return in, assessment, nil
}

func observations(ctx context.Context, st *store.Store) ([]evidence.Observation, error) {
	var all []evidence.Observation
	for o, err := range st.Observations(ctx) {
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

// verifySteps say how to check the evidence, also without this program.
func verifySteps(db string) []string {
	return []string{
		"Get the public key (" + db + ".key.pub) and an earlier checkpoint from somebody other than the holder of the database.",
		"probity verify --db " + db + " --pubkey " + db + ".key.pub --checkpoint CHECKPOINT recomputes every row, digest, root and signature.",
		"Without probity: each row of table entry holds the RFC 6962 leaf hash of one canonical row; their Merkle root must equal the root above, " +
			"and the note is signed with Ed25519 (C2SP tlog-checkpoint), which stock tools check.",
		"Raw bytes are in table blob under their SHA-256; sqlite3 and sha256sum compare them.",
	}
}
