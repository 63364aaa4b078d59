package lint

import (
	"sync"

	"probity/evidence"
)

// Memo remembers what was computed of a key or a certificate, which many subjects
// may share. The zero value is ready.
type Memo struct {
	mu    sync.Mutex
	known []remembered // few
}

// remembered is what was computed under a name, as a function.
type remembered struct {
	name string
	f    any
}

// Remember returns what compute returned when it was first asked for under name,
// which is that of a check. Whoever asks meanwhile waits: zlint keeps notes in the
// certificate that it reads, so it must not read one twice at the same time.
func Remember[T any](m *Memo, name string, compute func() T) T {
	m.mu.Lock()
	var f func() T
	for _, r := range m.known {
		if r.name == name {
			f, _ = r.f.(func() T)
		}
	}
	if f == nil {
		f = sync.OnceValue(compute)
		m.known = append(m.known, remembered{name, f})
	}
	m.mu.Unlock()
	return f()
}

// forget lets go of all that is remembered.
func (m *Memo) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known = nil
}

// Prepare is [Remember] for what a check computes of its parameters and the policy,
// once for all subjects of a run.
func Prepare[T any](e *Env, name string, compute func() T) T {
	if e.memo == nil {
		return compute()
	}
	return Remember(e.memo, name, compute)
}

// keyring holds the keys of a corpus, each once.
type keyring struct {
	mu   sync.Mutex
	keys map[evidence.Digest]*Key // by the SHA-256 of the SubjectPublicKeyInfo; nil where that cannot be read
}

func newKeyring() keyring { return keyring{keys: make(map[evidence.Digest]*Key)} }

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
