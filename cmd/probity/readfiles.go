package main

import (
	"cmp"
	"context"
	"iter"

	"probity/internal/inorder"
)

// readFiles reads the files below paths, and does something with each on all
// processors. It yields what that returns in the order of the files. An error, of
// finding files, is the last that is yielded.
func readFiles[T any](ctx context.Context, paths []string, do func(artefactFile) T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var failed error
		files := func(yield func(artefactFile) bool) {
			failed = eachFile(paths, func(f artefactFile) error {
				if ctx.Err() != nil || !yield(f) {
					return errStopped
				}
				return nil
			})
		}
		for out := range inorder.Map(files, do) {
			if !yield(out, nil) {
				return
			}
		}
		if err := cmp.Or(ctx.Err(), failed); err != nil {
			var none T
			yield(none, err)
		}
	}
}
