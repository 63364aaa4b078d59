package lint

import (
	"sync"

	"probity/evidence"
)

// Memo remembers what was computed of a key or a certificate, which many subjects
// may share. The zero value is ready.
type Memo struct {
	mu    sync.Mutex
	known map[string]any
}

// Remember returns what compute returned when it was first asked for under name,
// which is that of a check. Two that ask at the same time may both compute.
func Remember[T any](m *Memo, name string, compute func() T) T {
	m.mu.Lock()
	v, ok := m.known[name].(T)
	m.mu.Unlock()
	if ok {
		return v
	}
	v = compute()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known == nil {
		m.known = make(map[string]any)
	}
	m.known[name] = v
	return v
}

// keyring holds the keys of a corpus, each once.
type keyring struct {
	mu   sync.Mutex
	keys map[evidence.Digest]*Key // by the SHA-256 of the SubjectPublicKeyInfo; nil where that cannot be read
}

// read is [parseKey] for keys that may have been read before.
func (r *keyring) read(spki []byte) *Key {
	sum := evidence.DigestOf(spki)
	r.mu.Lock()
	k, known := r.keys[sum]
	r.mu.Unlock()
	if known {
		return k
	}
	k = parseKey(spki)
	r.mu.Lock()
	defer r.mu.Unlock()
	if first, known := r.keys[sum]; known {
		return first
	}
	r.keys[sum] = k
	return k
}
