//go:build !cgo

package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"probity/evidence"
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
