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

// FHIRProbe and SDCProbe are the names of the probers of services that may be named
// by URL, and SNMPGetProbe that of the one which needs a community of the operator's.
const (
	FHIRProbe    = "fhir"
	SDCProbe     = "sdc"
	SNMPGetProbe = "snmp-get"
)

const maxURL = 512 // bytes

// ParseURL reads a URL at which a prober is to ask, as a target: its host and port
// may be touched, and there only that service is asked. For [FHIRProbe] it is the
// base of the service, such as "https://192.0.2.5/fhir/r4", from whose end a
// "/metadata" is taken off. For [SDCProbe] it is the transport address of the
// provider (XAddrs of WS-Discovery 1.1 section 4.1), such as
// "https://192.0.2.5:6464/12345678-90ab-cdef-1234-567890abcdef". Credentials, a query
// and a fragment are refused.
func ParseURL(prober, text string) (Target, error) {
	t, err := parseURL(prober, strings.TrimSpace(text))
	if err != nil {
		if _, rest, ok := strings.Cut(text, "@"); ok { // a password is not repeated
			text = "...@" + rest
		}
		want := "the base of a FHIR service, such as https://192.0.2.5/fhir"
		if prober == SDCProbe {
			want = "the transport address of an SDC provider, such as https://192.0.2.5:6464/ and its UUID"
		}
		return Target{}, fmt.Errorf("URL %q: %w (want %s)", safetext.Clean(text), err, want)
	}
	return t, nil
}

func parseURL(prober, text string) (Target, error) {
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
	path := u.EscapedPath()
	if prober == FHIRProbe {
		path = strings.TrimRight(strings.TrimSuffix(strings.TrimRight(path, "/"), "/metadata"), "/")
	}
	base := url.URL{Scheme: u.Scheme, Host: net.JoinHostPort(u.Hostname(), port)}
	t.Text, t.URL, t.Prober = text, base.String()+path, prober
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
func (s *shape) urlProbes(p *Plan, ep evidence.Endpoint, w wish) {
	first := PlannedProbe{Endpoint: ep, Prober: "tls", Service: w.port.Service, Time: p.Rates.MaxTime, Why: "certificate and parameters of TLS"}
	_, tls := p.Exchanges[first.Prober]
	hello := tls && !w.itself // what the port table allows begins with one
	for _, ask := range []struct {
		prober, what string
		urls         []string
	}{
		{FHIRProbe, "software, version and security services of the FHIR server", w.fhir},
		{SDCProbe, "manufacturer, model and serial number of the SDC provider", w.sdc},
	} {
		if _, have := p.Exchanges[ask.prober]; !have || len(ask.urls) == 0 {
			continue
		}
		if !w.port.takes(ask.prober) {
			e := Exclusion{
				Target: ask.urls[0], Reason: fmt.Sprintf("port %d is known for %s: no web request is sent there", w.port.Number, w.port.Service), Addresses: 1,
			}
			if !slices.Contains(s.excluded, e) {
				s.excluded = append(s.excluded, e)
			}
			continue
		}
		planned := PlannedProbe{
			Endpoint: ep, Prober: ask.prober, Service: ask.prober, URLs: ask.urls, Time: min(ClinicalTime, p.Rates.MaxTime),
			Why: ask.what + " at " + strings.Join(ask.urls, ", "),
		}
		if slices.ContainsFunc(ask.urls, func(u string) bool { return strings.HasPrefix(u, "https:") }) {
			planned.When = WhenOpen
			if hello {
				first.Service, hello = ask.prober, false
				s.probes = append(s.probes, first)
			}
		}
		// Where the port table asks the same at no URL, the URL takes its place.
		s.probes = slices.DeleteFunc(s.probes, func(o PlannedProbe) bool {
			return o.Endpoint == ep && o.Prober == ask.prober && len(o.URLs) == 0
		})
		s.probes = append(s.probes, planned)
	}
}

// takes reports whether a prober that was given a URL may send requests to a port.
func (p Port) takes(prober string) bool {
	switch p.Action {
	case ActionTLS, ActionWeb, ActionHTTP:
		return true
	case ActionSDC:
		return prober == SDCProbe
	default:
		return false
	}
}
