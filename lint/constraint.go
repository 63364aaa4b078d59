package lint

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/zmap/zcrypto/x509"
	"github.com/zmap/zcrypto/x509/pkix"
)

// Constrains says which constraint of issuer the path below it violates, or
// nil. Path is leaf first. The error wraps [ErrUnverifiable] where a constraint is
// of a kind that cannot be checked here.
func Constrains(path []*Certificate, issuer *Certificate) error {
	if limit, ok := PathLength(issuer); ok {
		// RFC 5280 section 4.2.1.9: non-self-issued intermediates; the leaf does
		// not count.
		below := 0
		for _, c := range path[1:] {
			if !c.SelfIssued() {
				below++
			}
		}
		if below > limit {
			return fmt.Errorf("%q allows %s below it, and the path has %d", issuer.Subject(), Count(limit, "intermediate certificate"), below)
		}
	}
	if _, _, constrained := issuer.Extension(nameConstraints); !constrained {
		return nil
	}
	for i, c := range path {
		if i > 0 && c.SelfIssued() {
			continue // RFC 5280 section 4.2.1.10
		}
		if name := excludedName(issuer.X509(), c.X509()); name != "" {
			return fmt.Errorf("the name constraints of %q do not allow %q", issuer.Subject(), name)
		}
		if kind := uncheckedName(issuer, c.X509()); kind != "" {
			return fmt.Errorf("%q constrains names of the kind %s, which %q has: %w", issuer.Subject(), kind, c.Subject(), ErrUnverifiable)
		}
	}
	return nil
}

// nameConstraints is id-ce-nameConstraints, RFC 5280 section 4.2.1.10.
const nameConstraints = "2.5.29.30"

// PathLength returns the pathLenConstraint of a certificate.
func PathLength(c *Certificate) (limit int, ok bool) {
	x := c.X509()
	if x == nil || !x.BasicConstraintsValid || !x.IsCA || x.MaxPathLen < 0 || x.MaxPathLen == 0 && !x.MaxPathLenZero {
		return 0, false
	}
	return x.MaxPathLen, true
}

// excludedName returns the first name of c that the name constraints of ca do
// not allow, or "" (RFC 5280 section 4.2.1.10). It knows DNS names, addresses,
// mail addresses, directory names and the hosts of URIs.
func excludedName(ca, c *x509.Certificate) string {
	for _, n := range c.DNSNames {
		if !allowed(n, ca.PermittedDNSNames, ca.ExcludedDNSNames, dnsWithin) {
			return n
		}
	}
	for _, n := range mailAddresses(c) {
		if !allowed(n, ca.PermittedEmailAddresses, ca.ExcludedEmailAddresses, mailWithin) {
			return n
		}
	}
	for _, ip := range c.IPAddresses {
		addr, ok := netip.AddrFromSlice(ip)
		if !ok || !allowed(addr.Unmap(), ca.PermittedIPAddresses, ca.ExcludedIPAddresses, addressWithin) {
			return ip.String()
		}
	}
	for _, n := range c.URIs {
		host := hostOf(n)
		if len(ca.PermittedURIs)+len(ca.ExcludedURIs) > 0 && host == "" ||
			!allowed(host, ca.PermittedURIs, ca.ExcludedURIs, hostWithin) {
			return n
		}
	}
	if len(c.Subject.OriginalRDNS) > 0 && !allowed(c.Subject, ca.PermittedDirectoryNames, ca.ExcludedDirectoryNames, directoryWithin) {
		return NameText(c.RawSubject)
	}
	for _, n := range c.DirectoryNames {
		if !allowed(n, ca.PermittedDirectoryNames, ca.ExcludedDirectoryNames, directoryWithin) {
			return n.String()
		}
	}
	return ""
}

// mailAddresses are those of the subject alternative name or, without any, those of
// the subject (RFC 5280 section 4.2.1.10).
func mailAddresses(c *x509.Certificate) []string {
	if len(c.EmailAddresses) > 0 {
		return c.EmailAddresses
	}
	return c.Subject.EmailAddress
}

// uncheckedName returns the kind of a name of c that the name constraints of ca are
// about and that cannot be compared here, or "".
func uncheckedName(ca *Certificate, c *x509.Certificate) string {
	const otherName, x400Address, ediPartyName, registeredID = 0, 3, 5, 8
	value, _, _ := ca.Extension(nameConstraints)
	for _, k := range []struct {
		tag  int
		name string
		has  bool
	}{
		{otherName, "otherName", len(c.OtherNames) > 0},
		{x400Address, "x400Address", hasName(c, x400Address)},
		{ediPartyName, "ediPartyName", len(c.EDIPartyNames) > 0},
		{registeredID, "registeredID", len(c.RegisteredIDs) > 0},
	} {
		if k.has && constrainsTag(value, k.tag) {
			return k.name
		}
	}
	return ""
}

// hasName reports whether the subject alternative name holds a name with a tag.
func hasName(c *x509.Certificate, tag int) bool {
	value := c.ExtensionsMap["2.5.29.17"].Value
	_, inner, ok := element(value, 0, len(value))
	for at := inner.start; ok && at < inner.end; {
		var name span
		if name, _, ok = element(value, at, inner.end); ok && int(value[at]&0x1f) == tag {
			return true
		}
		at = name.end
	}
	return false
}

// constrainsTag reports whether a NameConstraints value has a subtree whose base is
// a name with a tag.
func constrainsTag(value []byte, tag int) bool {
	_, all, ok := element(value, 0, len(value))
	for at := all.start; ok && at < all.end; {
		list, subtrees, more := element(value, at, all.end)
		for in := subtrees.start; more && in < subtrees.end; {
			subtree, base, found := element(value, in, subtrees.end)
			if found && base.start < base.end && int(value[base.start]&0x1f) == tag {
				return true
			}
			in, more = subtree.end, found
		}
		ok = list.end > at
		at = list.end
	}
	return false
}

func allowed[N, T any](name N, permitted, excluded []T, within func(N, T) bool) bool {
	in := func(t T) bool { return within(name, t) }
	return !slices.ContainsFunc(excluded, in) && (len(permitted) == 0 || slices.ContainsFunc(permitted, in))
}

// dnsWithin compares a name with a constraint, which means the name itself and those
// below it. With a dot before it, of which RFC 5280 says nothing, validators in use
// take it for those below it alone.
func dnsWithin(name string, t x509.GeneralSubtreeString) bool {
	base := strings.ToLower(t.Data)
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if strings.HasPrefix(base, ".") {
		return strings.HasSuffix(name, base)
	}
	return base == "" || name == base || strings.HasSuffix(name, "."+base)
}

func mailWithin(mail string, t x509.GeneralSubtreeString) bool {
	if strings.Contains(t.Data, "@") {
		return strings.EqualFold(mail, t.Data)
	}
	_, host, _ := strings.Cut(mail, "@")
	return hostWithin(host, t)
}

// hostWithin compares a host with a constraint on mail addresses or URIs, which
// means the host itself or, with a dot before it, those below it.
func hostWithin(host string, t x509.GeneralSubtreeString) bool {
	if rest, ok := strings.CutPrefix(t.Data, "."); ok {
		return strings.HasSuffix(strings.ToLower(host), "."+strings.ToLower(rest))
	}
	return strings.EqualFold(host, t.Data)
}

// hostOf is the host name of a URI; empty where it has none, or an address.
func hostOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return ""
	}
	return u.Hostname()
}

// addressWithin compares an address with a constraint bit by bit: its mask need not be
// that of a prefix, and one that is not must exclude what it says.
func addressWithin(a netip.Addr, t x509.GeneralSubtreeIP) bool {
	addr, base, mask := a.AsSlice(), t.Data.IP, t.Data.Mask
	if v4 := base.To4(); v4 != nil {
		base = v4
	}
	mask = mask[max(0, len(mask)-len(base)):]
	if len(base) != len(addr) || len(mask) != len(addr) {
		return false
	}
	for i := range addr {
		if (addr[i]^base[i])&mask[i] != 0 {
			return false
		}
	}
	return true
}

func directoryWithin(name pkix.Name, t x509.GeneralSubtreeName) bool {
	base := t.Data.OriginalRDNS
	if len(base) > len(name.OriginalRDNS) {
		return false
	}
	for i, rdn := range base {
		if !sameRDN(rdn, name.OriginalRDNS[i]) {
			return false
		}
	}
	return true
}

func sameRDN(a, b pkix.RelativeDistinguishedNameSET) bool {
	return slices.EqualFunc(a, b, func(x, y pkix.AttributeTypeAndValue) bool {
		return x.Type.Equal(y.Type) && plainText(fmt.Sprint(x.Value)) == plainText(fmt.Sprint(y.Value))
	})
}
