package cert

import "math/bits"

// wordSet finds words in text of any case.
type wordSet struct {
	words []string // lower-case ASCII, of two letters or more, at most 32
	// first and second hold, for a byte, a bit for each word that has it in that
	// place: nearly all places of a text are passed over for them.
	first, second [256]uint32
}

func newWordSet(words ...string) *wordSet {
	w := &wordSet{words: words}
	for i, word := range words {
		bit := uint32(1) << i
		for _, of := range []func(byte) byte{lower, upper} {
			w.first[of(word[0])] |= bit
			w.second[of(word[1])] |= bit
		}
	}
	return w
}

// find returns the place in the set of the first word that text contains, or -1.
func (w *wordSet) find(text string) int {
	found := -1
	for i := 1; i < len(text); i++ {
		for may := w.first[text[i-1]] & w.second[text[i]]; may != 0; may &= may - 1 {
			at := bits.TrailingZeros32(may)
			if (found < 0 || at < found) && startsWith(text[i-1:], w.words[at]) {
				found = at
			}
		}
	}
	return found
}

// startsWith reports whether text begins with word in upper or lower case.
func startsWith(text, word string) bool {
	if len(text) < len(word) {
		return false
	}
	for i := range len(word) {
		if lower(text[i]) != word[i] {
			return false
		}
	}
	return true
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b - 'A' + 'a'
	}
	return b
}

func upper(b byte) byte {
	if 'a' <= b && b <= 'z' {
		return b - 'a' + 'A'
	}
	return b
}
