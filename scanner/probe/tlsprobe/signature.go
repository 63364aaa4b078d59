package tlsprobe

import (
	"slices"

	"probity/evidence"
	"probity/internal/wire/tlswire"
)

// signature is that of the server over this handshake, where it is one of DSA or
// ECDSA. sent begins with the record of the client's hello.
func (a *answer) signature(sent []byte) *evidence.Signature {
	h := a.hello
	if h == nil || len(a.certs) == 0 {
		return nil
	}
	if h.Version >= tlswire.VersionTLS13 {
		newHash, _, err := hashOf(h.CipherSuite)
		if err != nil || len(a.proof) == 0 {
			return nil
		}
		transcript := sum(newHash, slices.Concat(a.transcript, a.sealed[:a.before]))
		return tlswire.DSASignature(h.Version, a.scheme, false, a.proof, tlswire.Verify13(transcript))
	}
	if a.keys == nil {
		return nil
	}
	random := a.random
	if random == [32]byte{} {
		const hello, at = 1, recordHeader + 6 // after the header of the message and the version
		if len(sent) < at+len(random) || sent[recordHeader] != hello {
			return nil
		}
		copy(random[:], sent[at:])
	}
	return a.keys.DSASignature(h.Version, h.CipherSuite, random, h.Random)
}
