package scanner

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"probity/evidence"
	"probity/internal/safetext"
)

//go:embed data/ports.tsv
var portData []byte

// Action is the most that may be sent to a port.
type Action string

// The actions.
const (
	ActionTLS     Action = "tls"      // TLS hellos; another prober only if the peer itself answered in its protocol
	ActionTLSOnly Action = "tls-only" // TLS hellos and nothing else: the listener must not see its own protocol
	ActionDICOM   Action = "dicom"    // TLS first; one association request if the peer does not speak TLS
	ActionSSH     Action = "ssh"
	ActionSNMP    Action = "snmp"
	ActionNever   Action = "never" // no connection at all
)

// Port is a port that a scan knows.
type Port struct {
	Number    uint16
	Transport evidence.Transport
	Action    Action
	Service   string
	Profiles  []string
	Source    string // where the meaning is documented
	Note      string // why nothing may be sent
}

// maxPorts bounds a port set.
const maxPorts = 4096

// Ports is the table of known ports.
type Ports struct {
	known    []Port
	profiles []string
	lab      bool
}

// LoadPorts reads the embedded table of known ports.
func LoadPorts() (*Ports, error) {
	r := csv.NewReader(bytes.NewReader(portData))
	r.Comma, r.Comment, r.LazyQuotes, r.FieldsPerRecord = '\t', '#', true, 7
	p := &Ports{}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			slices.Sort(p.profiles)
			p.profiles = slices.Compact(p.profiles)
			return p, nil
		}
		if err != nil {
			return nil, fmt.Errorf("port table: %w", err)
		}
		n, err := strconv.ParseUint(row[0], 10, 16)
		if err != nil {
			return nil, fmt.Errorf("port table: port %q: %w", row[0], err)
		}
		known := Port{
			Number: uint16(n), Transport: evidence.Transport(row[1]), Action: Action(row[2]),
			Service: row[3], Source: row[5], Note: row[6],
		}
		if row[4] != "" {
			known.Profiles = strings.Split(row[4], ",")
			p.profiles = append(p.profiles, known.Profiles...)
		}
		p.known = append(p.known, known)
	}
}

// Lab returns the table for devices that treat nobody: it also allows the actions
// that are for a lab only.
func (p *Ports) Lab() *Ports { return &Ports{known: p.known, profiles: p.profiles, lab: true} }

// allowed returns a port of the table with what may be sent to it here.
func (p *Ports) allowed(k Port) Port {
	switch {
	case !k.Action.labOnly():
	case p.lab:
		k.Note = ""
	default:
		k.Action = ActionNever
	}
	return k
}

// Profiles lists the names of the port sets.
func (p *Ports) Profiles() []string { return slices.Clone(p.profiles) }

// Lookup returns what is known of a port. An unknown TCP port gets TLS hellos.
// An unknown UDP port is in no port set; an operator who names it gets the one
// datagram that the probers have for UDP.
func (p *Ports) Lookup(transport evidence.Transport, number uint16) Port {
	for _, k := range p.known {
		if k.Number == number && k.Transport == transport {
			return p.allowed(k)
		}
	}
	unknown := Port{Number: number, Transport: transport, Action: ActionTLS}
	if transport == evidence.UDP {
		unknown.Action = ActionSNMP
	}
	return unknown
}

// Select reads a port set: names of profiles, ports, ranges ("8000-8010"),
// "udp/161" and "dtls/14433", which is a port that is taken for one of a service of
// the table, separated by commas. A port that must not see its own protocol, or
// nothing at all, keeps its own entry. The result is sorted by transport and number.
func (p *Ports) Select(spec string) ([]Port, error) {
	var out []Port
	for item := range strings.SplitSeq(spec, ",") {
		item = strings.TrimSpace(item)
		if slices.Contains(p.profiles, item) {
			for _, k := range p.known {
				if slices.Contains(k.Profiles, item) {
					out = append(out, p.allowed(k))
				}
			}
			continue
		}
		like, item := p.service(item)
		lo, hi, transport, err := parsePortRange(item)
		if err != nil {
			return nil, fmt.Errorf("ports %q: %w (want numbers, ranges, udp/161, a service of the table as in dtls/14433, or one of %s)",
				safetext.Clean(item), err, strings.Join(p.profiles, ", "))
		}
		if like != nil {
			transport = like.Transport
		}
		if hi-lo+len(out) >= maxPorts {
			return nil, fmt.Errorf("ports %q: more than %d ports; split the scan", safetext.Clean(spec), maxPorts)
		}
		for n := lo; n <= hi; n++ {
			out = append(out, p.taken(like, p.Lookup(transport, uint16(n))))
		}
	}
	slices.SortFunc(out, comparePorts)
	return slices.CompactFunc(out, func(a, b Port) bool { return comparePorts(a, b) == 0 }), nil
}

// service returns the entry of the service that an item of a port set names, and
// the rest of the item.
func (p *Ports) service(item string) (*Port, string) {
	name, rest, found := strings.Cut(item, "/")
	for i, k := range p.known {
		if found && k.Service == name && k.Action != ActionNever {
			return &p.known[i], rest
		}
	}
	return nil, item
}

// taken returns a port as one of another service. What is never touched, or only
// by hellos, stays so.
func (p *Ports) taken(like *Port, own Port) Port {
	if like == nil || own.Action == ActionNever || own.Action == ActionTLSOnly {
		return own
	}
	return p.allowed(Port{
		Number: own.Number, Transport: like.Transport, Action: like.Action, Service: like.Service,
		Source: like.Source, Note: like.Note,
	})
}

func comparePorts(a, b Port) int {
	if c := strings.Compare(string(a.Transport), string(b.Transport)); c != 0 {
		return c
	}
	return int(a.Number) - int(b.Number)
}

func parsePortRange(s string) (lo, hi int, transport evidence.Transport, err error) {
	transport = evidence.TCP
	for _, tr := range []evidence.Transport{evidence.TCP, evidence.UDP} {
		if rest, ok := strings.CutPrefix(s, string(tr)+"/"); ok {
			s, transport = rest, tr
			break
		}
	}
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	l, err1 := strconv.ParseUint(from, 10, 16)
	h, err2 := strconv.ParseUint(to, 10, 16)
	switch {
	case err1 != nil || err2 != nil || l == 0:
		return 0, 0, "", errors.New("neither a port set nor a port between 1 and 65535")
	case h < l:
		return 0, 0, "", errors.New("the range ends before it begins")
	}
	return int(l), int(h), transport, nil
}
