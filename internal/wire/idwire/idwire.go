// Package idwire reads what devices say of themselves to everyone: ARP and
// neighbour discovery, DHCP, LLDP and CDP, mDNS, NetBIOS names, SSDP, SNMP system
// descriptions, WS-Discovery, and the first message of POCT1-A and LIS2.
//
// Every parser hands on allow-listed fields only, as sanitised text. Names that
// people give to services, locations, contacts, paths, communities, payloads and
// whatever else a message holds are never returned, nor copied: what may stay in
// memory is what is handed on. The package does no I/O and judges nothing.
//
// Invariant: every length comes from an adversary. No parser panics or reads on
// beyond its bounds; a damaged message gives what was read before the damage, or
// nothing.
package idwire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/safetext"
)

// Bounds of what one message gives.
const (
	maxNames  = 16
	maxTypes  = 32
	maxPlaces = 8
	maxText   = 256
)

// text sanitises a field.
func text(b []byte) string {
	return safetext.CleanN(strings.TrimSpace(strings.Trim(string(b), "\x00")), maxText)
}

// add appends s to list, once, up to limit values.
func add(list []string, limit int, s string) []string {
	if s == "" || len(list) >= limit || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// mac is the text form of a unicast EUI-48; "" for all others.
func mac(b []byte) string {
	if len(b) != 6 || b[0]&1 != 0 || [6]byte(b) == [6]byte{} {
		return ""
	}
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5])
}

// hostname returns the first label of a name that can be one; "" for all others.
func hostname(b []byte) string {
	b = bytes.TrimSuffix(bytes.TrimSuffix(bytes.TrimSpace(b), []byte(".")), []byte(".local"))
	if len(b) > 253 || len(b) == 0 {
		return ""
	}
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '.' && c != '_' {
			return ""
		}
	}
	return string(b)
}

// ARP reads an ARP packet for Ethernet and IPv4 (RFC 826) and returns what its
// sender says of itself.
func ARP(b []byte) (evidence.IdentityFacts, netip.Addr, bool) {
	const size = 28
	if len(b) < size || string(b[:6]) != "\x00\x01\x08\x00\x06\x04" || b[6] != 0 || b[7] != 1 && b[7] != 2 {
		return evidence.IdentityFacts{}, netip.Addr{}, false
	}
	addr, m := netip.AddrFrom4([4]byte(b[14:18])), mac(b[8:14])
	return evidence.IdentityFacts{Protocol: "arp", MAC: m}, addr, m != "" && addr.IsGlobalUnicast() || m != "" && addr.IsLinkLocalUnicast()
}

// ND reads a neighbour solicitation, neighbour advertisement or router
// advertisement (RFC 4861 section 4) from source. The hop limit must be 255: it
// shows that no router passed the message on.
func ND(b []byte, source netip.Addr, hops uint8) (evidence.IdentityFacts, netip.Addr, bool) {
	const routerAdvertisement, solicitation, advertisement = 134, 135, 136
	const sourceLink, targetLink = 1, 2
	none := evidence.IdentityFacts{}
	if hops != 255 || len(b) < 16 || b[1] != 0 {
		return none, netip.Addr{}, false
	}
	addr, want, at := source, byte(sourceLink), 24
	switch b[0] {
	case routerAdvertisement:
		at = 16
	case solicitation:
	case advertisement:
		if len(b) < at {
			return none, netip.Addr{}, false
		}
		addr, want = netip.AddrFrom16([16]byte(b[8:24])), targetLink
	default:
		return none, netip.Addr{}, false
	}
	for at+8 <= len(b) {
		size := int(b[at+1]) * 8
		if size == 0 || at+size > len(b) {
			break
		}
		if b[at] == want && size == 8 {
			m := mac(b[at+2 : at+8])
			return evidence.IdentityFacts{Protocol: "nd", MAC: m}, addr, m != "" && (addr.IsGlobalUnicast() || addr.IsLinkLocalUnicast())
		}
		at += size
	}
	return none, netip.Addr{}, false
}

// DHCP reads a message of a DHCPv4 client (RFC 2131, RFC 2132) and returns the
// address that it has or asks for; the zero address if neither.
func DHCP(b []byte) (evidence.IdentityFacts, netip.Addr, bool) {
	const options, request = 240, 1
	f := evidence.IdentityFacts{Protocol: "dhcp"}
	if len(b) < options || b[0] != request || b[1] != 1 || b[2] != 6 || string(b[236:options]) != "\x63\x82\x53\x63" {
		return f, netip.Addr{}, false
	}
	f.MAC = mac(b[28:34])
	var addr netip.Addr
	if a := netip.AddrFrom4([4]byte(b[12:16])); a.IsGlobalUnicast() {
		addr = a
	}
	for b = b[options:]; len(b) >= 2 && b[0] != 255; {
		if b[0] == 0 {
			b = b[1:]
			continue
		}
		n := int(b[1])
		if n > len(b)-2 {
			break
		}
		v := b[2 : 2+n]
		switch b[0] {
		case 12:
			f.Hostnames = add(f.Hostnames, maxNames, hostname(v))
		case 50:
			if a, ok := netip.AddrFromSlice(v); ok && a.Is4() && a.IsGlobalUnicast() && !addr.IsValid() {
				addr = a
			}
		case 55:
			f.Parameters = nil
			for _, p := range v {
				f.Parameters = append(f.Parameters, int(p))
			}
		case 60:
			f.VendorClass = text(v)
		case 61:
			f.ClientID = slices.Clone(v)
		}
		b = b[2+n:]
	}
	return f, addr, true
}

// DHCPv6 reads a message of a DHCPv6 client (RFC 8415): its identifier, name
// (RFC 4704) and vendor class.
func DHCPv6(b []byte) (evidence.IdentityFacts, bool) {
	const header, clientID, vendorClass, fqdn = 4, 1, 16, 39
	f := evidence.IdentityFacts{Protocol: "dhcpv6"}
	if len(b) < header || !slices.Contains([]byte{1, 3, 4, 5, 6, 8, 9, 11}, b[0]) {
		return f, false
	}
	for b = b[header:]; len(b) >= 4; {
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n > len(b)-4 {
			break
		}
		v := b[4 : 4+n]
		switch binary.BigEndian.Uint16(b) {
		case clientID:
			if n <= 130 { // RFC 8415 section 11.1
				f.ClientID = slices.Clone(v)
			}
		case vendorClass:
			if n > 6 {
				f.VendorClass = text(v[6:])
			}
		case fqdn:
			if n > 1 {
				name := labels(v[1:])
				f.Hostnames = add(f.Hostnames, maxNames, hostname(name))
				clear(name)
			}
		}
		b = b[4+n:]
	}
	return f, len(f.ClientID) > 0
}

// labels reads an uncompressed DNS name.
func labels(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for len(b) > 0 && b[0] > 0 && int(b[0]) < len(b) && b[0] < 64 {
		if len(out) > 0 {
			out = append(out, '.')
		}
		out = append(out, b[1:1+b[0]]...)
		b = b[1+b[0]:]
	}
	return out
}

// LLDP reads an LLDPDU (IEEE 802.1AB clause 8, ANSI/TIA-1057 for the inventory)
// and returns the first management address in it.
func LLDP(b []byte) (evidence.IdentityFacts, netip.Addr, bool) {
	f := evidence.IdentityFacts{Protocol: "lldp"}
	var addr netip.Addr
	for first := true; len(b) >= 2; first = false {
		kind, n := b[0]>>1, int(b[0]&1)<<8|int(b[1])
		if n > len(b)-2 || first && kind != 1 {
			break
		}
		v := b[2 : 2+n]
		b = b[2+n:]
		switch kind {
		case 0:
			return f, addr, !first
		case 1:
			if n == 7 && v[0] == 4 {
				f.MAC = mac(v[1:])
			}
		case 5:
			f.Hostnames = add(f.Hostnames, maxNames, hostname(v))
		case 6:
			f.Description = text(v)
		case 8:
			if n >= 2 && int(v[0]) >= 1 && int(v[0]) <= n-1 && !addr.IsValid() && (v[1] == 1 || v[1] == 2) {
				addr, _ = netip.AddrFromSlice(v[2 : 1+v[0]])
			}
		case 127:
			if n > 4 && string(v[:3]) == "\x00\x12\xbb" {
				inventory(&f, v[3], v[4:])
			}
		}
	}
	return f, addr, f.MAC != "" || len(f.Hostnames) > 0
}

// inventory takes an inventory value of LLDP-MED.
func inventory(f *evidence.IdentityFacts, kind byte, v []byte) {
	switch kind {
	case 6, 7:
		if f.Version == "" || kind == 7 {
			f.Version = text(v)
		}
	case 8:
		f.Serial = text(v)
	case 9:
		f.Manufacturer = text(v)
	case 10:
		f.Model = text(v)
	}
}

// CDP reads a Cisco Discovery Protocol packet and returns the first IPv4 address
// in it.
func CDP(b []byte) (evidence.IdentityFacts, netip.Addr, bool) {
	f := evidence.IdentityFacts{Protocol: "cdp"}
	var addr netip.Addr
	if len(b) < 8 || b[0] < 1 || b[0] > 2 {
		return f, addr, false
	}
	for b = b[4:]; len(b) >= 4; {
		kind, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if n < 4 || n > len(b) {
			break
		}
		v := b[4:n]
		b = b[n:]
		switch kind {
		case 1:
			f.Hostnames = add(f.Hostnames, maxNames, hostname(v))
		case 2: // count, then protocol type, length, protocol, address length, address
			if len(v) >= 13 && v[4] == 1 && v[5] == 1 && v[6] == 0xcc && v[7] == 0 && v[8] == 4 {
				addr = netip.AddrFrom4([4]byte(v[9:13]))
			}
		case 5:
			f.Description = text(v)
		case 6:
			f.Model = text(v)
		}
	}
	return f, addr, len(f.Hostnames) > 0 || f.Model != ""
}
