package inventory

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"probity/evidence"
	"probity/internal/safetext"
)

// Bounds of a form.
const (
	maxFormRows = 4000
	maxNote     = 200 // bytes kept of what stands beside an answer
)

// Form is a manufacturer disclosure statement (MDS2, ANSI/NEMA HN 1-2019) of one
// or several models.
type Form struct {
	Row // Values: manufacturer, model, mds2, the answers by question, and "<question> note"
	// Answers counts the questions that are answered.
	Answers int
	// Unknown are ids of questions that the standard does not have, as the file
	// spells them.
	Unknown []string
}

// sections are the groups of questions of the standard's worksheet.
func sections() []string {
	return []string{
		"DOC", "MPII", "ALOF", "AUDT", "AUTH", "CSUP", "DIDT", "DTBK", "EMRG", "IGAU", "MLDP", "NAUT", "CONN", "PAUT", "PLOK",
		"RDMP", "SBOM", "SAHD", "SGUD", "STCF", "TXCF", "TXIG", "RMOT",
	}
}

// The questions about the form itself.
const (
	docManufacturer = "DOC-1"
	docModel        = "DOC-3"
	docID           = "DOC-4"
	docReleased     = "DOC-7"
)

// ReadMDS2 reads the worksheet of the standard, exported as CSV (RFC 4180, UTF-8,
// comma, semicolon or tab): the id of a question in the first column, its text in
// the second, the answer in the third and a note in the fourth. A header that
// calls a column "answer" or "response", and one "note" or "notes", says otherwise.
// Rows whose first field is no id are passed over: titles and headings.
//
// An answer begins with Yes, No, N/A or See Notes; what follows is its note. name
// stands for the file in errors, which give the line and what to mend.
func ReadMDS2(name string, r io.Reader) (Form, error) {
	data, err := text(name, r)
	if err != nil {
		return Form{}, err
	}
	c := csv.NewReader(bytes.NewReader(data))
	c.Comma, c.FieldsPerRecord, c.LazyQuotes = formSeparator(data), -1, false
	f := Form{Row: Row{Line: 1, Values: map[string]string{}}}
	errs := f.read(name, c)
	if len(errs) == 0 {
		errs = f.finish(name)
	}
	if len(errs) > 0 {
		return Form{}, errors.Join(errs...)
	}
	return f, nil
}

// formSeparator is what stands after the first id of a question.
func formSeparator(data []byte) rune {
	if m := regexp.MustCompile(`(?m)^"?DOC-1"?([,;\t])`).FindSubmatch(data); m != nil {
		return rune(m[1][0])
	}
	return ','
}

// read takes the rows. It stops after ten mistakes.
func (f *Form) read(name string, c *csv.Reader) (errs []error) {
	id := regexp.MustCompile(`^([A-Z]{3,5})-[0-9]{1,2}(\.[0-9]{1,2}){0,3}$`)
	answer, note := 2, 3
	lines := map[string]int{}
	for n := 0; len(errs) < 10; n++ {
		fields, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return append(errs, fmt.Errorf("%s: %w; quote fields that hold the separator or quotes", name, err))
		}
		line, _ := c.FieldPos(0)
		if n == maxFormRows {
			return append(errs, fmt.Errorf("%s:%d: more than %d rows; give one form a file", name, line, maxFormRows))
		}
		question := strings.ToUpper(strings.TrimSpace(fields[0]))
		m := id.FindStringSubmatch(question)
		switch {
		case m == nil:
			if len(lines) == 0 {
				answer, note = columnsOf(fields, answer, note)
			}
			continue
		case !slices.Contains(sections(), m[1]):
			f.Unknown = append(f.Unknown, question)
			continue
		case lines[question] != 0:
			errs = append(errs, fmt.Errorf("%s:%d: %s is also on line %d; keep one answer", name, line, question, lines[question]))
			continue
		}
		lines[question] = line
		if err := f.take(question, field(fields, answer), field(fields, note)); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %s: %w", name, line, question, err))
		}
	}
	return errs
}

func field(fields []string, i int) string {
	if i < 0 || i >= len(fields) {
		return ""
	}
	return strings.TrimSpace(fields[i])
}

// columnsOf reads a header, if the row is one.
func columnsOf(fields []string, answer, note int) (int, int) {
	for i, h := range fields {
		switch strings.ToLower(strings.Trim(strings.TrimSpace(h), "?:#")) {
		case "answer", "response":
			answer = i
			if note <= answer {
				note = answer + 1
			}
		case "note", "notes":
			note = i
		}
	}
	return answer, note
}

// take keeps one answer.
func (f *Form) take(question, answer, note string) error {
	if len(answer) > maxText {
		return fmt.Errorf("the answer is longer than %d bytes; shorten it", maxText)
	}
	blank := strings.Trim(answer, "_-–— ") == ""
	switch question {
	case docManufacturer, docModel, docID, docReleased:
		if !blank {
			f.Values[map[string]string{
				docManufacturer: string(evidence.AttrManufacturer), docModel: string(evidence.AttrModel),
				docID: evidence.ValueMDS2, docReleased: evidence.ValueReleased,
			}[question]] = safetext.Clean(answer)
		}
		return nil
	}
	if blank || strings.HasPrefix(question, "DOC-") && len(answer) > len("see notes") {
		return nil // not answered; the rest of the description is free text
	}
	value, rest, ok := yesOrNo(answer)
	if !ok {
		return fmt.Errorf("answer %q; write Yes, No, N/A or See Notes, and the rest as a note", safetext.CleanN(answer, 60))
	}
	f.Values[question] = value
	f.Answers++
	if rest = strings.TrimSpace(rest + " " + note); rest != "" {
		f.Values[question+" note"] = safetext.CleanN(rest, maxNote)
	}
	return nil
}

// The answers of a form.
const (
	answerYes  = "yes"
	answerNo   = "no"
	answerNone = "n/a"
	answerNote = "see notes"
)

// yesOrNo reads what an answer begins with.
func yesOrNo(answer string) (value, rest string, ok bool) {
	lower := strings.ToLower(answer)
	for _, w := range []struct{ word, value string }{
		{"yes", answerYes},
		{"not applicable", answerNone},
		{"no", answerNo},
		{"n/a", answerNone},
		{"na", answerNone},
		{"see notes", answerNote},
		{"see note", answerNote},
	} {
		rest, ok := strings.CutPrefix(lower, w.word)
		if ok && (rest == "" || rest[0] < 'a' || rest[0] > 'z') {
			return w.value, strings.TrimLeft(answer[len(w.word):], " ,.;:-"), true
		}
	}
	return "", "", false
}

// finish checks that the form says what it is about, and names it.
func (f *Form) finish(name string) []error {
	var errs []error
	for _, q := range []struct{ value, question, what string }{
		{string(evidence.AttrManufacturer), docManufacturer, "manufacturer"}, {string(evidence.AttrModel), docModel, "model"},
	} {
		if f.Values[q.value] == "" {
			errs = append(errs, fmt.Errorf("%s: no answer to %s; fill in the %s, by which devices are found", name, q.question, q.what))
		}
	}
	if len(errs) == 0 && f.Answers == 0 {
		errs = append(errs, fmt.Errorf("%s: no question is answered; the answers belong into the third column, or into one that the header calls Answer", name))
	}
	if f.Values[evidence.ValueMDS2] == "" {
		f.Values[evidence.ValueMDS2] = "MDS2"
	}
	f.Key = "mds2=" + strings.ToLower(f.Values[string(evidence.AttrManufacturer)]+" "+f.Values[string(evidence.AttrModel)])
	return errs
}
