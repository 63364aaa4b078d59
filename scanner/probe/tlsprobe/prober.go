package tlsprobe

import (
	"cmp"
	"context"
	"net"
	"slices"

	"probity/evidence"
	"probity/internal/wire/tlswire"
	"probity/scanner"
)

// Prober implements [scanner.Prober] for SSL and TLS over TCP.
type Prober struct{ tables *tables }

// New returns the prober.
func New() *Prober { return &Prober{tables: newTables()} }

// Name returns "tls".
func (*Prober) Name() string { return "tls" }

// Transport returns TCP.
func (*Prober) Transport() evidence.Transport { return evidence.TCP }

// Bounds of connections.
const (
	maxGentle     = 8  // to one endpoint at the gentle level
	maxWeak       = 96 // offers of weak suites at the standard level
	maxRetries    = 32 // hellos without a key share
	maxSignatures = 8  // handshakes of TLS 1.3 that look for signature schemes
	maxShares     = 3  // handshakes of TLS 1.3 with a server that does not answer hellos without a key share
)

// maxEnumerate bounds the offers in the enumeration of one version. OpenSSL has 75
// suites of TLS 1.2 with everything switched on, 23 of the versions before, and
// about 60 and 20 more where keys are shared beforehand.
func maxEnumerate(version uint16) int {
	if version >= tlswire.VersionTLS12 {
		return 160
	}
	return 64
}

// Exchanges lists the hellos of a level, the most ordinary first.
func (*Prober) Exchanges(level scanner.Level) []scanner.Exchange {
	const answered = "only if the endpoint speaks TLS"
	hello := func(what, why, when string) scanner.Exchange {
		return scanner.Exchange{What: what, MaxBytes: helloBytes, Why: why, When: when}
	}
	out := []scanner.Exchange{
		{
			What: "TLS handshake, TLS 1.0 to 1.3, without client certificate", MaxBytes: fullBytes,
			Why: "certificate chain, parameters, wish for a client certificate",
		},
		hello("ClientHello, at most TLS 1.2; of at most 256 bytes if the first was answered by a reset", "preferred suite, compression, renegotiation, downgrade protection", ""),
		{
			What: "TLS handshake of at most TLS 1.2, without client certificate", MaxBytes: clientBytes,
			Why: "whether a client certificate is required", When: "only if one was asked for below TLS 1.3",
		},
		hello("ClientHello, TLS 1.3, for the other kind of key, RSA or ECDSA", "the second certificate", "only if the endpoint speaks TLS 1.3 alone"),
		hello("ClientHello, at most TLS 1.1", "whether TLS 1.1 or less is accepted", answered),
		hello("ClientHello, TLS 1.0", "whether TLS 1.0 is accepted", "only if TLS 1.1 was accepted or newer versions were refused"),
		hello("ClientHello, at most TLS 1.2, weak suites and those for the other kind of key, RSA or ECDSA", "which classes of weak suites are accepted; the second certificate", answered+"; again without what was accepted, in place of exchanges that were not needed"),
		hello("ClientHello, SSL 3.0", "whether SSL 3.0 is accepted", answered),
	}
	named := scanner.Exchange{
		What: "TLS handshake, TLS 1.3, with a group that the server names, without client certificate", MaxBytes: hiddenBytes,
		Why: "certificate chain and parameters, where groups are large or rare", When: "only if ordinary groups were refused; in place of exchanges that follow",
		InPlace: level == scanner.Gentle,
	}
	out = append(out, named)
	if level == scanner.Gentle {
		return out
	}
	again := hello("ClientHello, at most TLS 1.2, small", "whether the server bears a smaller hello", "only if ordinary ones were refused")
	out = append(out, again, again)
	name := scanner.Exchange{
		What: "the ordinary hello, with no or another server name", MaxBytes: fullBytes,
		Why: "whether names change certificate or answer", When: answered + "; above the standard level only if it speaks TLS 1.3 alone",
	}
	out = append(out, name, name)
	if level == scanner.Standard {
		more := hello("ClientHello, at most TLS 1.2, the weak suites not yet seen", "which weak suites are accepted", "only if the server chose a suite of the one before")
		return append(out, slices.Repeat([]scanner.Exchange{more}, maxWeak-1)...)
	}
	suites := scanner.Exchange{
		What: "ClientHello, the suites of a version not yet seen", MaxBytes: manyBytes,
		Why: "every suite, group and signature scheme", When: "only if the server speaks the version",
	}
	plain := out[0]
	plain.What, plain.When = "TLS handshake, TLS 1.0 to 1.3, without names of application protocols", "only if the server refused the first for its names"
	last := named
	last.What, last.When = "TLS handshake, TLS 1.3, with three rare key shares, without client certificate", "only if TLS 1.3 is likely and no other hello was answered in it"
	out = append(out, plain, last)
	out[2].What, out[2].MaxBytes = "TLS handshake of at most TLS 1.2, without client certificate, and a hello within it", sessionBytes
	out[2].Why, out[2].When = "sessions, whether a client certificate is required, whether clients may renegotiate", "only if the server speaks TLS 1.2 or below"
	resume := scanner.Exchange{
		What: "ClientHello that resumes the session of an earlier handshake", MaxBytes: resumeBytes,
		Why: "whether sessions are resumed", When: "only if the server gave one",
	}
	out = append(out, resume, resume)
	share := suites
	share.MaxBytes += shareBytes
	share.What, share.When = "TLS handshake, TLS 1.3, the signature schemes or suites not yet seen", "only if TLS 1.2 did not show the schemes, or hellos without a key share are not answered"
	out = append(out, slices.Repeat([]scanner.Exchange{share}, maxSignatures+maxShares)...)
	retry := hello("ClientHello, TLS 1.3 without key share", "every suite and group", "only if the server speaks TLS 1.3")
	out = append(out, slices.Repeat([]scanner.Exchange{retry}, maxRetries)...)
	rounds := maxEnumerate(tlswire.VersionTLS12) + 3*maxEnumerate(tlswire.VersionTLS11)
	out = append(out, slices.Repeat([]scanner.Exchange{suites}, rounds)...)
	return append(out, scanner.Exchange{What: "CLIENT-HELLO, SSL 2.0", MaxBytes: 64, When: answered, Why: "whether SSL 2.0 is accepted"})
}

// Probe asks the endpoint. It stops after the first answer that is not TLS, and
// leaves the odd hellos out once an ordinary one was not answered in time.
func (p *Prober) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	r := &run{
		tables: p.tables, session: s, level: s.Level(), asked: map[evidence.Offer]bool{},
		groups: quarry{left: allGroups()}, schemes: quarry{left: allSchemes()},
	}
	if r.level == scanner.Gentle {
		m := &meter{Session: s}
		r.session, r.sent = m, &m.sent
	}
	err := r.probe(ctx)
	return r.out, err
}

// run is one probe under way.
type run struct {
	tables  *tables
	over    *datagrams // what carries the hellos; nil: TCP
	given   *session   // of TLS 1.3, to be resumed
	session scanner.Session
	level   scanner.Level
	out     []evidence.Observation
	asked   map[evidence.Offer]bool
	silent  bool  // the last offer was not answered in time
	few     bool  // the server bears small hellos only
	order   order // of the last enumeration up to TLS 1.2
	most    int   // suites that it bears in one hello; 0: any number
	bare    bool  // the server hung up on a hello with the extensions of the day
	strict  bool  // the server minds the names of application protocols
	auth    bool  // whether a client certificate is required is known
	// What handshakes of TLS 1.3 with the server need: the group that it chose, and
	// a suite if ordinary ones will not do. 0 if none was completed.
	group, suite uint16
	sent         *int64 // bytes, counted at the gentle level; else nil

	enumerated      []uint16 // versions
	groups, schemes quarry   // of all versions
}

// probe goes from the ordinary to the odd. After every step the rest is left out
// if the server fell silent.
func (r *run) probe(ctx context.Context) error {
	if speaks, err := r.ladder(ctx); err != nil || !speaks || r.silent {
		return err
	}
	steps := []func(context.Context) error{r.hidden13, r.clientAuth, r.otherKey, r.legacy, r.weak, r.names, r.ssl}
	if r.level == scanner.Exhaustive {
		steps = []func(context.Context) error{r.hidden13, r.clientAuth, r.newest, r.clientAuth, r.thirteen, r.names, r.otherKey, r.legacy, r.ssl}
	}
	for _, step := range steps {
		if r.spent() {
			return nil
		}
		if err := step(ctx); err != nil || r.silent {
			return err
		}
	}
	return nil
}

// spent reports whether a gentle probe has made all its connections, or sent all
// its bytes: on the way down from what a server refuses, ordinary ones may have
// taken the place of the odd ones.
func (r *run) spent() bool { return !r.affords(helloBytes) }

// affords reports whether a connection that sends up to n bytes is within the
// bounds of the gentle level.
func (r *run) affords(n int64) bool {
	return r.sent == nil || len(r.out) < maxGentle && *r.sent+n <= gentleBytes
}

// meter is a session that counts the bytes which it sends.
type meter struct {
	scanner.Session
	sent int64
}

// Dial implements [scanner.Session].
func (m *meter) Dial(ctx context.Context) (net.Conn, error) {
	c, err := m.Session.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return &meterConn{c, m}, nil
}

type meterConn struct {
	net.Conn
	m *meter
}

// Write implements [io.Writer].
func (c *meterConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.m.sent += int64(n)
	return n, err
}

// offer fills in what offers have in common.
func (r *run) offer(name evidence.Offer, version uint16, suites []uint16) offer {
	return offer{
		name: name, version: version, suites: suites, groups: groups(), schemes: schemes(),
		serverName: r.session.Endpoint().Name, limit: helloBytes, bare: r.bare,
	}
}

// record keeps an observation. An offer that was vetoed has none.
func (r *run) record(obs evidence.Observation) *evidence.TLSFacts {
	f := obs.Facts.TLS
	if obs.Result == "" { // nothing was sent
		return f
	}
	r.out = append(r.out, obs)
	r.asked[f.Offer] = true
	r.silent = obs.Result != evidence.ResultData && obs.Result != evidence.ResultReset
	if r.over != nil {
		r.silent = r.over.silenced(r.silent, len(r.out) == 1)
	}
	return f
}

// ask records the answer to one offer.
func (r *run) ask(ctx context.Context, o offer) (*evidence.TLSFacts, *answer, error) {
	if r.few && o.limit != smallBytes {
		o.keep(fewSuites)
		o.limit = smallBytes
		o.schemes = o.schemes[:min(len(o.schemes), len(fewSchemes()))]
	}
	exchange := ask
	if r.over != nil {
		exchange = r.over.ask
	}
	obs, a, err := exchange(ctx, r.session, o)
	return r.record(obs), a, err
}

// size is how many suites a hello of an enumeration may have.
func (r *run) size() int { return cmp.Or(r.most, len(r.tables.all)) }

// take records the answer to an offer of up to TLS 1.3.
func (r *run) take(ctx context.Context, o offer) (*evidence.TLSFacts, *answer, error) {
	obs, a, err := take(ctx, r.session, o)
	f := r.record(obs)
	if f.Version >= tlswire.VersionTLS13 && f.ClientAuth != evidence.ClientAuthUnknown {
		r.auth = true
	}
	if f.Version >= tlswire.VersionTLS13 {
		r.schemes.found(f.SignatureScheme)
		for _, g := range slices.Concat(f.ServerGroups, []uint16{f.Group}) {
			r.groups.found(g)
		}
	}
	return f, a, err
}

// find returns the first answer to the offers that has a ServerHello.
func (r *run) find(names ...evidence.Offer) *evidence.TLSFacts {
	for _, o := range r.out {
		if f := o.Facts.TLS; f.Version != 0 && (len(names) == 0 || slices.Contains(names, f.Offer)) {
			return f
		}
	}
	return nil
}

// spoke reports whether the server chose a version.
func (r *run) spoke(version uint16) bool {
	return slices.ContainsFunc(r.out, func(o evidence.Observation) bool { return o.Facts.TLS.Version == version })
}

// clientAuth completes a handshake below TLS 1.3 if the server asked for a
// client certificate: only so it shows whether it insists.
func (r *run) clientAuth(ctx context.Context) error {
	if r.level == scanner.Exhaustive {
		return r.sessions(ctx)
	}
	if r.auth {
		return nil
	}
	i := slices.IndexFunc(r.out, func(o evidence.Observation) bool {
		f := o.Facts.TLS
		return f.ClientAuth == evidence.ClientAuthRequested && f.Version >= tlswire.VersionTLS10 && f.Version <= tlswire.VersionTLS12
	})
	if i < 0 {
		return nil
	}
	o := r.offer(evidence.OfferFull, tlswire.VersionTLS12, clientSuites())
	o.groups = computed()
	o.schemes = nil // those of the client
	obs, err := handshake(ctx, r.session, o)
	r.record(obs)
	return err
}

// missingKind is the kind of key of which a server may have a certificate that it
// did not choose to show: an elliptic curve where RSA was seen, and the reverse.
// It is unknown if both were seen, or nothing to go by.
func (r *run) missingKind() keyKind {
	seen := map[keyKind]bool{}
	for _, o := range r.out {
		if len(o.Certs) > 0 {
			seen[kindOf(o.Facts.TLS)] = true
		}
	}
	switch {
	case seen[kindRSA] == seen[kindEC]:
		return kindUnknown
	case seen[kindEC]:
		return kindRSA
	}
	return kindEC
}

// newestOnly reports whether TLS 1.3 is all that the server is known to speak.
func (r *run) newestOnly() bool {
	return r.find(evidence.OfferTLS12, evidence.OfferSmall) == nil && r.spoke(tlswire.VersionTLS13)
}

// otherKey asks for the certificate that the server did not choose to show, alone.
// Over TCP, below TLS 1.3, that is asked with the weak suites, and in an
// enumeration both kinds are on offer until it is refused.
func (r *run) otherKey(ctx context.Context) error {
	want := r.missingKind()
	if want == kindUnknown || r.level == scanner.Exhaustive {
		return nil
	}
	version := tlswire.VersionTLS12
	if r.newestOnly() {
		version = tlswire.VersionTLS13
	}
	o := r.tables.other(version, want)
	o.serverName, o.limit = r.session.Endpoint().Name, helloBytes
	var err error
	switch {
	case version >= tlswire.VersionTLS13:
		if r.completable(&o); !r.affords(int64(o.limit)) {
			return nil
		}
		_, _, err = r.take(ctx, o)
	case r.over != nil:
		_, _, err = r.ask(ctx, o)
	}
	return err
}

// search is what weak looks for: classes of suites and, on the way, the other
// certificate. What was accepted is left out of the next offer, until the server
// refuses.
type search struct {
	r       *run
	classes []evidence.SuiteClass // not known yet
	chosen  []uint16              // above the gentle level, where every suite counts
	other   keyKind               // of the certificate that was not shown yet; unknown: none is looked for
}

// weak asks for weak suites, by class at the gentle level and by suite above it,
// and with them for the certificate that the server did not choose to show. A
// server that chooses what was not on offer makes no progress.
func (r *run) weak(ctx context.Context) error {
	s := &search{r: r, classes: weakClasses(), other: r.missingKind()}
	if r.newestOnly() || r.over != nil {
		s.other = kindUnknown // asked before
	}
	for _, o := range r.out {
		if f := o.Facts.TLS; r.level == scanner.Gentle && f.Version != 0 && f.Version < tlswire.VersionTLS13 {
			s.classes = without(s.classes, f.CipherSuite) // known already
		}
	}
	for left := r.weakRounds(); left > 0 && !r.spent(); left-- {
		offered := s.classes
		if b := broken(offered); r.level == scanner.Gentle && left == 1 && len(offered) < len(weakClasses()) && len(b) > 0 {
			offered = b // the last question is for what is worst
		}
		o := s.offer(offered)
		if len(o.suites) == 0 {
			return nil
		}
		f, a, err := r.ask(ctx, o)
		if err != nil || a.hello == nil || !slices.Contains(o.suites, f.CipherSuite) {
			return err
		}
		s.learn(f, len(a.certs) > 0)
	}
	return nil
}

// offer asks for suites of the classes and for the other certificate. A server
// that follows the client and has one of an elliptic curve has shown it before, so
// that its suites come first only to be among those that fit.
func (s *search) offer(classes []evidence.SuiteClass) offer {
	r := s.r
	o := r.offer(evidence.OfferWeak, tlswire.VersionTLS12, r.tables.weak(classes))
	if r.sharesKeys() {
		o.suites = append(r.tables.weakShared(classes), o.suites...)
	}
	o.suites = slices.DeleteFunc(o.suites, func(id uint16) bool { return slices.Contains(s.chosen, id) })
	o.classes = classesOf(o.suites)
	var kind []uint16
	if s.other != kindUnknown {
		kind = slices.DeleteFunc(r.tables.other(tlswire.VersionTLS12, s.other).suites, func(id uint16) bool { return slices.Contains(o.suites, id) })
	}
	o.keep(maxSuites - len(kind))
	o.suites = r.tellingFirst(o.suites)
	if s.other == kindRSA {
		o.suites = append(o.suites, kind...) // those that cost the server nothing come first
	} else {
		o.suites = append(kind, o.suites...)
	}
	o.classes = slices.DeleteFunc(o.classes, func(c evidence.SuiteClass) bool { return !slices.Contains(classes, c) })
	return o
}

// learn leaves out what the server chose.
func (s *search) learn(f *evidence.TLSFacts, certified bool) {
	if certified && kindOf(f) == s.other {
		s.other = kindUnknown
	}
	if s.r.level == scanner.Gentle {
		s.classes = without(s.classes, f.CipherSuite)
	} else {
		s.chosen = append(s.chosen, f.CipherSuite)
	}
}

// sharesKeys reports whether the server chose a suite with a key that is shared
// beforehand.
func (r *run) sharesKeys() bool {
	return slices.ContainsFunc(r.out, func(o evidence.Observation) bool {
		s, ok := tlswire.Lookup(o.Facts.TLS.CipherSuite)
		return ok && o.Facts.TLS.Version != 0 && preshared(s)
	})
}

// weakRounds is how often weak suites may be asked for. SSL 3.0 comes after them.
func (r *run) weakRounds() int {
	switch {
	case r.level != scanner.Gentle:
		return maxWeak
	case r.over != nil:
		return maxGentleDTLS - len(r.out)
	}
	return maxGentle - 1 - len(r.out)
}

// legacy asks for the versions below TLS 1.2, one by one.
func (r *run) legacy(ctx context.Context) error {
	if f := r.find(evidence.OfferTLS10); f != nil && r.few && r.find(evidence.OfferSmall) == nil { // it bears no newer version
		return r.suitesOf(ctx, f)
	}
	if r.level == scanner.Exhaustive && slices.Contains(r.enumerated, tlswire.VersionTLS11) { // the newest that it has
		tls10, _, err := r.ask(ctx, r.oldOffer(evidence.OfferTLS10, tlswire.VersionTLS10))
		if err != nil || r.silent {
			return err
		}
		return r.suitesOf(ctx, tls10)
	}
	tls11, a, err := r.ask(ctx, r.oldOffer(evidence.OfferTLS11, tlswire.VersionTLS11))
	if err != nil || r.silent {
		return err
	}
	if a.hello == nil || tls11.Version != tlswire.VersionTLS11 {
		return r.suitesOf(ctx, tls11)
	}
	if err := r.suitesOf(ctx, tls11); err != nil || r.silent || r.spent() {
		return err
	}
	if r.asked[evidence.OfferTLS10] {
		return r.suitesOf(ctx, r.find(evidence.OfferTLS10))
	}
	tls10, _, err := r.ask(ctx, r.oldOffer(evidence.OfferTLS10, tlswire.VersionTLS10))
	if err != nil || r.silent {
		return err
	}
	return r.suitesOf(ctx, tls10)
}

// oldOffer asks for a version below TLS 1.2, with every suite at the exhaustive
// level: a server may have the rare ones only.
func (r *run) oldOffer(name evidence.Offer, version uint16) offer {
	o := r.offer(name, version, r.tables.old)
	if r.level == scanner.Exhaustive && !r.few {
		o.suites, o.limit = r.tables.oldest, manyBytes
	}
	if !r.few { // of which the first suites are kept
		o.suites = r.tellingFirst(o.suites)
	}
	return o
}

// ssl asks for SSL 3.0 and, at the exhaustive level, for SSL 2.0.
func (r *run) ssl(ctx context.Context) error {
	f, _, err := r.ask(ctx, r.offer(evidence.OfferSSL3, tlswire.VersionSSL3, r.tables.ssl3))
	if err != nil || r.silent || r.level != scanner.Exhaustive {
		return err
	}
	if err := r.suitesOf(ctx, f); err != nil || r.silent {
		return err
	}
	obs, err := askSSL2(ctx, r.session)
	r.record(obs)
	return err
}
