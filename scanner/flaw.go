package scanner

// FlawProbe is the name of the prober that tries known flaws of TLS software. A
// scan has it only where the operator says that the devices treat nobody.
const FlawProbe = "flaws"

// WhenTLS is the condition of probes that follow hellos of TLS.
const WhenTLS = "only if the peer speaks TLS"

// flawProbes follow the hellos of TLS at an endpoint, where the scan has them. A
// listener that must not see its own protocol gets nothing but hellos in a lab,
// too.
func (p *Plan) flawProbes(first PlannedProbe, port Port) []PlannedProbe {
	if len(p.Exchanges[FlawProbe]) == 0 || first.Prober != "tls" || port.Action == ActionTLSOnly {
		return nil
	}
	flaws := first
	flaws.Prober, flaws.When, flaws.Follows = FlawProbe, WhenTLS, nil
	flaws.Why = "whether the TLS software has a known flaw: Heartbleed, CCS injection, ROBOT"
	return []PlannedProbe{flaws}
}
