package tlog

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxNote bounds a signed checkpoint. Ours has 300 bytes; a hundred
// cosignatures fit.
const maxNote = 64 << 10

// Checkpoint is the head of a log (C2SP tlog-checkpoint): which log, how many
// leaves and their root.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   Hash
}

// Text is the body that is signed: origin, size and root, a line each. Our logs
// write no extension lines.
func (c Checkpoint) Text() string {
	return c.Origin + "\n" + strconv.FormatInt(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

// Sign returns the checkpoint as a signed note.
func (c Checkpoint) Sign(k *Key) ([]byte, error) {
	if _, err := parseText(c.Text()); err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	return note.Sign(&note.Note{Text: c.Text()}, k.signer)
}

// ParseCheckpoint reads a signed note without looking at who signed it. Use it
// only where the origin or size is needed to find the key; [OpenCheckpoint] is
// the way to trust one.
func ParseCheckpoint(msg []byte) (Checkpoint, error) {
	if len(msg) > maxNote {
		return Checkpoint{}, fmt.Errorf("checkpoint of %d bytes: want at most %d", len(msg), maxNote)
	}
	_, err := note.Open(msg, nil)
	unverified, ok := errors.AsType[*note.UnverifiedNoteError](err)
	if !ok {
		return Checkpoint{}, fmt.Errorf("checkpoint is no signed note: %w", err)
	}
	return parseText(unverified.Note.Text)
}

// OpenCheckpoint reads a signed note and checks that v signed it. Signatures of
// others (witnesses) are allowed beside it and are not checked.
func OpenCheckpoint(msg []byte, v *Verifier) (Checkpoint, error) {
	if len(msg) > maxNote {
		return Checkpoint{}, fmt.Errorf("checkpoint of %d bytes: want at most %d", len(msg), maxNote)
	}
	n, err := note.Open(msg, note.VerifierList(v.verifier))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint is not signed by %s: %w", v.verifier.Name(), err)
	}
	// The last character of base64 has bits that a lenient decoder drops; a note
	// has one spelling, so that equal notes are equal bytes.
	for _, sig := range n.Sigs {
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return Checkpoint{}, fmt.Errorf("checkpoint: signature of %s is not canonical base64: %w", sig.Name, err)
		}
	}
	return parseText(n.Text)
}

func parseText(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return Checkpoint{}, errors.New("checkpoint: want three lines: origin, size and root")
	}
	if lines[0] == "" || lines[0] != strings.TrimSpace(lines[0]) {
		return Checkpoint{}, fmt.Errorf("checkpoint: origin %q is empty or has blanks around it", lines[0])
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return Checkpoint{}, fmt.Errorf("checkpoint: size %q is not a decimal number without leading zeros", lines[1])
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil || root.String() != lines[2] {
		return Checkpoint{}, fmt.Errorf("checkpoint: root %q is not the base64 of 32 bytes", lines[2])
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: root}, nil
}

// emptyRoot is the root of a tree without leaves.
func emptyRoot() Hash {
	h, _ := tlog.TreeHash(0, nil) // reads nothing and cannot fail at size 0
	return h
}
