package scanner

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"probity/evidence"
	"probity/internal/safetext"
)

// Bounds on what an operator may hand in, so that a wrong file is an error and
// not an exhausted machine.
const (
	maxTargetFile = 4 << 20 // bytes
	maxTargets    = 65536   // lines and arguments together
)

// Target is what the operator asked for, before expansion: an inclusive range
// of addresses (of one address, mostly) or a name, with a port where one was
// given.
type Target struct {
	Text      string             // as the operator gave it
	From, To  netip.Addr         // inclusive; invalid for a name that is not resolved
	Prefix    netip.Prefix       // set when the target was written as a prefix
	Name      string             // DNS name; kept as server name once resolved
	Port      uint16             // 0: every port of the port set
	Transport evidence.Transport // of Port; TCP unless written "udp/"
	Reason    string             // why it is excluded; only in exclusions
	Source    string             // "file:line"; empty for an argument
	Unread    string             // names of the columns of its table that are not read
	Excluded  bool               // a row of a table that says so: never to be touched
	Class     string             // of the device, where a table says it
	Asset     string             // the operator's name of the device; addresses with the same one are one device
	URL       string             // of a service that Prober is to ask there (see [ParseURL]), instead of the port
	Prober    string             // [FHIRProbe] or [SDCProbe]; only with URL
}

// ParseTarget reads one target: an address, a prefix ("192.0.2.0/24"), a range
// ("192.0.2.10-20" or "192.0.2.10-192.0.2.20"), or a name; each but a prefix may
// carry a port ("192.0.2.1:443", "[2001:db8::1]:443") and "udp/" or "tcp/" in
// front. The error says what forms there are.
func ParseTarget(text string) (Target, error) {
	s := strings.TrimSpace(text)
	t := Target{Text: s, Transport: evidence.TCP}
	if strings.Contains(s, "://") {
		return Target{}, targetError(text, errors.New("a URL is not a target; give its host and port"))
	}
	explicit := false
	for _, tr := range []evidence.Transport{evidence.TCP, evidence.UDP} {
		if rest, ok := strings.CutPrefix(s, string(tr)+"/"); ok {
			s, t.Transport, explicit = rest, tr, true
			break
		}
	}
	host, port, err := splitPort(s)
	if err != nil {
		return Target{}, targetError(text, err)
	}
	t.Port = port
	if explicit && port == 0 {
		return Target{}, targetError(text, errors.New("a transport needs a port"))
	}
	if err := t.parseHost(host); err != nil {
		return Target{}, targetError(text, err)
	}
	return t, nil
}

func targetError(text string, err error) error {
	return fmt.Errorf("target %q: %w (want an address, 192.0.2.0/24, 192.0.2.10-20, "+
		"192.0.2.1:443, [2001:db8::1]:443, udp/192.0.2.1:161, a name or @file)", safetext.Clean(text), err)
}

// splitPort takes ":port" off an IPv4 address, a name or a bracketed IPv6
// address. An unbracketed IPv6 address has no port.
func splitPort(s string) (host string, port uint16, err error) {
	switch rest, bracketed := strings.CutPrefix(s, "["); {
	case bracketed:
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			return "", 0, errors.New(`"[" without "]"`)
		}
		host, s = rest[:end], rest[end+1:]
		if s == "" {
			return host, 0, nil
		}
		if s[0] != ':' {
			return "", 0, errors.New(`only ":port" may follow "]"`)
		}
		s = s[1:]
	case strings.Count(s, ":") == 1:
		host, s, _ = strings.Cut(s, ":")
	default:
		return s, 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("port %q is not between 1 and 65535", safetext.Clean(s))
	}
	return host, uint16(n), nil
}

func (t *Target) parseHost(host string) error {
	if host == "" {
		return errors.New("no address")
	}
	if strings.Contains(host, "/") {
		return t.parsePrefix(host)
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" && !addr.IsLinkLocalUnicast() {
			return errors.New("only a link-local address has a zone")
		}
		t.From, t.To = addr.Unmap(), addr.Unmap()
		return nil
	}
	from, to, isRange := strings.Cut(host, "-")
	if lo, err := netip.ParseAddr(from); isRange && err == nil {
		return t.parseRange(lo.Unmap(), to)
	}
	if err := checkName(host); err != nil {
		return err
	}
	t.Name = strings.ToLower(strings.TrimSuffix(host, "."))
	return nil
}

func (t *Target) parsePrefix(host string) error {
	p, err := netip.ParsePrefix(host)
	if err != nil {
		return errors.New("not a prefix")
	}
	if t.Port != 0 {
		return errors.New("a prefix has no port; give the ports apart")
	}
	if p.Addr().Is4In6() {
		return errors.New("write an IPv4-mapped prefix in its IPv4 form")
	}
	if p != p.Masked() {
		return fmt.Errorf("host bits are set; did you mean %s", p.Masked())
	}
	t.Prefix, t.From, t.To = p, p.Addr(), lastOf(p)
	return nil
}

func (t *Target) parseRange(lo netip.Addr, to string) error {
	hi, err := netip.ParseAddr(to)
	if err != nil {
		n, nerr := strconv.ParseUint(to, 10, 8)
		if nerr != nil || !lo.Is4() {
			return fmt.Errorf("end of range %q is neither an address nor a last octet", safetext.Clean(to))
		}
		b := lo.As4()
		b[3] = byte(n)
		hi = netip.AddrFrom4(b)
	}
	hi = hi.Unmap()
	if lo.BitLen() != hi.BitLen() || lo.Zone() != "" || hi.Zone() != "" {
		return errors.New("a range needs two addresses of one family without zones")
	}
	if hi.Less(lo) {
		return errors.New("the range ends before it begins")
	}
	t.From, t.To = lo, hi
	return nil
}

// lastOf returns the highest address of p.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(b)*8; bit++ {
		b[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// checkName accepts the letters, digits, hyphens and dots of RFC 1123 section
// 2.1 and the underscore that is found in practice. A name of digits and dots
// only is a mistyped address.
func checkName(s string) error {
	if len(s) > 253 {
		return errors.New("name is longer than 253 bytes")
	}
	letter := false
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return errors.New("not an address, and no valid name")
		}
		for _, r := range label {
			switch {
			case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z':
				letter = true
			case r >= '0' && r <= '9', r == '-', r == '_':
			default:
				return errors.New("not an address, and no valid name")
			}
		}
	}
	if !letter {
		return errors.New("not a valid address")
	}
	return nil
}

// LoadTargets parses arguments; one that begins with "@" names a file with one
// target a line (see [ReadTargets]).
func LoadTargets(args []string) ([]Target, error) {
	var out []Target
	for _, arg := range args {
		if name, isFile := strings.CutPrefix(arg, "@"); isFile {
			ts, err := loadFile(name)
			if err != nil {
				return nil, err
			}
			out = append(out, ts...)
		} else {
			t, err := ParseTarget(arg)
			if err != nil {
				return nil, err
			}
			out = append(out, t)
		}
		if len(out) > maxTargets {
			return nil, fmt.Errorf("more than %d targets; give ranges or split the scan", maxTargets)
		}
	}
	return out, nil
}

func loadFile(name string) ([]Target, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read targets: %w", err)
	}
	defer f.Close() //nolint:errcheck // opened for reading
	return ReadTargets(f, name)
}

// ReadTargets reads one target a line, or a table. Empty lines and lines that
// begin with "#" are skipped; "# text" behind a target becomes its Reason.
//
// A table (CSV with comma, semicolon or tab) begins with a header in which one
// column is called address; others may be port, transport, name (the server
// name), reason, class, asset (addresses with the same
// value are one device), and exclude: a row with "yes" or a reason there is an
// exclusion. Other columns are not read, and [Target.Unread] names them; a name that is
// one slip away from one of these is an error. Errors name file and line. At most 4 MiB and 65,536 targets are
// read.
func ReadTargets(r io.Reader, name string) ([]Target, error) {
	return readLines(r, name, func(text string) (Target, error) { return ParseTarget(text) })
}

// readLines reads a table, or lines by parse.
func readLines(r io.Reader, name string, parse func(string) (Target, error)) ([]Target, error) {
	limited := &io.LimitedReader{R: r, N: maxTargetFile + 1}
	in := bufio.NewReader(limited)
	out, err := readLinesOf(in, name, parse)
	if err == nil && limited.N == 0 {
		return nil, fmt.Errorf("%s: more than %d MiB; split the file", name, maxTargetFile>>20)
	}
	return out, err
}

func readLinesOf(in *bufio.Reader, name string, parse func(string) (Target, error)) ([]Target, error) {
	var out []Target
	for line, first := 1, true; ; line++ {
		raw, end := in.ReadString('\n')
		last := errors.Is(end, io.EOF)
		if end != nil && !last {
			return nil, fmt.Errorf("%s:%d: %w", name, line, end)
		}
		if strings.ContainsRune(raw, 0) {
			return nil, fmt.Errorf("%s:%d: is this a text file with one target a line?", name, line)
		}
		text, reason, _ := strings.Cut(strings.TrimPrefix(raw, "\ufeff"), "#")
		if text = strings.TrimSpace(text); text != "" {
			if first {
				h, ok, err := parseHeader(text)
				if err != nil {
					return nil, fmt.Errorf("%s:%d: %w", name, line, err)
				}
				if ok {
					return readTable(in, h, name, line)
				}
			}
			t, err := parse(text)
			if err != nil && first && strings.ContainsAny(text, "\t;,") {
				err = fmt.Errorf("%q is neither a target nor the header of a table: give one target a line, or call a column address", safetext.Clean(text))
			}
			first = false
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %w", name, line, err)
			}
			t.Reason = cmp.Or(t.Reason, safetext.Clean(strings.TrimSpace(reason)))
			t.Source = fmt.Sprintf("%s:%d", name, line)
			if out = append(out, t); len(out) > maxTargets {
				return nil, fmt.Errorf("%s:%d: more than %d targets; give ranges or split the file", name, line, maxTargets)
			}
		}
		if last {
			return out, nil
		}
	}
}

// Resolver looks names up; [net.Resolver] is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// maxAddressesOfName bounds what one name may add to a plan.
const maxAddressesOfName = 16

// Resolve replaces every name by its addresses, which keep the name as server
// name. A nil resolver refuses names: a name server decides then what is
// scanned, so the operator has to ask for it.
func Resolve(ctx context.Context, targets []Target, r Resolver) ([]Target, error) {
	out := make([]Target, 0, len(targets))
	for _, t := range targets {
		if t.From.IsValid() {
			out = append(out, t)
			continue
		}
		if r == nil {
			return nil, fmt.Errorf("target %q is a name, which is not looked up unless asked; give its address or --resolve", t.Text)
		}
		addrs, err := r.LookupNetIP(ctx, "ip", t.Name)
		if err != nil {
			return nil, fmt.Errorf("resolve target %q: %w", t.Text, err)
		}
		if len(addrs) > maxAddressesOfName {
			return nil, fmt.Errorf("target %q has %d addresses, more than %d; give the addresses meant", t.Text, len(addrs), maxAddressesOfName)
		}
		for _, a := range addrs {
			resolved := t
			resolved.From, resolved.To = a.Unmap(), a.Unmap()
			out = append(out, resolved)
		}
	}
	return out, nil
}
