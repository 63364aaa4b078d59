//go:build cgo && !linux

package main

// refuseCores does nothing where the system has no way to ask for it.
func refuseCores() error { return nil }
