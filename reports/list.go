package reports

import (
	"encoding/json"
	"iter"
)

// List is a list of a document that may be too long to be held: what it holds may be
// made anew each time it is gone through. The zero value is empty.
type List[T any] struct {
	all iter.Seq2[T, error]
}

// listOf is a list that is held.
func listOf[T any](members []T) List[T] {
	return List[T]{func(yield func(T, error) bool) {
		for _, m := range members {
			if !yield(m, nil) {
				return
			}
		}
	}}
}

// All yields the members in their order, or one error after which there are no more.
func (l List[T]) All() iter.Seq2[T, error] {
	if l.all == nil {
		return func(func(T, error) bool) {}
	}
	return l.all
}

// MarshalJSON implements [json.Marshaler]. [JSON] writes one member after the other.
func (l List[T]) MarshalJSON() ([]byte, error) {
	members := []T{}
	for m, err := range l.All() {
		if err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return json.Marshal(members)
}
