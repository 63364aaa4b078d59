// Package httpprobe reads what a web server shows at "/" by one GET, in clear or
// over TLS.
//
// It logs in nowhere, follows no redirect, keeps no page, no cookie and no
// address. It reads no other path but, at [scanner.Standard], the icon.
//
// Invariant: nothing of a page leaves this package but digests, flags and a few
// bounded header fields.
package httpprobe

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/html"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/scanner"
	"probity/scanner/probe"
	"probity/scanner/probe/webclient"
)

const (
	maxServer  = 128 // bytes of the Server header
	maxSchemes = 8
	maxScheme  = 32
	maxTokens  = 20000 // of one page
)

// mediaExtract is the media type of what is kept of a response.
const mediaExtract = "text/x-probity-http-extract"

// Prober implements [scanner.Prober] for HTTP and HTTPS over TCP.
type Prober struct{}

// New returns the prober.
func New() *Prober { return &Prober{} }

// Name returns "http".
func (*Prober) Name() string { return "http" }

// Transport returns TCP.
func (*Prober) Transport() evidence.Transport { return evidence.TCP }

// Exchanges lists the requests of a level.
func (*Prober) Exchanges(level scanner.Level) []scanner.Exchange {
	out := []scanner.Exchange{{
		What: "GET / (over TLS if the endpoint speaks it)", MaxBytes: webclient.MaxSent,
		Why: "status, server software, redirection, HSTS, whether a login is served in clear",
	}}
	if level == scanner.Gentle {
		return out
	}
	return append(out, scanner.Exchange{
		What: "GET /favicon.ico", MaxBytes: webclient.MaxSent, When: "only if / was answered with a page", Why: "digest of the icon, which names the product",
	})
}

// Probe asks for "/", over TLS if prior shows a TLS server.
func (*Prober) Probe(ctx context.Context, s scanner.Session, prior []evidence.Observation) ([]evidence.Observation, error) {
	obs := probe.Begin(s, evidence.KindHTTP)
	overTLS := webclient.OverTLS(prior)
	response, err := webclient.Do(ctx, s, overTLS, webclient.Request{Path: "/", Accept: "text/html, */*;q=0.1"}, &obs)
	if err != nil {
		return nil, err
	}
	if response != nil {
		obs.Result, obs.Facts.HTTP = evidence.ResultData, read(response, s.Endpoint(), overTLS)
	}
	if ctx.Err() == nil && response != nil && response.Status == http.StatusOK && s.Level() != scanner.Gentle {
		err = icon(ctx, s, overTLS, obs.Facts.HTTP)
	}
	if obs.Facts.HTTP != nil {
		obs.Raw = append(obs.Raw, evidence.Blob{Media: mediaExtract, Data: extract(obs.Facts.HTTP)})
	}
	if err == nil {
		err = ctx.Err()
	}
	return []evidence.Observation{obs}, err
}

// icon adds the digest of the icon, if there is one. That there is none is no
// observation of its own.
func icon(ctx context.Context, s scanner.Session, overTLS bool, f *evidence.HTTPFacts) error {
	var unused evidence.Observation
	response, err := webclient.Do(ctx, s, overTLS, webclient.Request{Path: "/favicon.ico", Accept: "image/*"}, &unused)
	if err != nil || response == nil {
		return err
	}
	if response.Status == http.StatusOK && strings.HasPrefix(response.MediaType(), "image/") && len(response.Body) > 0 {
		f.IconSHA256 = digest(response.Body)
		sum := md5.Sum(response.Body)
		f.IconMD5 = hex.EncodeToString(sum[:])
	}
	return nil
}

// read takes the facts out of a response.
func read(r *webclient.Response, at evidence.Endpoint, overTLS bool) *evidence.HTTPFacts {
	f := &evidence.HTTPFacts{
		TLS: overTLS, Status: r.Status, Server: safetext.CleanN(r.Header.Get("Server"), maxServer), MediaType: r.MediaType(),
		Clock: r.Clock,
	}
	for _, value := range r.Header.Values("WWW-Authenticate") {
		scheme, _, _ := strings.Cut(strings.TrimSpace(value), " ")
		if scheme = strings.ToLower(scheme); scheme != "" && len(f.Schemes) < maxSchemes && !slices.Contains(f.Schemes, scheme) {
			f.Schemes = append(f.Schemes, safetext.CleanN(scheme, maxScheme))
		}
	}
	if r.Status >= 300 && r.Status < 400 && r.Status != http.StatusNotModified {
		f.Redirect = redirectOf(r.Header.Get("Location"), at, overTLS)
	}
	if overTLS { // over HTTP the field must be ignored (RFC 6797 section 8.1)
		f.HSTSAge = hstsAge(r.Header.Get("Strict-Transport-Security"))
		f.HSTS = f.HSTSAge > 0
	}
	if f.MediaType == "text/html" || f.MediaType == "application/xhtml+xml" {
		title, login := page(r.Body)
		f.LoginForm = login
		if title != "" {
			f.TitleSHA256 = digest([]byte(title))
		}
	}
	return f
}

// redirectOf classes the target of a redirection from at.
func redirectOf(location string, at evidence.Endpoint, overTLS bool) evidence.Redirect {
	u, err := url.Parse(location)
	if err != nil || location == "" {
		return evidence.RedirectUnknown
	}
	scheme := u.Scheme
	if scheme == "" {
		scheme = map[bool]string{true: "https", false: "http"}[overTLS]
	}
	if scheme != "https" && scheme != "http" {
		return evidence.RedirectUnknown
	}
	secure := scheme == "https"
	switch {
	case u.Host != "" && !sameHost(u.Hostname(), at) && secure:
		return evidence.RedirectOtherHTTPS
	case u.Host != "" && !sameHost(u.Hostname(), at):
		return evidence.RedirectOtherHTTP
	case secure == overTLS:
		return evidence.RedirectLocal
	case secure:
		return evidence.RedirectHTTPS
	}
	return evidence.RedirectHTTP
}

func sameHost(host string, at evidence.Endpoint) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().WithZone("") == at.Addr.Unmap().WithZone("")
	}
	return at.Name != "" && strings.EqualFold(host, at.Name)
}

// hstsAge reads max-age of RFC 6797 section 6.1.1; 0 if there is none.
func hstsAge(field string) int64 {
	for directive := range strings.SplitSeq(field, ";") {
		name, value, _ := strings.Cut(directive, "=")
		if strings.EqualFold(strings.TrimSpace(name), "max-age") {
			n, err := strconv.ParseInt(strings.Trim(strings.TrimSpace(value), `"`), 10, 64)
			if err != nil || n < 0 {
				return 0
			}
			return n
		}
	}
	return 0
}

// page returns the title, without white space around it, and whether there is a
// password field. Both are sought in the first tokens only.
func page(body []byte) (title string, login bool) {
	z := html.NewTokenizer(bytes.NewReader(body))
	z.SetMaxBuf(webclient.MaxResponse)
	inTitle := false
	for range maxTokens {
		switch z.Next() {
		case html.ErrorToken:
			return title, login
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			inTitle = string(name) == "title" && title == ""
			if string(name) == "input" {
				login = login || isPassword(z, more)
			}
		case html.TextToken:
			if inTitle {
				title, inTitle = strings.TrimSpace(string(z.Text())), false
			}
		case html.EndTagToken:
			inTitle = false
		case html.CommentToken, html.DoctypeToken:
		}
	}
	return title, login
}

func isPassword(z *html.Tokenizer, more bool) bool {
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		if string(key) == "type" && strings.EqualFold(string(value), "password") {
			return true
		}
	}
	return false
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// extract is what is kept of a response as evidence: the allowed fields, one a
// line, in the order of the facts.
func extract(f *evidence.HTTPFacts) []byte {
	var b bytes.Buffer
	line := func(name string, value any) { fmt.Fprintf(&b, "%s: %v\n", name, value) }
	line("status", f.Status)
	line("server", f.Server)
	line("content-type", f.MediaType)
	line("www-authenticate", strings.Join(f.Schemes, ", "))
	line("location", string(f.Redirect))
	line("strict-transport-security", f.HSTSAge)
	line("title-sha256", f.TitleSHA256)
	line("icon-sha256", f.IconSHA256)
	line("icon-md5", f.IconMD5)
	line("password-field", f.LoginForm)
	if f.Clock != nil {
		line("date", f.Clock.Says.Format(http.TimeFormat))
	}
	return b.Bytes()
}
