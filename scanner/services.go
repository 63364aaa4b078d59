package scanner

import "time"

// The actions of services that are asked in their own protocol, by exchanges
// that come before any login.
const (
	ActionHTTP     Action = "http"     // one GET of / in clear
	ActionWeb      Action = "web"      // TLS first; then one GET of /, over TLS or in clear
	ActionSDC      Action = "sdc"      // TLS first; then one WS-Transfer Get, unless a client certificate is wanted
	ActionBanner   Action = "banner"   // nothing is sent; what the server says first
	ActionFTP      Action = "ftp"      // the same, then TLS after AUTH TLS
	ActionRDP      Action = "rdp"      // one connection request, then TLS after another one
	ActionSMB      Action = "smb"      // one negotiation
	ActionStartTLS Action = "starttls" // TLS after the prelude of the port's protocol
)

// The conditions of probes that follow one of another protocol at the same
// endpoint.
const (
	WhenOpen     = "only if the peer accepts connections and wants no client certificate"
	WhenAnswered = "only if the probe before it was answered in its protocol"
)

// StartTLSProbe is the name of the prober that speaks TLS after a prelude.
const StartTLSProbe = "starttls"

// serviceProbes completes the first probe of a port, and returns those that
// follow it. clinical is the bound of a connection to clinical listeners.
func serviceProbes(first PlannedProbe, action Action, clinical time.Duration) (PlannedProbe, []PlannedProbe) {
	alone := func(prober, why string) (PlannedProbe, []PlannedProbe) {
		first.Prober, first.Why, first.Time = prober, why, clinical
		return first, nil
	}
	then := func(prober, when, why string) []PlannedProbe {
		follow := first
		follow.Prober, follow.When, follow.Why, follow.Follows = prober, when, why, nil
		return []PlannedProbe{follow}
	}
	const afterPrelude = "certificate and parameters of TLS behind the protocol's own request for it"
	switch action {
	case ActionHTTP:
		return alone("http", "server software, and whether the web interface is served in clear")
	case ActionWeb:
		return first, then("http", WhenOpen, "server software, redirection, HSTS")
	case ActionSDC:
		first.Time = clinical
		return first, then("sdc", WhenOpen, "manufacturer, model and serial number, and whether the provider answers a stranger")
	case ActionBanner:
		return alone("banner", "whether a service with clear-text logins answers")
	case ActionFTP:
		follow := then(StartTLSProbe, WhenAnswered, afterPrelude)
		first, _ = alone("banner", "whether a service with clear-text logins answers")
		return first, follow
	case ActionRDP:
		follow := then(StartTLSProbe, WhenAnswered, afterPrelude)
		first, _ = alone("rdp", "whether remote desktop asks for authentication before a session")
		return first, follow
	case ActionSMB:
		return alone("smb", "dialect and signing of file sharing")
	case ActionStartTLS:
		first.Prober, first.Why = StartTLSProbe, afterPrelude
	case ActionTLS, ActionTLSOnly, ActionDICOM, ActionSSH, ActionSNMP, ActionNever:
	}
	return first, nil
}
