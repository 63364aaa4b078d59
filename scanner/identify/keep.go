package identify

import "strings"

// What a resolution holds many of is kept in few large pieces and named by
// numbers: the garbage collector follows pointers, and looks again each time.

// blockSize is how many things are kept together.
const blockSize = 1 << 12

// blocks keeps many things that stay where they are, without the room that a
// growing slice needs.
type blocks[T any] struct {
	all [][]T
	n   uint32
}

func (b *blocks[T]) at(i uint32) *T { return &b.all[i/blockSize][i%blockSize] }

func (b *blocks[T]) add(v T) uint32 {
	if b.n%blockSize == 0 {
		b.all = append(b.all, make([]T, blockSize))
	}
	i := b.n
	*b.at(i) = v
	b.n++
	return i
}

// slab keeps many short lists that do not change.
type slab[T any] struct {
	all  [][]T
	free int // of the last block
}

// span is where a list is: from the block at/blockSize, at%blockSize.
type span struct{ at, n uint32 }

func (s *slab[T]) add(list []T) span {
	if len(list) == 0 {
		return span{}
	}
	if len(list) > s.free {
		s.free = max(len(list), blockSize)
		s.all = append(s.all, make([]T, 0, s.free))
	}
	last := len(s.all) - 1
	out := span{uint32(last*blockSize + len(s.all[last])), uint32(len(list))}
	s.all[last] = append(s.all[last], list...)
	s.free -= len(list)
	return out
}

func (s *slab[T]) list(p span) []T {
	if p.n == 0 {
		return nil
	}
	lo := p.at % blockSize
	return s.all[p.at/blockSize][lo : lo+p.n : lo+p.n]
}

// text names a text of texts; 0 is the empty one.
type text uint32

// texts keeps each text once.
type texts struct {
	all   blocks[string]
	piece strings.Builder // that the next texts are part of
	known map[string]text
}

func newTexts() texts {
	t := texts{known: map[string]text{"": 0}}
	t.all.add("")
	return t
}

// pieceSize is how many octets of texts are kept together.
const pieceSize = 1 << 16

func (t *texts) add(s string) text {
	i, ok := t.known[s]
	if !ok {
		if t.piece.Cap()-t.piece.Len() < len(s) {
			t.piece.Reset()
			t.piece.Grow(max(pieceSize, len(s)))
		}
		at := t.piece.Len()
		t.piece.WriteString(s)
		s = t.piece.String()[at:]
		i = text(t.all.add(s))
		t.known[s] = i
	}
	return i
}

func (t *texts) of(i text) string { return *t.all.at(uint32(i)) }

// close says that nothing is added any more.
func (t *texts) close() { t.known = nil }
