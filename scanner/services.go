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
	ActionVNC      Action = "vnc"      // the version and security types of remote framebuffer, before any authentication
	ActionOPCUA    Action = "opcua"    // one channel without security, and one GetEndpoints on it

	// For labs only (see [Ports.Lab]); outside of one nothing is sent.
	ActionMQTT   Action = "mqtt"   // one CONNECT without credentials, and DISCONNECT
	ActionModbus Action = "modbus" // one Read Device Identification
	ActionBACnet Action = "bacnet" // one ReadPropertyMultiple of the device object
)

// The conditions of probes that follow one of another protocol at the same
// endpoint.
const (
	WhenOpen     = "only if the peer accepts connections and wants no client certificate"
	WhenAnswered = "only if the probe before it was answered in its protocol"
)

// StartTLSProbe is the name of the prober that speaks TLS after a prelude.
const StartTLSProbe = "starttls"

// labOnly reports whether an action is for devices that treat nobody: old stacks
// take the exchange for a command, or stop.
func (a Action) labOnly() bool {
	return a == ActionMQTT || a == ActionModbus || a == ActionBACnet
}

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
		return first, then(SDCProbe, WhenOpen, "manufacturer, model and serial number, and whether the provider answers a stranger")
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
	case ActionDTLS:
		first.Prober, first.Why = DTLSProbe, "certificate and parameters of DTLS"
	case ActionVNC:
		return alone("vnc", "whether remote control asks for authentication and encrypts")
	case ActionOPCUA:
		return alone("opcua", "security policies, modes and certificates of an OPC UA server")
	case ActionMQTT:
		return alone("mqtt", "whether a broker takes a client without credentials, in clear")
	case ActionModbus:
		return alone("modbus", "vendor, product and revision of a controller")
	case ActionBACnet:
		return alone("bacnet", "vendor, model and version of a building controller")
	case ActionStartTLS:
		first.Prober, first.Why = StartTLSProbe, afterPrelude
	case ActionTLS, ActionTLSOnly, ActionDICOM, ActionSSH, ActionSNMP, ActionNever:
	}
	return first, nil
}
