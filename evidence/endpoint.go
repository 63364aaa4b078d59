package evidence

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"
)

// Transport is the layer-4 protocol of an endpoint.
type Transport string

// The transports. A file has no address; its endpoint carries the name only.
const (
	TCP  Transport = "tcp"
	UDP  Transport = "udp"
	File Transport = "file"
	Link Transport = "link" // below IP, such as ARP and LLDP; no port
)

// Endpoint is a place at which a device was observed: address, transport, port
// and, where one was used, the TLS server name. For [File] the Name is the path
// that the operator gave and Addr is the zero value.
type Endpoint struct {
	Addr      netip.Addr `json:"addr,omitzero"`
	Port      uint16     `json:"port,omitzero"`
	Transport Transport  `json:"transport"`
	Name      string     `json:"name,omitzero"`
}

// String returns "tcp/192.0.2.1:443", with "#name" appended when a server name
// was used, or "file/path".
func (e Endpoint) String() string { return string(e.appendText(nil)) }

func (e Endpoint) appendText(b []byte) []byte {
	if e.Transport == File {
		return append(append(b, "file/"...), e.Name...)
	}
	b = append(append(b, e.Transport...), '/')
	b = e.appendHostPort(b)
	if e.Name != "" {
		b = append(append(b, '#'), e.Name...)
	}
	return b
}

// The text around the hosts in the name of a file's line, see [KnownHost].
const (
	hostBegin = " (host "
	hostEnd   = ")"
	// maxHosts is how many bytes of hosts a name has.
	maxHosts = 200
)

// KnownHost returns the endpoint of a line of a known_hosts file (sshd(8)), which gives
// an SSH key to hosts: a comma-separated list of names and addresses, which may be hashed.
func KnownHost(file, hosts string) Endpoint {
	return Endpoint{Transport: File, Name: file + hostBegin + hosts[:min(len(hosts), maxHosts)] + hostEnd}
}

// Hosts returns the hosts of an endpoint that [KnownHost] made; otherwise none.
func (e Endpoint) Hosts() []string {
	at := strings.LastIndex(e.Name, hostBegin)
	if e.Transport != File || at < 0 || !strings.HasSuffix(e.Name, hostEnd) {
		return nil
	}
	return strings.Split(strings.TrimSuffix(e.Name[at+len(hostBegin):], hostEnd), ",")
}

// HostPort returns "192.0.2.1:443" or "[2001:db8::1]:443"; for a file its name.
func (e Endpoint) HostPort() string {
	if e.Transport == File {
		return e.Name
	}
	return string(e.appendHostPort(nil))
}

func (e Endpoint) appendHostPort(b []byte) []byte {
	if !e.Addr.IsValid() {
		b = append(b, e.Addr.String()...) // which AppendTo leaves out
	} else if e.Port == 0 || !e.Addr.Is6() {
		b = e.Addr.AppendTo(b)
	} else {
		b = append(e.Addr.AppendTo(append(b, '[')), ']')
	}
	if e.Port == 0 {
		return b
	}
	return strconv.AppendUint(append(b, ':'), uint64(e.Port), 10)
}

// Compare orders endpoints by address, port, transport and name.
func (e Endpoint) Compare(o Endpoint) int {
	return cmp.Or(e.Addr.Compare(o.Addr), cmp.Compare(e.Port, o.Port),
		cmp.Compare(e.Transport, o.Transport), cmp.Compare(e.Name, o.Name))
}
