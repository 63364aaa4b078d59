package passive

import (
	"fmt"
	"hash/maphash"
	"math/bits"
	"net/netip"
	"time"

	"probity/evidence"
	"probity/internal/wire/idwire"
)

// UDP ports of the protocols in which devices tell of themselves (IANA "Service
// Name and Transport Protocol Port Number Registry"). UDP has no beginning that
// tells a protocol, so that here the port decides what is tried.
const (
	portDHCPServer   = 67
	portDHCPClient   = 68
	portTFTP         = 69
	portNTP          = 123
	portNBNS         = 137
	portSNMP         = 161
	portDHCPv6Client = 546
	portDHCPv6Server = 547
	portSSDP         = 1900
	portGEUnity      = 2000 // of GE: not registered
	portWSDiscovery  = 3702
	portMDNS         = 5353
	portGEPresence   = 7000  // of GE: not registered
	portIntelliVue   = 24005 // of Philips: not registered
	portBACnet       = 47808
)

// recentSlots is how many messages are remembered to pass over those that say
// the same again, which is what most announcements do.
const recentSlots = 4096

// recent remembers messages by a hash. A slot is overwritten by the next message
// that falls into it.
type recent struct {
	seed  maphash.Seed
	slots [recentSlots]uint64
}

func newRecent() *recent { return &recent{seed: maphash.MakeSeed()} }

// known reports whether the same sender said the same not long ago, and
// remembers it.
func (r *recent) known(from netip.Addr, b []byte) bool {
	// A maphash.Hash would keep a copy of the bytes.
	sum := bits.RotateLeft64(maphash.Bytes(r.seed, b), 1) ^ maphash.Comparable(r.seed, from)
	slot := &r.slots[sum%recentSlots]
	if *slot == sum {
		return true
	}
	*slot = sum
	return false
}

// announce takes a datagram of a protocol that is known by its port.
func (r *reader) announce(s *segment, at time.Time) {
	from, to := s.src.Port(), s.dst.Port()
	var f evidence.IdentityFacts
	var ok bool
	port, addr, b := uint16(0), s.src.Addr(), s.payload
	is := func(p uint16, match bool) bool {
		if !match || r.recent.known(addr, b) {
			return false
		}
		port = p
		return true
	}
	switch {
	case is(portDHCPClient, to == portDHCPServer && from != portDHCPServer):
		var wanted netip.Addr
		if f, wanted, ok = idwire.DHCP(b); wanted.IsValid() {
			addr = wanted
		}
	case is(portDHCPv6Client, to == portDHCPv6Server && from != portDHCPv6Server):
		f, ok = idwire.DHCPv6(b)
	case is(portMDNS, from == portMDNS):
		f, ok = idwire.MDNS(b)
	case from == portNTP || to == portNTP:
		r.ntp(s, at)
		return
	case is(portNBNS, from == portNBNS && to == portNBNS):
		f, ok = idwire.NBNS(b)
	case is(portSSDP, to == portSSDP || from == portSSDP):
		f, ok = idwire.SSDP(b)
	case is(portWSDiscovery, to == portWSDiscovery || from == portWSDiscovery):
		f, ok = idwire.WSDiscovery(b)
	case is(portIntelliVue, to == portIntelliVue):
		f, ok = idwire.IntelliVue(b)
	case is(portGEUnity, to == portGEUnity):
		f, ok = idwire.GEUnity(b, addr)
	case is(portGEPresence, to == portGEPresence):
		f, ok = idwire.GEUnityPresence(b, addr)
	case is(portBACnet, from == portBACnet):
		// BACnet virtual link control for IP (ASHRAE 135 annex J).
		f.Protocol, ok = "bacnet", len(b) >= 4 && b[0] == 0x81 && int(b[2])<<8|int(b[3]) == len(b)
	case is(portTFTP, to == portTFTP):
		// A read or write request (RFC 1350). Its file name stays out.
		f.Protocol, ok = "tftp", len(b) >= 4 && b[0] == 0 && (b[1] == 1 || b[1] == 2)
		addr = s.dst.Addr()
	case is(from, from == portSNMP || len(b) > 2 && b[0] == 0x30): // an answer says that it is one
		r.snmp(b, evidence.Endpoint{Addr: addr, Port: from, Transport: evidence.UDP}, at)
		return
	}
	e := evidence.Endpoint{Addr: addr, Port: port, Transport: evidence.UDP}
	if f.MAC != "" && addr.IsUnspecified() { // a client of DHCP that has no address yet
		e = evidence.Endpoint{Transport: evidence.Link, Name: f.MAC}
	}
	if ok {
		r.identity(f, e, at)
	}
}

// ntp takes a packet of NTP: what its sender takes for the time. Every packet says
// something else, so that one an hour is read of each sender.
func (r *reader) ntp(s *segment, at time.Time) {
	f, ok := idwire.NTP(s.payload, at)
	if !ok || r.recent.known(s.src.Addr(), fmt.Append(nil, "ntp ", f.Sender, at.Unix()/3600)) {
		return
	}
	e := evidence.Endpoint{Addr: s.src.Addr(), Transport: evidence.UDP}
	if f.Sender == evidence.RoleServer {
		e.Port = portNTP
	}
	f.Clock.Seen = at.UTC()
	r.identity(f, e, at)
}

// snmp takes the answer of an agent. A message of version 3 does not tell answer
// from question, so that there the port must.
func (r *reader) snmp(b []byte, e evidence.Endpoint, at time.Time) {
	f, engine, ok := idwire.SNMP(b)
	switch {
	case !ok || engine != nil && e.Port != portSNMP:
	case engine != nil:
		// The clock of an engine is in every answer of it: once a boot is enough.
		if !r.recent.known(e.Addr, append([]byte{byte(engine.EngineBoots), byte(engine.EngineBoots >> 8)}, engine.EngineID...)) {
			r.say(evidence.Observation{Kind: evidence.KindSNMP, Facts: evidence.Facts{SNMP: engine}}, e, at)
		}
	default:
		r.identity(f, e, at)
	}
}

// link takes a message below UDP and TCP: who has which address.
func (r *reader) link(s *segment, at time.Time) {
	var f evidence.IdentityFacts
	var addr netip.Addr
	var ok bool
	switch s.kind {
	case carriesARP:
		f, addr, ok = idwire.ARP(s.payload)
	case carriesICMPv6:
		f, addr, ok = idwire.ND(s.payload, s.src.Addr(), s.hops)
	case carriesLLDP:
		f, addr, ok = idwire.LLDP(s.payload)
	case carriesCDP:
		f, addr, ok = idwire.CDP(s.payload)
	case carriesTCP, carriesUDP:
	}
	if !ok || r.recent.known(addr, []byte(f.Protocol+f.MAC+f.Description)) {
		return
	}
	e := evidence.Endpoint{Addr: addr.Unmap(), Transport: evidence.Link}
	if !addr.IsValid() {
		e.Name = f.MAC // a device that told no address
	}
	r.identity(f, e, at)
}

// identity records what a device said of itself.
func (r *reader) identity(f evidence.IdentityFacts, e evidence.Endpoint, at time.Time) {
	if e.Transport != evidence.Link && (!e.Addr.IsValid() || e.Addr.IsUnspecified() || e.Addr.IsMulticast()) {
		return
	}
	r.say(evidence.Observation{Kind: evidence.KindIdentity, Facts: evidence.Facts{Identity: &f}}, e, at)
}

func (r *reader) say(o evidence.Observation, e evidence.Endpoint, at time.Time) {
	o.Method, o.Result, o.Endpoint, o.At = evidence.Passive, evidence.ResultData, e, at
	r.emit(emission{list: []evidence.Observation{o}, packets: r.stats.Packets})
}
