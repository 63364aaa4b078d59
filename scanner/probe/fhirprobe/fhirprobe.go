// Package fhirprobe asks FHIR services, which the operator names by URL, for what
// they say of themselves: the CapabilityStatement and the SMART configuration.
//
// It reads no other resource, logs in nowhere, follows no redirect and guesses no
// URL: a session without URLs gets nothing.
//
// Invariant: GET of /metadata and of /.well-known/smart-configuration, below the
// URLs of the session, are the only requests that leave this package; of an
// answer only the fields of [evidence.FHIRFacts] are kept.
package fhirprobe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"probity/evidence"
	"probity/internal/wire/idwire"
	"probity/scanner"
	"probity/scanner/probe"
	"probity/scanner/probe/webclient"
)

// mediaExtract is the media type of what is kept of an answer.
const mediaExtract = "text/x-probity-fhir-extract"

const accept = "application/fhir+json, application/json;q=0.9"

// Prober implements [scanner.Prober] for FHIR over HTTP and HTTPS.
type Prober struct{}

// New returns the prober.
func New() *Prober { return &Prober{} }

// Name returns "fhir".
func (*Prober) Name() string { return scanner.FHIRProbe }

// Transport returns TCP.
func (*Prober) Transport() evidence.Transport { return evidence.TCP }

// Exchanges lists the requests below each URL.
func (*Prober) Exchanges(scanner.Level) []scanner.Exchange {
	return []scanner.Exchange{
		{What: "GET /metadata below the URL", MaxBytes: webclient.MaxSent, Why: "software, FHIR version and security services of the server"},
		{
			What: "GET /.well-known/smart-configuration below the URL", MaxBytes: webclient.MaxSent,
			When: "only if the first was answered in HTTP", Why: "how clients of the server are authorised",
		},
	}
}

// document is one thing that is asked for.
type document struct {
	path string
	name string
	read func([]byte) (evidence.FHIRFacts, bool)
}

func documents() []document {
	return []document{
		{"/metadata", "CapabilityStatement", idwire.FHIR},
		{"/.well-known/smart-configuration", "SMART configuration", idwire.SMART},
	}
}

// Probe asks below each URL of the session. A server that does not answer is not
// asked again.
func (*Prober) Probe(ctx context.Context, s scanner.Session, _ []evidence.Observation) ([]evidence.Observation, error) {
	located, ok := s.(scanner.Located)
	if !ok || len(located.URLs()) == 0 {
		return nil, errors.New("no URL was given for this endpoint")
	}
	var out []evidence.Observation
	for _, base := range located.URLs() {
		u, err := url.Parse(base)
		if err != nil {
			return out, fmt.Errorf("URL %q: %w", base, err)
		}
		for _, d := range documents() {
			obs := probe.Begin(s, evidence.KindFHIR)
			answered, err := ask(ctx, s, u, d, &obs)
			if obs.Result != "" {
				out = append(out, obs)
			}
			if err != nil || !answered {
				return out, err
			}
		}
	}
	return out, ctx.Err()
}

// ask has one exchange. answered is false if no HTTP came back.
func ask(ctx context.Context, s scanner.Session, base *url.URL, d document, obs *evidence.Observation) (answered bool, err error) {
	overTLS := base.Scheme == "https"
	request := webclient.Request{Path: strings.TrimSuffix(base.EscapedPath(), "/") + d.path, Accept: accept}
	response, err := webclient.Do(ctx, s, overTLS, request, obs)
	if err != nil || response == nil {
		if err == nil {
			err = ctx.Err()
		}
		return false, err
	}
	facts, ok := d.read(response.Body)
	if response.Status != http.StatusOK || !ok {
		obs.Result, obs.Detail = evidence.ResultError, fmt.Sprintf("status %d, no %s at %s", response.Status, d.name, request.Path)
		return true, ctx.Err()
	}
	facts.TLS, facts.Status, facts.Clock = overTLS, response.Status, response.Clock
	obs.Result, obs.Facts.FHIR = evidence.ResultData, &facts
	obs.Raw = append(obs.Raw, evidence.Blob{Media: mediaExtract, Data: extract(&facts)})
	return true, ctx.Err()
}

// extract is what is kept of a document as evidence.
func extract(f *evidence.FHIRFacts) []byte {
	return fmt.Appendf(nil, "status: %d\ndocument: %s\nfhir-version: %s\nsoftware: %s\nrelease: %s\nservices: %s\n"+
		"capabilities: %s\nclient-authentication: %s\ngrants: %s\npkce: %s\n",
		f.Status, f.Document, f.Version, f.Software, f.Release, strings.Join(f.Services, ", "),
		strings.Join(f.Capabilities, ", "), strings.Join(f.ClientAuth, ", "), strings.Join(f.Grants, ", "), strings.Join(f.PKCE, ", "))
}
