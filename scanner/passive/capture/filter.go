package capture

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/bpf"
)

// errNoLibpcap says that this program was built without libpcap.
var errNoLibpcap = errors.New("libpcap is not built in")

// maxWords bounds a filter, so that its program fits the kernel.
const maxWords = 200

// Filter says which packets of an interface are wanted. It looks at the outer
// headers only: what a tunnel carries is not seen, nor are the ports of later
// fragments.
type Filter struct {
	root     node
	compiled []bpf.RawInstruction // by libpcap, in the place of root
}

// node is a part of a filter: a test, or others joined.
type node struct {
	op       string // and, or, not; host, net, port, vlan, tcp, udp
	parts    []node
	prefix   netip.Prefix
	port     uint16
	vlan     uint16
	anyValue bool // vlan without number
}

// ParseFilter reads an expression of the words
//
//	host ADDRESS   net PREFIX   port NUMBER   vlan [NUMBER]   tcp   udp
//	tcp port NUMBER   udp port NUMBER
//
// joined by "and", "or", "not" and parentheses. "not" binds more closely than
// "and", and that more closely than "or". The address, network or port may be
// that of either side. A program built with the tag pcap gives what is no such
// expression to libpcap.
func ParseFilter(text string) (*Filter, error) {
	words := strings.Fields(strings.NewReplacer("(", " ( ", ")", " ) ").Replace(text))
	if len(words) > maxWords {
		return nil, fmt.Errorf("filter has %d words, more than %d", len(words), maxWords)
	}
	p := &filterParser{words: words}
	root, err := p.alternatives()
	if err == nil && len(p.words) > 0 {
		err = fmt.Errorf("%q is out of place", p.words[0])
	}
	if err != nil {
		switch program, perr := compileExpression(text); {
		case perr == nil:
			return &Filter{compiled: program}, nil
		case !errors.Is(perr, errNoLibpcap):
			return nil, fmt.Errorf("filter %q: %w; %w", text, err, perr)
		}
		return nil, fmt.Errorf("filter %q: %w; the words are host, net, port, vlan, tcp, udp, and, or, not, ( ); a program built with libpcap takes more (make pcap)", text, err)
	}
	return &Filter{root: root}, nil
}

type filterParser struct{ words []string }

// take removes the next word if it is one of want.
func (p *filterParser) take(want string) bool {
	if len(p.words) == 0 || p.words[0] != want {
		return false
	}
	p.words = p.words[1:]
	return true
}

func (p *filterParser) alternatives() (node, error) { return p.joined("or", p.conjunction) }

func (p *filterParser) conjunction() (node, error) { return p.joined("and", p.negation) }

func (p *filterParser) joined(op string, part func() (node, error)) (node, error) {
	n, err := part()
	if err != nil {
		return n, err
	}
	n = node{op: op, parts: []node{n}}
	for p.take(op) {
		next, err := part()
		if err != nil {
			return n, err
		}
		n.parts = append(n.parts, next)
	}
	return n, nil
}

func (p *filterParser) negation() (node, error) {
	if p.take("not") {
		n, err := p.negation()
		return node{op: "not", parts: []node{n}}, err
	}
	if p.take("(") {
		n, err := p.alternatives()
		if err == nil && !p.take(")") {
			err = fmt.Errorf("a parenthesis is not closed")
		}
		return n, err
	}
	return p.test()
}

// test reads one test with its value.
func (p *filterParser) test() (node, error) {
	if len(p.words) == 0 {
		return node{}, fmt.Errorf("it ends where a test should be")
	}
	n := node{op: p.words[0]}
	p.words = p.words[1:]
	value := ""
	if len(p.words) > 0 {
		value = p.words[0]
	}
	switch n.op {
	case "tcp", "udp":
		if value != "port" {
			return n, nil
		}
		port, err := p.test() // as everybody is used to write it
		return node{op: "and", parts: []node{n, port}}, err
	case "vlan":
		if value == "" || strings.Trim(value, "0123456789") != "" { // the next word
			n.anyValue = true
			return n, nil
		}
		id, err := strconv.ParseUint(value, 10, 16)
		if err != nil || id > 4095 {
			return n, fmt.Errorf("VLAN %s is more than 4095", value)
		}
		n.vlan = uint16(id)
	case "port":
		port, err := strconv.ParseUint(value, 10, 16)
		if err != nil {
			return n, fmt.Errorf("%q is no port", value)
		}
		n.port = uint16(port)
	case "host":
		addr, err := netip.ParseAddr(value)
		if err != nil || addr.Zone() != "" {
			return n, fmt.Errorf("%q is no IP address", value)
		}
		n.prefix = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
	case "net":
		prefix, err := netip.ParsePrefix(value)
		if err != nil {
			return n, fmt.Errorf("%q is no network such as 192.0.2.0/24", value)
		}
		n.prefix = prefix.Masked()
	default:
		return n, fmt.Errorf("%q is unknown", n.op)
	}
	p.words = p.words[1:]
	return n, nil
}
