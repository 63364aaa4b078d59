package scanner

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/safetext"
)

// FHIRProbe is the name of the prober of services that the operator names by
// URL, and SNMPGetProbe that of the one which needs a community of the operator's.
const (
	FHIRProbe    = "fhir"
	SNMPGetProbe = "snmp-get"
)

const maxURL = 512 // bytes

// ParseURL reads the base URL of a FHIR service, such as
// "https://192.0.2.5/fhir/r4", as a target: its host and port may be touched, and
// there only the service is asked, below the path of the URL. Credentials, a
// query and a fragment are refused. A "/metadata" at the end is taken off.
func ParseURL(text string) (Target, error) {
	t, err := parseURL(strings.TrimSpace(text))
	if err != nil {
		if _, rest, ok := strings.Cut(text, "@"); ok { // a password is not repeated
			text = "...@" + rest
		}
		return Target{}, fmt.Errorf("URL %q: %w (want the base of a FHIR service, such as https://192.0.2.5/fhir)", safetext.Clean(text), err)
	}
	return t, nil
}

func parseURL(text string) (Target, error) {
	u, err := url.Parse(text)
	if err != nil || len(text) > maxURL {
		return Target{}, errors.New("not a URL")
	}
	switch {
	case u.User != nil:
		return Target{}, errors.New("it holds credentials, which are never sent nor kept")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return Target{}, errors.New("it has a query or a fragment")
	case slices.Contains(strings.Split(u.Path, "/"), ".."):
		return Target{}, errors.New(`its path has ".."`)
	}
	port := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if port == "" {
		return Target{}, errors.New("it is neither http nor https")
	}
	if u.Port() != "" {
		port = u.Port()
	}
	t, err := ParseTarget(net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return Target{}, err
	}
	if t.From != t.To {
		return Target{}, errors.New("it names more than one host")
	}
	path := strings.TrimRight(strings.TrimSuffix(strings.TrimRight(u.EscapedPath(), "/"), "/metadata"), "/")
	base := url.URL{Scheme: u.Scheme, Host: net.JoinHostPort(u.Hostname(), port)}
	t.Text, t.URL = text, base.String()+path
	return t, nil
}

// Located is a [Session] of a probe that was asked for by URLs; those of other
// probes have none.
type Located interface {
	// URLs are base URLs at the session's endpoint, as [ParseURL] returns them.
	URLs() []string
}

// urlProbes plans what is asked by URL at an endpoint. A port of another protocol
// gets nothing, whatever the URL says.
func (p *Plan) urlProbes(ep evidence.Endpoint, w wish) ([]PlannedProbe, Exclusion) {
	if _, have := p.Exchanges[FHIRProbe]; !have || len(w.urls) == 0 {
		return nil, Exclusion{}
	}
	switch w.port.Action {
	case ActionTLS, ActionWeb, ActionHTTP:
	default:
		return nil, Exclusion{
			Target: w.urls[0], Reason: fmt.Sprintf("port %d is known for %s: no web request is sent there", w.port.Number, w.port.Service), Addresses: 1,
		}
	}
	fhir := PlannedProbe{
		Endpoint: ep, Prober: FHIRProbe, Service: "fhir", URLs: w.urls, Time: min(ClinicalTime, p.Rates.MaxTime),
		Why: "software, version and security services of the FHIR server at " + strings.Join(w.urls, ", "),
	}
	if !slices.ContainsFunc(w.urls, func(u string) bool { return strings.HasPrefix(u, "https:") }) {
		return []PlannedProbe{fhir}, Exclusion{}
	}
	fhir.When = WhenOpen
	first := PlannedProbe{Endpoint: ep, Prober: "tls", Service: "fhir", Time: p.Rates.MaxTime, Why: "certificate and parameters of TLS"}
	if _, have := p.Exchanges[first.Prober]; !have || w.itself {
		return []PlannedProbe{fhir}, Exclusion{}
	}
	return []PlannedProbe{first, fhir}, Exclusion{}
}
