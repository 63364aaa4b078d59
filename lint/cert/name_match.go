package cert

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/zmap/zcrypto/x509"

	"probity/evidence"
	"probity/lint"
)

// nameMatch asks that a server's certificate holds a name by which clients
// reach it.
func nameMatch() lint.Check {
	return lint.Check{
		Name:   "cert/name_match",
		Source: "RFC 9525 section 6; RFC 5280 section 4.2.1.6",
		Certificate: lint.DecodedLeaf(func(env *lint.Env, s *lint.CertificateSubject) lint.Verdict {
			switch {
			case !s.Seen(evidence.RoleServer):
				return lint.NotApplicablef("The certificate was not presented by a server.")
			case env.IsIDevID(s.Certificate):
				return lint.NotApplicablef("An initial device identity names the device, not the place it is reached at.")
			}
			names := referenceNames(env, s)
			if len(names) == 0 {
				return lint.Inconclusivef("No name is known by which clients reach the server.")
			}
			for _, n := range names {
				if matches(s.X509(), n) {
					return lint.Passf("The certificate holds the name %q.", n)
				}
			}
			common := ""
			if slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, s.X509().Subject.CommonName) }) {
				common = "; only the common name matches, which clients ignore"
			}
			return lint.Warnf("The certificate holds none of the names by which clients reach the server: %s%s.", quoted(names), common)
		}),
	}
}

// referenceNames are the declared names of the address and the server names
// that clients asked for, sorted.
func referenceNames(env *lint.Env, s *lint.CertificateSubject) []string {
	names := slices.Clone(env.Policy.Names[s.Endpoint.Addr])
	if s.Endpoint.Name != "" {
		names = append(names, s.Endpoint.Name)
	}
	for _, g := range s.Sightings {
		if g.ServerName != "" {
			names = append(names, g.ServerName)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// matches compares as RFC 9525 section 6.3 and 6.5 do: a wildcard stands for one
// whole left-most label, and an address must be an iPAddress.
func matches(c *x509.Certificate, name string) bool {
	if addr, err := netip.ParseAddr(name); err == nil {
		for _, ip := range c.IPAddresses {
			if a, ok := netip.AddrFromSlice(ip); ok && a.Unmap() == addr.Unmap() {
				return true
			}
		}
		return false
	}
	name = strings.TrimSuffix(name, ".")
	for _, pattern := range c.DNSNames {
		pattern = strings.TrimSuffix(pattern, ".")
		if strings.EqualFold(pattern, name) {
			return true
		}
		if base, ok := strings.CutPrefix(pattern, "*."); ok {
			if _, parent, found := strings.Cut(name, "."); found && strings.EqualFold(parent, base) {
				return true
			}
		}
	}
	return false
}

// quoted lists at most five names.
func quoted(names []string) string {
	const most = 5
	var b strings.Builder
	for i, n := range names[:min(len(names), most)] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", n)
	}
	if len(names) > most {
		fmt.Fprintf(&b, " and %d more", len(names)-most)
	}
	return b.String()
}
