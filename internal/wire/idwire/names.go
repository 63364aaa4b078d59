package idwire

import (
	"bytes"
	"encoding/binary"
	"slices"

	"probity/evidence"
)

// Bounds of a DNS message.
const (
	maxRecords = 128
	maxJumps   = 32
	maxDNSName = 255 // RFC 1035 section 2.3.4
)

// MDNS reads a response of multicast DNS (RFC 6762) and DNS-SD (RFC 6763): host
// names, service types, and the keys of TXT records that name a product. The
// names of service instances, which people choose, are not read.
func MDNS(b []byte) (evidence.IdentityFacts, bool) {
	const header, response = 12, 0x8000
	const typeA, typePTR, typeTXT, typeAAAA, typeSRV = 1, 12, 16, 28, 33
	f := evidence.IdentityFacts{Protocol: "mdns"}
	if len(b) < header || binary.BigEndian.Uint16(b[2:])&response == 0 {
		return f, false
	}
	var ok bool
	var room [maxDNSName]byte
	defer clear(room[:])
	at := header
	for range min(int(binary.BigEndian.Uint16(b[4:])), maxRecords) {
		if _, at, ok = name(b, at, &room); !ok || at+4 > len(b) {
			return f, false
		}
		at += 4
	}
	records := int(binary.BigEndian.Uint16(b[6:])) + int(binary.BigEndian.Uint16(b[8:])) + int(binary.BigEndian.Uint16(b[10:]))
	for range min(records, maxRecords) {
		var owner []byte
		if owner, at, ok = name(b, at, &room); !ok || at+10 > len(b) {
			break
		}
		kind, n := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+8:]))
		at += 10
		if n > len(b)-at {
			break
		}
		switch kind {
		case typeA, typeAAAA:
			f.Hostnames = add(f.Hostnames, maxNames, hostname(owner))
		case typeSRV:
			if n > 6 {
				f.Types = add(f.Types, maxTypes, service(owner))
				target, _, _ := name(b, at+6, &room)
				f.Hostnames = add(f.Hostnames, maxNames, hostname(target))
			}
		case typePTR:
			if bytes.HasPrefix(owner, []byte("_services._dns-sd._udp.")) { // the value is a type (RFC 6763 section 9)
				owner, _, _ = name(b, at, &room)
			}
			f.Types = add(f.Types, maxTypes, service(owner))
		case typeTXT:
			product(&f, b[at:at+n])
		}
		at += n
	}
	return f, len(f.Hostnames)+len(f.Types) > 0 || f.Model != ""
}

// service returns the "_type._proto" in a name; "" for one without.
func service(b []byte) string {
	var t []byte // the label before
	for part := range bytes.SplitSeq(b, []byte(".")) {
		if (string(part) == "_tcp" || string(part) == "_udp") && len(t) > 1 && t[0] == '_' && hostname(t) != "" && string(t) != "_dns-sd" {
			return string(t) + "." + string(part)
		}
		t = part
	}
	return ""
}

// product takes the keys that name a product (as printers, Apple and Bonjour for
// medical devices use them).
func product(f *evidence.IdentityFacts, b []byte) {
	for len(b) > 0 && int(b[0]) < len(b) {
		key, value, _ := bytes.Cut(b[1:1+b[0]], []byte("="))
		b = b[1+b[0]:]
		is := func(names ...string) bool {
			return slices.ContainsFunc(names, func(n string) bool { return bytes.EqualFold(key, []byte(n)) })
		}
		switch {
		case is("model", "md", "ty", "usb_mdl"):
			f.Model = text(value)
		case is("mfg", "manufacturer", "usb_mfg"):
			f.Manufacturer = text(value)
		case is("fv", "firmware"):
			f.Version = text(value)
		}
	}
}

// name reads a DNS name with compression (RFC 1035 section 4.1.4) and returns
// where it ends. The name lies in room.
func name(b []byte, at int, room *[maxDNSName]byte) (s []byte, end int, ok bool) {
	out := room[:0]
	end = -1
	for jumps := 0; at < len(b); {
		n := int(b[at])
		switch {
		case n == 0:
			if end < 0 {
				end = at + 1
			}
			return out, end, true
		case n&0xc0 == 0xc0:
			if at+1 >= len(b) || jumps == maxJumps {
				return nil, 0, false
			}
			if end < 0 {
				end = at + 2
			}
			jumps++
			at = n&0x3f<<8 | int(b[at+1])
		case n > 63 || at+1+n > len(b) || len(out)+n >= maxDNSName:
			return nil, 0, false
		default:
			if len(out) > 0 {
				out = append(out, '.')
			}
			out = append(out, b[at+1:at+1+n]...)
			at += 1 + n
		}
	}
	return nil, 0, false
}

// NBNS reads a name registration or refresh of NetBIOS over UDP (RFC 1002 section
// 4.2): a host says its own name in it. Group names and those of users are not
// read.
func NBNS(b []byte) (evidence.IdentityFacts, bool) {
	const header, size, workstation, server = 12, 34, 0x00, 0x20
	f := evidence.IdentityFacts{Protocol: "nbns"}
	if len(b) < header+size || b[12] != 32 || b[45] != 0 {
		return f, false
	}
	flags := binary.BigEndian.Uint16(b[2:])
	opcode := flags >> 11 & 0xf
	if flags&0x8000 != 0 || opcode != 5 && opcode != 8 && opcode != 9 {
		return f, false
	}
	// The additional record repeats the name and ends in flags and address.
	const group = 0x8000
	if len(b) < 6 || binary.BigEndian.Uint16(b[len(b)-6:])&group != 0 {
		return f, false
	}
	var decoded [16]byte
	for i := len(decoded) - 1; i >= 0; i-- { // the kind of name comes last
		hi, lo := b[13+2*i]-'A', b[14+2*i]-'A'
		if hi > 15 || lo > 15 {
			return f, false
		}
		decoded[i] = hi<<4 | lo
		if decoded[15] != workstation && decoded[15] != server {
			return f, false
		}
	}
	f.Hostnames = add(nil, maxNames, hostname(bytes.TrimRight(decoded[:15], " ")))
	return f, len(f.Hostnames) > 0
}

// SSDP reads a notification or search response (UPnP Device Architecture 2.0
// section 1): the product tokens of SERVER and the type of the device. Its
// location is not read.
func SSDP(b []byte) (evidence.IdentityFacts, bool) {
	f := evidence.IdentityFacts{Protocol: "ssdp"}
	first, rest, _ := bytes.Cut(b[:min(len(b), 4096)], []byte("\r\n"))
	if string(first) != "NOTIFY * HTTP/1.1" && string(first) != "HTTP/1.1 200 OK" {
		return f, false
	}
	for line := range bytes.SplitSeq(rest, []byte("\r\n")) {
		key, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			break
		}
		is := func(name string) bool { return bytes.EqualFold(key, []byte(name)) }
		switch value = bytes.TrimSpace(value); {
		case is("server"):
			f.Software = text(value)
		case is("nt"), is("st"):
			if bytes.HasPrefix(value, []byte("urn:")) && bytes.Contains(value, []byte(":device:")) {
				f.Types = add(f.Types, maxTypes, text(value))
			}
		}
	}
	return f, f.Software != "" || len(f.Types) > 0
}
