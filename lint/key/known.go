package key

import (
	_ "embed"
	"fmt"
	"strings"
	"sync"

	"probity/evidence"
)

// knownTSV lists keys whose private half is public: SHA-256 of the DER
// SubjectPublicKeyInfo, algorithm, source, and what holds the key.
//
//go:embed data/known_keys.tsv
var knownTSV string

// KnownKey is a row of the list.
type KnownKey struct {
	Algorithm, Source, Where string
}

// String names the row's source and what holds the key.
func (k KnownKey) String() string {
	where, rest, more := strings.Cut(k.Where, "; ")
	if more {
		where += fmt.Sprintf(" and %d more", strings.Count(rest, "; ")+1)
	}
	return k.Source + ": " + where
}

// Known returns a function that looks a key up by the digest of its
// SubjectPublicKeyInfo. The list is read at the first call.
func Known() func(spki evidence.Digest) (KnownKey, bool) {
	table := sync.OnceValue(func() map[evidence.Digest]KnownKey { return readKnown(knownTSV) })
	return func(spki evidence.Digest) (KnownKey, bool) {
		k, ok := table()[spki]
		return k, ok
	}
}

// readKnown reads the list; its first line is a header. A test reads every row,
// so a malformed one is passed over here.
func readKnown(tsv string) map[evidence.Digest]KnownKey {
	out := make(map[evidence.Digest]KnownKey)
	for line := range strings.Lines(tsv) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(f) != 4 {
			continue
		}
		if d, err := evidence.ParseDigest(f[0]); err == nil {
			out[d] = KnownKey{f[1], f[2], f[3]}
		}
	}
	return out
}
