package reports

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"probity/evidence"
)

// Below narrowList cells a list of assets is written as paragraphs, and below
// datedList without the time of the last sight.
const (
	narrowList = 80
	datedList  = 130
)

// Bounds of what a list shows of an asset that is not wide.
const (
	listed   = 3  // values of one sort
	mostText = 60 // characters of a value
)

// AssetsTable writes one row for each asset: what is known of it and how well,
// where it is, and what answers there. A library or a role stands for an asset
// whose maker nothing tells.
func AssetsTable(w io.Writer, assets []AssetRecord, o TableOptions) error {
	if len(assets) == 0 {
		_, err := io.WriteString(w, "No asset was seen.\n")
		return err
	}
	var b bytes.Buffer
	if o.width() < narrowList {
		for _, a := range assets {
			a.paragraph(&b, o)
		}
		return flush(w, &b)
	}
	dated := o.width() >= datedList
	stated := slices.ContainsFunc(assets, func(a AssetRecord) bool { return a.Status != "" })
	head := []string{"asset", "device", "class", "where", "services"}
	if dated {
		head = append(head, "last seen")
	}
	if stated {
		head = append(head, "status")
	}
	var rows [][]string
	for _, a := range assets {
		row := []string{a.ID, a.device(o), a.class(o), a.where(o), a.services(o)}
		if dated {
			row = append(row, a.LastSeen.Format("2006-01-02 15:04"))
		}
		if stated {
			row = append(row, cmp.Or(a.Status, "-"))
		}
		rows = append(rows, row)
	}
	if err := gridAfter(&b, 1, head, rows, o.width()); err != nil {
		return err
	}
	return flush(w, &b)
}

// paragraph writes what a row says for a terminal that is too narrow for rows.
func (a AssetRecord) paragraph(b *bytes.Buffer, o TableOptions) {
	parts := []string{a.class(o), a.where(o), a.services(o), "seen " + a.LastSeen.Format("2006-01-02 15:04"), a.Status}
	parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" || s == "-" })
	fmt.Fprintf(b, "%s\n", a.ID)
	for _, text := range []string{a.device(o), strings.Join(parts, "; ")} {
		fmt.Fprintf(b, "  %s\n", strings.ReplaceAll(wrap(text, o.width()-2), "\n", "\n  "))
	}
}

// identity is how well the asset is identified.
func (a AssetRecord) identity() string {
	return cmp.Or(a.best(evidence.AttrIdentity), string(evidence.LevelNone))
}

// device says what the asset is, as far as anything tells.
func (a AssetRecord) device(o TableOptions) string {
	var parts []string
	add := func(format, text string) {
		if text = strings.TrimSpace(text); text != "" {
			parts = append(parts, fmt.Sprintf(format, o.brief(text)))
		}
	}
	maker := strings.TrimSpace(a.best(evidence.AttrManufacturer) + " " + cmp.Or(a.best(evidence.AttrModel), a.best(evidence.AttrFamily)))
	add("%s", maker)
	add("%s", cmp.Or(a.stated(evidence.ValueName), o.host(a.best(evidence.AttrHostname))))
	add("tag %s", a.stated(evidence.ValueAssetTag))
	add("version %s", a.best(evidence.AttrVersion))
	add("serial %s", a.best(evidence.AttrSerial))
	if maker == "" {
		add("%s", cmp.Or(a.best(evidence.AttrDeviceType), a.best(evidence.AttrRole)))
		add("%s", cmp.Or(a.best(evidence.AttrApplication), a.library()))
		add("%s", a.best(evidence.AttrOS))
	}
	if hint := a.best(evidence.AttrHint); hint != "" {
		add("perhaps a %s", hint)
	}
	return strings.TrimSpace(strings.Join(parts, ", ") + " (" + a.identity() + ")")
}

// library is the likeliest library with the version that the same layer tells.
func (a AssetRecord) library() string {
	c := a.bestClaim(evidence.AttrToolkit)
	for _, v := range a.Claims {
		if v.Attribute == string(evidence.AttrToolkitVersion) && v.Layer == c.Layer && c.Value != "" {
			return c.Value + " " + v.Value
		}
	}
	return c.Value
}

// class is the likeliest class with its confidence.
func (a AssetRecord) class(o TableOptions) string {
	c := a.bestClaim(evidence.AttrClass)
	if c.Value == "" {
		return "-"
	}
	return o.brief(c.Value) + " (" + confidenceText(c) + ")"
}

func confidenceText(c Claim) string { return strconv.Itoa(c.Confidence) }

// where lists addresses and network cards, these with the maker that the registry of
// hardware addresses names, if it is one that makes medical devices, and the place
// that people state.
func (a AssetRecord) where(o TableOptions) string {
	text := o.few(a.Addresses)
	if text == "" {
		for _, s := range a.Stays {
			text = "was " + s.Address
		}
	}
	if macs := a.values(evidence.AttrMAC); len(macs) > 0 {
		text += " " + o.few(macs)
		card := slices.IndexFunc(a.Claims, func(c Claim) bool {
			return c.Attribute == string(evidence.AttrManufacturer) && c.Layer == layerCard
		})
		if card >= 0 {
			text += " of " + o.brief(a.Claims[card].Value)
		}
	}
	if place := a.stated(evidence.ValueLocation); place != "" {
		text += " in " + o.brief(place)
	}
	return cmp.Or(strings.TrimSpace(text), "-")
}

// stated is what people say of a value.
func (a AssetRecord) stated(name string) string {
	return statedIn(a.Facts, func(f AssetStated) (kind, value string) { return f.Kind, f.Values[name] })
}

// statedIn is the newest value of facts in their order, labels before the inventory.
func statedIn[F any](facts []F, of func(F) (kind, value string)) string {
	var label, row string
	for _, f := range facts {
		switch kind, v := of(f); {
		case v == "":
		case kind == string(evidence.FactLabel):
			label = v
		default:
			row = v
		}
	}
	return cmp.Or(label, row)
}

// layerCard is that of what a hardware address tells.
const layerCard = "oui"

// services lists the transports and ports at which something answered.
func (a AssetRecord) services(o TableOptions) string {
	var out []string
	for _, e := range a.Endpoints {
		transport, rest, _ := strings.Cut(e, "/")
		rest, _, _ = strings.Cut(rest, "#")
		port := rest[strings.LastIndexByte(rest, ':')+1:]
		if n, err := strconv.Atoi(port); err != nil || n == 0 || transport == string(evidence.File) {
			continue
		}
		if text := transport + "/" + port; !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return cmp.Or(o.few(out), "-")
}

// few joins the first values and counts the others.
func (o TableOptions) few(values []string) string {
	if o.Wide || len(values) <= listed {
		return strings.Join(values, " ")
	}
	return fmt.Sprintf("%s +%d", strings.Join(values[:listed], " "), len(values)-listed)
}

// values are all values of an attribute, each once, in the order of the claims.
func (a AssetRecord) values(attribute evidence.Attribute) []string {
	var out []string
	for _, c := range a.Claims {
		if c.Attribute == string(attribute) && !slices.Contains(out, c.Value) {
			out = append(out, c.Value)
		}
	}
	return out
}

// host shortens a host name to what tells hosts of one domain apart.
func (o TableOptions) host(name string) string {
	const most = 24
	first, _, ok := strings.Cut(name, ".")
	if o.Wide || len(name) <= most || !ok || len(first) < 2 {
		return name
	}
	return first + ".…"
}

// brief shortens a value; nobody reads a list for a value of many lines.
func (o TableOptions) brief(s string) string {
	if o.Wide {
		return s
	}
	return short(s, mostText)
}
