// Package inorder does work on all processors and hands on what comes of it in the
// order in which the work came.
package inorder

import (
	"iter"
	"runtime"
	"sync"
)

// ahead is how many pieces of work a processor may be ahead of what is taken; it
// bounds memory.
const ahead = 8

// Map calls do for each member of in, several at a time, and yields what it returns in
// the order of in. All goroutines have ended when the sequence ends. Members of in are
// drawn on a goroutine of their own.
func Map[In, Out any](in iter.Seq[In], do func(In) Out) iter.Seq[Out] {
	return func(yield func(Out) bool) {
		type job struct {
			in   In
			done chan Out
		}
		workers := runtime.GOMAXPROCS(0)
		jobs, order := make(chan job), make(chan chan Out, ahead*workers)
		stop := make(chan struct{})
		var running sync.WaitGroup
		defer running.Wait()
		defer close(stop)
		for range workers {
			running.Go(func() {
				for j := range jobs {
					j.done <- do(j.in)
				}
			})
		}
		running.Go(func() {
			defer close(order)
			defer close(jobs)
			for x := range in {
				j := job{x, make(chan Out, 1)}
				select {
				case order <- j.done:
				case <-stop:
					return
				}
				select {
				case jobs <- j:
				case <-stop:
					return
				}
			}
		})
		for done := range order {
			if !yield(<-done) {
				return
			}
		}
	}
}
