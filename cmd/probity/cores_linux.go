//go:build cgo

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// refuseCores keeps what passes through the memory of this process out of core
// files and from debuggers of the same user: payloads of others, which are never
// recorded, are in it for a moment. Only root can still look.
func refuseCores() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("refuse core files (prctl): %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("refuse core files (setrlimit): %w", err)
	}
	return nil
}
