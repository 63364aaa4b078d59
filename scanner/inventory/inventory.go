// Package inventory reads lists of devices that a site keeps: exports of a CMMS
// or of NetBox as CSV. A row is a statement of a person; which device on the
// network it is about is decided elsewhere. The package checks every row and
// reads all of a list or nothing.
package inventory

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"probity/evidence"
	"probity/internal/safetext"
)

// Bounds of a list.
const (
	maxRows    = 200_000
	maxColumns = 256
	maxText    = 512 // bytes of a value
)

// Row is one device of a list.
type Row struct {
	Line int
	// Key names the row in every later version of the list: the asset tag or, in
	// this order, what else it has of serial number, id, UDI, certificate, MAC
	// address, address and name.
	Key string
	// Values are by the names of package evidence.
	Values map[string]string
}

// List is what a file holds.
type List struct {
	Rows []Row
	// Ignored are the columns that are not read, as the file spells them.
	Ignored []string
}

// columnID is the number that NetBox gives a device.
const columnID = "id"

// columns maps the names of columns, in lower case with single blanks, to the
// value that they hold: our own names and those of NetBox's device export.
func columns() map[string]string {
	return map[string]string{
		"asset tag": evidence.ValueAssetTag, "asset": evidence.ValueAssetTag, "inventory number": evidence.ValueAssetTag,
		"inventory no": evidence.ValueAssetTag, "asset no": evidence.ValueAssetTag, "asset number": evidence.ValueAssetTag,
		"name": evidence.ValueName, "hostname": evidence.ValueName, "host name": evidence.ValueName,
		"asset name": evidence.ValueName, "device name": evidence.ValueName,
		"serial": string(evidence.AttrSerial), "serial number": string(evidence.AttrSerial),
		"serial no": string(evidence.AttrSerial),
		"udi":       string(evidence.AttrUDI), "mac": string(evidence.AttrMAC), "mac address": string(evidence.AttrMAC),
		"certificate": evidence.ValueCertificate, "certificate sha256": evidence.ValueCertificate,
		"address": evidence.ValueAddress, "ip": evidence.ValueAddress, "ip address": evidence.ValueAddress,
		"ipv4 address": evidence.ValueAddress, "ipv6 address": evidence.ValueAddress,
		"manufacturer": string(evidence.AttrManufacturer),
		"model":        string(evidence.AttrModel), "type": string(evidence.AttrModel), "device type": string(evidence.AttrModel),
		"version": string(evidence.AttrVersion), "firmware": string(evidence.AttrVersion),
		"platform": string(evidence.AttrOS), "operating system": string(evidence.AttrOS),
		"class": string(evidence.AttrClass), "device class": string(evidence.AttrClass),
		"status": evidence.ValueStatus, "owner": evidence.ValueOwner, "tenant": evidence.ValueOwner,
		"location": evidence.ValueLocation, "site": evidence.ValueLocation, "rack": evidence.ValueLocation,
		"end of support": evidence.ValueEndOfSupport, "ports": evidence.ValuePorts,
		"id": columnID,
	}
}

// keys are the values that can name a row, the surest first.
func keys() []string {
	return []string{
		evidence.ValueAssetTag, string(evidence.AttrSerial), columnID, string(evidence.AttrUDI), evidence.ValueCertificate,
		string(evidence.AttrMAC), evidence.ValueAddress, evidence.ValueName,
	}
}

// Read reads a list: CSV (RFC 4180) with a header, comma, semicolon or tab
// between fields. name stands for the file in errors, which give the line and
// what to mend; up to ten are given at once.
func Read(name string, r io.Reader) (List, error) {
	data, err := text(name, r)
	if err != nil {
		return List{}, err
	}
	comma, data := dialect(data)
	c := csv.NewReader(bytes.NewReader(data))
	c.Comma, c.FieldsPerRecord, c.ReuseRecord = comma, -1, true
	head, err := c.Read()
	if err != nil {
		return List{}, fmt.Errorf("%s: no header: %w; the first line must name the columns", name, err)
	}
	line, _ := c.FieldPos(0)
	at, ignored, err := header(head)
	if err != nil {
		return List{}, fmt.Errorf("%s:%d: %w", name, line, err)
	}
	l := List{Ignored: ignored}
	errs := l.read(name, c, at)
	if len(errs) > 0 {
		return List{}, errors.Join(errs...)
	}
	return l, nil
}

// text reads a table that a spreadsheet or a database exported, without the mark
// that some put in front of UTF-8.
func text(name string, r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", name, err)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%s: this is not UTF-8; export it as CSV in UTF-8 (a spreadsheet or PDF itself is not read)", name)
	}
	return data, nil
}

// dialect is what the header has between its fields, and the data to read with it.
// A first line "sep=;" tells spreadsheets the same; a blank one takes its place, so
// that lines keep their numbers.
func dialect(data []byte) (rune, []byte) {
	line, rest, _ := bytes.Cut(data, []byte("\n"))
	if comma, ok := bytes.CutPrefix(bytes.TrimRight(line, "\r"), []byte("sep=")); ok && len(comma) == 1 && bytes.Contains([]byte(",;\t"), comma) {
		return rune(comma[0]), append([]byte("\n"), rest...)
	}
	for _, comma := range "\t;" {
		if bytes.ContainsRune(line, comma) {
			return comma, data
		}
	}
	return ',', data
}

// ownPrefix begins the names of columns in which probity says what it knows, as
// "asset export" writes them. They state nothing, and are passed over.
const (
	ownPrefix = "probity "
	own       = "\x00own"
)

// header says what each column holds, and which are not read.
func header(head []string) (at, ignored []string, err error) {
	if len(head) > maxColumns {
		return nil, nil, fmt.Errorf("%d columns; at most %d are read", len(head), maxColumns)
	}
	known := columns()
	at = make([]string, len(head))
	for i, h := range head {
		name := strings.Join(strings.Fields(strings.ReplaceAll(strings.ToLower(h), "_", " ")), " ")
		name = strings.TrimRight(name, ".")
		if strings.HasPrefix(name, ownPrefix) {
			at[i] = own
			continue
		}
		if at[i] = known[name]; at[i] == "" && name != "" {
			ignored = append(ignored, safetext.CleanN(strings.TrimSpace(h), 80))
		}
	}
	if !slices.ContainsFunc(at, func(v string) bool { return slices.Contains(keys(), v) }) {
		return nil, nil, fmt.Errorf("no column names the device (have %q); want one of serial, asset_tag, mac, udi, certificate, address, name", ignored)
	}
	return at, ignored, nil
}

// read reads the rows below the header. It stops after ten mistakes.
func (l *List) read(name string, c *csv.Reader, at []string) (errs []error) {
	lines := map[string]int{}
	for len(errs) < 10 {
		fields, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return append(errs, fmt.Errorf("%s: %w; quote fields that hold the separator or quotes", name, err))
		}
		line, _ := c.FieldPos(0)
		row, err := readRow(fields, at)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", name, line, err))
			continue
		}
		if row.Key == "" {
			continue // an empty line
		}
		if first, twice := lines[row.Key]; twice {
			errs = append(errs, fmt.Errorf("%s:%d: %q is also on line %d; keep one row for a device", name, line, safetext.Clean(row.Key), first))
			continue
		}
		lines[row.Key], row.Line = line, line
		if l.Rows = append(l.Rows, row); len(l.Rows) > maxRows {
			return append(errs, fmt.Errorf("%s:%d: more than %d rows; split the file", name, line, maxRows))
		}
	}
	if len(errs) == 0 && len(l.Rows) == 0 {
		errs = append(errs, fmt.Errorf("%s: no row below the header", name))
	}
	return errs
}

func readRow(fields, at []string) (Row, error) {
	row := Row{Values: map[string]string{}}
	empty := true
	for i, text := range fields {
		if i < len(at) && at[i] == own {
			continue
		}
		text = plain(strings.TrimSpace(text))
		empty = empty && text == ""
		if i >= len(at) {
			if text != "" {
				return row, fmt.Errorf("%d fields below a header of %d; quote fields that hold the separator", len(fields), len(at))
			}
			continue
		}
		if at[i] == "" || text == "" || text == "—" { // NetBox writes a dash for nothing
			continue
		}
		value, err := readValue(at[i], text)
		if err != nil {
			return row, err
		}
		switch old := row.Values[at[i]]; {
		case old == "" || old == value:
		case several(at[i]) && slices.Contains(strings.Fields(old), value):
			value = old
		default:
			value = old + " " + value // several addresses; site, location and rack
		}
		row.Values[at[i]] = value
	}
	for _, k := range keys() {
		if v := row.Values[k]; v != "" {
			row.Key = k + "=" + strings.ToLower(v)
			break
		}
	}
	delete(row.Values, columnID)
	if row.Key == "" && !empty {
		return row, errors.New("nothing names the device; fill in serial, asset_tag, mac, udi, certificate, address or name")
	}
	return row, nil
}

// plain takes off what keeps a spreadsheet from making a number or a formula of a
// text: ="0123" and a leading apostrophe.
func plain(text string) string {
	if inner, ok := strings.CutPrefix(text, `="`); ok && strings.HasSuffix(inner, `"`) {
		return strings.TrimSuffix(inner, `"`)
	}
	if len(text) > 1 && text[0] == '\'' && strings.IndexByte("=+-@", text[1]) >= 0 {
		return text[1:]
	}
	return text
}

// readValue checks one value and brings it to one spelling. Addresses, MAC addresses
// and certificates may be several, with blanks, commas or semicolons between.
func readValue(what, text string) (string, error) {
	if len(text) > maxText {
		return "", fmt.Errorf("%s %q is longer than %d bytes; shorten it", what, safetext.CleanN(text, 60), maxText)
	}
	if !several(what) {
		return readOne(what, text)
	}
	var out []string
	for piece := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ' ' || r == ',' || r == ';' }) {
		value, err := readOne(what, piece)
		if err != nil {
			return "", err
		}
		if !slices.Contains(out, value) {
			out = append(out, value)
		}
	}
	return strings.Join(out, " "), nil
}

func several(what string) bool {
	return what == evidence.ValueAddress || what == string(evidence.AttrMAC) || what == evidence.ValueCertificate
}

func readOne(what, text string) (string, error) {
	shown := safetext.CleanN(text, 60)
	switch what {
	case evidence.ValueAddress:
		p, err := netip.ParsePrefix(text)
		if err == nil {
			return p.Addr().Unmap().String(), nil
		}
		a, err := netip.ParseAddr(text)
		if err != nil {
			return "", fmt.Errorf("address %q is no IP address; write it as 192.0.2.7 or 2001:db8::7", shown)
		}
		return a.Unmap().WithZone("").String(), nil
	case string(evidence.AttrMAC):
		m, err := net.ParseMAC(text)
		if err != nil || len(m) != 6 {
			return "", fmt.Errorf("MAC address %q; write it as 00:11:22:33:44:55", shown)
		}
		return m.String(), nil
	case evidence.ValueCertificate:
		d, err := evidence.ParseDigest(strings.ReplaceAll(text, ":", ""))
		if err != nil {
			return "", fmt.Errorf("certificate %q; give the SHA-256 of the certificate in 64 hexadecimal digits", shown)
		}
		return d.String(), nil
	case evidence.ValueEndOfSupport:
		day, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return "", fmt.Errorf("end of support %q; write the day as 2031-12-31", shown)
		}
		return day.Format(time.DateOnly), nil
	case evidence.ValuePorts:
		return readPorts(text)
	case evidence.ValueStatus:
		return safetext.CleanN(strings.ToLower(text), maxText), nil
	}
	return safetext.CleanN(text, maxText), nil
}

// readPorts reads a list such as "tcp/104, udp/161, 443".
func readPorts(text string) (string, error) {
	var out []string
	for f := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool { return r == ' ' || r == ',' }) {
		transport, port, ok := strings.Cut(f, "/")
		if !ok {
			transport, port = string(evidence.TCP), f
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 || transport != string(evidence.TCP) && transport != string(evidence.UDP) {
			return "", fmt.Errorf("port %q; write ports as tcp/104 udp/161", safetext.CleanN(f, 60))
		}
		out = append(out, transport+"/"+strconv.FormatUint(n, 10))
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), " "), nil
}
