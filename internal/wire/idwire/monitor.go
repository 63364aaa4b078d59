package idwire

import (
	"encoding/binary"
	"net/netip"
	"strings"

	"probity/evidence"
)

// Attributes of a connect indication (Philips, Data Export Interface Programming
// Guide, chapter "Definition of the Data Export Protocol"; the numbers are those
// of ISO/IEEE 11073-10101 and private ones of Philips).
const (
	attrModel         = 0x0928
	attrProduction    = 0x092d
	attrNetworkAddr   = 0xf100
	attrProtocols     = 0xf101
	maxAttributes     = 64
	maxAttributeItems = 32
)

// IntelliVue reads the connect indication that a Philips IntelliVue monitor sends
// to UDP port 24005: manufacturer, model, serial number and revision, hardware
// address, and the UDP ports that it offers. The label of the equipment, which
// names a bed or room, is not read. It was confirmed against one published dump
// of a monitor and on no device, so that the facts are marked experimental.
func IntelliVue(b []byte) (evidence.IdentityFacts, bool) {
	const header, eventReport, singleBed, connectIndication = 28, 0, 0x23, 0x0d17
	f := evidence.IdentityFacts{Protocol: "intellivue", Experimental: true}
	u16 := func(at int) int { return int(binary.BigEndian.Uint16(b[at:])) }
	// Nomenclature 1.0, remote operation invoke, event report of a monitor.
	if len(b) < header || u16(0) != 0 || b[2] != 1 || u16(4) != 1 || u16(10) != eventReport || u16(14) != singleBed || u16(24) != connectIndication {
		return f, false
	}
	list, ok := counted(b[header:])
	var addr netip.Addr
	var ports []int
	for n := 0; ok && len(list) >= 4 && n < maxAttributes; n++ {
		id, size := binary.BigEndian.Uint16(list), int(binary.BigEndian.Uint16(list[2:]))
		if size > len(list)-4 {
			break
		}
		v := list[4 : 4+size]
		list = list[4+size:]
		switch id {
		case attrModel:
			monitorModel(&f, v)
		case attrProduction:
			monitorProduction(&f, v)
		case attrNetworkAddr:
			if size >= 10 && f.MAC == "" {
				f.MAC, addr = mac(v[:6]), netip.AddrFrom4([4]byte(v[6:10]))
			}
		case attrProtocols:
			ports = monitorPorts(v)
		}
	}
	if addr.IsGlobalUnicast() {
		for _, p := range ports {
			f.Places = add(f.Places, maxPlaces, "udp://"+netip.AddrPortFrom(addr, uint16(p)).String())
		}
	}
	return f, f.Model != "" || f.MAC != ""
}

// counted returns the content of a list with a count, which is not needed, and a
// length before it.
func counted(b []byte) (content []byte, ok bool) {
	if len(b) < 4 {
		return nil, false
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n > len(b)-4 {
		return nil, false
	}
	return b[4 : 4+n], true
}

// label takes a text with a length before it, up to its NUL.
func label(b []byte) (s string, rest []byte, ok bool) {
	if len(b) < 2 {
		return "", nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if n > len(b)-2 {
		return "", nil, false
	}
	s, _, _ = strings.Cut(string(b[2:2+n]), "\x00")
	return text([]byte(s)), b[2+n:], true
}

// monitorModel reads the two texts of a SystemModel.
func monitorModel(f *evidence.IdentityFacts, b []byte) {
	manufacturer, rest, ok := label(b)
	if !ok {
		return
	}
	if model, _, ok := label(rest); ok {
		f.Manufacturer, f.Model = manufacturer, model
	}
}

// monitorProduction reads a ProductionSpecification (ISO/IEEE 11073-10201 clause
// 7.3.4): the first serial number and software revision are those of the monitor,
// the others of its modules.
func monitorProduction(f *evidence.IdentityFacts, b []byte) {
	const serialNumber, softwareRevision = 1, 4
	list, ok := counted(b)
	for n := 0; ok && len(list) >= 6 && n < maxAttributeItems; n++ {
		kind := binary.BigEndian.Uint16(list)
		var s string
		if s, list, ok = label(list[4:]); !ok {
			return
		}
		switch {
		case kind == serialNumber && f.Serial == "":
			f.Serial = s
		case kind == softwareRevision && f.Version == "":
			f.Version = s
		}
	}
}

// monitorPorts reads the UDP ports of a ProtoSupport list.
func monitorPorts(b []byte) []int {
	const entry, udp = 8, 1
	var out []int
	list, ok := counted(b)
	for ; ok && len(list) >= entry && len(out) < maxPlaces; list = list[entry:] {
		if binary.BigEndian.Uint16(list[2:]) == udp {
			out = append(out, int(binary.BigEndian.Uint16(list[4:])))
		}
	}
	return out
}

// GEUnity knows the time synchronisation that the master of a GE Unity (CARESCAPE)
// network broadcasts to UDP port 2000: 64 bytes, with the sender's own address in
// bytes 7 to 10 and the seconds since 1900 in the last four (Vocera CARESCAPE
// adapter, "Understanding GE Carescape Networks"). Unit and room, which it also
// holds, are not read. No device confirmed it, so that the facts are experimental.
func GEUnity(b []byte, source netip.Addr) (evidence.IdentityFacts, bool) {
	const size, address, clock, since1900 = 64, 6, 60, 2_208_988_800
	return unity(b, len(b) == size, source, address, clock, since1900)
}

// GEUnityPresence knows what every monitor of such a network broadcasts to UDP port
// 7000, as it was decoded of a Dash 4000 (mindleaving/gedash, DiscoveryMessage): the
// sender's own address in bytes 5 to 8, the seconds since 1970 in the next four, then
// ward and bed, and the name of the patient, which are not read.
func GEUnityPresence(b []byte, source netip.Addr) (evidence.IdentityFacts, bool) {
	const size, address, clock = 44, 4, 8
	return unity(b, len(b) >= size && b[0] == 1, source, address, clock, 0)
}

func unity(b []byte, fits bool, source netip.Addr, address, clock int, epoch uint32) (evidence.IdentityFacts, bool) {
	const earliest, latest = 946_684_800, 2_051_222_400 // the years 2000 and 2035, of 1970
	f := evidence.IdentityFacts{Protocol: "ge-unity", Experimental: true}
	if !fits || !source.Is4() || [4]byte(b[address:address+4]) != source.As4() {
		return f, false
	}
	seconds := binary.BigEndian.Uint32(b[clock:]) - epoch
	return f, seconds >= earliest && seconds < latest
}
