package scanner

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/safetext"
)

// columns maps the names that a column may have, lower case and with single
// blanks, to what it holds.
func columns() map[string]string {
	names := map[string]string{}
	for what, all := range map[string][]string{
		"address":   {"address", "ip", "ip address", "ipv4", "ipv6", "host", "target", "endpoint"},
		"port":      {"port"},
		"transport": {"transport", "protocol", "proto"},
		"name":      {"name", "server name", "hostname", "fqdn", "dns name"},
		"exclude":   {"exclude", "exclude reason", "excluded", "do not touch"},
		"reason":    {"reason", "comment", "note"},
		"class":     {"class", "device class"},
		"asset":     {"asset", "asset id", "asset tag", "device"},
	} {
		for _, n := range all {
			names[n] = what
		}
	}
	return names
}

// header says where a table holds what.
type header struct {
	comma  rune
	at     map[string]int // columns by what they hold
	unread string         // names of the others
}

// parseHeader reads the first line of a table. It is one if a column holds
// addresses by its name; columns with other names are not read.
func parseHeader(line string) (h header, ok bool, err error) {
	for _, h.comma = range []rune{'\t', ';', ','} {
		if strings.ContainsRune(line, h.comma) {
			break
		}
	}
	known := columns()
	h.at = map[string]int{}
	var unread []string
	for i, written := range strings.Split(line, string(h.comma)) {
		written = strings.Trim(strings.TrimSpace(written), `"`)
		name := strings.Join(strings.Fields(strings.ReplaceAll(strings.ToLower(written), "_", " ")), " ")
		what := known[name]
		if what == "" {
			if meant := misspelt(name, known); meant != "" && strings.ContainsRune(line, h.comma) {
				return header{}, false, fmt.Errorf("column %q: did you mean %q", safetext.Clean(name), meant)
			}
			if name != "" {
				unread = append(unread, fmt.Sprintf("%q", safetext.Clean(written)))
			}
			continue
		}
		if _, twice := h.at[what]; twice {
			return header{}, false, fmt.Errorf("two columns hold the %s", what)
		}
		h.at[what] = i
	}
	h.unread = strings.Join(unread, ", ")
	_, ok = h.at["address"]
	return h, ok, nil
}

// misspelt returns the name of a column that another is one slip away from: a
// column that is not read for its name could be the one that says what not to
// touch. What only explains may be called as one likes.
func misspelt(name string, known map[string]string) string {
	for _, meant := range slices.Sorted(maps.Keys(known)) {
		if known[meant] != "reason" && (name == meant+"s" || len(meant) > 4 && oneSlip(name, meant)) {
			return meant
		}
	}
	return ""
}

// oneSlip reports whether a and b differ by a byte that is missing, too many or
// another, or by two neighbours that changed places.
func oneSlip(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	a, b = a[i:], b[i:]
	switch {
	case len(b)-len(a) == 1:
		return a == b[1:]
	case len(a) != len(b) || len(a) == 0:
		return false
	}
	return a[1:] == b[1:] || len(a) > 1 && a[0] == b[1] && a[1] == b[0] && a[2:] == b[2:]
}

// readTable reads the rows below a header; line counts the lines before them.
func readTable(r io.Reader, h header, name string, line int) ([]Target, error) {
	rows := csv.NewReader(r)
	rows.Comma, rows.Comment, rows.FieldsPerRecord, rows.ReuseRecord = h.comma, '#', -1, true
	var out []Target
	for {
		fields, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			if bad := (*csv.ParseError)(nil); errors.As(err, &bad) { // its lines are those of the rows
				return nil, fmt.Errorf("%s:%d: column %d: %w", name, line+bad.Line, bad.Column, bad.Err)
			}
			return nil, fmt.Errorf("%s: table below line %d: %w", name, line, err)
		}
		n, _ := rows.FieldPos(0)
		get := func(what string) string {
			if i, ok := h.at[what]; ok && i < len(fields) {
				return strings.TrimSpace(fields[i])
			}
			return ""
		}
		if !slices.ContainsFunc(fields, func(s string) bool { return strings.TrimSpace(s) != "" }) {
			continue
		}
		t, err := parseRow(get)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, line+n, err)
		}
		t.Source, t.Unread = fmt.Sprintf("%s:%d", name, line+n), h.unread
		if out = append(out, t); len(out) > maxTargets {
			return nil, fmt.Errorf("%s:%d: more than %d targets; give ranges or split the file", name, line+n, maxTargets)
		}
	}
}

func parseRow(get func(string) string) (Target, error) {
	text, port := get("address"), get("port")
	if port != "" {
		if strings.Contains(text, ":") && !strings.HasPrefix(text, "[") {
			text = "[" + text + "]" // IPv6
		}
		text += ":" + port
	}
	if tr := strings.ToLower(get("transport")); tr == string(evidence.TCP) || tr == string(evidence.UDP) {
		if port == "" {
			return Target{}, fmt.Errorf("target %q: a transport needs a port", safetext.Clean(text))
		}
		text = tr + "/" + text
	} else if tr != "" {
		return Target{}, fmt.Errorf("transport %q is neither tcp nor udp", safetext.Clean(tr))
	}
	t, err := ParseTarget(text)
	if err != nil {
		return Target{}, err
	}
	if name := get("name"); name != "" {
		if err := checkName(name); err != nil {
			return Target{}, fmt.Errorf("server name %q: %w; give the column another header if it is a label", safetext.Clean(name), err)
		}
		t.Name = strings.ToLower(strings.TrimSuffix(name, "."))
	}
	t.Reason, t.Asset = safetext.Clean(get("reason")), safetext.Clean(get("asset"))
	switch exclude := get("exclude"); strings.ToLower(exclude) {
	case "", "no", "false", "0":
	case "yes", "true", "1", "x":
		t.Excluded = true
	default:
		t.Excluded, t.Reason = true, safetext.Clean(exclude)
	}
	t.Class = safetext.Clean(get("class"))
	if err := CheckClass(t.Class); err != nil {
		return Target{}, err
	}
	if ProtectedClass(t.Class) {
		t.Excluded, t.Reason = true, classReason(t.Class)
	}
	return t, nil
}

// protectedWords are the names of classes of devices that are left alone.
func protectedWords() []string {
	return []string{
		"pump", "ventilator", "respirator", "monitor", "dialysis", "dialyser", "dialyzer", "haemodialysis", "hemodialysis", "anaesthesia", "anesthesia", //nolint:misspell // so it is written in half of the world
	}
}

func wordsOf(class string) []string {
	return strings.FieldsFunc(strings.ToLower(class), func(r rune) bool { return r < 'a' || r > 'z' })
}

// ProtectedClass reports whether devices of a class support patients so closely
// that nothing is sent to them outside of a bench: pump, ventilator, monitor,
// dialysis, anaesthesia, by any word of the class's name.
func ProtectedClass(class string) bool {
	protected := protectedWords()
	return slices.ContainsFunc(wordsOf(class), func(w string) bool {
		return slices.Contains(protected, w) || slices.Contains(protected, strings.TrimSuffix(w, "s"))
	})
}

// CheckClass returns an error for a class that protects nothing and has a word that
// is one slip away from one that does. Every other class is the operator's own.
func CheckClass(class string) error {
	if ProtectedClass(class) {
		return nil
	}
	for _, w := range wordsOf(class) {
		for _, meant := range protectedWords() {
			// In a word as short as pump another letter makes another word, such as jump.
			another := len(meant) <= 4 && len(w) == len(meant) && strings.Trim(w, meant) != ""
			if oneSlip(w, meant) && !another {
				return fmt.Errorf("class %q: did you mean %q, which is not probed", class, meant)
			}
		}
	}
	return nil
}

func classReason(class string) string {
	return fmt.Sprintf("class %q is not probed outside of a bench", class)
}

// ReadClasses reads which devices are of which class: a table with columns
// address and class (see [ReadTargets]), or lines of an address and a class.
func ReadClasses(r io.Reader, name string) ([]Target, error) {
	all, err := readLines(r, name, func(text string) (Target, error) {
		address, class, ok := strings.Cut(strings.TrimSpace(text), " ")
		if !ok {
			return Target{}, errors.New("want an address and a class, such as \"192.0.2.7 pump\"")
		}
		t, err := ParseTarget(address)
		if err != nil {
			return Target{}, err
		}
		t.Class = safetext.Clean(strings.TrimSpace(class))
		return t, CheckClass(t.Class)
	})
	if err != nil {
		return nil, err
	}
	for _, t := range all {
		if t.Class == "" {
			return nil, fmt.Errorf("%s: %q has no class", t.Source, t.Text)
		}
	}
	return all, nil
}
