package idwire

import (
	"bytes"
	"net/url"
	"strings"

	"probity/evidence"
)

// WSDiscovery reads a Hello, ProbeMatch or ResolveMatch (WS-Discovery 1.1
// sections 4 to 6): types, the scopes that name a kind of device (IEEE
// 11073-20702), and scheme, host and port of its addresses, with the path where that is
// a UUID and nothing else. Scopes with a place, such as a bed, are passed over.
func WSDiscovery(b []byte) (evidence.IdentityFacts, bool) {
	f := evidence.IdentityFacts{Protocol: "ws-discovery"}
	answer := false
	eachElement(b, func(e xmlElement) {
		switch string(e.name) {
		case "Hello", "ProbeMatches", "ResolveMatches":
			answer = true
		case "Types":
			for t := range bytes.FieldsSeq(e.value) {
				_, local, ok := bytes.Cut(t, []byte(":"))
				if !ok {
					local = t
				}
				f.Types = add(f.Types, maxTypes, text(local))
			}
		case "Scopes":
			for s := range bytes.FieldsSeq(e.value) {
				if bytes.HasPrefix(s, []byte("sdc.cdc.type:")) || bytes.HasPrefix(s, []byte("sdc.mds.pkp:")) {
					f.Types = add(f.Types, maxTypes, text(s))
				}
			}
		case "XAddrs":
			for a := range bytes.FieldsSeq(e.value) {
				f.Places = add(f.Places, maxPlaces, place(a))
			}
		}
	})
	return f, answer && len(f.Types) > 0
}

// place returns scheme, host and port of an address; "" of what is none. Its path
// may name anything: it is kept if it is the UUID of the device (in hexadecimal, with
// hyphens or without), by which providers of SDC are asked.
func place(b []byte) string {
	scheme, rest, ok := bytes.Cut(b, []byte("://"))
	if !ok {
		return ""
	}
	path := ""
	if end := bytes.IndexAny(rest, "/?#"); end >= 0 {
		if id := bytes.TrimSuffix(rest[end:], []byte("/")); isUUIDPath(id) {
			path = string(rest[end:])
		}
		rest = rest[:end]
	}
	if at := bytes.LastIndexByte(rest, '@'); at >= 0 { // a user
		rest = rest[at+1:]
	}
	u, err := url.Parse(string(scheme) + "://" + string(rest))
	if err != nil || u.Host == "" {
		return ""
	}
	return text([]byte(u.Scheme + "://" + u.Host + path))
}

// isUUIDPath reports whether a path is "/" and a UUID (RFC 9562 section 4), with its
// hyphens or without.
func isUUIDPath(b []byte) bool {
	if len(b) != 33 && len(b) != 37 || b[0] != '/' {
		return false
	}
	for i, c := range b[1:] {
		hyphen := len(b) == 37 && (i == 8 || i == 13 || i == 18 || i == 23)
		if hyphen != (c == '-') || !hyphen && !strings.ContainsRune("0123456789abcdefABCDEF", rune(c)) {
			return false
		}
	}
	return true
}

// DPWS reads the metadata of a device (DPWS 1.1 section 5). Its friendly name,
// which may hold a bed or a person, is passed over.
func DPWS(b []byte) (evidence.SDCFacts, bool) {
	var f evidence.SDCFacts
	eachElement(b, func(e xmlElement) {
		for _, field := range []struct {
			parent, name string
			value        *string
		}{
			{"ThisModel", "Manufacturer", &f.Manufacturer},
			{"ThisModel", "ModelName", &f.ModelName},
			{"ThisModel", "ModelNumber", &f.ModelNumber},
			{"ThisDevice", "FirmwareVersion", &f.Firmware},
			{"ThisDevice", "SerialNumber", &f.Serial},
		} {
			if string(e.parent) == field.parent && string(e.name) == field.name && *field.value == "" {
				*field.value = text(e.value)
			}
		}
	})
	return f, f != evidence.SDCFacts{}
}

// POCT1 reads the hello of an analyser (POCT1-A2, message HEL.R01). One that tells
// no model has its name in that place.
func POCT1(b []byte) (evidence.IdentityFacts, bool) {
	f := evidence.IdentityFacts{Protocol: "poct1"}
	hello := false
	eachElement(b, func(e xmlElement) {
		hello = hello || string(e.name) == "HEL.R01" || bytes.HasPrefix(e.parent, []byte("HEL.R01"))
		if string(e.parent) != "DEV" {
			return
		}
		switch string(e.name) {
		case "DEV.vendor_id", "DEV.manufacturer_name":
			f.Manufacturer = text(e.attribute)
		case "DEV.model_id":
			f.Model = text(e.attribute)
		case "DEV.serial_id":
			f.Serial = text(e.attribute)
		case "DEV.sw_version":
			f.Version = text(e.attribute)
		}
	})
	if hello && f.Model == "" { // only then, so that of other names no copy is left
		eachElement(b, func(e xmlElement) {
			if string(e.parent) == "DEV" && string(e.name) == "DEV.device_name" {
				f.Model = text(e.attribute)
			}
		})
	}
	return f, hello && (f.Manufacturer != "" || f.Model != "" || f.Serial != "")
}
