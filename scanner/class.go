package scanner

import (
	"net/netip"
	"slices"
	"strings"
)

// Classes say what kind of device is where, in the operator's words. They beat
// what a scan would guess, both ways. Where two differ, a protected class holds,
// and else that of fewer addresses.
type Classes struct {
	exact  map[netip.Addr]Target
	ranges []Target
	names  map[string]string
}

// NewClasses takes targets with a class; others are passed over. One that has a
// name and no address holds for all targets of that name.
func NewClasses(all []Target) *Classes {
	c := &Classes{exact: map[netip.Addr]Target{}, names: map[string]string{}}
	for _, t := range all {
		switch a := t.From.WithZone(""); {
		case t.Class == "":
		case !t.From.IsValid():
			if !ProtectedClass(c.names[t.Name]) {
				c.names[t.Name] = t.Class
			}
		case t.From == t.To:
			if !ProtectedClass(c.exact[a].Class) {
				c.exact[a] = t
			}
		default:
			c.ranges = append(c.ranges, t)
		}
	}
	slices.SortStableFunc(c.ranges, func(a, b Target) int {
		x, y := interval{numberOf(a.From), numberOf(a.To)}.size(), interval{numberOf(b.From), numberOf(b.To)}.size()
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return c
}

// Of returns the class of an address, or "" if none was given.
func (c *Classes) Of(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	class := c.exact[addr].Class
	for _, t := range c.ranges {
		if t.From.WithZone("").Compare(addr) > 0 || addr.Compare(t.To.WithZone("")) > 0 {
			continue
		}
		if class == "" || ProtectedClass(t.Class) && !ProtectedClass(class) {
			class = t.Class
		}
	}
	return class
}

// Exclusions lists the addresses of protected classes.
func (c *Classes) Exclusions() []Target {
	var out []Target
	for _, t := range c.exact {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b Target) int { return a.From.Compare(b.From) })
	out = slices.DeleteFunc(append(out, c.ranges...), func(t Target) bool { return !ProtectedClass(t.Class) })
	for i, t := range out {
		// A class is of the device, whichever of its ports a table names.
		out[i] = Target{Text: t.From.String(), From: t.From, To: t.To, Prefix: t.Prefix, Excluded: true, Reason: classReason(t.Class), Class: t.Class}
		if t.From != t.To {
			out[i].Text = t.Text
		}
	}
	return out
}

// Mark returns targets with the classes of their names: those of a protected one
// are excluded.
func (c *Classes) Mark(targets []Target) []Target {
	for i, t := range targets {
		if class := c.names[strings.TrimSuffix(t.Name, ".")]; t.Name != "" && class != "" {
			targets[i].Class = class
			if ProtectedClass(class) {
				targets[i].Excluded, targets[i].Reason = true, classReason(class)
			}
		}
	}
	return targets
}

// SameAsset names the asset of each address that a table gives to one device;
// rows of more than one address are passed over.
func SameAsset(targets []Target) map[netip.Addr]string {
	out := map[netip.Addr]string{}
	for _, t := range targets {
		if t.Asset != "" && t.From.IsValid() && t.From == t.To {
			out[t.From] = t.Asset
		}
	}
	return out
}
