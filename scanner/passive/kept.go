package passive

// keep appends more to bytes that are kept. Where they must move, the place that
// they had is overwritten: they are what others say to each other.
func keep(kept, more []byte) []byte {
	if len(more) <= cap(kept)-len(kept) {
		return append(kept, more...)
	}
	moved := make([]byte, 0, max(2*cap(kept), len(kept)+len(more)))
	moved = append(append(moved, kept...), more...)
	forget(kept)
	return moved
}

// forget overwrites bytes that are not kept any more, with the room behind them.
func forget(kept []byte) { clear(kept[:cap(kept)]) }
