package tlsprobe

import (
	"cmp"
	"slices"

	"probity/internal/wire/tlswire"
	"probity/scanner"
)

// tellingFirst sorts suites, at the gentle level, by how many weak classes they
// would show that no answer showed yet. A server that follows the client then
// says the most with each of the few answers; one with an order of its own is
// not influenced. Offers from which a preference is read are not sorted so.
func (r *run) tellingFirst(suites []uint16) []uint16 {
	if r.level != scanner.Gentle {
		return suites
	}
	open := weakClasses()
	for _, o := range r.out {
		if f := o.Facts.TLS; f.Version != 0 && f.Version < tlswire.VersionTLS13 {
			open = without(open, f.CipherSuite)
		}
	}
	news := func(id uint16) int {
		s, _ := tlswire.Lookup(id)
		n := 0
		for _, c := range s.Classes {
			if slices.Contains(open, c) {
				n++
			}
		}
		return n
	}
	out := slices.Clone(suites)
	slices.SortStableFunc(out, func(x, y uint16) int { return cmp.Compare(news(y), news(x)) })
	return out
}
