package scanner

import "errors"

// ErrVetoed is returned by [Session.Dial] when the safety gate withdraws its
// permission in mid-probe (breaker open, window closed, interrupted). The prober
// must return at once with what it has; it must not dial again.
var ErrVetoed = errors.New("vetoed by the safety gate")
