package asset

import (
	"fmt"
	"slices"
	"strings"

	"probity/evidence"
	"probity/lint"
)

// portsDocumented asks that a device has no service that its documents do not
// list.
func portsDocumented() lint.Check {
	return lint.Check{
		Name:   "asset/ports_documented",
		Source: "FDA premarket guidance 2026 section VI.A; NIST SP 800-53 CM-7",
		Asset: func(_ *lint.Env, s *lint.AssetSubject) lint.Verdict {
			list, fact := s.Stated(evidence.ValuePorts)
			if fact == nil {
				return lint.NotApplicablef("No list of ports was given for the device.")
			}
			extra, all, ids := unlisted(s, strings.Fields(list))
			if len(all) == 0 {
				return lint.Inconclusivef("No service of the device answered.")
			}
			if len(extra) == 0 {
				v := lint.Passf("Each service that answered is on the list (%s).", text(list))
				v.Observations = all
				return v
			}
			v := lint.Warnf("Not on the list: %s.", strings.Join(extra, ", "))
			v.Observations = ids
			return v
		},
	}
}

// unlisted are the services that answered and are not among the documented ports,
// with the observations that show them, and those of all services that answered.
func unlisted(s *lint.AssetSubject, documented []string) (extra []string, all, ids []int64) {
	for _, e := range s.Endpoints {
		i := slices.IndexFunc(e.Observations, func(o *evidence.Observation) bool { return o.Result == evidence.ResultData })
		if i < 0 || e.Endpoint.Port == 0 {
			continue
		}
		all = append(all, e.Observations[i].ID)
		port := fmt.Sprintf("%s/%d", e.Endpoint.Transport, e.Endpoint.Port)
		if !slices.Contains(documented, port) && !slices.Contains(extra, port) {
			extra = append(extra, port)
			ids = append(ids, e.Observations[i].ID)
		}
	}
	return extra, all, ids
}
