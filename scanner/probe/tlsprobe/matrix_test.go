package tlsprobe

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"probity/evidence"
	"probity/fixtures/peer"
	"probity/fixtures/tlsmatrix"
	"probity/internal/wire/tlswire"
	"probity/scanner"
)

// posture is what a scanner says of a server, and what it cost.
type posture struct {
	suites  map[uint16]set // by version
	groups  set
	schemes set
	// knowsSchemes is false for a scanner that does not look for them.
	knowsSchemes bool

	connections, simultaneous int
	device                    time.Duration // processor time of the server
	wall                      time.Duration
}

type set map[uint16]bool

func newPosture() posture {
	return posture{suites: map[uint16]set{}, groups: set{}, schemes: set{}}
}

func (p *posture) add(version, suite uint16) {
	if p.suites[version] == nil {
		p.suites[version] = set{}
	}
	p.suites[version][suite] = true
}

// join adds what another scanner found.
func (p *posture) join(q posture) {
	for v, suites := range q.suites {
		for s := range suites {
			p.add(v, s)
		}
	}
	for g := range q.groups {
		p.groups[g] = true
	}
	for s := range q.schemes {
		p.schemes[s] = true
	}
	p.knowsSchemes = p.knowsSchemes || q.knowsSchemes
}

// of reads a posture out of observations.
func of(obs []evidence.Observation) posture {
	p := newPosture()
	for _, o := range obs {
		f := o.Facts.TLS
		if f.Version != 0 && f.CipherSuite != 0 {
			p.add(f.Version, f.CipherSuite)
		}
		if f.Group != 0 {
			p.groups[f.Group] = true
		}
		for _, g := range f.ServerGroups {
			p.groups[g] = true
		}
		if f.SignatureScheme != 0 {
			p.schemes[f.SignatureScheme] = true
		}
	}
	return p
}

// counter relays connections to a server and counts them: those of a scanner
// that has no ledger.
type counter struct {
	address    string
	n, now, at atomic.Int64 // opened, open, open at the same time
}

// count starts a counter in front of an address.
func count(t testing.TB, address string) *counter {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c := &counter{address: l.Addr().String()}
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			c.n.Add(1)
			for now := c.now.Add(1); ; {
				if at := c.at.Load(); now <= at || c.at.CompareAndSwap(at, now) {
					break
				}
			}
			go func() {
				defer c.now.Add(-1)
				relay(in, address)
			}()
		}
	}()
	return c
}

// relay copies both directions until either ends, which it passes on: scanners
// tell a reset from an orderly end.
func relay(in net.Conn, address string) {
	defer in.Close()
	out, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer out.Close()
	var both sync.WaitGroup
	both.Go(func() { io.Copy(out, in); out.(*net.TCPConn).CloseWrite() })
	both.Go(func() { io.Copy(in, out); in.(*net.TCPConn).CloseWrite() })
	both.Wait()
}

// measured runs a scanner against a server.
func measured(t testing.TB, server tlsmatrix.Instance, scan func(address string) posture) posture {
	t.Helper()
	c := count(t, server.Address)
	before, _ := server.CPU() // 0 for a server in this process
	began := time.Now()
	p := scan(c.address)
	p.wall = time.Since(began)
	after, _ := server.CPU()
	p.connections, p.simultaneous, p.device = int(c.n.Load()), int(c.at.Load()), after-before
	return p
}

// ours is the prober at a level, with its observations.
func ours(t testing.TB, level scanner.Level, address string) []evidence.Observation {
	t.Helper()
	obs, err := New().Probe(t.Context(), &direct{address: address, level: level}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return obs
}

// alone asks for one suite in one version, with everything else on offer: what
// settles a difference between two scanners.
func alone(t testing.TB, address string, version, suite uint16) bool {
	t.Helper()
	d := &direct{address: address, level: scanner.Exhaustive}
	r := &run{tables: newTables(), session: d}
	o := r.offer(evidence.OfferSuites, version, []uint16{suite})
	o.limit = manyBytes
	if version == tlswire.VersionTLS13 {
		o.exact, o.groups = true, retryGroups()
	}
	obs, _, err := ask(t.Context(), d, o)
	if err != nil {
		t.Fatal(err)
	}
	return obs.Facts.TLS.Version == version && obs.Facts.TLS.CipherSuite == suite
}

// askAlone offers one group, or one signature scheme, and reports whether the
// server chooses it in TLS 1.3 or below.
func askAlone(t testing.TB, address string, group, scheme uint16) bool {
	t.Helper()
	d := &direct{address: address, level: scanner.Exhaustive}
	r := &run{tables: newTables(), session: d}
	chose := func(obs evidence.Observation, err error) bool {
		if err != nil {
			t.Fatal(err)
		}
		f := obs.Facts.TLS
		return f.Version != 0 && (group == 0 || f.Group == group) && (scheme == 0 || f.SignatureScheme == scheme)
	}
	for _, version := range []uint16{tlswire.VersionTLS12, tlswire.VersionTLS13} {
		o := r.offer(evidence.OfferSuites, version, computedSuites())
		o.limit, o.groups, o.schemes, o.exact = manyBytes, computed(), allSchemes(), true
		if version == tlswire.VersionTLS12 {
			o.groups, o.suites = allGroups(), nil
			for _, s := range r.tables.all {
				if usesCurve(s) || group == 0 && isSigned(s) {
					o.suites = append(o.suites, s.ID)
				}
			}
		}
		if group != 0 {
			o.groups = []uint16{group}
		}
		if scheme != 0 {
			o.schemes = []uint16{scheme}
		}
		if version == tlswire.VersionTLS13 && scheme != 0 {
			obs, _, err := take(t.Context(), d, o)
			return chose(obs, err)
		}
		if obs, _, err := ask(t.Context(), d, o); chose(obs, err) {
			return true
		}
	}
	return false
}

// differences lists where a posture and the union of others differ, each with
// what the server says to the one question.
func differences(t testing.TB, address string, got, want posture) (wrong, theirs []string) {
	t.Helper()
	for _, v := range []uint16{tlswire.VersionSSL3, tlswire.VersionTLS10, tlswire.VersionTLS11, tlswire.VersionTLS12, tlswire.VersionTLS13} {
		for s := range want.suites[v] {
			if got.suites[v][s] {
				continue
			}
			line := fmt.Sprintf("%s %s: only they", tlswire.VersionName(v), tlswire.SuiteName(s))
			if alone(t, address, v, s) {
				wrong = append(wrong, line)
			} else {
				theirs = append(theirs, line+", and the server refuses it")
			}
		}
		for s := range got.suites[v] {
			if !want.suites[v][s] {
				theirs = append(theirs, fmt.Sprintf("%s %s: only we, and the server chose it", tlswire.VersionName(v), tlswire.SuiteName(s)))
			}
		}
	}
	for g := range want.groups {
		if line := "group " + tlswire.GroupName(g) + ": only they"; !got.groups[g] && askAlone(t, address, g, 0) {
			wrong = append(wrong, line)
		} else if !got.groups[g] {
			theirs = append(theirs, line+", and the server refuses it")
		}
	}
	for g := range got.groups {
		if !want.groups[g] {
			theirs = append(theirs, "group "+tlswire.GroupName(g)+": only we, and the server chose it")
		}
	}
	if want.knowsSchemes {
		for s := range want.schemes {
			if line := "scheme " + tlswire.SchemeName(s) + ": only they"; !got.schemes[s] && askAlone(t, address, 0, s) {
				wrong = append(wrong, line)
			} else if !got.schemes[s] {
				theirs = append(theirs, line+", and the server signs nothing with it")
			}
		}
		for s := range got.schemes {
			if !want.schemes[s] {
				theirs = append(theirs, "scheme "+tlswire.SchemeName(s)+": only we, and the server chose it")
			}
		}
	}
	slices.Sort(wrong)
	slices.Sort(theirs)
	return wrong, theirs
}

// enumerating counts the connections that are not for server names and sessions.
func enumerating(obs []evidence.Observation) int {
	return len(slices.DeleteFunc(slices.Clone(obs), func(o evidence.Observation) bool {
		return slices.Contains([]evidence.Offer{evidence.OfferName, evidence.OfferSession, evidence.OfferResume}, o.Facts.TLS.Offer)
	}))
}

// bound is what an enumeration may cost: for each version one connection a
// suite, and one for the refusal; six more for everything else.
func bound(p posture) int {
	n := 6
	for _, v := range []uint16{tlswire.VersionSSL3, tlswire.VersionTLS10, tlswire.VersionTLS11, tlswire.VersionTLS12, tlswire.VersionTLS13} {
		n += len(p.suites[v]) + 1
	}
	return n
}

// surplus is how many connections any enumeration needs beyond the number of
// suites. A connection shows one suite, at most one group and one signature scheme,
// and a scheme only with a suite whose key is of its kind: a server with more
// groups than suites that name one, or with more schemes of a kind than suites
// signed by it, needs so many more. What was shown in TLS 1.3 and below counts in
// neither, and the suites of every version below may show a group.
func surplus(obs []evidence.Observation) int {
	type found struct {
		suites, curves, groups set
		signed, schemes        map[keyKind]set
	}
	fresh := func() *found {
		return &found{suites: set{}, curves: set{}, groups: set{}, signed: map[keyKind]set{}, schemes: map[keyKind]set{}}
	}
	add := func(m map[keyKind]set, k keyKind, v uint16) {
		if m[k] == nil {
			m[k] = set{}
		}
		m[k][v] = true
	}
	newest := map[bool]*found{true: fresh(), false: fresh()}
	highest, curves := uint16(0), map[[2]uint16]bool{}
	for _, o := range obs {
		if v := o.Facts.TLS.Version; v < tlswire.VersionTLS13 {
			highest = max(highest, v)
		}
	}
	for _, o := range obs {
		f := o.Facts.TLS
		n := newest[f.Version == tlswire.VersionTLS13]
		s, _ := tlswire.Lookup(f.CipherSuite)
		if f.Group != 0 {
			n.groups[f.Group] = true
		}
		if usesCurve(s) && f.Version != 0 && f.Version < tlswire.VersionTLS13 {
			curves[[2]uint16{f.Version, f.CipherSuite}] = true
		}
		if f.Version != tlswire.VersionTLS13 && (f.Version == 0 || f.Version != highest) {
			continue
		}
		n.suites[f.CipherSuite] = true
		if f.SignatureScheme != 0 {
			kind := kindOfScheme(f.SignatureScheme)
			add(n.schemes, kind, f.SignatureScheme)
			if f.Version < tlswire.VersionTLS13 {
				add(n.signed, kind, f.CipherSuite)
			}
		}
	}
	only := func(x, y set) int {
		n := 0
		for v := range x {
			if !y[v] {
				n++
			}
		}
		return n
	}
	old, now := newest[false], newest[true]
	schemes := 0
	for kind, list := range old.schemes {
		schemes += max(0, only(list, now.schemes[kind])-len(old.signed[kind]))
	}
	schemes13 := 0
	for kind, list := range now.schemes {
		schemes13 += only(list, old.schemes[kind])
	}
	return max(schemes, only(old.groups, now.groups)-len(curves), 0) +
		max(schemes13-len(now.suites), only(now.groups, old.groups)-len(now.suites), 0)
}

// describe lists the connections of a probe, for the log of a test that failed.
func describe(obs []evidence.Observation) string {
	var b strings.Builder
	for _, o := range obs {
		f := o.Facts.TLS
		alert := ""
		if f.Alert != nil {
			alert = fmt.Sprintf("alert %d", *f.Alert)
		}
		fmt.Fprintf(&b, "%s %#x of %d suites, %d groups, %d schemes: %s %s %s %s %s %s\n", f.Offer, f.OfferedMax, len(f.OfferedSuites), len(f.OfferedGroups), len(f.OfferedSchemes),
			cmp.Or(tlswire.VersionName(f.Version), "-"), tlswire.SuiteName(f.CipherSuite), tlswire.GroupName(f.Group), tlswire.SchemeName(f.SignatureScheme), alert, o.Detail)
	}
	return b.String()
}

// classVerdicts are the answers of a gentle probe to "is any suite of the class
// accepted": yes, no, or absent if the server was not asked or did not say.
func classVerdicts(obs []evidence.Observation) map[evidence.SuiteClass]bool {
	out := map[evidence.SuiteClass]bool{}
	for _, o := range obs {
		f := o.Facts.TLS
		if f.Version == 0 && f.Alert != nil && f.OfferedMax >= tlswire.VersionTLS12 {
			for _, c := range f.OfferedClasses {
				if !out[c] {
					out[c] = false
				}
			}
		}
		if s, ok := tlswire.Lookup(f.CipherSuite); ok && f.Version != 0 && f.Version < tlswire.VersionTLS13 {
			for _, c := range s.Classes {
				out[c] = true
			}
		}
	}
	return out
}

// holdClasses compares the classes that a gentle probe speaks of with the suites
// of others. It returns how many weak classes were decided.
func holdClasses(t testing.TB, address string, obs []evidence.Observation, others posture) int {
	t.Helper()
	verdicts := classVerdicts(obs)
	// Suites with a key that is shared beforehand are asked for only of a server that
	// showed one.
	shares := slices.ContainsFunc(obs, func(o evidence.Observation) bool {
		s, ok := tlswire.Lookup(o.Facts.TLS.CipherSuite)
		return ok && preshared(s)
	})
	for class, got := range verdicts {
		want, shown := false, ""
		for v, suites := range others.suites {
			for id := range suites {
				if s, ok := tlswire.Lookup(id); ok && (shares || !preshared(s)) && v < tlswire.VersionTLS13 && v > tlswire.VersionSSL3 && s.Has(class) && (got || alone(t, address, v, id)) {
					want, shown = true, s.Name
				}
			}
		}
		if want && !got {
			t.Errorf("class %s: gentle says no, but %s is accepted", class, shown)
		}
	}
	decided := 0
	for _, class := range weakClasses() {
		if _, ok := verdicts[class]; ok {
			decided++
		}
	}
	return decided
}

// TestPeer_matrix holds exhaustive and gentle probes of some servers against
// nmap and sslscan.
func TestPeer_matrix(t *testing.T) {
	paths := peer.Require(t, "nmap", "sslscan")
	keys := tlsmatrix.NewKeys(t)
	servers, ok := tlsmatrix.Find("openssl/default", "openssl/ccm", "gnutls/normal", "nginx/default", "go/everything")
	if !ok {
		t.Fatal("a server is unknown")
	}
	for _, s := range servers {
		t.Run(strings.ReplaceAll(s.Name, "/", "_"), func(t *testing.T) {
			t.Parallel()
			compare(t, s, keys, []scannerOf{nmap(paths["nmap"]), sslscan(paths["sslscan"])})
		})
	}
}

// lacking says what is known to be missing from what is found of a server:
// signature schemes or its certificate.
func lacking(server string) string {
	if server == "openssl/rsa_512" {
		return "it fails with the schemes that it chooses first, for which its key is too small, and does not name them"
	}
	return ""
}

// beyond is how many connections a server takes beyond what any enumeration of a
// server that can be asked for everything at once needs.
func beyond(server string) int {
	switch server {
	case "wolfssl/default":
		return 2 // it bears half of the suites in one hello, so that two more refusals are needed
	case "nss/dual":
		// It chooses the suite first, by an order of its own: the schemes of each key
		// must be refused alone, and a refusal may be for want of a suite.
		return 2
	}
	return 0
}

// hides reports whether the certificate of a server is not obtained: there is
// none, or it would take a gentle probe more hellos or the server more effort than
// is due.
func hides(server string, gently bool) bool {
	switch server {
	case "openssl/anonymous_only", "openssl/shared_key_only":
		return true
	case "raw/version_intolerant", "raw/ssl2_only", "openssl/tls13_ffdhe4096", "gnutls/tls13_ffdhe8192":
		return gently
	}
	return false
}

// comparison is what a server said to all scanners.
type comparison struct {
	address            string
	exhaustive, gentle posture
	enumeration        int       // connections of exhaustive that are not for server names and sessions
	needed             int       // what any enumeration may cost where groups or schemes are more than suites
	others             []posture // in the order of the scanners
	theirs             []string  // differences that are theirs
}

// compare runs all scanners against a server and fails on a difference that is
// ours.
func compare(t testing.TB, s tlsmatrix.Server, keys *tlsmatrix.Keys, others []scannerOf) comparison {
	t.Helper()
	server := s.Start(t, keys)
	out := comparison{address: server.Address}
	var all, gentle []evidence.Observation
	out.exhaustive = measured(t, server, func(address string) posture {
		all = ours(t, scanner.Exhaustive, address)
		return of(all)
	})
	out.gentle = measured(t, server, func(address string) posture {
		gentle = ours(t, scanner.Gentle, address)
		return of(gentle)
	})
	union := newPosture()
	for _, other := range others {
		p := measured(t, server, func(address string) posture { return other.scan(t, address) })
		out.others = append(out.others, p)
		union.join(p)
	}
	wrong, theirs := differences(t, server.Address, out.exhaustive, union)
	out.theirs = theirs
	for _, line := range wrong {
		if reason := lacking(s.Name); reason != "" && strings.HasPrefix(line, "scheme ") {
			t.Logf("%s: %s", line, reason)
			continue
		}
		t.Error(line)
	}
	out.enumeration = enumerating(all)
	out.needed = bound(out.exhaustive) + surplus(all)
	if limit := out.needed + beyond(s.Name); out.enumeration > limit {
		t.Errorf("%d connections, bound %d", out.enumeration, limit)
	}
	if out.exhaustive.connections != len(all) {
		t.Errorf("%d connections, %d observations", out.exhaustive.connections, len(all))
	}
	if out.gentle.connections > maxGentle {
		t.Errorf("gentle: %d connections", out.gentle.connections)
	}
	holdClasses(t, server.Address, gentle, union)
	for level, obs := range map[string][]evidence.Observation{"exhaustive": all, "gentle": gentle} {
		certified := slices.ContainsFunc(obs, func(o evidence.Observation) bool { return len(o.Certs) > 0 })
		if hidden := hides(s.Name, level == "gentle"); certified == hidden {
			t.Errorf("%s: certificate %v, known to be hidden: %v", level, certified, hidden)
		}
	}
	if len(theirs) > 0 && len(others) > 0 {
		t.Logf("theirs:\n%s", strings.Join(theirs, "\n"))
	}
	t.Logf("exhaustive: %d connections of %d and %d, %v, %v on the device; gentle: %d, %v", out.enumeration, bound(out.exhaustive), surplus(all), out.exhaustive.wall.Round(time.Millisecond), out.exhaustive.device, out.gentle.connections, out.gentle.device)
	for i, p := range out.others {
		t.Logf("%s: %d connections (%d at once), %v, %v on the device", others[i].name, p.connections, p.simultaneous, p.wall.Round(time.Millisecond), p.device)
	}
	if os.Getenv("MATRIX_LOG") != "" {
		t.Log(describe(all) + "gentle:\n" + describe(gentle))
	}
	return out
}
