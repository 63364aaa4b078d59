package fingerprint

import (
	"encoding/hex"
	"strconv"
	"strings"

	"probity/evidence"
	"probity/internal/strictyaml"
)

// Files of the tables. Their first line names the columns; the last column is the
// source of the row.
const (
	uidTable  = "dicom_uid.tsv" // root, attribute, value, class, confidence, source
	penTable  = "pen.tsv"       // number, organisation, manufacturer, class, confidence, source
	ouiTable  = "oui.tsv"       // prefix in hex digits, organisation, manufacturer, class, confidence, source
	portTable = "ports.tsv"     // port, transport, service, source
)

// enterprises is the arc of private enterprise numbers (IANA).
const enterprises = "1.3.6.1.4.1"

// row is what a table claims.
type row struct {
	attribute  evidence.Attribute
	value      string
	class      string
	confidence int
	id         string
}

// tables are facts in bulk. A row of a hardware address is a hint only.
type tables struct {
	uid   map[string]row // by root
	pen   map[string]row // by object identifier
	oui   map[string]row // by 6, 7 or 9 lower-case hex digits
	ports map[string]row // by "tcp/104"
}

// claims adds what the tables hold for a signal. known says that an entry matched
// already, so that the owner of the number at large says nothing more.
func (t *tables) claims(sig Signal, known bool, m *makers, add func(evidence.Claim)) {
	say := func(r row) {
		if r.value != "" {
			add(evidence.Claim{Attribute: r.attribute, Value: r.value, Confidence: r.confidence, Source: r.id})
		}
		if r.class != "" {
			add(evidence.Claim{Attribute: evidence.AttrClass, Value: r.class, Confidence: min(r.confidence, hintLimit), Source: r.id})
		}
	}
	switch sig.Field {
	case DICOMUID:
		if r := longest(t.uid, sig.Value); r.id != "" {
			say(r)
		} else if !known {
			say(t.enterprise(sig.Value))
		}
	case SNMPObjectID, SNMPEngine, CertHardware:
		if !known {
			say(t.enterprise(sig.Value))
		}
	case MAC:
		say(t.vendor(sig.Value))
	case Port:
		say(t.ports[sig.Value])
	case CertSubjectOrg, CertIssuerOrg:
		if name, ok := m.find(sig.Value, false); ok {
			add(evidence.Claim{Attribute: evidence.AttrManufacturer, Value: name, Confidence: organisationConfidence, Source: "manufacturers/" + words(name)[0]})
		}
	default:
	}
}

// organisationConfidence is that of an organisation in a certificate: not every
// certificate is on the device that it was made for, and the chain is not checked
// here.
const organisationConfidence = 60

// enterprise returns the row of the owner of a private enterprise number.
func (t *tables) enterprise(oid string) row {
	rest, ok := strings.CutPrefix(oid, enterprises+".")
	if !ok {
		return row{}
	}
	number, _, _ := strings.Cut(rest, ".")
	return t.pen[number]
}

// vendor looks a hardware address up by 36, then 28, then 24 bits. An address that
// is administered locally has no vendor.
func (t *tables) vendor(mac string) row {
	digits := strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(mac, ":", ""), "-", ""))
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != 6 || b[0]&3 != 0 {
		return row{}
	}
	for _, n := range []int{9, 7, 6} {
		if r, ok := t.oui[digits[:n]]; ok {
			return r
		}
	}
	return row{}
}

func (l *loader) decodeTable(file string, data []byte) {
	t := l.set.tables
	var into *map[string]row
	columns := 6
	switch file {
	case uidTable:
		into = &t.uid
	case penTable:
		into = &t.pen
	case ouiTable:
		into = &t.oui
	case portTable:
		into, columns = &t.ports, 4
	default:
		l.failf(file, strictyaml.Pos{Line: 1, Column: 1}, "no such table: the tables are %s, %s, %s and %s", uidTable, penTable, ouiTable, portTable)
		return
	}
	*into = map[string]row{}
	n := 0
	for line := range strings.Lines(string(data)) {
		if n++; n == 1 {
			continue
		}
		at := strictyaml.Pos{Line: n, Column: 1}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != columns || f[0] == "" || f[columns-1] == "" {
			l.failf(file, at, "want %d columns, the first and the last not empty", columns)
			continue
		}
		key, r, err := l.row(file, f)
		if err != "" {
			l.failf(file, at, "%s", err)
			continue
		}
		if _, twice := (*into)[key]; twice {
			l.failf(file, at, "%q is given twice", key)
		}
		(*into)[key] = r
	}
}

// row reads the columns of a line.
func (l *loader) row(file string, f []string) (key string, r row, mistake string) {
	base := strings.TrimSuffix(file, ".tsv")
	if file == portTable {
		return f[1] + "/" + f[0], row{evidence.AttrRole, "perhaps " + f[2], "", 10, base + "/" + f[0]}, ""
	}
	confidence, err := strconv.Atoi(f[4])
	if err != nil || confidence < 1 || confidence > 95 || file == ouiTable && confidence > hintLimit {
		return "", row{}, "confidence " + strconv.Quote(f[4]) + " is no number within bounds"
	}
	r = row{evidence.AttrManufacturer, f[2], f[3], confidence, base + "/" + f[0]}
	if file == uidTable {
		r.attribute = evidence.Attribute(f[1])
	}
	if r.attribute == evidence.AttrManufacturer && r.value != "" {
		// The name in the registry says more than that of a group of companies.
		for _, text := range []string{r.value, f[1]} {
			if name, ok := l.set.makers.find(text, true); ok {
				r.value = name
			}
		}
	}
	return f[0], r, ""
}
