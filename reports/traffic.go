package reports

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"probity/evidence"
	"probity/internal/safetext"
)

// maxClientAddresses is how many clients of one fingerprint are named.
const maxClientAddresses = 20

// Traffic is what was seen between others. A listener can be lied to: anyone on
// the network can send what looks like a connection between two others.
type Traffic struct {
	Services []Service `json:"services"` // by endpoint and protocol
	Clients  []Client  `json:"clients"`  // the fingerprint with the most clients first
	// Hidden is the number of services whose certificate a listener cannot see.
	Hidden int `json:"hidden"`
}

// Service is a protocol that was heard at an endpoint.
type Service struct {
	Endpoint string `json:"endpoint"`
	Asset    string `json:"asset,omitzero"`
	Protocol string `json:"protocol"` // "tls", "dtls", "quic", "smtp+tls", "dicom", "dhcp", ...
	// Versions are those of TLS that were negotiated, newest last.
	Versions []string `json:"versions,omitzero"`
	// Certificates are the SHA-256 of leafs that the server presented.
	Certificates []string `json:"certificates,omitzero"`
	// Possession says whether the server showed that it holds the key: "verified",
	// "refuted", or empty where nothing signed was seen.
	Possession evidence.Possession `json:"possession,omitzero"`
	// CertificateHidden is true if a certificate was sent encrypted (TLS 1.3, QUIC).
	CertificateHidden bool      `json:"certificate_hidden,omitzero"`
	Saw               string    `json:"saw"` // in words
	FirstSeen         time.Time `json:"first_seen"`
	LastSeen          time.Time `json:"last_seen"`
}

// Client is TLS software by its fingerprint, with the addresses that it was seen
// at. Equal fingerprints are equal software, not one device.
type Client struct {
	JA4       string   `json:"ja4"`
	JA3       string   `json:"ja3"`
	Addresses []string `json:"addresses"` // at most 20
	Count     int      `json:"count"`     // of addresses
}

// heard gathers what was heard at one endpoint in one protocol.
type heard struct {
	endpoint evidence.Endpoint
	service  Service
	versions map[uint16]bool
	leafs    map[string]bool
	words    map[string]bool
}

func (b *builder) traffic() Traffic {
	services := map[string]*heard{}
	clients := map[[2]string]map[string]bool{}
	for i := range b.in.Observations {
		o := &b.in.Observations[i]
		if o.Method != evidence.Passive || o.Result != evidence.ResultData {
			continue
		}
		if f := o.Facts.TLS; f != nil && f.JA4 != "" && o.Peer.Addr.IsValid() {
			key := [2]string{f.JA4, f.JA3}
			if clients[key] == nil {
				clients[key] = map[string]bool{}
			}
			clients[key][o.Peer.Addr.String()] = true
		}
		if o.Endpoint.Transport == evidence.Link || !o.Endpoint.Addr.IsValid() || o.Facts.TLS != nil && o.Facts.TLS.Version == 0 {
			continue
		}
		protocol := safetext.Clean(spoken(*o))
		key := o.Endpoint.String() + " " + protocol
		h := services[key]
		if h == nil {
			h = &heard{
				endpoint: o.Endpoint, versions: map[uint16]bool{}, leafs: map[string]bool{}, words: map[string]bool{},
				service: Service{Endpoint: safetext.Clean(o.Endpoint.String()), Asset: b.assetAt(o.Endpoint), Protocol: protocol, FirstSeen: o.At.UTC(), LastSeen: o.At.UTC()},
			}
			services[key] = h
		}
		h.add(*o)
	}
	t := Traffic{Services: []Service{}, Clients: clientList(clients)}
	order := slices.SortedFunc(maps.Values(services), func(a, b *heard) int {
		return cmp.Or(a.endpoint.Compare(b.endpoint), cmp.Compare(a.service.Protocol, b.service.Protocol))
	})
	for _, h := range order {
		t.Services = append(t.Services, h.finish())
		if h.service.CertificateHidden {
			t.Hidden++
		}
	}
	return t
}

// forgeable lists the observations that are nothing but passing traffic without a
// signature of a presented key.
func (b *builder) forgeable() map[int64]bool {
	out := map[int64]bool{}
	for i := range b.in.Observations {
		o := &b.in.Observations[i]
		f := o.Facts.TLS
		signed := f != nil && (f.Possession == evidence.PossessionVerified || f.ClientPossession == evidence.PossessionVerified)
		if o.Method == evidence.Passive && !signed {
			out[o.ID] = true
		}
	}
	return out
}

// heardNote follows the detail of a finding in print.
const heardNote = " (heard only)"

// detailText is the detail of a finding as it is printed.
func detailText(f Finding) string {
	if f.HeardOnly {
		return cmp.Or(f.Detail, f.Title) + heardNote
	}
	return f.Detail
}

func (b *builder) assetAt(e evidence.Endpoint) string {
	if id, ok := b.byPlace[e]; ok {
		return id
	}
	return b.byAddr[e.Addr.String()]
}

func clientList(clients map[[2]string]map[string]bool) []Client {
	out := []Client{}
	for key, addresses := range clients {
		list := slices.Sorted(maps.Keys(addresses))
		out = append(out, Client{
			JA4: safetext.Clean(key[0]), JA3: safetext.Clean(key[1]), Addresses: first(list, maxClientAddresses), Count: len(list),
		})
	}
	slices.SortFunc(out, func(a, b Client) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.JA4, b.JA4), cmp.Compare(a.JA3, b.JA3))
	})
	return out
}

// spoken names the protocol of an observation, with what carried TLS.
func spoken(o evidence.Observation) string {
	switch f := o.Facts; {
	case f.TLS != nil && (f.TLS.Carrier == "dtls" || f.TLS.Carrier == "quic"):
		return f.TLS.Carrier
	case f.TLS != nil && f.TLS.Carrier != "":
		return f.TLS.Carrier + "+tls"
	case f.Identity != nil:
		return f.Identity.Protocol
	case f.Banner != nil:
		return f.Banner.Protocol
	}
	return string(o.Kind)
}

func (h *heard) add(o evidence.Observation) {
	s := &h.service
	if o.At.Before(s.FirstSeen) {
		s.FirstSeen = o.At.UTC()
	}
	if o.At.After(s.LastSeen) {
		s.LastSeen = o.At.UTC()
	}
	if f := o.Facts.TLS; f != nil {
		h.versions[f.Version] = true
		s.CertificateHidden = s.CertificateHidden || f.CertificateHidden
		for _, c := range o.Certs {
			if c.Role == evidence.RoleServer && c.Position == 0 {
				h.leafs[evidence.DigestOf(c.DER).String()] = true
			}
		}
		if s.Possession != evidence.PossessionRefuted && f.Possession != "" {
			s.Possession = f.Possession
		}
	}
	for _, w := range words(o.Facts) {
		h.words[safetext.CleanN(w, 120)] = true
	}
}

// words are what a service said of itself.
func words(f evidence.Facts) []string {
	var out []string
	add := func(list ...string) {
		for _, s := range list {
			if s != "" {
				out = append(out, s)
			}
		}
	}
	switch {
	case f.TLS != nil && f.TLS.OCSP != nil:
		for _, status := range f.TLS.OCSP.Statuses {
			add("stapled OCSP response: " + status.Status)
		}
	case f.SSH != nil:
		add(f.SSH.Version)
	case f.DICOM != nil && f.DICOM.PDU == "ac":
		add(f.DICOM.Implementation)
	case f.HL7 != nil && f.HL7.Sender == evidence.RoleServer:
		add(f.HL7.SendingApplication)
	case f.HTTP != nil:
		add(f.HTTP.Server)
	case f.FHIR != nil:
		add(strings.TrimSpace(f.FHIR.Software + " " + f.FHIR.Release))
	case f.SDC != nil:
		add(strings.TrimSpace(f.SDC.Manufacturer + " " + f.SDC.ModelName))
	case f.Identity != nil && f.Identity.Sender != evidence.RoleClient:
		i := f.Identity
		add(strings.TrimSpace(i.Manufacturer+" "+i.Model+" "+i.Version), i.Software, i.VendorClass, i.Description)
		add(i.Hostnames...)
		add(i.Types...)
	}
	return out
}

// finish puts what was heard into words.
func (h *heard) finish() Service {
	s := &h.service
	var parts []string
	for _, v := range slices.Sorted(maps.Keys(h.versions)) {
		s.Versions = append(s.Versions, tlsName(v))
	}
	if len(s.Versions) > 0 {
		parts = append(parts, strings.Join(s.Versions, ", "))
	}
	if s.Certificates = slices.Sorted(maps.Keys(h.leafs)); len(s.Certificates) > 0 {
		text := count(len(s.Certificates), "certificate")
		switch s.Possession {
		case evidence.PossessionVerified:
			text += ", its key signed the handshake"
		case evidence.PossessionRefuted:
			text += ", but the signature of the handshake is not of its key"
		default:
			text += ", presented without proof of its key"
		}
		parts = append(parts, text)
	}
	switch {
	case s.CertificateHidden && h.endpoint.Transport == evidence.TCP:
		parts = append(parts, "certificate not observable passively (TLS 1.3): scan --from-passive asks for it")
	case s.CertificateHidden:
		parts = append(parts, "certificate not observable passively (TLS 1.3)")
	}
	const most = 6
	list := slices.Sorted(maps.Keys(h.words))
	parts = append(parts, first(list, most)...)
	if s.Saw = strings.Join(parts, "; "); s.Saw == "" {
		s.Saw = "spoken"
	}
	return *s
}

// tlsName is the name of a version of TLS.
func tlsName(v uint16) string {
	switch v {
	case 0x0002:
		return "SSL 2.0"
	case 0x0300:
		return "SSL 3.0"
	case 0x0301, 0x0302, 0x0303, 0x0304:
		return fmt.Sprintf("TLS 1.%d", v-0x0301)
	}
	return fmt.Sprintf("0x%04x", v)
}

// trafficTable writes what was heard, if anything was.
func trafficTable(b *bytes.Buffer, d Document, o TableOptions) error {
	t := d.Traffic
	limit := func(n int) int {
		if o.Max > 0 {
			return min(n, o.Max)
		}
		return n
	}
	if n := limit(len(t.Services)); n > 0 {
		var rows [][]string
		for _, s := range t.Services[:n] {
			rows = append(rows, []string{s.Endpoint, s.Protocol, s.Saw})
		}
		fmt.Fprintf(b, "\nHEARD ON THE WIRE: %d of %s shown\n", n, count(len(t.Services), "service"))
		if err := grid(b, []string{"ENDPOINT", "PROTOCOL", "WHAT WAS SEEN"}, rows, o.width()); err != nil {
			return err
		}
	}
	if n := limit(len(t.Clients)); n > 0 {
		var rows [][]string
		for _, c := range t.Clients[:n] {
			rows = append(rows, []string{c.JA4, c.JA3, fmt.Sprint(c.Count), strings.Join(first(c.Addresses, 3), " ")})
		}
		fmt.Fprintf(b, "\nTLS CLIENTS BY FINGERPRINT: %d of %d shown\n", n, len(t.Clients))
		return grid(b, []string{"JA4", "JA3", "CLIENTS", "SUCH AS"}, rows, o.width())
	}
	return nil
}
