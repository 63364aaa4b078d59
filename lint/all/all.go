// Package all lists every check. It holds no check of its own and keeps no
// state: the list is built at each call.
package all

import (
	"slices"
	"strings"

	"probity/lint"
	"probity/lint/asset"
	"probity/lint/cert"
	"probity/lint/chain"
	"probity/lint/endpoint"
	"probity/lint/fleet"
	"probity/lint/key"
	"probity/lint/status"
)

// Checks returns every check, ordered by name.
func Checks() []lint.Check {
	out := slices.Concat(cert.Checks(), key.Checks(), chain.Checks(), endpoint.Checks(), asset.Checks(), fleet.Checks(), status.Checks())
	slices.SortFunc(out, func(a, b lint.Check) int { return strings.Compare(a.Name, b.Name) })
	return out
}
