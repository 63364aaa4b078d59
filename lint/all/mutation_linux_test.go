package all_test

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/sys/unix"

	"probity/evidence"
	"probity/lint"
	"probity/lint/all"
)

const (
	// mutationsInCI is how many certificates are damaged where nothing else is asked
	// for; PROBITY_MUTATIONS asks for another number.
	mutationsInCI = 10_000
	// mutationsInRace is the same under the race detector, which is slow and looks
	// for something else.
	mutationsInRace = 5_000
	// slowest is how long one certificate may take, in time of the processor.
	slowest = 50 * time.Millisecond
	// judgedAtOnce is how many certificates share a corpus: not more than one
	// goroutine takes, so that the time of the thread is that of the judgement.
	judgedAtOnce = 16
)

// TestLint_mutated damages certificates of every kind in many ways and judges each
// by every check of certificates: none may make the lint fail or take long. It is
// the same on every machine.
//
// A run of ten million: PROBITY_MUTATIONS=10000000 go test -run TestLint_mutated -v
// -timeout 4h ./lint/all. PROBITY_MUTATIONS_STREAM=N damages them in other ways, so
// that it can be done in pieces.
func TestLint_mutated(t *testing.T) {
	total := mutationsInCI
	if raceDetector {
		total = mutationsInRace
	}
	total = numberFromEnv(t, "PROBITY_MUTATIONS", total)
	stream := uint64(numberFromEnv(t, "PROBITY_MUTATIONS_STREAM", 3))
	from := mutationSeeds(t)
	var seed atomic.Uint64
	var workers sync.WaitGroup
	stats := make([]mutationStats, runtime.GOMAXPROCS(0))
	for i := range stats {
		j, m := newMutantJudge(t), &derMutator{from: from}
		workers.Go(func() {
			runtime.LockOSThread() // so that its time is that of the lint
			defer runtime.UnlockOSThread()
			for !t.Failed() {
				at := seed.Add(1)
				left := total - int(at-1)*judgedAtOnce
				if left <= 0 {
					return
				}
				m.r = rand.New(rand.NewPCG(at, stream))
				batch := make([][]byte, min(left, judgedAtOnce))
				for i := range batch {
					batch[i] = m.mutant()
				}
				j.watch(&stats[i], at, batch)
			}
		})
	}
	workers.Wait()
	var sum mutationStats
	for _, s := range stats {
		sum.decoded, sum.negative = sum.decoded+s.decoded, sum.negative+s.negative
		if s.longest > sum.longest {
			sum.longest, sum.culprit = s.longest, s.culprit
		}
	}
	if sum.decoded == 0 || sum.negative == 0 {
		t.Errorf("%d certificates could be decoded, and %d results were negative", sum.decoded, sum.negative)
	}
	t.Logf("%d of %d were decoded in spite of the damage, %d negative results, the longest took %v: %d bytes, %.200x",
		sum.decoded, total, sum.negative, sum.longest, len(sum.culprit), sum.culprit)
}

func numberFromEnv(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// mutationStats are what one worker has seen.
type mutationStats struct {
	decoded, negative int
	longest           time.Duration
	culprit           []byte
}

// watch judges the certificates of a seed and keeps the one that took longest.
func (j *mutantJudge) watch(s *mutationStats, seed uint64, batch [][]byte) {
	took, decoded, negative := j.judge(batch...)
	s.decoded, s.negative = s.decoded+decoded, s.negative+negative
	if took <= s.longest {
		return
	}
	// The batch took longer than any certificate before it: which of them was it?
	for _, der := range batch {
		if took := j.least(der, s.longest); took > s.longest {
			s.longest, s.culprit = took, der
		}
	}
	if s.longest > slowest && !raceDetector {
		j.t.Errorf("seed %d: %v for a certificate of %d bytes: %.400x", seed, s.longest, len(s.culprit), s.culprit)
	}
}

// least is the least time of a few, because the machine may do something else in
// between; it stops at one that is not beyond enough.
func (j *mutantJudge) least(der []byte, enough time.Duration) time.Duration {
	least, _, _ := j.judge(der)
	for range 4 {
		if least <= enough {
			break
		}
		took, _, _ := j.judge(der)
		least = min(least, took)
	}
	return least
}

// mutantJudge judges certificates as an endpoint presents them.
type mutantJudge struct {
	t      testing.TB
	jobs   []lint.Job
	policy *lint.Policy
	above  [][]byte
}

func newMutantJudge(t testing.TB) *mutantJudge {
	t.Helper()
	w := newWorld(t)
	j := &mutantJudge{t: t, policy: w.anchors(), above: [][]byte{w.site.DER, w.root.DER}}
	for _, c := range all.Checks() {
		if c.Certificate != nil {
			j.jobs = append(j.jobs, lint.Job{Check: c})
		}
	}
	return j
}

// judge returns the time it took, how many of the certificates could be decoded and
// how many results were a fail or a warn.
func (j *mutantJudge) judge(ders ...[]byte) (took time.Duration, decoded, negative int) {
	obs := make([]evidence.Observation, len(ders))
	for i, der := range ders {
		obs[i] = evidence.Observation{
			ID: int64(i + 1), Run: 1, Method: evidence.Active, Kind: evidence.KindTLS, Result: evidence.ResultData, At: now,
			Endpoint: evidence.Endpoint{Addr: netip.AddrFrom4([4]byte{10, 1, 0, byte(i)}), Port: 443, Transport: evidence.TCP},
			Certs:    []evidence.Presented{{Role: evidence.RoleServer, DER: der}},
		}
		for at, ca := range append([][]byte{der}, j.above...) { // its own CA, too
			obs[i].Certs = append(obs[i].Certs, evidence.Presented{Role: evidence.RoleServer, Position: at + 1, DER: ca})
		}
	}
	start := threadTime()
	corpus := lint.NewCorpus(obs, nil)
	results, err := lint.Run(corpus, j.jobs, now, j.policy)
	var found []lint.Result
	for _, some := range results {
		found = slices.AppendSeq(found, some)
	}
	took = threadTime() - start
	if err != nil {
		j.t.Error(err)
		return took, 0, 0
	}
	for _, c := range corpus.Certificates() {
		if c.Decoded() {
			decoded++
		}
	}
	for _, r := range found {
		if !slices.Contains(evidence.Outcomes(), r.Outcome) || r.Detail == "" || len(r.Detail) > 1<<10 {
			j.t.Errorf("odd result %+v of %x", r, ders)
		}
		if r.Outcome == evidence.Fail || r.Outcome == evidence.Warn {
			negative++
		}
	}
	return took, decoded - len(j.above), negative
}

// threadTime is the time that this thread has run.
func threadTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// mutationSeeds are the certificates of all cases and of zlint's tests.
func mutationSeeds(t testing.TB) [][]byte {
	t.Helper()
	out := zlintCertificates(t)
	files, err := filepath.Glob(filepath.Join("..", "*", "testdata", "*", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for data := section(archive, "input.pem"); ; {
			var block *pem.Block
			if block, data = pem.Decode(data); block == nil {
				break
			}
			if !slices.ContainsFunc(out, func(der []byte) bool { return bytes.Equal(der, block.Bytes) }) {
				out = append(out, block.Bytes)
			}
		}
	}
	return out
}

// derNode is a DER element. Kids are those of its content, if that is nothing but
// elements, also in a string of octets or bits.
type derNode struct {
	tag    byte
	prefix []byte // of the content, before the kids
	body   []byte
	kids   []*derNode
}

// derNodes reads der, or returns nil if that is not a series of elements.
func derNodes(der []byte, depth int) []*derNode {
	var out []*derNode
	for len(der) > 0 {
		head, length := 2, 0
		if len(der) < 2 {
			return nil
		}
		if length = int(der[1]); length >= 0x80 {
			n := length & 0x7f
			if n == 0 || n > 3 || len(der) < 2+n {
				return nil
			}
			length = 0
			for _, b := range der[2 : 2+n] {
				length = length<<8 | int(b)
			}
			head += n
		}
		if length > len(der)-head {
			return nil
		}
		n := &derNode{tag: der[0], body: der[head : head+length]}
		inner := n.body
		if n.tag == 3 && len(inner) > 0 {
			n.prefix, inner = inner[:1], inner[1:]
		}
		if depth < 20 && (n.tag&0x20 != 0 || n.tag == 3 || n.tag == 4) {
			n.kids = derNodes(inner, depth+1)
		}
		out = append(out, n)
		der = der[head+length:]
	}
	return out
}

// der encodes the element, with lengths that are right.
func (n *derNode) der() []byte {
	body := n.body
	if len(n.kids) > 0 {
		body = slices.Clone(n.prefix)
		for _, k := range n.kids {
			body = append(body, k.der()...)
		}
	}
	out := []byte{n.tag}
	switch l := len(body); {
	case l < 0x80:
		out = append(out, byte(l))
	case l < 1<<8:
		out = append(out, 0x81, byte(l))
	case l < 1<<16:
		out = append(out, 0x82, byte(l>>8), byte(l))
	default:
		out = append(out, 0x83, byte(l>>16), byte(l>>8), byte(l))
	}
	return append(out, body...)
}

// all lists n and everything below it.
func (n *derNode) all() []*derNode {
	out := []*derNode{n}
	for _, k := range n.kids {
		out = append(out, k.all()...)
	}
	return out
}

// derMutator damages certificates, half of them so that the lengths stay right and
// a decoder gets further.
type derMutator struct {
	r    *rand.Rand
	from [][]byte
}

func (m *derMutator) mutant() []byte {
	der := slices.Clone(m.from[m.r.IntN(len(m.from))])
	if m.r.IntN(4) > 0 {
		der = m.restructure(der)
	}
	if m.r.IntN(3) == 0 {
		der = m.damage(der)
	}
	return der
}

// restructure changes elements of the certificate.
func (m *derMutator) restructure(der []byte) []byte {
	nodes := derNodes(der, 0)
	if len(nodes) == 0 {
		return der
	}
	root, r := nodes[0], m.r
	for range 1 + r.IntN(3) {
		every := root.all()
		n := every[r.IntN(len(every))]
		switch r.IntN(9) {
		case 0:
			n.tag = byte(r.Uint32())
		case 1:
			n.kids, n.body = nil, m.odd(n.body)
		case 2: // many times over
			if len(n.kids) > 0 {
				k := n.kids[r.IntN(len(n.kids))]
				for range 1 + r.IntN(1<<r.IntN(9)) {
					n.kids = append(n.kids, k)
				}
			}
		case 3:
			if len(n.kids) > 0 {
				n.kids = slices.Delete(n.kids, 0, 1)
			}
		case 4:
			r.Shuffle(len(n.kids), func(i, j int) { n.kids[i], n.kids[j] = n.kids[j], n.kids[i] })
		case 5, 6: // a part of another certificate
			if other := derNodes(m.from[r.IntN(len(m.from))], 0); len(other) > 0 {
				parts := other[0].all()
				*n = *parts[r.IntN(len(parts))]
			}
		case 7: // deep
			inner := *n
			for range 1 + r.IntN(1<<r.IntN(8)) {
				copied := inner
				inner = derNode{tag: []byte{0x30, 0x31, 0xa0, 0x04}[r.IntN(4)], kids: []*derNode{&copied}}
			}
			*n = inner
		case 8:
			if len(n.body) > 0 && len(n.kids) == 0 {
				n.body = slices.Clone(n.body)
				n.body[r.IntN(len(n.body))] ^= 1 << r.IntN(8)
			}
		}
	}
	if out := root.der(); len(out) < 1<<20 {
		return out
	}
	return der
}

// odd is content that decoders may not expect.
func (m *derMutator) odd(body []byte) []byte {
	n := m.r.IntN(1 << m.r.IntN(14))
	switch m.r.IntN(8) {
	case 0:
		return nil
	case 1:
		return bytes.Repeat([]byte{0xff}, n)
	case 2:
		return bytes.Repeat([]byte{0}, n)
	case 3:
		return append([]byte{0x7f}, bytes.Repeat([]byte{0xff}, n)...)
	case 4:
		return append(bytes.Repeat(body, 1+m.r.IntN(8)), 1)
	case 5:
		return []byte("991231235959Z")
	case 6:
		return []byte("99991231235959Z")
	}
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(m.r.Uint32())
	}
	return out
}

// damage changes bytes wherever they are.
func (m *derMutator) damage(b []byte) []byte {
	r := m.r
	if len(b) == 0 {
		return b
	}
	at := r.IntN(len(b))
	switch r.IntN(6) {
	case 0:
		b[at] ^= 1 << r.IntN(8)
	case 1:
		b[at] = []byte{0, 1, 0x7f, 0x80, 0x81, 0x84, 0xff, 0x30, 0x04}[r.IntN(9)]
	case 2:
		b = b[:at]
	case 3:
		end := min(len(b), at+1+r.IntN(64))
		b = append(b[:at], b[end:]...)
	case 4:
		end := min(len(b), at+1+r.IntN(64))
		b = append(b[:end:end], b[at:]...)
	case 5:
		for i := at; i < min(len(b), at+16); i++ {
			b[i] = byte(r.Uint32())
		}
	}
	return b
}

func TestDERNodes(t *testing.T) {
	for i, der := range mutationSeeds(t) {
		if nodes := derNodes(der, 0); len(nodes) > 0 && !bytes.Equal(nodes[0].der(), der) {
			// A length that is not the shortest is not kept.
			if fmt.Sprintf("%x", der[:2]) == "3082" && len(nodes[0].der()) == len(der) {
				t.Errorf("certificate %d is not the same after reading and writing", i)
			}
		}
	}
}
