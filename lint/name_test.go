package lint

import (
	stdasn1 "encoding/asn1"
	"net"
	"net/netip"
	"testing"

	"github.com/zmap/zcrypto/x509"
)

// TestSameDN holds which names are one. Of names that differ in a letter outside of
// ASCII, or in where a value ends, one may be an impostor's.
func TestSameDN(t *testing.T) {
	type value = stdasn1.RawValue
	const utf8, printable, teletex = stdasn1.TagUTF8String, stdasn1.TagPrintableString, stdasn1.TagT61String
	text := func(tag int, s string) value { return value{Tag: tag, Bytes: []byte(s)} }
	commonName, organisation := stdasn1.ObjectIdentifier{2, 5, 4, 3}, stdasn1.ObjectIdentifier{2, 5, 4, 10}
	type attribute = struct {
		Type  stdasn1.ObjectIdentifier
		Value value
	}
	name := func(sets ...rdnSET) []byte {
		der, err := stdasn1.Marshal(sets)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	cn := func(v value) []byte { return name(rdnSET{attribute{commonName, v}}) }
	o, c := attribute{organisation, text(utf8, "Acme")}, attribute{commonName, text(utf8, "CA")}
	for what, tt := range map[string]struct {
		a, b []byte
		same bool
	}{
		"case and blanks":         {cn(text(utf8, "Ward  CA ")), cn(text(printable, "ward ca")), true},
		"order within a set":      {name(rdnSET{o, c}), name(rdnSET{c, o}), true},
		"order of sets":           {name(rdnSET{o}, rdnSET{c}), name(rdnSET{c}, rdnSET{o}), false},
		"one set, two sets":       {name(rdnSET{o, c}), name(rdnSET{o}, rdnSET{c}), false},
		"umlaut, two forms":       {cn(text(teletex, "M\xfcller CA")), cn(text(utf8, "müller ca")), true},
		"two umlauts in Latin-1":  {cn(text(teletex, "M\xfcller CA")), cn(text(teletex, "M\xf6ller CA")), false},
		"two damaged characters":  {cn(text(utf8, "CA \xff")), cn(text(utf8, "CA \xfe")), false},
		"a value that mimics two": {name(rdnSET{attribute{organisation, text(utf8, "Acme\x002.5.4.3=ca")}}), name(rdnSET{o, c}), false},
	} {
		if got := SameDN(tt.a, tt.b); got != tt.same {
			t.Errorf("%s: %t, want %t", what, got, tt.same)
		}
	}
}

// TestDNSWithin holds constraints on DNS names. RFC 5280 section 4.2.1.10 gives a dot
// before one no meaning; validators in use ask for a name below it.
func TestDNSWithin(t *testing.T) {
	for _, tt := range []struct {
		name, constraint string
		within           bool
	}{
		{"pump.example", "example", true},
		{"example", "example", true},
		{"badexample", "example", false},
		{"pump.example", ".example", true},
		{"example", ".example", false},
		{"PUMP.example.", "Example", true},
		{"a", "", true},
	} {
		if got := dnsWithin(tt.name, x509.GeneralSubtreeString{Data: tt.constraint}); got != tt.within {
			t.Errorf("%q within %q: %t, want %t", tt.name, tt.constraint, got, tt.within)
		}
	}
}

// TestAddressWithin holds constraints on addresses.
func TestAddressWithin(t *testing.T) {
	for _, tt := range []struct {
		addr, base string
		mask       net.IPMask
		within     bool
	}{
		{"10.1.2.3", "10.0.0.0", net.CIDRMask(8, 32), true},
		{"11.1.2.3", "10.0.0.0", net.CIDRMask(8, 32), false},
		{"10.1.2.3", "10.0.0.0", net.CIDRMask(104, 128), true},
		{"10.9.9.3", "10.0.0.3", net.IPv4Mask(255, 0, 0, 255), true},
		{"10.9.9.4", "10.0.0.3", net.IPv4Mask(255, 0, 0, 255), false},
		{"fd00::1", "fd00::", net.CIDRMask(8, 128), true},
		{"fd00::1", "10.0.0.0", net.CIDRMask(0, 32), false},
		{"10.0.0.1", "::", net.CIDRMask(0, 128), false},
		{"10.0.0.1", "10.0.0.0", nil, false},
	} {
		constraint := x509.GeneralSubtreeIP{Data: net.IPNet{IP: net.ParseIP(tt.base), Mask: tt.mask}}
		if got := addressWithin(netip.MustParseAddr(tt.addr), constraint); got != tt.within {
			t.Errorf("%s within %s by %s: %t, want %t", tt.addr, tt.base, tt.mask, got, tt.within)
		}
	}
}
