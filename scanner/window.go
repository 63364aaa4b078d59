package scanner

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"probity/internal/safetext"
)

// Window is a recurring time of the week in which a scan may send, by the clock
// on the wall of one place.
type Window struct {
	text       string
	days       [7]bool // on which it opens, by [time.Weekday]
	start, end int     // minutes of the day; an end not after the start is of the next day
	zone       *time.Location
}

// ParseWindow reads "Mon-Fri 22:00-05:00 Europe/Vienna": days, from and to, and
// a time zone of the IANA database. Days are names, ranges and lists of them
// ("Mon,Wed,Fri", "Sat-Sun"), or "daily". A window that ends at or before its
// start ends on the next day; the day is that on which it opens.
func ParseWindow(s string) (Window, error) {
	w, err := parseWindow(strings.Fields(s))
	if err != nil {
		return Window{}, fmt.Errorf("window %q: %w (want days, times and a time zone, such as %q)",
			safetext.Clean(s), err, "Mon-Fri 22:00-05:00 Europe/Vienna")
	}
	return w, nil
}

func parseWindow(fields []string) (Window, error) {
	if len(fields) != 3 {
		return Window{}, fmt.Errorf("%d words instead of three", len(fields))
	}
	w := Window{text: strings.Join(fields, " ")}
	var err error
	if w.days, err = parseDays(fields[0]); err != nil {
		return w, err
	}
	from, to, ok := strings.Cut(fields[1], "-")
	if !ok {
		return w, errors.New("the times need a beginning and an end")
	}
	if w.start, err = parseMinute(from); err != nil {
		return w, err
	}
	if w.end, err = parseMinute(to); err != nil {
		return w, err
	}
	if w.start == w.end || w.start == minutesOfDay {
		return w, errors.New("the window is empty; for a whole day write 00:00-24:00")
	}
	if strings.EqualFold(fields[2], "local") {
		return w, errors.New("name the time zone: what is local depends on the machine")
	}
	w.zone, err = time.LoadLocation(fields[2])
	return w, err
}

const minutesOfDay = 24 * 60

func parseMinute(s string) (int, error) {
	h, m, ok := strings.Cut(s, ":")
	hour, err1 := strconv.ParseUint(h, 10, 8)
	minute, err2 := strconv.ParseUint(m, 10, 8)
	n := int(hour)*60 + int(minute) //nolint:gosec // eight bits each
	if !ok || len(m) != 2 || err1 != nil || err2 != nil || minute > 59 || n > minutesOfDay {
		return 0, fmt.Errorf("time %q is not between 00:00 and 24:00", safetext.Clean(s))
	}
	return n, nil
}

func parseDays(s string) (days [7]bool, err error) {
	if strings.EqualFold(s, "daily") {
		return [7]bool{true, true, true, true, true, true, true}, nil
	}
	for item := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(item, "-")
		if !isRange {
			to = from
		}
		first, ok1 := parseDay(from)
		last, ok2 := parseDay(to)
		if !ok1 || !ok2 {
			return days, fmt.Errorf("days %q are none of Mon, Tue, Wed, Thu, Fri, Sat, Sun, daily", safetext.Clean(item))
		}
		for d := first; ; d = (d + 1) % 7 {
			if days[d] = true; d == last {
				break
			}
		}
	}
	return days, nil
}

func parseDay(s string) (time.Weekday, bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(s, d.String()[:3]) || strings.EqualFold(s, d.String()) {
			return d, true
		}
	}
	return 0, false
}

func (w Window) String() string { return w.text }

// span is a time in which a window is open; the end is not in it.
type span struct{ from, to time.Time }

// opening returns the time for which w is open on the date of day at w's place.
// Where a clock is set, the shorter reading holds: a time that comes twice opens
// the window the second time and closes it the first time, one that is left out
// is the moment of the change.
func (w Window) opening(year int, month time.Month, day int) (span, bool) {
	if !w.days[time.Date(year, month, day, 12, 0, 0, 0, time.UTC).Weekday()] {
		return span{}, false
	}
	last := day
	if w.end <= w.start {
		last++
	}
	_, from := w.at(year, month, day, w.start)
	to, _ := w.at(year, month, last, w.end)
	return span{from.In(w.zone), to.In(w.zone)}, from.Before(to)
}

// at returns the first and the last instant at which the clock at w's place
// shows a time; if it never does, the instant at which it was set.
func (w Window) at(year int, month time.Month, day, minute int) (first, last time.Time) {
	naive := time.Date(year, month, day, 0, minute, 0, 0, time.UTC)
	shows := func(t time.Time) bool {
		_, offset := t.In(w.zone).Zone()
		return t.Add(time.Duration(offset) * time.Second).Equal(naive)
	}
	// No zone has changed its offset by a day: what held a day before and what
	// holds a day behind are the candidates.
	_, before := naive.Add(-24 * time.Hour).In(w.zone).Zone()
	_, behind := naive.Add(24 * time.Hour).In(w.zone).Zone()
	early := naive.Add(-time.Duration(before) * time.Second)
	late := naive.Add(-time.Duration(behind) * time.Second)
	if early.After(late) {
		early, late = late, early
	}
	switch {
	case shows(early) && shows(late):
		return early, late
	case shows(early):
		return early, early
	case shows(late):
		return late, late
	}
	change, _ := late.In(w.zone).ZoneBounds()
	return change, change
}

// Windows are the times in which a scan may send: in any of them. None at all
// means at any time.
type Windows []Window

// ParseWindows reads windows; see [ParseWindow].
func ParseWindows(texts []string) (Windows, error) {
	var all Windows
	for _, s := range texts {
		w, err := ParseWindow(s)
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, nil
}

// Texts returns the windows as they were given.
func (ws Windows) Texts() []string {
	out := make([]string, 0, len(ws))
	for _, w := range ws {
		out = append(out, w.text)
	}
	return out
}

// Open reports whether a window is open at an instant, and until when one will
// be without a break.
func (ws Windows) Open(at time.Time) (until time.Time, open bool) {
	for _, s := range ws.spans(at) {
		if !s.from.After(at) && s.to.After(at) {
			return s.to, true
		}
	}
	return time.Time{}, false
}

// Next returns the first instant from at on at which a window is open. There is
// one for any windows but none.
func (ws Windows) Next(at time.Time) (time.Time, bool) {
	for _, s := range ws.spans(at) {
		if s.to.After(at) {
			if s.from.Before(at) {
				return at, true
			}
			return s.from, true
		}
	}
	return time.Time{}, false
}

// spans lists the times around at in which some window is open, in order and
// without overlap. Three weeks hold every window at least twice, should a
// change of the clock have swallowed one.
func (ws Windows) spans(at time.Time) []span {
	var all []span
	for _, w := range ws {
		year, month, day := at.In(w.zone).Date()
		for d := day - 2; d <= day+21; d++ {
			if s, ok := w.opening(year, month, d); ok {
				all = append(all, s)
			}
		}
	}
	slices.SortFunc(all, func(a, b span) int { return cmp.Or(a.from.Compare(b.from), a.to.Compare(b.to)) })
	var out []span
	for _, s := range all {
		if n := len(out); n > 0 && !s.from.After(out[n-1].to) {
			if s.to.After(out[n-1].to) {
				out[n-1].to = s.to
			}
			continue
		}
		out = append(out, s)
	}
	return out
}
