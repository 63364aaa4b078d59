package idwire

import (
	"bytes"
	"encoding/xml"
	"net/url"
	"strings"

	"probity/evidence"
)

// Bounds of an XML document.
const (
	maxElements = 2048
	maxDepth    = 32
)

// eachElement calls take with the name, parent and own text of the elements of a
// document, and its attribute V, up to the first damage or bound.
func eachElement(b []byte, take func(name, parent xml.Name, value, attribute string)) {
	d := xml.NewDecoder(bytes.NewReader(b))
	type open struct {
		name             xml.Name
		value, attribute string
	}
	stack := make([]open, 0, maxDepth)
	for range maxElements * 3 {
		token, err := d.RawToken()
		if err != nil {
			return
		}
		switch t := token.(type) {
		case xml.StartElement:
			if len(stack) == maxDepth {
				return
			}
			o := open{name: t.Name}
			for _, a := range t.Attr {
				if a.Name.Local == "V" {
					o.attribute = a.Value
				}
			}
			stack = append(stack, o)
		case xml.CharData:
			if n := len(stack); n > 0 && len(stack[n-1].value)+len(t) <= 16*maxText {
				stack[n-1].value += string(t)
			}
		case xml.EndElement:
			n := len(stack) - 1
			if n < 0 || stack[n].name.Local != t.Name.Local {
				return
			}
			parent := xml.Name{}
			if n > 0 {
				parent = stack[n-1].name
			}
			take(stack[n].name, parent, strings.TrimSpace(stack[n].value), stack[n].attribute)
			stack = stack[:n]
		case xml.Directive:
			return
		}
	}
}

// WSDiscovery reads a Hello, ProbeMatch or ResolveMatch (WS-Discovery 1.1
// sections 4 to 6): types, the scopes that name a kind of device (IEEE
// 11073-20702), and scheme, host and port of its addresses. Scopes with a place,
// such as a bed, are passed over.
func WSDiscovery(b []byte) (evidence.IdentityFacts, bool) {
	f := evidence.IdentityFacts{Protocol: "ws-discovery"}
	answer := false
	eachElement(b, func(name, _ xml.Name, value, _ string) {
		switch name.Local {
		case "Hello", "ProbeMatches", "ResolveMatches":
			answer = true
		case "Types":
			for t := range strings.FieldsSeq(value) {
				_, local, ok := strings.Cut(t, ":")
				if !ok {
					local = t
				}
				f.Types = add(f.Types, maxTypes, text([]byte(local)))
			}
		case "Scopes":
			for s := range strings.FieldsSeq(value) {
				if strings.HasPrefix(s, "sdc.cdc.type:") || strings.HasPrefix(s, "sdc.mds.pkp:") {
					f.Types = add(f.Types, maxTypes, text([]byte(s)))
				}
			}
		case "XAddrs":
			for a := range strings.FieldsSeq(value) {
				if u, err := url.Parse(a); err == nil && u.Host != "" {
					f.Places = add(f.Places, maxPlaces, text([]byte(u.Scheme+"://"+u.Host)))
				}
			}
		}
	})
	return f, answer && len(f.Types) > 0
}

// DPWS reads the metadata of a device (DPWS 1.1 section 5). Its friendly name,
// which may hold a bed or a person, is passed over.
func DPWS(b []byte) (evidence.SDCFacts, bool) {
	var f evidence.SDCFacts
	eachElement(b, func(name, parent xml.Name, value, _ string) {
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
			if parent.Local == field.parent && name.Local == field.name && *field.value == "" {
				*field.value = text([]byte(value))
			}
		}
	})
	return f, f != evidence.SDCFacts{}
}

// POCT1 reads the hello of an analyser (POCT1-A2, message HEL.R01).
func POCT1(b []byte) (evidence.IdentityFacts, bool) {
	f := evidence.IdentityFacts{Protocol: "poct1"}
	hello := false
	eachElement(b, func(name, parent xml.Name, _, v string) {
		value := text([]byte(v))
		hello = hello || name.Local == "HEL.R01" || strings.HasPrefix(parent.Local, "HEL.R01")
		if parent.Local != "DEV" {
			return
		}
		switch name.Local {
		case "DEV.vendor_id", "DEV.manufacturer_name":
			f.Manufacturer = value
		case "DEV.model_id":
			f.Model = value
		case "DEV.serial_id":
			f.Serial = value
		case "DEV.sw_version":
			f.Version = value
		}
	})
	return f, hello && (f.Manufacturer != "" || f.Model != "" || f.Serial != "")
}

// LIS2 reads the sender of a header record (LIS02-A2 section 6: field 5): name,
// model or serial number, and version. No other record is looked at.
func LIS2(b []byte) (evidence.IdentityFacts, bool) {
	f := evidence.IdentityFacts{Protocol: "lis2", Experimental: true}
	record, _, whole := bytes.Cut(b, []byte("\r"))
	_, record, found := bytes.Cut(record, []byte("\x021H"))
	if !whole || !found || len(record) == 0 {
		return f, false
	}
	fields := bytes.Split(record, record[:1])
	const sender = 4 // the first field is before the first separator
	if len(fields) <= sender {
		return f, false
	}
	parts := bytes.Split(fields[sender], []byte("^"))
	for i, field := range []*string{&f.Model, &f.Serial, &f.Version} {
		if i < len(parts) {
			*field = text(parts[i])
		}
	}
	return f, f.Model != ""
}
