//go:build cgo

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"probity/evidence/store"
	"probity/internal/safetext"
)

func (a *app) verifyCommand() *cobra.Command {
	var f storeFlags
	var pubkey string
	var checkpoints []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check that nobody edited the evidence",
		Long: "verify recomputes every row's hash, every raw byte's digest, the tree and its signed\n" +
			"heads. With the public key and a checkpoint from elsewhere it also sees a rollback and\n" +
			"a forgery by someone who holds only the file.\n\n" +
			"Exit codes: 0 ok; 1 tampered or inconsistent; 2 could not run; 3 consistent, but not\n" +
			"pinned or anchored, so that some tampering cannot be seen.",
		Example: "  probity verify --db hospital.db --pubkey hospital.db.key.pub --checkpoint last-audit.txt",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.verify(cmd.Context(), f, pubkey, checkpoints, asJSON)
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().StringVar(&pubkey, "pubkey", "", "`FILE` with the public key of the log, obtained elsewhere")
	cmd.Flags().StringArrayVar(&checkpoints, "checkpoint", nil, "`FILE` with a checkpoint that was kept elsewhere (repeatable)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

func (a *app) verify(ctx context.Context, f storeFlags, pubkey string, checkpoints []string, asJSON bool) error {
	var o store.VerifyOptions
	if pubkey != "" {
		b, err := readLimited(pubkey, 64<<10)
		if err != nil {
			return fmt.Errorf("--pubkey: %w", err)
		}
		o.PublicKey = string(b)
	}
	for _, name := range checkpoints {
		b, err := readLimited(name, 64<<10)
		if err != nil {
			return fmt.Errorf("--checkpoint: %w", err)
		}
		o.Checkpoints = append(o.Checkpoints, b)
	}
	report, err := store.Verify(ctx, f.db, o)
	if err != nil {
		return err
	}
	if err := a.writeOutput("", func(w io.Writer) error { return writeVerify(w, f.db, report, asJSON) }); err != nil {
		return err
	}
	return verdict(report.Status == store.StatusTampered, report.Status != store.StatusOK)
}

func writeVerify(w io.Writer, db string, r store.VerifyReport, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(verifyDocument(r))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", safetext.Clean(db), r.Status)
	fmt.Fprintf(&b, "log %s: %d entries, %d checkpoints, sealed up to %d, anchored up to %d\n",
		safetext.Clean(r.Origin), r.Entries, r.Checkpoints, r.Sealed.Size, r.Anchored)
	if r.Sealed.Size > 0 {
		fmt.Fprintf(&b, "root %s\n", r.Sealed.Root)
	}
	if !r.KeyPinned {
		fmt.Fprintf(&b, "the signatures were checked under the key in the database only; pin it with --pubkey\n")
	}
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "problem: %s\n", safetext.Clean(p.String()))
	}
	if more := r.ProblemCount - len(r.Problems); more > 0 {
		fmt.Fprintf(&b, "and %d more problems\n", more)
	}
	for _, l := range r.Limits {
		fmt.Fprintf(&b, "cannot show: %s\n", l)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// verifyJSON is the JSON form of a verification.
type verifyJSON struct {
	Status       store.Status `json:"status"`
	Origin       string       `json:"origin"`
	PublicKey    string       `json:"public_key"`
	KeyPinned    bool         `json:"key_pinned"`
	Entries      int64        `json:"entries"`
	Checkpoints  int          `json:"checkpoints"`
	Sealed       int64        `json:"sealed"`
	Root         string       `json:"root"`
	Checkpoint   string       `json:"checkpoint"` // signed note
	Unsealed     int64        `json:"unsealed"`
	Anchored     int64        `json:"anchored"`
	Problems     []string     `json:"problems"`
	ProblemCount int          `json:"problem_count"`
	Limits       []string     `json:"limits"`
}

func verifyDocument(r store.VerifyReport) verifyJSON {
	problems := make([]string, 0, len(r.Problems))
	for _, p := range r.Problems {
		problems = append(problems, safetext.Clean(p.String()))
	}
	return verifyJSON{
		Status: r.Status, Origin: r.Origin, PublicKey: r.PublicKey, KeyPinned: r.KeyPinned,
		Entries: r.Entries, Checkpoints: r.Checkpoints, Sealed: r.Sealed.Size, Root: r.Sealed.Root.String(),
		Checkpoint: string(r.Sealed.Note), Unsealed: r.Unsealed, Anchored: r.Anchored,
		Problems: problems, ProblemCount: r.ProblemCount, Limits: r.Limits,
	}
}
