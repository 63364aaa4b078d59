package lint

import (
	"slices"
	"strings"

	"probity/evidence"
)

// AssetSubject is what an asset check judges: one device with its life, and what
// is current at its endpoints.
type AssetSubject struct {
	*evidence.Asset
	// Endpoints are those with an answer to judge.
	Endpoints []*EndpointSubject
	// Leafs are the current sightings of leaf certificates that it presents, as
	// server and as client.
	Leafs []Sighting
	// Keys are the identity keys that it shows now.
	Keys []IdentityKey
	// Called are the current TLS observations in which it is the client.
	Called []*evidence.Observation

	keys map[evidence.Digest]bool // those of Keys, while they are gathered
}

// IdentityKey is a key that a device was seen to have.
type IdentityKey struct {
	SPKI        evidence.Digest
	What        string // "TLS key", "SSH host key"
	Observation int64
	Holders     int // assets that show it
}

// AssetSubjects returns the subjects of asset checks, by id.
func (c *Corpus) AssetSubjects() []*AssetSubject {
	c.assetsOnce.Do(c.addAssetSubjects)
	return c.assetSubjects
}

func (c *Corpus) addAssetSubjects() {
	byID := make(map[string]*AssetSubject, len(c.assets))
	for i := range c.assets {
		a := &c.assets[i]
		s := &AssetSubject{Asset: a, Endpoints: c.byAsset[a.ID]}
		byID[a.ID] = s
		c.assetSubjects = append(c.assetSubjects, s)
	}
	for _, g := range c.leafs {
		s := byID[c.Asset(g.Endpoint)]
		if s == nil || g.Role == evidence.RoleFile {
			continue
		}
		s.Leafs = append(s.Leafs, g)
		if k := g.Certificate.Key; k != nil {
			s.addKey(IdentityKey{SPKI: k.SPKI, What: "TLS key", Observation: g.Observation})
		}
	}
	for _, e := range c.endpoints {
		if s := byID[e.Asset]; s != nil {
			for _, o := range e.Of(evidence.KindSSH) {
				for _, blob := range o.Keys {
					s.addKey(IdentityKey{SPKI: evidence.DigestOf(blob.Blob), What: "SSH host key", Observation: o.ID})
				}
			}
		}
		for _, o := range e.Observations {
			if o.Facts.TLS == nil || !o.Peer.Addr.IsValid() {
				continue
			}
			if s := byID[c.Asset(evidence.Endpoint{Addr: o.Peer.Addr, Transport: o.Peer.Transport})]; s != nil {
				s.Called = append(s.Called, o)
			}
		}
	}
	countHolders(c.assetSubjects)
}

func (s *AssetSubject) addKey(k IdentityKey) {
	if s.keys[k.SPKI] {
		return
	}
	if s.keys == nil {
		s.keys = make(map[evidence.Digest]bool)
	}
	s.keys[k.SPKI] = true
	s.Keys = append(s.Keys, k)
}

// countHolders says of each key how many assets show it.
func countHolders(all []*AssetSubject) {
	holders := make(map[evidence.Digest]int)
	for _, s := range all {
		s.keys = nil
		for _, k := range s.Keys {
			holders[k.SPKI]++
		}
	}
	for _, s := range all {
		for i := range s.Keys {
			s.Keys[i].Holders = holders[s.Keys[i].SPKI]
		}
	}
}

// Services returns the observations of the given kinds with which the endpoints
// of the asset answered, rising.
func (s *AssetSubject) Services(kinds ...evidence.Kind) []int64 {
	var ids []int64
	for _, e := range s.Endpoints {
		for _, k := range kinds {
			for _, o := range e.Of(k) {
				ids = append(ids, o.ID)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Stated returns the newest value that a person gave the asset under a name, and
// the statement; labels stand above inventories.
func (s *AssetSubject) Stated(name string) (string, *evidence.AssetFact) {
	var value string
	var from *evidence.AssetFact
	for _, kind := range []evidence.FactKind{evidence.FactInventory, evidence.FactLabel} {
		for i := range s.Facts {
			if f := &s.Facts[i]; f.Kind == kind && f.Values[name] != "" {
				value, from = f.Values[name], f
			}
		}
	}
	return value, from
}

// Changes returns the events of the given kinds.
func (s *AssetSubject) Changes(kinds ...evidence.EventKind) []evidence.Event {
	var out []evidence.Event
	for _, e := range s.Events {
		if slices.Contains(kinds, e.Kind) {
			out = append(out, e)
		}
	}
	return out
}

// Told is the surest claim of an attribute that is no guess: what a device tells of
// itself in a protocol made for it, or what a person states. The zero claim for none.
func Told(a *evidence.Asset, attribute evidence.Attribute) evidence.Claim {
	const leastTold = 80
	var best evidence.Claim
	for _, c := range a.Claims {
		if c.Attribute == attribute && c.Confidence >= leastTold && c.Confidence > best.Confidence {
			best = c
		}
	}
	return best
}

// ModelOf is manufacturer and model of a device as [Told]; empty without a model.
func ModelOf(a *evidence.Asset) string {
	model := Told(a, evidence.AttrModel).Value
	if model == "" {
		return ""
	}
	return strings.TrimSpace(Told(a, evidence.AttrManufacturer).Value + " " + model)
}
