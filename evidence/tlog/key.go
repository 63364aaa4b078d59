package tlog

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// ErrKeyMode means that others than the owner may read a signing key, so that
// what it signs proves nothing. The caller shows it; the mend is in the text.
var ErrKeyMode = errors.New("signing key is readable by others")

// maxKey bounds a key file.
const maxKey = 4096

// Key signs checkpoints with Ed25519. Its text form is the encoded signer key of
// C2SP signed-note: "PRIVATE+KEY+<name>+<hash>+<keydata>".
type Key struct {
	signer note.Signer
	public string
}

// Public is the verifier key, "<name>+<hash>+<keydata>". It is what an auditor
// pins.
func (k *Key) Public() string { return k.public }

// PublicFile is the place of the public half of the key at path.
func PublicFile(path string) string { return path + ".pub" }

// CreateKey makes a key named name and writes it to path with mode 0600, and its
// public half to [PublicFile]. It overwrites neither: an existing file is an
// error that matches [fs.ErrExist]. A name has no blanks and no plus sign.
func CreateKey(path, name string) (*Key, error) {
	private, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return nil, fmt.Errorf("create signing key: %w", err)
	}
	k, err := ParseKey([]byte(private))
	if err != nil {
		return nil, fmt.Errorf("create signing key named %q: %w", name, err)
	}
	if _, err := os.Lstat(PublicFile(path)); err == nil {
		return nil, fmt.Errorf("create signing key: %q exists without its private half %q: restore that one, or remove the public one: %w", PublicFile(path), path, fs.ErrExist)
	}
	if err := writeNew(path, private+"\n", 0o600); err != nil {
		return nil, fmt.Errorf("create signing key: %w", err)
	}
	if err := writeNew(PublicFile(path), public+"\n", 0o644); err != nil {
		return nil, errors.Join(fmt.Errorf("create public key: %w", err), os.Remove(path))
	}
	return k, nil
}

// writeNew writes a file that must not exist, down to the disk. What could not
// be written whole is removed.
func writeNew(path, text string, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// LoadKey reads the key at path. It refuses a file that group or others may read
// with an error that matches [ErrKeyMode].
func LoadKey(path string) (*Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load signing key: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("load signing key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("load signing key: %q is not a file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("load signing key %q: %w (mode %04o): run chmod 600 on it", path, ErrKeyMode, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKey))
	if err != nil {
		return nil, fmt.Errorf("load signing key %q: %w", path, err)
	}
	k, err := ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("load signing key %q: %w", path, err)
	}
	return k, nil
}

// ParseKey reads the text form of a key. Errors never hold the text.
func ParseKey(text []byte) (*Key, error) {
	line := strings.TrimSpace(string(text))
	signer, err := note.NewSigner(line)
	if err != nil {
		return nil, fmt.Errorf("not a signing key: %w", err)
	}
	// The signer keeps its seed to itself. The fifth part of the text holds the
	// algorithm byte and the seed; its base64 may hold plus signs of its own.
	data, err := base64.StdEncoding.DecodeString(strings.SplitN(line, "+", 5)[4])
	if err != nil || len(data) != 1+ed25519.SeedSize {
		return nil, errors.New("not a signing key: want an Ed25519 seed of 32 bytes")
	}
	pub, ok := ed25519.NewKeyFromSeed(data[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("not a signing key: no Ed25519 public half")
	}
	public, err := note.NewEd25519VerifierKey(signer.Name(), pub)
	if err != nil {
		return nil, fmt.Errorf("not a signing key: %w", err)
	}
	return &Key{signer: signer, public: public}, nil
}

// Verifier checks signatures of one key.
type Verifier struct {
	verifier note.Verifier
}

// ParseVerifier reads a verifier key, "<name>+<hash>+<keydata>", with blanks
// around it, as the file of the public key holds it.
func ParseVerifier(text string) (*Verifier, error) {
	if len(text) > maxKey {
		return nil, fmt.Errorf("public key of %d bytes: want at most %d", len(text), maxKey)
	}
	v, err := note.NewVerifier(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("not a public key of the form name+hash+data: %w", err)
	}
	return &Verifier{verifier: v}, nil
}
