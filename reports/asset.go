package reports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"probity/evidence"
	"probity/internal/safetext"
)

// AssetRecord is an asset with its life, as `probity asset --json` prints it. All
// texts are safe to show.
type AssetRecord struct {
	ID        string        `json:"id"`
	Label     string        `json:"label"`
	Status    string        `json:"status,omitzero"` // as a person said last
	Addresses []string      `json:"addresses"`
	Endpoints []string      `json:"endpoints"`
	FirstSeen time.Time     `json:"first_seen"`
	LastSeen  time.Time     `json:"last_seen"`
	Claims    []Claim       `json:"claims"`
	Stays     []AssetStay   `json:"stays"`
	Joins     []AssetJoin   `json:"joins"`
	Events    []AssetEvent  `json:"events"`
	Facts     []AssetStated `json:"facts"`
}

// AssetStay is a time at an address; its id is an alias of the asset.
type AssetStay struct {
	ID      string    `json:"id"`
	Address string    `json:"address"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
	Ended   bool      `json:"ended"` // another device has the address now
	Left    bool      `json:"left"`  // the device was seen at another one since
}

// AssetJoin is the reason why two stays are one asset.
type AssetJoin struct {
	Kept         string  `json:"kept"`
	Ended        string  `json:"ended"`
	Reason       string  `json:"reason"`
	Observations []int64 `json:"observations"`
}

// AssetEvent is one line of a life.
type AssetEvent struct {
	At           time.Time `json:"at"`
	Kind         string    `json:"kind"`
	Subject      string    `json:"subject"`
	Before       string    `json:"before,omitzero"`
	After        string    `json:"after,omitzero"`
	Detail       string    `json:"detail,omitzero"`
	Observations []int64   `json:"observations"`
	Fact         int64     `json:"fact,omitzero"`
}

// AssetStated is a statement of a person.
type AssetStated struct {
	ID      int64             `json:"id"`
	At      time.Time         `json:"at"`
	Kind    string            `json:"kind"`
	By      string            `json:"by"`
	Reason  string            `json:"reason"`
	Values  map[string]string `json:"values"`
	Matched string            `json:"matched,omitzero"`
}

// NewAssetRecord makes what is stored of an asset safe to show.
func NewAssetRecord(a evidence.Asset) AssetRecord {
	out := AssetRecord{
		ID: safetext.Clean(a.ID), Label: label(a), Addresses: []string{}, Endpoints: []string{}, Claims: []Claim{}, Stays: []AssetStay{},
		Joins: []AssetJoin{}, Events: []AssetEvent{}, Facts: []AssetStated{}, FirstSeen: a.FirstSeen.UTC(), LastSeen: a.LastSeen.UTC(),
	}
	for _, addr := range a.Addresses {
		out.Addresses = append(out.Addresses, addr.String())
	}
	for _, e := range a.Endpoints {
		out.Endpoints = append(out.Endpoints, safetext.Clean(e.String()))
	}
	for _, c := range a.Claims {
		out.Claims = append(out.Claims, newClaim(c))
	}
	for _, s := range a.Stays {
		out.Stays = append(out.Stays, AssetStay{safetext.Clean(s.ID), s.Addr.String(), s.First.UTC(), s.Last.UTC(), s.Ended, s.Left})
	}
	for _, j := range a.Joins {
		out.Joins = append(out.Joins, AssetJoin{safetext.Clean(j.Kept), safetext.Clean(j.Ended), safetext.Clean(j.Reason), notNil(j.Observations)})
	}
	for _, e := range a.Events {
		out.Events = append(out.Events, AssetEvent{
			At: e.At.UTC(), Kind: safetext.Clean(string(e.Kind)), Subject: safetext.Clean(e.Subject), Before: safetext.Clean(e.Before),
			After: safetext.Clean(e.After), Detail: safetext.Clean(e.Detail), Observations: notNil(e.Observations), Fact: e.Fact,
		})
	}
	for _, f := range a.Facts {
		s := AssetStated{
			ID: f.ID, At: f.At.UTC(), Kind: safetext.Clean(string(f.Kind)), By: safetext.Clean(f.By), Reason: safetext.Clean(f.Reason),
			Values: map[string]string{}, Matched: safetext.Clean(f.Matched),
		}
		for k, v := range f.Values {
			s.Values[safetext.Clean(k)] = safetext.Clean(v)
			if k == evidence.ValueStatus {
				out.Status = safetext.Clean(v)
			}
		}
		out.Facts = append(out.Facts, s)
	}
	return out
}

func newClaim(c evidence.Claim) Claim {
	return Claim{
		Attribute: string(c.Attribute), Value: safetext.Clean(c.Value), Confidence: c.Confidence,
		Layer: safetext.Clean(c.Layer), Source: safetext.Clean(c.Source), Observation: c.Observation,
	}
}

func notNil(list []int64) []int64 { return append([]int64{}, list...) }

// AssetsJSON writes assets as one JSON document: a list, or one asset.
func AssetsJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// best is the value of the claim with the highest confidence.
func (a AssetRecord) best(attribute evidence.Attribute) string { return a.bestClaim(attribute).Value }

// bestClaim is the claim with the highest confidence.
func (a AssetRecord) bestClaim(attribute evidence.Attribute) Claim {
	var top Claim
	for _, c := range a.Claims {
		if c.Attribute == string(attribute) && c.Confidence > top.Confidence {
			top = c
		}
	}
	return top
}

// AssetTable writes what is known of one asset, and its life with the
// observations behind each line.
func AssetTable(w io.Writer, a AssetRecord, o TableOptions) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s  %s\n", a.ID, a.Label)
	now := strings.Join(a.Addresses, ", ")
	if now == "" {
		now = "none; other devices have the addresses that it had"
	}
	fmt.Fprintf(&b, "%s\nSeen from %s to %s.\n", wrap("Addresses: "+now, o.width()), a.FirstSeen.Format(time.RFC3339), a.LastSeen.Format(time.RFC3339))
	if a.Status != "" {
		fmt.Fprintf(&b, "Status: %s\n", a.Status)
	}
	if aliases := a.aliases(); len(aliases) > 0 {
		fmt.Fprintf(&b, "%s\n", wrap("Also known as: "+strings.Join(aliases, ", "), o.width()))
	}
	if len(a.Claims) > 0 {
		b.WriteString("\n")
		var rows [][]string
		for _, c := range a.Claims {
			rows = append(rows, []string{c.Attribute, o.cell(c.Value), strconv.Itoa(c.Confidence), c.Layer, ids(notZero(c.Observation), 4)})
		}
		head := []string{"claim", "value", "confidence", "layer", "observation"}
		if o.width() < narrowList {
			head[2], head[4] = "sure", "shown by"
		}
		if err := grid(&b, head, rows, o.width()); err != nil {
			return err
		}
	}
	b.WriteString("\n")
	if err := a.life(&b, o); err != nil {
		return err
	}
	_, err := b.WriteTo(w)
	return err
}

// life writes the events of an asset, as paragraphs for a terminal that is too narrow
// for rows.
func (a AssetRecord) life(b *bytes.Buffer, o TableOptions) error {
	var rows [][]string
	for _, e := range a.Events {
		row := []string{e.At.Format("2006-01-02 15:04:05"), e.Kind, o.cell(e.Subject), o.change(e), e.source()}
		if o.width() >= narrowList {
			rows = append(rows, row)
			continue
		}
		if len(e.Observations) > 0 {
			row[4] = "observation " + row[4]
		}
		fmt.Fprintf(b, "%s  %s\n", row[0], row[1])
		for _, text := range row[2:] {
			if text != "" {
				fmt.Fprintf(b, "  %s\n", strings.ReplaceAll(wrap(text, o.width()-2), "\n", "\n  "))
			}
		}
	}
	if rows == nil {
		return nil
	}
	return grid(b, []string{"time (UTC)", "event", "of", "what", "observation"}, rows, o.width())
}

func notZero(id int64) []int64 {
	if id == 0 {
		return nil
	}
	return []int64{id}
}

// aliases are the ids of the stays besides the asset's own.
func (a AssetRecord) aliases() []string {
	var out []string
	for _, s := range a.Stays {
		if s.ID != a.ID {
			out = append(out, s.ID)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// cell shortens digests, which --wide shows in full.
func (o TableOptions) cell(s string) string {
	if o.Wide {
		return s
	}
	if len(s) == 64 {
		return short(s, 16)
	}
	return s
}

// change says what an event changed, in one cell.
func (o TableOptions) change(e AssetEvent) string {
	text := o.cell(e.After)
	switch {
	case e.Before != "" && e.After != "":
		text = o.cell(e.Before) + " -> " + text
	case e.Before != "":
		text = "was " + o.cell(e.Before)
	}
	if e.Detail == "" {
		return text
	}
	if text == "" {
		return e.Detail
	}
	return text + ": " + e.Detail
}

// source names what shows an event.
func (e AssetEvent) source() string {
	if e.Fact != 0 && len(e.Observations) == 0 {
		return fmt.Sprintf("statement %d", e.Fact)
	}
	return ids(e.Observations, 4)
}
