package tlsprobe

import (
	"cmp"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/wire/tlswire"
)

// Bounds of what is sent. Those of bytes hold for any server name: what does not
// fit is left out, the rarest suites first.
const (
	// maxSuites bounds the suites of a hello that is not of an enumeration: some
	// old stacks refuse a hello with more than 128.
	maxSuites = 128
	// fewSuites is for stacks that refused more.
	fewSuites = 48

	fullBytes    = 900               // of a handshake of TLS 1.3, second hello and Finished included
	clientBytes  = 1000              // of a full handshake up to TLS 1.2
	sessionBytes = 1600              // of one that asks for a session and for a second handshake
	helloBytes   = 536               // of any other hello
	smallBytes   = 256               // of a hello for stacks with a small buffer
	manyBytes    = 1024              // of a hello of an enumeration
	shareBytes   = 1700              // of the largest key shares, beyond the bounds above
	hiddenBytes  = 1200 + shareBytes // of a handshake with a group that the server names
	gentleBytes  = 5 << 10           // of all connections of a gentle probe

	recordHeader = 5
)

// weakClasses are the classes that the weak offer asks for, in the order in
// which they are put on offer.
func weakClasses() []evidence.SuiteClass {
	return []evidence.SuiteClass{
		evidence.ClassNULL, evidence.ClassAnonymous, evidence.ClassExport, evidence.ClassDES, evidence.ClassRC4,
		evidence.ClassRC2, evidence.Class3DES, evidence.ClassIDEA, evidence.ClassStaticRSA, evidence.ClassDHE,
	}
}

// tables are the suites that hellos are made of, sorted once.
type tables struct {
	all   []tlswire.Suite // up to TLS 1.2, the soundest first, those with a shared key last
	tls12 []uint16
	old   []uint16 // for TLS 1.0 and 1.1
	ssl3  []uint16
	small []uint16
	rare  []uint16 // up to TLS 1.2, not among tls12
	// oldest are those of old and the rare ones of the same versions.
	oldest []uint16
	tls13  []uint16
}

func newTables() *tables {
	t := &tables{}
	for _, s := range tlswire.Suites() {
		switch {
		case s.TLS13 && s.AEAD:
			t.tls13 = append(t.tls13, s.ID)
		case !s.TLS13 && s.KeyExchange != "NULL" && !foreign(s.Name):
			t.all = append(t.all, s)
		}
	}
	slices.SortStableFunc(t.all, func(a, b tlswire.Suite) int { return cmp.Compare(rank(a), rank(b)) })
	t.tls12, t.old, t.ssl3 = t.ordinary(tlswire.VersionTLS12), t.ordinary(tlswire.VersionTLS10), t.ordinary(tlswire.VersionSSL3)
	for _, list := range [][]uint16{t.old, t.ssl3} {
		// Whether an old version is accepted shows as well with a suite for which
		// the server computes nothing.
		slices.SortStableFunc(list, func(a, b uint16) int { return cmp.Compare(rankCheap(a), rankCheap(b)) })
	}
	t.oldest = slices.Clone(t.old)
	for _, s := range t.all {
		if !slices.Contains(t.tls12, s.ID) && !preshared(s) {
			t.rare = append(t.rare, s.ID)
		}
		if legacy(s.Name) && !slices.Contains(t.old, s.ID) && len(t.oldest) < maxSuites {
			t.oldest = append(t.oldest, s.ID)
		}
	}
	t.rare = slices.Concat(sharedSuites(), t.rare)
	t.small = []uint16{
		0xc02b, 0xc02f, 0xc02c, 0xc030, 0xc013, 0xc009, 0xc014, 0xc00a, 0xc027, 0xc023, // ECDHE
		0x009c, 0x002f, 0x003c, 0x0035, 0x009d, 0x000a, 0x0005, 0x0004, // RSA
		0x0033, 0x009e, 0x0039, 0x0067, 0x0016, 0x0032, 0x0038, 0x0013, // DHE
		0x0009, 0x0003, 0x0008, 0x0002, 0x0001, 0x003b, // RSA, broken
	}
	return t
}

// preshared reports whether both sides of a suite have a key beforehand (RFC 4279,
// RFC 5489). A server chooses it before it knows which key the client means, and
// ends its flight: more is not needed, and no identity is ever sent.
func preshared(s tlswire.Suite) bool { return strings.Contains(s.KeyExchange, "PSK") }

// sharedSuites are those of the suites with a key beforehand that common stacks
// have: a server that has any has one of them.
func sharedSuites() []uint16 {
	return []uint16{
		0x00a8, 0x00a9, 0x00ae, 0x00af, 0x008c, 0x008d, 0xc0a4, 0xc0a8, 0xccab, // PSK
		0xd001, 0xd002, 0xd005, 0xc035, 0xc036, 0xc037, 0xccac, // ECDHE_PSK
		0x00aa, 0x0090, 0x00ac, 0x0094, // DHE_PSK, RSA_PSK
		0x002c, 0x00b0, 0x008b, // PSK with NULL and 3DES
	}
}

// foreign reports whether a suite needs a password or another trust system: no
// server answers it to a stranger.
func foreign(name string) bool {
	return slices.ContainsFunc([]string{"SRP", "KRB5", "GOST", "ECCPWD", "ECJPAKE", "FORTEZZA"}, func(part string) bool {
		return strings.Contains(name, part)
	})
}

// rank sorts suites: 0 is sound, higher is worse or rarer.
func rank(s tlswire.Suite) int {
	r := 0
	if preshared(s) {
		r += 256
	}
	for _, c := range s.Classes {
		switch c {
		case evidence.ClassNULL, evidence.ClassAnonymous:
			r += 64
		case evidence.ClassExport, evidence.ClassDES, evidence.ClassRC2, evidence.ClassIDEA, evidence.ClassRC4:
			r += 32
		case evidence.Class3DES:
			r += 16
		case evidence.ClassStaticRSA:
			r += 8
		case evidence.ClassCBC:
			r += 4
		case evidence.ClassDHE:
			r += 2
		}
	}
	if !s.ForwardSecret && !s.Has(evidence.ClassStaticRSA) {
		r += 8 // fixed Diffie-Hellman
	}
	for _, rare := range []string{"ARIA", "SEED", "CCM", "CAMELLIA", "SHA256_SHA256", "SHA384_SHA384", "_OLD", "SM4"} {
		if strings.Contains(s.Name, rare) {
			r += 3
			break
		}
	}
	return r
}

// rankCheap puts the suites of key transport first whose cipher is sound.
func rankCheap(id uint16) int {
	if s, _ := tlswire.Lookup(id); slices.Equal(s.Classes, []evidence.SuiteClass{evidence.ClassStaticRSA, evidence.ClassCBC}) {
		return 0
	}
	return 1
}

// fullSuites are the suites of the first offer: those of TLS 1.3 that can be
// completed and those that common stacks have, the soundest first.
func fullSuites() []uint16 {
	return []uint16{
		suiteAES128, suiteChaCha, suiteAES256,
		0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, // ECDHE with AEAD
		0x009e, 0x009f, 0xccaa, // DHE with AEAD
		0xc023, 0xc027, 0xc009, 0xc013, 0xc00a, 0xc014, // ECDHE with CBC
		0x0067, 0x006b, 0x0033, 0x0039, // DHE with CBC
		0x009c, 0x009d, 0x003c, 0x003d, 0x002f, 0x0035, // RSA
		0x00a2, 0x00a3, 0x0040, 0x006a, 0x0032, 0x0038, // DHE with DSS
		0xc008, 0xc012, 0x0016, 0x000a, 0x0013, // 3DES
		0xc007, 0xc011, 0x0005, 0x0066, // RC4
	}
}

// computedSuites are those of TLS 1.3 that can be completed.
func computedSuites() []uint16 { return []uint16{suiteAES128, suiteChaCha, suiteAES256} }

// clientSuites are those of fullSuites that the full client can complete, up to
// TLS 1.2.
func clientSuites() []uint16 {
	return slices.DeleteFunc(fullSuites(), func(id uint16) bool { return id>>8 == 0x13 })
}

// ids lists the code points of the suites that keep returns true for, at most
// [maxSuites], and none with a key that is shared beforehand: a server may choose
// that and then not go on.
func (t *tables) ids(keep func(tlswire.Suite) bool) []uint16 {
	var out []uint16
	for _, s := range t.all {
		if !preshared(s) && keep(s) && len(out) < maxSuites {
			out = append(out, s.ID)
		}
	}
	return out
}

// ordinary are the suites of the offers that ask for a version: those found in
// common stacks, sound and unsound.
func (t *tables) ordinary(version uint16) []uint16 {
	return t.ids(func(s tlswire.Suite) bool {
		for _, rare := range []string{"ARIA", "SEED", "SM4", "CCM", "DH_DSS", "DH_RSA", "ECDH_", "_1024_", "RC4_56", "SHA256_SHA256", "SHA384_SHA384"} {
			if strings.Contains(s.Name, rare) && !strings.Contains(s.Name, "ECDH_anon") {
				return false
			}
		}
		switch {
		case version >= tlswire.VersionTLS12:
			return len(s.Classes) == 0 || !s.Has(evidence.ClassExport) && !strings.Contains(s.Name, "CAMELLIA")
		case version == tlswire.VersionSSL3:
			return legacy(s.Name) && !strings.Contains(s.KeyExchange, "ECDH") // no extensions to name a curve in
		}
		return legacy(s.Name)
	})
}

// legacy reports whether a suite is for the versions below TLS 1.2: those with
// other hashes came with it (RFC 5246 section A.5).
func legacy(name string) bool {
	return strings.HasSuffix(name, "_SHA") || strings.HasSuffix(name, "_MD5")
}

// weak lists the suites that belong to one of the classes, the worst first: a
// server that follows the client shows it at once, and mostly computes nothing.
// ARIA is left out to stay within the bound: a stack that has it has AES in the
// same class.
func (t *tables) weak(classes []evidence.SuiteClass) []uint16 {
	out := t.ids(func(s tlswire.Suite) bool {
		return slices.ContainsFunc(classes, s.Has) && !strings.Contains(s.Name, "ARIA")
	})
	slices.Reverse(out)
	return out
}

// weakShared lists those with a key beforehand, of a server that has such: what it
// says of the others is not all of its weak suites.
func (t *tables) weakShared(classes []evidence.SuiteClass) []uint16 {
	var out []uint16
	for _, s := range t.all {
		if preshared(s) && slices.ContainsFunc(classes, s.Has) {
			out = append(out, s.ID)
		}
	}
	slices.Reverse(out)
	return out
}

// without removes the classes of a suite.
func without(classes []evidence.SuiteClass, suite uint16) []evidence.SuiteClass {
	s, _ := tlswire.Lookup(suite)
	return slices.DeleteFunc(slices.Clone(classes), s.Has)
}

// classesOf lists the weak classes of suites.
func classesOf(suites []uint16) []evidence.SuiteClass {
	var have []evidence.SuiteClass
	for _, id := range suites {
		s, _ := tlswire.Lookup(id)
		have = append(have, s.Classes...)
	}
	return slices.DeleteFunc(weakClasses(), func(c evidence.SuiteClass) bool { return !slices.Contains(have, c) })
}

// whole lists those of the classes of which every suite that could be offered is
// on offer: a refusal says something of them only.
func whole(classes []evidence.SuiteClass, could, offered []uint16) []evidence.SuiteClass {
	var left []evidence.SuiteClass // of suites that are not on offer
	for _, id := range could {
		if !slices.Contains(offered, id) {
			s, _ := tlswire.Lookup(id)
			left = append(left, s.Classes...)
		}
	}
	return slices.DeleteFunc(classes, func(c evidence.SuiteClass) bool { return slices.Contains(left, c) })
}

// broken are those of the classes that no configuration excuses.
func broken(classes []evidence.SuiteClass) []evidence.SuiteClass {
	worst := []evidence.SuiteClass{
		evidence.ClassNULL, evidence.ClassAnonymous, evidence.ClassExport, evidence.ClassDES, evidence.ClassRC4, evidence.ClassRC2,
	}
	return slices.DeleteFunc(slices.Clone(classes), func(c evidence.SuiteClass) bool { return !slices.Contains(worst, c) })
}

// keyKind is the kind of a server's key: what a second certificate would differ
// in.
type keyKind int

const (
	kindUnknown keyKind = iota
	kindRSA
	kindEC  // ECDSA and EdDSA
	kindDSA // of which a server with another key is not asked for
)

// kindOf tells the kind of key from what the server chose.
func kindOf(f *evidence.TLSFacts) keyKind {
	if f.Version >= tlswire.VersionTLS13 {
		return kindOfScheme(f.SignatureScheme)
	}
	s, _ := tlswire.Lookup(f.CipherSuite)
	return kindOfSuite(s)
}

func kindOfSuite(s tlswire.Suite) keyKind {
	switch {
	case strings.HasSuffix(s.KeyExchange, "ECDSA"):
		return kindEC
	case strings.HasSuffix(s.KeyExchange, "DHE_DSS"):
		return kindDSA
	case s.KeyExchange == "RSA", strings.HasSuffix(s.KeyExchange, "DHE_RSA"), strings.HasPrefix(s.KeyExchange, "RSA_EXPORT"):
		return kindRSA
	}
	return kindUnknown
}

func kindOfScheme(scheme uint16) keyKind {
	switch {
	case scheme == 0:
		return kindUnknown
	case scheme == 0x0807, scheme == 0x0808, scheme>>8 < 8 && scheme&0xff == 3:
		return kindEC
	case scheme>>8 == 8, scheme&0xff == 1:
		return kindRSA
	case scheme>>8 < 8 && scheme&0xff == 2:
		return kindDSA
	}
	return kindUnknown
}

// other returns the offer that only a key of the given kind can answer.
func (t *tables) other(version uint16, kind keyKind) offer {
	o := offer{name: evidence.OfferOther, version: version, groups: groups()}
	if version >= tlswire.VersionTLS13 {
		o.suites = computedSuites()
		o.exact = true
	} else {
		for _, s := range t.all {
			if kindOfSuite(s) == kind && slices.Contains(t.tls12, s.ID) {
				o.suites = append(o.suites, s.ID)
			}
		}
	}
	for _, scheme := range schemes() {
		if kindOfScheme(scheme) == kind {
			o.schemes = append(o.schemes, scheme)
		}
	}
	return o
}

// computed are the groups of a first hello: ordinary ones, whose key shares are
// small. The first is the one that it has a key share of.
func computed() []uint16 { return []uint16{groupX25519, groupP256, groupP384, groupP521} }

// retryGroups are all groups that TLS 1.3 registers for use, and those that
// servers were seen to have before their registration.
func retryGroups() []uint16 {
	return []uint16{
		29, 23, 30, 24, 25, // x25519, secp256r1, x448, secp384r1, secp521r1
		0x11ec, 0x11eb, 0x11ed, 0x6399, // X25519MLKEM768, SecP256r1MLKEM768, SecP384r1MLKEM1024, X25519Kyber768Draft00
		0x0100, 0x0101, 0x0102, 0x0103, 0x0104, // ffdhe2048 to ffdhe8192
		0x001f, 0x0020, 0x0021, 26, 27, 28, 41, // brainpool of TLS 1.3 and before, curveSM2
	}
}

// groups are offered strongest use first; small ones come last, to be chosen by
// a server that has nothing better.
func groups() []uint16 {
	return []uint16{
		29, 23, 24, 25, 30, // x25519, secp256r1, secp384r1, secp521r1, x448
		26, 27, 28, 22, 21, 19, // brainpoolP256r1, P384r1, P512r1, secp256k1, secp224r1, secp192r1
	}
}

// schemes lists signature schemes of RFC 8446 section 4.2.3 and the older pairs
// of RFC 5246 section 7.4.1.4.1, SHA-1, DSA and MD5 last.
func schemes() []uint16 {
	return []uint16{
		0x0403, 0x0503, 0x0603, 0x0807, 0x0808, // ECDSA with SHA-256, -384, -512; Ed25519, Ed448
		0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b, // RSA-PSS
		0x0401, 0x0501, 0x0601, // RSA PKCS #1 with SHA-256, -384, -512
		0x0303, 0x0301, 0x0203, 0x0201, // SHA-224, SHA-1
		0x0402, 0x0302, 0x0202, 0x0101, // DSA; RSA with MD5
	}
}

// allGroups are those of an enumeration up to TLS 1.2: every curve that was
// registered for it (RFC 8422 section 5.1.1, RFC 7027). The finite fields of
// RFC 7919 are left to TLS 1.3: on offer, they hide a server's own parameters.
func allGroups() []uint16 {
	return append(groups(),
		9, 10, 11, 12, 13, 14, 6, 7, 8, 4, 5, 1, 2, 3, // binary fields, the largest first
		20, 18, 15, 16, 17, // secp224k1, secp192k1, secp160k1, secp160r1, secp160r2
	)
}

// allSchemes are those of an enumeration: what is registered for TLS 1.2 and 1.3,
// and the pairs that RFC 5246 section 7.4.1.4.1 allows without naming them.
func allSchemes() []uint16 {
	return append(schemes(),
		0x081a, 0x081b, 0x081c, 0x0904, 0x0905, 0x0906, 0x0708, // ECDSA on brainpool curves, ML-DSA, SM2
		0x0502, 0x0602, 0x0102, 0x0103, // DSA and ECDSA with the other hashes
	)
}

// schemes13 are those that TLS 1.3 allows in CertificateVerify (RFC 8446 section
// 4.2.3).
func schemes13() []uint16 {
	return slices.DeleteFunc(allSchemes(), func(v uint16) bool {
		return v>>8 < 7 && v>>8 != 4 && v != 0x0503 && v != 0x0603 || v == 0x0401 || v == 0x0402
	})
}

// fewSchemes are the schemes of a small hello.
func fewSchemes() []uint16 {
	return []uint16{0x0403, 0x0804, 0x0401, 0x0501, 0x0601, 0x0503, 0x0203, 0x0201, 0x0202}
}

// offer is one hello to be built.
type offer struct {
	name       evidence.Offer
	version    uint16   // the highest
	exact      bool     // no lower version, where TLS 1.3 is the highest
	retry      bool     // no key share in the first hello of TLS 1.3, so that the server names a group
	spare      uint16   // no handshake in finite fields from this group on; 0: in all that are on offer
	shares     []uint16 // groups of the key shares of TLS 1.3; none: X25519
	suites     []uint16
	classes    []evidence.SuiteClass
	groups     []uint16
	schemes    []uint16
	serverName string
	alpn       []string
	ticket     bool     // of TLS 1.3 is wanted
	session    *session // where to put what can be resumed; nil: it is not wanted
	bare       bool     // without the extensions that some servers stumble over
	limit      int      // bytes, at most
}

// spares reports whether a handshake in a group is not to be asked of the server.
func (o offer) spares(group uint16) bool {
	return o.spare != 0 && group >= o.spare && group <= groupFFDHE8192
}

// clientHello builds the hello of an offer, without key shares.
func (o offer) clientHello(random [32]byte) tlswire.ClientHello {
	h := tlswire.ClientHello{
		Version: min(o.version, tlswire.VersionTLS12), Random: random, Suites: o.suites, Compression: []byte{0},
		RenegotiationInfo: true, ALPN: o.alpn,
	}
	switch {
	case o.version < tlswire.VersionTLS13:
	case o.exact:
		h.SupportedVersions = []uint16{tlswire.VersionTLS13}
	default:
		h.SupportedVersions = []uint16{tlswire.VersionTLS13, tlswire.VersionTLS12, tlswire.VersionTLS11, tlswire.VersionTLS10}
	}
	if o.ticket {
		h.PSKModes = []byte{1} // with (EC)DHE
	}
	h.StatusRequest = !o.bare && (o.name == evidence.OfferTLS12 || o.name == evidence.OfferFull || o.name == evidence.OfferOther)
	h.SCT = h.StatusRequest
	if o.name == evidence.OfferTLS12 && !o.bare {
		h.Compression = []byte{1, 0} // DEFLATE (RFC 3749), null
		h.SessionTicket = true
	}
	if o.version >= tlswire.VersionTLS10 {
		h.ServerName, h.Groups, h.ExtendedMasterSecret = o.serverName, o.groups, true
	}
	if o.version >= tlswire.VersionTLS12 {
		h.SignatureSchemes = o.schemes
	}
	return h
}

// record builds the record of an offer within its limit. It drops suites from
// the end of the offer, which is where the rare ones are, if there is no room.
func (o *offer) record(random [32]byte) ([]byte, error) {
	for {
		b, err := o.clientHello(random).Marshal()
		over := len(b) - o.limit
		if err != nil || over <= 0 {
			return b, err
		}
		keep := len(o.suites) - (over+1)/2
		if keep < 1 {
			return nil, errPlanned
		}
		o.keep(keep)
	}
}

// room is for how many more suites the hello has room.
func (o offer) room() int {
	b, err := o.clientHello([32]byte{}).Marshal()
	if err != nil {
		return 0
	}
	return max(0, (o.limit-len(b))/2)
}

// keep leaves n suites on offer, and the classes that are still whole.
func (o *offer) keep(n int) {
	if n < len(o.suites) {
		o.classes = whole(slices.Clone(o.classes), o.suites, o.suites[:n])
		o.suites = o.suites[:n]
	}
}

func (o offer) facts() *evidence.TLSFacts {
	f := &evidence.TLSFacts{
		Offer: o.name, OfferedMax: o.version, OfferedSuites: o.suites, OfferedClasses: o.classes,
		ClientALPN: o.alpn, Handshake: evidence.StageNone,
	}
	if o.version >= tlswire.VersionTLS10 {
		f.ServerName, f.OfferedGroups = o.serverName, o.groups
	}
	if o.version >= tlswire.VersionTLS12 {
		f.OfferedSchemes = o.schemes
	}
	return f
}
