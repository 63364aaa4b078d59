package fleet

import (
	"bytes"
	"cmp"
	"slices"

	"golang.org/x/crypto/ssh"

	"probity/evidence"
	"probity/internal/wire/sigwire"
	"probity/lint"
)

// mostSigners is how many keys one signature is held against. Who signed is told by
// name and key identifier; of one name there may be any number.
const mostSigners = 64

// use reads a signature whole and looks for the key that made it, as long as n.checks
// lasts.
func (n *nonces) use(m made) use {
	var u use
	switch m.where {
	case inCertificate:
		u = n.ofCertificate(m.index)
	case inList:
		l := n.corpus.RevocationLists()[m.index]
		u = use{Signature: *dsaOf(l.Signed()), what: "revocation list", keys: n.named(l.List.Issuer)}
		u.members = n.filed(l.Places)
	case inResponse:
		u = n.ofResponse(n.corpus.Responses()[m.index])
	case inHandshake:
		u = n.ofHandshake(n.fleet.Signed()[m.index], int(m.part))
	}
	if n.checks <= 0 {
		u.keys, u.unchecked = nil, u.owner.IsZero()
		return u
	}
	checked := 0
	for _, k := range u.keys[:min(len(u.keys), mostSigners)] {
		n.checks--
		made, err := lint.MadeBy(k.key, &u.Signature)
		if err != nil {
			continue
		}
		if checked++; made {
			u.owner, u.order = k.spki, lint.Order(k.key)
			return u
		}
	}
	u.false = u.owner.IsZero() && checked > 0 && checked == len(u.keys)
	return u
}

func (n *nonces) ofCertificate(record int32) use {
	u := use{what: "certificate", members: membersOf(n.corpus, n.fleet, n.fleet.SpotsOf(record))}
	c := n.fleet.Certificate(record)
	if !c.Decoded() {
		u.false = true // cannot be read again
		return u
	}
	hash := lint.DSAHash(c.X509().SignatureAlgorithm).New()
	hash.Write(c.X509().RawTBSCertificate)
	u.Signature = *sigwire.ParseDER(c.X509().Signature)
	u.Digest = hash.Sum(nil)
	u.keys = n.named(c.RawIssuer())
	if c.SelfIssued() {
		if own := keyOf(c); len(own) > 0 {
			u.keys = append(own, slices.DeleteFunc(slices.Clone(u.keys), func(k signingKey) bool { return k.spki == own[0].spki })...)
		}
		return u
	}
	// Those with the key identifier that the certificate names come first.
	if id := c.X509().AuthorityKeyId; len(id) > 0 {
		u.keys = slices.Clone(u.keys)
		slices.SortStableFunc(u.keys, func(a, b signingKey) int {
			return cmp.Compare(rank(a.id, id), rank(b.id, id))
		})
	}
	return u
}

func rank(id, wanted []byte) int {
	if bytes.Equal(id, wanted) {
		return 0
	}
	return 1
}

func (n *nonces) ofResponse(r *lint.Response) use {
	u := use{Signature: *dsaOf(r.Signed()), what: "OCSP response", members: n.filed(r.Places)}
	for _, c := range r.Certificates {
		u.keys = append(u.keys, keyOf(c)...)
	}
	// Otherwise its signer is one of the authorities, which the name or the key tells.
	if len(r.Response.ResponderName) > 0 {
		u.keys = append(u.keys, n.named(r.Response.ResponderName)...)
		return u
	}
	if n.cas == nil {
		n.cas = []signingKey{}
		for _, c := range n.corpus.Certificates() {
			if c.IsCA() {
				n.cas = append(n.cas, keyOf(c)...)
			}
		}
	}
	u.keys = append(u.keys, n.cas...)
	return u
}

// ofHandshake is the signature of one part of an exchange; see [parts].
func (n *nonces) ofHandshake(o *evidence.Observation, part int) use {
	u := use{Signature: *parts(o)[part], what: "TLS handshake"}
	m := member{holder: n.corpus.Holder(o.Endpoint), endpoint: o.Endpoint, observation: o.ID, forgeable: o.Method == evidence.Passive && !u.Verified}
	if o.Facts.SSH != nil {
		u.what = "SSH key exchange"
		for _, k := range o.Keys {
			key := sshKey(k.Blob)
			u.keys = append(u.keys, key...)
			if u.Verified && len(key) == 1 {
				u.owner, u.order = key[0].spki, lint.Order(key[0].key)
			}
		}
		u.members = []member{m}
		return u
	}
	role := evidence.RoleServer
	if part == 2 || part == 3 {
		role = evidence.RoleClient
		m.endpoint = evidence.Endpoint{Addr: o.Peer.Addr, Transport: o.Peer.Transport}
		m.holder = n.corpus.Holder(m.endpoint)
	}
	for _, p := range o.Certs {
		if p.Role == role && p.Position == 0 {
			m.certificate = evidence.DigestOf(p.DER)
			u.keys = append(u.keys, keyOf(lint.ParseCertificate(p.DER))...)
		}
	}
	u.members = []member{m}
	return u
}

// named are the keys of the certificates with a subject name, anchors among them.
func (n *nonces) named(subject []byte) []signingKey {
	if known, ok := n.signers[string(subject)]; ok {
		return known
	}
	var out []signingKey
	seen := make(map[evidence.Digest]bool)
	for _, c := range n.env.Named(subject) {
		for _, k := range keyOf(c) {
			if !seen[k.spki] {
				seen[k.spki] = true
				out = append(out, k)
			}
		}
	}
	if n.signers == nil {
		n.signers = make(map[string][]signingKey)
	}
	n.signers[string(subject)] = out
	return out
}

// keyOf is the key of a certificate; nil where it cannot be computed with.
func keyOf(c *lint.Certificate) []signingKey {
	if !c.Decoded() || c.Key == nil || c.KeyHidden || lint.Order(c.X509().PublicKey) == nil {
		return nil
	}
	return []signingKey{{c.Key.SPKI, c.X509().PublicKey, c.X509().SubjectKeyId}}
}

// sshKey is the key of a blob; nil where it is not of ECDSA.
func sshKey(blob []byte) []signingKey {
	k := lint.ParseSSHKey(blob)
	public, err := ssh.ParsePublicKey(blob)
	if k == nil || err != nil {
		return nil
	}
	crypto, ok := public.(ssh.CryptoPublicKey)
	if !ok {
		return nil
	}
	return []signingKey{{k.SPKI, crypto.CryptoPublicKey(), nil}}
}

// filed are the places of what was read from files or came with a handshake.
func (n *nonces) filed(places []*evidence.Observation) []member {
	var out []member
	for _, o := range places {
		out = append(out, member{holder: n.corpus.Holder(o.Endpoint), endpoint: o.Endpoint, observation: o.ID, forgeable: true})
	}
	return out
}
