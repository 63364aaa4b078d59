//go:build !cgo

package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"probity/evidence"
	"probity/rules/batch"
)

// commands are those that need no SQLite, which needs a C compiler. The others
// do not exist in this build, rather than fail when they are used.
func (a *app) commands() []*cobra.Command { return append(a.pureCommands(), a.lintCommand()) }

// lintStore is empty: this build keeps nothing.
type lintStore struct{}

func (*lintStore) register(*pflag.FlagSet) {}
func (*lintStore) used() bool              { return false }

func (a *app) lintIntoStore(context.Context, lintFlags, *judgement, []evidence.Observation) error {
	return errors.New("this build has no evidence store")
}

// batchStore is empty: this build keeps nothing.
type batchStore struct{}

func (a *app) openBatchStore(context.Context, lintFlags, evidence.Digest) (*batchStore, error) {
	return nil, nil
}

func (*batchStore) earlier(context.Context, *batch.Batch) (*batchKeys, error) {
	return &batchKeys{}, nil
}
func (*batchStore) record(context.Context, []evidence.Observation) error { return nil }
func (*batchStore) end(context.Context, int, int) error                  { return nil }
func (*batchStore) close()                                               {}
