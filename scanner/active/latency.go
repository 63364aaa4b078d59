package active

import (
	"slices"
	"time"
)

// When an asset counts as slowed down: the median of its last answers is more
// than double the median of the first, and by more than what a busy network or a
// busy scanner adds.
const (
	latencySamples = 3
	latencyFloor   = 500 * time.Millisecond
)

// latency is how long an asset takes to do one thing, at first and by now.
type latency struct {
	first, last []time.Duration
}

// add notes a sample and reports whether the asset has slowed down. The first
// samples and the last ones are never the same.
func (l *latency) add(d time.Duration) (was, is time.Duration, slower bool) {
	if len(l.first) < latencySamples {
		l.first = append(l.first, d)
		return 0, 0, false
	}
	if len(l.last) == latencySamples {
		l.last = slices.Delete(l.last, 0, 1)
	}
	if l.last = append(l.last, d); len(l.last) < latencySamples {
		return 0, 0, false
	}
	was, is = median(l.first), median(l.last)
	return was, is, is > 2*was && is-was >= latencyFloor
}

func median(ds []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(ds))[len(ds)/2]
}
