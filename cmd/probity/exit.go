package main

import (
	"context"
	"errors"
)

// Exit codes; the meaning is the same for every command. When several hold, the
// order of priority is 2, 4, 1, 3.
const (
	exitOK          = 0   // done, nothing at or above --fail-on
	exitNegative    = 1   // negative verdict: findings, tampered, drift
	exitCannotRun   = 2   // usage, configuration, privilege, I/O, unreadable input
	exitQualified   = 3   // done, with a qualification: not all reached, loss, unanchored
	exitRefused     = 4   // refused by policy: scope, window, veto
	exitInterrupted = 130 // interrupted, state saved
)

// statusError carries an exit code other than exitCannotRun. A nil err prints
// nothing: the command has already said what there is to say.
type statusError struct {
	code int
	err  error
}

func (e *statusError) Error() string {
	if e.err == nil {
		return "exit status"
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

// exitCode maps an error to the exit code of the contract.
func exitCode(err error) int {
	var s *statusError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &s):
		return s.code
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	default:
		return exitCannotRun
	}
}

// verdict joins the two qualifications that a finished command may have.
func verdict(negative, qualified bool) error {
	switch {
	case negative:
		return &statusError{code: exitNegative}
	case qualified:
		return &statusError{code: exitQualified}
	default:
		return nil
	}
}
