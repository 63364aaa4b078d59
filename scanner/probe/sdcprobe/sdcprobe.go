// Package sdcprobe asks an IEEE 11073 SDC provider for its DPWS metadata by one
// WS-Transfer Get, in clear or over TLS without a client certificate.
//
// It reads manufacturer, model, firmware and serial number. It never reads or
// sets a state, subscribes to nothing, and asks no endpoint that wants a client
// certificate.
//
// Invariant: Get is the only action that leaves this package; of the answer only
// the fields of [evidence.SDCFacts] are kept.
package sdcprobe

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/internal/wire/sdcwire"
	"probity/scanner"
	"probity/scanner/probe"
	"probity/scanner/probe/webclient"
)

// mediaExtract is the media type of what is kept of an answer.
const mediaExtract = "text/x-probity-sdc-extract"

const maxField = 256 // bytes

// Prober implements [scanner.Prober] for SDC over TCP.
type Prober struct{}

// New returns the prober.
func New() *Prober { return &Prober{} }

// Name returns "sdc".
func (*Prober) Name() string { return scanner.SDCProbe }

// Transport returns TCP.
func (*Prober) Transport() evidence.Transport { return evidence.TCP }

// Exchanges lists the one Get.
func (*Prober) Exchanges(scanner.Level) []scanner.Exchange {
	return []scanner.Exchange{{
		What: "WS-Transfer Get of DPWS metadata (over TLS if the endpoint speaks it)", MaxBytes: webclient.MaxSent,
		Why: "manufacturer, model, firmware and serial number; whether the provider answers a stranger",
	}}
}

// Probe asks for the metadata: at the URLs of the session, which are what a provider
// tells by WS-Discovery, else at "/", over TLS if prior shows a TLS server.
func (*Prober) Probe(ctx context.Context, s scanner.Session, prior []evidence.Observation) ([]evidence.Observation, error) {
	located, ok := s.(scanner.Located)
	if !ok || len(located.URLs()) == 0 {
		return ask(ctx, s, "/", webclient.OverTLS(prior))
	}
	var out []evidence.Observation
	for _, text := range located.URLs() {
		u, err := url.Parse(text)
		if err != nil {
			return out, fmt.Errorf("URL %q: %w", text, err)
		}
		obs, err := ask(ctx, s, cmp.Or(u.EscapedPath(), "/"), u.Scheme == "https")
		out = append(out, obs...)
		if err != nil {
			return out, err
		}
	}
	return out, ctx.Err()
}

// ask has the one exchange.
func ask(ctx context.Context, s scanner.Session, path string, overTLS bool) ([]evidence.Observation, error) {
	obs := probe.Begin(s, evidence.KindSDC)
	id, err := newID()
	if err != nil {
		return nil, err
	}
	response, err := webclient.Do(ctx, s, overTLS, webclient.Request{
		Path: path, Accept: sdcwire.MediaType, ContentType: sdcwire.MediaType + "; charset=utf-8", Body: sdcwire.Get(id, reference(path)),
	}, &obs)
	if err != nil {
		return nil, err
	}
	if response != nil {
		conclude(&obs, response, overTLS)
	}
	return []evidence.Observation{obs}, ctx.Err()
}

// conclude writes what the answer shows. Only a SOAP envelope makes an endpoint
// an SDC provider.
func conclude(obs *evidence.Observation, r *webclient.Response, overTLS bool) {
	d, err := sdcwire.ParseGetResponse(r.Body)
	if err == nil && !d.Fault && d.Manufacturer == "" && d.ModelName == "" && d.Serial == "" {
		err = errors.New("the envelope has no DPWS metadata")
	}
	if err != nil {
		obs.Result = evidence.ResultError
		obs.Detail = safetext.Clean(fmt.Sprintf("status %d, no DPWS metadata: %v", r.Status, err))
		return
	}
	if !d.Fault && r.Status != http.StatusOK {
		obs.Detail = fmt.Sprintf("metadata with status %d", r.Status)
	}
	f := &evidence.SDCFacts{
		TLS: overTLS, Fault: d.Fault, Clock: r.Clock,
		Manufacturer: safetext.CleanN(d.Manufacturer, maxField), ModelName: safetext.CleanN(d.ModelName, maxField),
		ModelNumber: safetext.CleanN(d.ModelNumber, maxField), Firmware: safetext.CleanN(d.Firmware, maxField),
		Serial: safetext.CleanN(d.Serial, maxField),
	}
	obs.Result, obs.Facts.SDC = evidence.ResultData, f
	obs.Raw = append(obs.Raw, evidence.Blob{Media: mediaExtract, Data: fmt.Appendf(nil,
		"status: %d\nfault: %v\nmanufacturer: %s\nmodel-name: %s\nmodel-number: %s\nfirmware-version: %s\nserial-number: %s\n",
		r.Status, f.Fault, f.Manufacturer, f.ModelName, f.ModelNumber, f.Firmware, f.Serial)})
}

// newID is a random UUID as a URN (RFC 9562 section 5.4).
func newID() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("message id: %w", err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return urn(b[:]), nil
}

func urn(b []byte) string {
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// reference is the endpoint reference of the device that is asked at a path: providers
// make the path of it, with hyphens or without. It is empty where they do not.
func reference(path string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Trim(path, "/"), "-", ""))
	if err != nil || len(b) != 16 {
		return ""
	}
	return urn(b)
}
