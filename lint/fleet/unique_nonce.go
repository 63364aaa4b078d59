package fleet

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/wire/sigwire"
	"probity/lint"
)

// uniqueNonce asks that no key of DSA or ECDSA made two signatures with one secret
// number, over certificates, revocation lists, OCSP responses, TLS handshakes and SSH
// key exchanges. Whoever has seen two such signatures can compute the private key.
func uniqueNonce() lint.Check {
	return lint.Check{
		Name:   "fleet/unique_nonce",
		Source: "FIPS 186-5 section 6.3; RFC 6979 section 1; Heninger et al., Mining Your Ps and Qs, USENIX Security 2012",
		Fleet: func(env *lint.Env, c *lint.Corpus) []lint.GroupVerdict {
			n := nonces{env: env, corpus: c, fleet: c.Fleet(), checks: mostChecks}
			n.collect()
			switch len(n.all) {
			case 0:
				return fleetWide(lint.NotApplicablef("No signature of DSA or ECDSA was seen."))
			case 1:
				return fleetWide(lint.Inconclusivef("Only one signature of DSA or ECDSA was seen; a repeated number needs two."))
			}
			return or(n.repeats(), lint.Passf("No two of the %d signatures of DSA or ECDSA were made with one number.", len(n.all)))
		},
	}
}

// nonces looks for signatures with one R among all of a corpus.
type nonces struct {
	env     *lint.Env
	corpus  *lint.Corpus
	fleet   *lint.Fleet
	all     []made
	signers map[string][]signingKey // by subject name
	cas     []signingKey            // of all authorities; nil until asked for
	checks  int                     // of a signature with a key, that may still be made
}

// made is where a signature is, and a hash of its R. It is small, because there may
// be millions.
type made struct {
	hash  uint64
	where whereSigned
	index int32
	part  int8 // of a handshake: see [parts]
}

// whereSigned is what holds a signature.
type whereSigned int8

const (
	inCertificate whereSigned = iota
	inList
	inResponse
	inHandshake
)

func (n *nonces) collect() {
	add := func(where whereSigned, i, part int, s *evidence.Signature) {
		if s != nil {
			n.all = append(n.all, made{lint.HashR(s.R), where, int32(i), int8(part)})
		}
	}
	for i := range n.fleet.Records {
		if r := n.fleet.Records[i].R; r != 0 {
			n.all = append(n.all, made{r, inCertificate, int32(i), 0})
		}
	}
	for i, l := range n.corpus.RevocationLists() {
		if l.List != nil {
			add(inList, i, 0, dsaOf(l.Signed()))
		}
	}
	for i, r := range n.corpus.Responses() {
		if r.Response != nil && len(r.Response.TBS) > 0 {
			add(inResponse, i, 0, dsaOf(r.Signed()))
		}
	}
	for i, o := range n.fleet.Signed() {
		for part, p := range parts(o) {
			add(inHandshake, i, part, p)
		}
	}
}

// dsaOf reads the signature of something signed; nil if it is not of DSA or ECDSA.
func dsaOf(s lint.Signed) *evidence.Signature {
	hash := lint.DSAHash(lint.AlgorithmOf(s.Algorithm))
	sig := sigwire.ParseDER(s.Signature)
	if hash == 0 || sig == nil {
		return nil
	}
	h := hash.New()
	h.Write(s.Body)
	sig.Digest = h.Sum(nil)
	return sig
}

// parts are the signatures of an exchange: of the server, of the client, of the SSH
// server, and after each the one that it repeats the number of.
func parts(o *evidence.Observation) [6]*evidence.Signature {
	var out [6]*evidence.Signature
	put := func(i int, s *evidence.Signature) {
		if s != nil {
			out[i], out[i+1] = s, s.Before
		}
	}
	if t := o.Facts.TLS; t != nil {
		put(0, t.Signature)
		put(2, t.ClientSignature)
	}
	if s := o.Facts.SSH; s != nil {
		put(4, s.Signature)
	}
	return out
}

// use is a signature with what may have made it.
type use struct {
	evidence.Signature
	what    string
	members []member
	// keys are those that may have made it; owner is the SPKI of the one that did,
	// zero where none could be shown to.
	keys      []signingKey
	owner     evidence.Digest
	order     *big.Int // of its group, where the owner is known
	false     bool     // shown to be of none of its keys
	unchecked bool     // with no key, see [mostChecks]
	more      int      // it stands for so many that were not read
}

// signatures is how many signatures uses stand for.
func signatures(uses []use) int {
	n := 0
	for _, u := range uses {
		n += max(u.more, 1)
	}
	return n
}

type signingKey struct {
	spki evidence.Digest
	key  any
	id   []byte // subject key identifier of its certificate
}

// repeats judges every R that is in two places.
func (n *nonces) repeats() []lint.GroupVerdict {
	slices.SortFunc(n.all, func(a, b made) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.where, b.where), cmp.Compare(a.index, b.index), cmp.Compare(a.part, b.part))
	})
	var out []lint.GroupVerdict
	for start := 0; start < len(n.all); {
		end := start + 1
		for end < len(n.all) && n.all[end].hash == n.all[start].hash {
			end++
		}
		if end-start > 1 {
			out = append(out, n.judge(n.all[start:end])...)
		}
		start = end
	}
	return out
}

// The bounds of what is held against keys, a tenth of a millisecond or more each. All
// places are listed.
const (
	mostChecked = 1 << 12 // signatures with one R that are read
	mostChecks  = 1 << 17 // of a signature with a key, in all
)

// judge looks at the signatures with one R; what hashes alike by chance is told apart.
func (n *nonces) judge(all []made) []lint.GroupVerdict {
	byR := make(map[string][]use)
	read := all[:min(len(all), mostChecked)]
	for _, m := range read {
		if u := n.use(m); !u.false {
			byR[string(u.R)] = append(byR[string(u.R)], u)
		}
	}
	unread := n.unread(all[len(read):])
	var out []lint.GroupVerdict
	for _, r := range slices.Sorted(maps.Keys(byR)) {
		out = append(out, judgeR(merge(byR[r]), unread)...)
		unread = nil
	}
	return out
}

// unread are signatures that are only listed, as one for each kind.
func (n *nonces) unread(all []made) []use {
	var out []use
	for _, m := range all {
		u := use{what: "certificate"}
		if m.where == inCertificate {
			u.members = membersOf(n.corpus, n.fleet, n.fleet.SpotsOf(m.index))
		} else {
			u = n.use(m)
		}
		i := slices.IndexFunc(out, func(o use) bool { return o.what == u.what })
		if i < 0 {
			i = len(out)
			out = append(out, use{what: u.what, unchecked: true})
		}
		out[i].more++
		out[i].members = append(out[i].members, u.members...)
	}
	return out
}

// judgeR judges different signatures with one R. Others that have it were not read.
func judgeR(uses, unread []use) []lint.GroupVerdict {
	owners := make(map[evidence.Digest][]use)
	var known []use
	unchecked := slices.Clone(unread)
	for _, u := range uses {
		switch {
		case u.unchecked:
			unchecked = append(unchecked, u)
		case !u.owner.IsZero():
			known = append(known, u)
		}
		owners[u.owner] = append(owners[u.owner], u)
	}
	order := slices.SortedFunc(maps.Keys(owners), evidence.Digest.Compare)
	more := ""
	if len(unchecked) > 0 {
		more = fmt.Sprintf(" %d more with this number were not checked.", signatures(unchecked))
	}
	r := fmt.Sprintf("%x", uses0(uses).R)
	var out []lint.GroupVerdict
	for _, owner := range order {
		mine := owners[owner]
		if owner.IsZero() || !differ(mine) {
			continue
		}
		v := lint.Failf("One key made %d signatures with one secret number (%s), so that anyone who has them can compute the private key.", len(mine), kinds(mine))
		v.Detail += more
		out = append(out, repeated(owner.String()+"|"+r, slices.Concat(mine, unchecked), v))
	}
	switch {
	case len(out) > 0:
		return out
	case len(order) > 1 && sameOrder(known):
		v := lint.Failf("%d keys made signatures with one secret number (%s), so that whoever has one of the private keys can compute the others.", owned(known), kinds(known))
		v.Detail += more
		return []lint.GroupVerdict{repeated(r, slices.Concat(known, unchecked), v)}
	case len(uses) > 1 && differ(uses):
		all := slices.Concat(uses, unread)
		return []lint.GroupVerdict{repeated(r, all, lint.Warnf(
			"%d signatures have one number R (%s), but not all could be checked with the key that is said to have made them.", signatures(all), kinds(all)))}
	}
	return nil
}

func uses0(uses []use) use {
	if len(uses) == 0 {
		return use{}
	}
	return uses[0]
}

// merge makes one of what is one signature, in several places.
func merge(uses []use) []use {
	type signature struct {
		s, digest string
		owner     evidence.Digest
	}
	at := make(map[signature]int)
	var out []use
	for _, u := range uses {
		k := signature{string(u.S), string(u.Digest), u.owner}
		i, known := at[k]
		if !known {
			at[k] = len(out)
			out = append(out, u)
			continue
		}
		out[i].members = append(out[i].members, u.members...)
	}
	return out
}

// differ reports whether two of the signatures, which have one R, are of different
// content. Of one content there may be two, with S and its negative.
func differ(uses []use) bool {
	var order *big.Int
	for _, u := range uses {
		if u.order != nil {
			order = u.order
			break
		}
	}
	contents, numbers := make(map[string]bool), make(map[string]bool)
	unread := false // the content of one is not known, so that only S tells
	for _, u := range uses {
		numbers[upToSign(u.S, order)] = true
		if len(u.Digest) == 0 {
			unread = true
			continue
		}
		contents[string(u.Digest)] = true
	}
	return len(contents) > 1 || unread && len(numbers) > 1
}

// upToSign returns the smaller of a number and its negative in a group.
func upToSign(s []byte, order *big.Int) string {
	n := new(big.Int).SetBytes(s)
	if order == nil {
		return string(n.Bytes())
	}
	if negative := new(big.Int).Sub(order, n); negative.Sign() > 0 && negative.Cmp(n) < 0 {
		n = negative
	}
	return string(n.Bytes())
}

// sameOrder reports whether two keys of one group are among the owners.
func sameOrder(uses []use) bool {
	first := make(map[string]evidence.Digest)
	for _, u := range uses {
		if u.order == nil {
			continue
		}
		k := string(u.order.Bytes())
		if other, seen := first[k]; seen && other != u.owner {
			return true
		}
		first[k] = u.owner
	}
	return false
}

func owned(uses []use) int {
	all := make(map[evidence.Digest]bool)
	for _, u := range uses {
		all[u.owner] = true
	}
	return len(all)
}

// kinds counts the signatures by what they are of.
func kinds(uses []use) string {
	names := []string{"certificate", "revocation list", "OCSP response", "TLS handshake", "SSH key exchange"}
	var out []string
	for _, name := range names {
		count := 0
		for _, u := range uses {
			if u.what == name {
				count += max(u.more, 1)
			}
		}
		if count > 0 {
			out = append(out, lint.Count(count, name))
		}
	}
	return strings.Join(out, ", ")
}

func repeated(value string, uses []use, v lint.Verdict) lint.GroupVerdict {
	var members []member
	for _, u := range uses {
		members = append(members, u.members...)
	}
	confidence := confidenceOne
	if len(holders(members)) > 1 {
		confidence = confidenceUnproved
	}
	return group(evidence.DuplicateNonce, value, members, confidence, v)
}
