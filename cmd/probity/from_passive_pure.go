//go:build !cgo

package main

import (
	"context"

	"github.com/spf13/pflag"

	"probity/scanner"
)

// sightingFlags are empty: this build has no evidence to take targets from.
type sightingFlags struct{}

func (sightingFlags) register(*pflag.FlagSet)            {}
func (sightingFlags) registerDB(*pflag.FlagSet, *string) {}
func (sightingFlags) used() bool                         { return false }

func (sightingFlags) targets(context.Context, string, bool) ([]scanner.Target, error) {
	return nil, nil
}
