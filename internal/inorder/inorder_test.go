package inorder_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"probity/internal/inorder"
)

func numbers(n int) func(func(int) bool) {
	return func(yield func(int) bool) {
		for i := range n {
			if !yield(i) {
				return
			}
		}
	}
}

func TestMap(t *testing.T) {
	square := func(i int) int {
		if i%7 == 0 {
			time.Sleep(time.Millisecond) // so that others overtake
		}
		return i * i
	}
	var want []int
	for i := range 500 {
		want = append(want, i*i)
	}
	if got := slices.Collect(inorder.Map(numbers(500), square)); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

// TestMap_stopped holds that who takes no more ends everything.
func TestMap_stopped(t *testing.T) {
	var drawn, running atomic.Int64
	for i := range inorder.Map(func(yield func(int) bool) {
		for i := 0; yield(i); i++ {
			drawn.Add(1)
		}
	}, func(i int) int {
		running.Add(1)
		defer running.Add(-1)
		return i
	}) {
		if i == 10 {
			break
		}
	}
	if running.Load() != 0 || drawn.Load() > 1000 {
		t.Errorf("%d still run, %d were drawn", running.Load(), drawn.Load())
	}
}
