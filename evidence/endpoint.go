package evidence

import (
	"cmp"
	"net/netip"
	"strconv"
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
func (e Endpoint) String() string {
	if e.Transport == File {
		return "file/" + e.Name
	}
	s := string(e.Transport) + "/" + e.HostPort()
	if e.Name != "" {
		s += "#" + e.Name
	}
	return s
}

// HostPort returns "192.0.2.1:443" or "[2001:db8::1]:443"; for a file its name.
func (e Endpoint) HostPort() string {
	if e.Transport == File {
		return e.Name
	}
	if e.Port == 0 {
		return e.Addr.String()
	}
	if e.Addr.Is6() {
		return "[" + e.Addr.String() + "]:" + strconv.Itoa(int(e.Port))
	}
	return e.Addr.String() + ":" + strconv.Itoa(int(e.Port))
}

// Compare orders endpoints by address, port, transport and name.
func (e Endpoint) Compare(o Endpoint) int {
	return cmp.Or(e.Addr.Compare(o.Addr), cmp.Compare(e.Port, o.Port),
		cmp.Compare(e.Transport, o.Transport), cmp.Compare(e.Name, o.Name))
}
