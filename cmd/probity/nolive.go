//go:build cgo && !linux

package main

import "github.com/spf13/cobra"

// liveCommands are none: only Linux has the interface for it. They do not exist
// in this build, rather than fail when they are used.
func (a *app) liveCommands() []*cobra.Command { return nil }

func checkLive() checkup {
	return checkup{"live capture", "ok", "only on Linux", ""}
}
