package idwire

import (
	"slices"
	"strconv"
	"strings"

	"probity/evidence"
)

// SNMP reads a response of an agent. Of versions 1 and 2c (RFC 1157, RFC 3416)
// it returns sysDescr, sysObjectID and sysName (RFC 3418), of version 3 (RFC 3412)
// the engine, even of an encrypted message. The community and all other variables
// are passed over.
func SNMP(b []byte) (f evidence.IdentityFacts, engine *evidence.SNMPFacts, ok bool) {
	f.Protocol = "snmp"
	message, _, ok := element(b, 0x30)
	if !ok {
		return f, nil, false
	}
	version, message, ok := element(message, 0x02)
	if !ok || len(version) != 1 {
		return f, nil, false
	}
	if version[0] == 3 {
		engine = snmpEngine(message)
		return f, engine, engine != nil
	}
	const response = 0xa2
	_, message, ok = element(message, 0x04)
	if !ok || version[0] > 1 {
		return f, nil, false
	}
	pdu, _, ok := element(message, response)
	for range 3 {
		if ok {
			_, pdu, ok = element(pdu, 0x02) // request, error, index
		}
	}
	var list []byte
	if ok {
		list, _, ok = element(pdu, 0x30)
	}
	for n := 0; ok && len(list) > 0 && n < maxRecords; n++ {
		var variable []byte
		if variable, list, ok = element(list, 0x30); ok {
			snmpVariable(&f, variable)
		}
	}
	return f, nil, f.Description != "" || f.ObjectID != "" || len(f.Hostnames) > 0
}

func snmpVariable(f *evidence.IdentityFacts, b []byte) {
	const system = "\x2b\x06\x01\x02\x01\x01"
	oid, rest, ok := element(b, 0x06)
	if !ok || len(oid) != len(system)+2 || string(oid[:len(system)]) != system || oid[len(system)+1] != 0 {
		return
	}
	switch oid[len(system)] {
	case 1:
		if v, _, ok := element(rest, 0x04); ok {
			f.Description = text(v)
		}
	case 2:
		if v, _, ok := element(rest, 0x06); ok {
			f.ObjectID = dotted(v)
		}
	case 5:
		if v, _, ok := element(rest, 0x04); ok {
			f.Hostnames = add(f.Hostnames, maxNames, hostname(v))
		}
	}
}

// snmpEngine reads the security parameters of version 3 (RFC 3414 section 2.4).
func snmpEngine(b []byte) *evidence.SNMPFacts {
	_, b, ok := element(b, 0x30) // header
	if !ok {
		return nil
	}
	security, _, ok := element(b, 0x04)
	if !ok {
		return nil
	}
	parameters, _, ok := element(security, 0x30)
	if !ok {
		return nil
	}
	id, parameters, ok := element(parameters, 0x04)
	if !ok || len(id) < 5 || len(id) > 32 {
		return nil
	}
	boots, parameters, ok := element(parameters, 0x02)
	if !ok {
		return nil
	}
	seconds, _, ok := element(parameters, 0x02)
	if !ok || len(boots) > 4 || len(seconds) > 4 {
		return nil
	}
	return &evidence.SNMPFacts{EngineID: slices.Clone(id), EngineBoots: number(boots), EngineTime: number(seconds)}
}

func number(b []byte) (v uint32) {
	for _, c := range b {
		v = v<<8 | uint32(c)
	}
	return v
}

// dotted is the text form of an object identifier; "" for one that is damaged or
// has a number of more than 32 bits.
func dotted(b []byte) string {
	if len(b) == 0 || len(b) > 128 || b[len(b)-1]&0x80 != 0 {
		return ""
	}
	out := []string{strconv.Itoa(int(min(b[0]/40, 2))), strconv.Itoa(int(b[0] - min(b[0]/40, 2)*40))}
	v := uint64(0)
	for _, c := range b[1:] {
		v = v<<7 | uint64(c&0x7f)
		if v >= 1<<32 {
			return ""
		}
		if c&0x80 == 0 {
			out = append(out, strconv.FormatUint(v, 10))
			v = 0
		}
	}
	return strings.Join(out, ".")
}

// element returns the content of the BER element that b begins and what follows.
func element(b []byte, tag byte) (content, rest []byte, ok bool) {
	if len(b) < 2 || b[0] != tag {
		return nil, nil, false
	}
	n, b := int(b[1]), b[2:]
	if n >= 0x80 {
		octets := n & 0x7f
		if octets == 0 || octets > 3 || octets > len(b) {
			return nil, nil, false
		}
		n = int(number(b[:octets]))
		b = b[octets:]
	}
	if n > len(b) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}
