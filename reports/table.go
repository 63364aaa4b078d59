package reports

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"

	"probity/rules/catalogue"
)

// TableOptions say how much a text report shows.
type TableOptions struct {
	Wide  bool // more columns
	Width int  // of the terminal, in cells; 0: 100
	Max   int  // findings and groups shown of each table; 0: all
}

// Narrowest and default width of a text report, in cells.
const (
	minWidth     = 60
	defaultWidth = 100
)

func (o TableOptions) width() int {
	return max(minWidth, cmp.Or(o.Width, defaultWidth))
}

// Table writes a report as text: summary, findings that call for something,
// duplicates with every instance, what to do next, and what was not reached.
// Passes are counted, not listed. Every table says how many rows it shows of how
// many.
func Table(w io.Writer, d Document, o TableOptions) error {
	var b bytes.Buffer
	frame := fmt.Sprintf("Profile %s, as of %s, catalogue %s (%d of %d rules have a check).",
		d.Profile, d.AsOf.Format("2006-01-02 15:04 MST"), d.Catalogue.Version, d.Catalogue.Decided, d.Catalogue.Rules)
	fmt.Fprintf(&b, "%s\n%s\n", wrap(d.Summary.Headline, o.width()), wrap(frame, o.width()))
	parts := []func(*bytes.Buffer, Document, TableOptions) error{
		summaryTable, findingsTable, duplicatesTable, actionsTable, identityText, trafficTable, coverageText,
	}
	for _, part := range parts {
		if err := part(&b, d, o); err != nil {
			return err
		}
	}
	return flush(w, &b)
}

// DuplicatesTable writes the groups that share what should be unique, with every
// instance.
func DuplicatesTable(w io.Writer, d Document, o TableOptions) error {
	var b bytes.Buffer
	if len(d.Duplicates) == 0 {
		b.WriteString("No group of assets shares a certificate, key, serial number or SSH host key.\n")
	}
	if err := duplicatesTable(&b, d, o); err != nil {
		return err
	}
	return flush(w, &b)
}

// RulesTable lists rules with their state.
func RulesTable(w io.Writer, rules []catalogue.Rule, width int) error {
	rows := make([][]string, 0, len(rules))
	decided := 0
	for _, r := range rules {
		if r.Decided() {
			decided++
		}
		rows = append(rows, []string{r.ID, string(r.Severity), string(r.Status), cmp.Or(r.Lint, r.Command, "-"), r.Title})
	}
	var b bytes.Buffer
	o := TableOptions{Width: width}
	if err := grid(&b, []string{"RULE", "SEVERITY", "STATUS", "CHECK", "TITLE"}, rows, o.width()); err != nil {
		return err
	}
	fmt.Fprintf(&b, "%d rules; a check or command decides %d, %d are planned or deprecated and yield no finding.\n", len(rules), decided, len(rules)-decided)
	return flush(w, &b)
}

func flush(w io.Writer, b *bytes.Buffer) error {
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func summaryTable(b *bytes.Buffer, d Document, o TableOptions) error {
	var rows [][]string
	row := func(name string, c Counts) {
		rows = append(rows, []string{
			name, strconv.Itoa(c.Fail), strconv.Itoa(c.Warn), strconv.Itoa(c.Inconclusive),
			strconv.Itoa(c.Pass), strconv.Itoa(c.NotApplicable),
		})
	}
	for _, s := range d.Summary.BySeverity {
		row(string(s.Severity), s.Counts)
	}
	row("all", d.Summary.Outcomes)
	b.WriteString("\nSUMMARY\n")
	return grid(b, []string{"SEVERITY", "FAIL", "WARN", "INCONCLUSIVE", "PASS", "N/A"}, rows, o.width())
}

func findingsTable(b *bytes.Buffer, d Document, o TableOptions) error {
	head := []string{"OUTCOME", "SEVERITY", "RULE", "WHERE", "WHAT WAS SEEN"}
	if o.Wide {
		head = []string{"OUTCOME", "SEVERITY", "RULE", "ASSET", "WHERE", "EVIDENCE", "WHAT WAS SEEN"}
	}
	var rows [][]string
	total, heard := d.Summary.Outcomes.Fail+d.Summary.Outcomes.Warn, false
	for f := range d.Findings.All() { // those begin with fails and warns
		if len(rows) == total || o.Max > 0 && len(rows) == o.Max {
			break
		}
		r := []string{string(f.Outcome), string(f.Severity), f.Rule}
		if o.Wide {
			r = append(r, cmp.Or(f.Asset, "-"), where(f), ids(f.Observations, 6))
		} else {
			r = append(r, where(f))
		}
		rows = append(rows, append(r, cmp.Or(detailText(f), f.Title)))
		heard = heard || f.HeardOnly
	}
	fmt.Fprintf(b, "\nFINDINGS (fail and warn): %d of %d shown\n", len(rows), total)
	if total == 0 {
		return nil
	}
	if err := grid(b, head, rows, o.width()); err != nil || !heard {
		return err
	}
	b.WriteString(wrap("Heard only: seen in passing traffic without a signature, which anyone on the network can forge. scan --from-passive asks the devices themselves.", o.width()) + "\n")
	return nil
}

// where names the subject of a finding in a few cells.
func where(f Finding) string {
	switch {
	case f.Endpoint != "":
		return strings.TrimPrefix(f.Endpoint, "tcp/")
	case f.Group != "":
		kind, value, _ := strings.Cut(f.Group, " ")
		return kind + " " + short(value, 16)
	case f.Certificate != "":
		return "cert " + short(f.Certificate, 16)
	case f.Asset != "":
		return f.Asset
	}
	return "fleet"
}

func short(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

func ids(list []int64, most int) string {
	var s []string
	for i, id := range list {
		if i == most {
			s = append(s, fmt.Sprintf("+%d", len(list)-most))
			break
		}
		s = append(s, strconv.FormatInt(id, 10))
	}
	return strings.Join(s, " ")
}

func duplicatesTable(b *bytes.Buffer, d Document, o TableOptions) error {
	if len(d.Duplicates) == 0 {
		return nil
	}
	shown := len(d.Duplicates)
	if o.Max > 0 {
		shown = min(shown, o.Max)
	}
	var rows [][]string
	for _, g := range d.Duplicates[:shown] {
		for i, in := range g.Instances {
			r := []string{"", "", "", ""}
			if i == 0 {
				r = []string{string(g.Outcome), string(g.Kind), short(g.Value, 16), strconv.Itoa(g.Confidence) + " %"}
			}
			places := strings.ReplaceAll(strings.Join(in.Endpoints, " "), "tcp/", "")
			rows = append(rows, append(r, in.Label, places))
		}
	}
	fmt.Fprintf(b, "\nDUPLICATES: %d of %s shown, each with every instance\n", shown, count(len(d.Duplicates), "group"))
	return grid(b, []string{"OUTCOME", "SHARED", "VALUE", "SURE", "ASSET", "ENDPOINTS"}, rows, o.width())
}

func actionsTable(b *bytes.Buffer, d Document, o TableOptions) error {
	if len(d.Actions) == 0 {
		return nil
	}
	var rows [][]string
	for i, a := range d.Actions {
		rows = append(rows, []string{
			strconv.Itoa(i + 1), a.Rule, fmt.Sprintf("%d/%d", a.Fail, a.Warn), strconv.Itoa(len(a.Assets)), a.Remediation + " (" + a.Title + ")",
		})
	}
	b.WriteString("\nWHAT TO DO NEXT, in this order\n")
	return grid(b, []string{"#", "RULE", "FAIL/WARN", "ASSETS", "REMEDIATION"}, rows, o.width())
}

func coverageText(b *bytes.Buffer, d Document, o TableOptions) error {
	c := d.Coverage
	fmt.Fprintf(b, "\nCOVERAGE: %d of %d targets answered with data", c.Reached, c.Targets)
	if c.PacketsSeen > 0 {
		fmt.Fprintf(b, "; %d packets read, %d lost", c.PacketsSeen, c.PacketsDropped)
	}
	b.WriteString("\n")
	for _, r := range d.Runs {
		if r.EndNote != "" {
			fmt.Fprintf(b, "  run %d, %s %s: %s\n", r.ID, r.Mode, r.Status, r.EndNote)
		}
	}
	if len(c.Probes) > 0 {
		var rows [][]string
		for _, p := range c.Probes {
			row := []string{p.Probe}
			for _, n := range []int64{p.Sent, p.Skipped, p.NotNeeded, p.Connections, p.BytesSent, p.BytesReceived} {
				row = append(row, strconv.FormatInt(n, 10))
			}
			rows = append(rows, row)
		}
		if err := grid(b, []string{"PROBE", "SENT", "SKIPPED", "NO NEED", "CONNS", "BYTES OUT", "BYTES IN"}, rows, o.width()); err != nil {
			return err
		}
	}
	const most = 10
	if n := len(c.NotReached); n > 0 {
		fmt.Fprintf(b, "Without data: %d of %d shown\n", min(n, most), n)
	}
	for _, u := range c.NotReached[:min(most, len(c.NotReached))] {
		fmt.Fprintf(b, "  %s  %s\n", u.Endpoint, u.Why)
	}
	closing := fmt.Sprintf("A pass says only that nothing was seen against it. %d rules have no check yet. The HTML report lists what a scan cannot show.", d.Catalogue.Planned)
	b.WriteString("\n" + wrap(closing, o.width()) + "\n")
	return nil
}

// Grid writes a table of cells without control characters that fits a width in
// terminal cells; 0 stands for 100.
func Grid(w io.Writer, head []string, rows [][]string, width int) error {
	var b bytes.Buffer
	if err := grid(&b, head, rows, TableOptions{Width: width}.width()); err != nil {
		return err
	}
	_, err := b.WriteTo(w)
	return err
}

// grid draws a table without borders that fits a width: while it is too wide the
// widest column narrows, and cells wrap between words.
func grid(b *bytes.Buffer, head []string, rows [][]string, width int) error {
	return gridAfter(b, 0, head, rows, width)
}

// gridAfter is grid whose first columns keep their width: what they hold is copied
// whole, or not at all.
func gridAfter(b *bytes.Buffer, whole int, head []string, rows [][]string, width int) error {
	cells := columnWidths(whole, head, rows, width)
	var drawn bytes.Buffer
	t := tablewriter.NewTable(&drawn,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders: tw.BorderNone, Symbols: tw.NewSymbols(tw.StyleASCII),
			Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.Lines{
				ShowHeaderLine: tw.On, ShowTop: tw.Off, ShowBottom: tw.Off, ShowFooterLine: tw.Off,
			}},
		})),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAlignment(tw.AlignLeft),
		tablewriter.WithRowAlignment(tw.AlignLeft),
		tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithPadding(tw.Padding{Left: "", Right: strings.Repeat(" ", gap), Overwrite: true}),
	)
	t.Header(head)
	for _, r := range rows {
		wrapped := make([]string, len(r))
		for i := range r {
			wrapped[i] = wrap(r[i], cells[i])
		}
		if err := t.Append(wrapped); err != nil {
			return fmt.Errorf("lay out table: %w", err)
		}
	}
	if err := t.Render(); err != nil {
		return fmt.Errorf("lay out table: %w", err)
	}
	for line := range strings.Lines(drawn.String()) {
		line = strings.TrimRight(line, " \n")
		if strings.Trim(line, "-") == "" {
			line = line[:max(0, len(line)-gap)] // the rule ends with the last column
		}
		b.WriteString(line + "\n")
	}
	return nil
}

// Of a table: what is between columns, and the width below which none narrows.
const (
	gap       = 2
	narrowest = 12
)

// columnWidths narrows the widest column while a table is too wide. What columns do
// not use in the end, because their lines end between words, goes to those in which
// a word does not fit.
func columnWidths(whole int, head []string, rows [][]string, width int) []int {
	cells, words := make([]int, len(head)), make([]int, len(head))
	total := 0
	for i := range head {
		cells[i] = twwidth.Width(head[i])
		for _, r := range rows {
			cells[i] = max(cells[i], twwidth.Width(r[i]))
		}
		total += cells[i] + gap
	}
	for total-gap > width {
		i := whole + slices.Index(cells[whole:], slices.Max(cells[whole:]))
		if cells[i] <= narrowest {
			break
		}
		cells[i]--
		total--
	}
	cut := false
	for i := range head {
		for _, r := range rows {
			if twwidth.Width(r[i]) <= cells[i] {
				continue
			}
			for word := range strings.FieldsSeq(r[i]) {
				words[i] = max(words[i], twwidth.Width(word))
			}
		}
		cut = cut || words[i] > cells[i]
	}
	if !cut {
		return cells
	}
	spare := width
	for i := range head {
		used := twwidth.Width(head[i])
		for _, r := range rows {
			for line := range strings.Lines(wrap(r[i], cells[i])) {
				used = max(used, twwidth.Width(strings.TrimSuffix(line, "\n")))
			}
		}
		if words[i] <= cells[i] {
			cells[i] = used
		}
		spare -= cells[i] + gap
	}
	spare += gap
	for i := range head {
		if more := min(words[i]-cells[i], spare); more > 0 {
			cells[i] += more
			spare -= more
		}
	}
	return cells
}

// wrap breaks text into lines of at most width cells, between words where it can.
func wrap(s string, width int) string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		switch {
		case line == "":
			line = word
		case twwidth.Width(line)+1+twwidth.Width(word) <= width:
			line += " " + word
			continue
		default:
			lines = append(lines, line)
			line = word
		}
		for twwidth.Width(line) > width {
			cut, n := 0, 0
			for i, r := range line {
				w := twwidth.Width(string(r))
				if n+w > width && i > 0 {
					break
				}
				cut, n = i+utf8.RuneLen(r), n+w
			}
			lines = append(lines, line[:cut])
			line = line[cut:]
		}
	}
	return strings.Join(append(lines, line), "\n")
}
