package scanner

import (
	"testing"
	"time"
	_ "time/tzdata"
)

func windows(t *testing.T, texts ...string) Windows {
	t.Helper()
	ws, err := ParseWindows(texts)
	if err != nil {
		t.Fatal(err)
	}
	return ws
}

func instant(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestParseWindow_refuses(t *testing.T) {
	for _, s := range []string{
		"", "Mon 22:00-05:00", "Mon 22:00 05:00 UTC", "Mond 22:00-05:00 UTC", "Mon 22:00-22:00 UTC", "Mon 24:00-05:00 UTC",
		"Mon 22:00-24:01 UTC", "Mon 22:60-23:00 UTC", "Mon 2200-2300 UTC", "Mon 22:0-23:00 UTC", "Mon -1:00-05:00 UTC",
		"Mon 22:00-05:00 Europe/Wien2", "Mon 22:00-05:00 Local", "Mon, 22:00-05:00 UTC",
	} {
		if w, err := ParseWindow(s); err == nil {
			t.Errorf("%q was read as %v", s, w)
		}
	}
}

func TestWindows_open(t *testing.T) {
	const vienna = "Mon-Fri 22:00-05:00 Europe/Vienna"
	for _, tt := range []struct {
		name    string
		windows []string
		at      string
		until   string // empty: closed
		next    string
	}{
		{"none", nil, "2026-11-23T12:00:00Z", "", ""},
		{"before", []string{vienna}, "2026-11-23T20:59:59Z", "", "2026-11-23T21:00:00Z"},
		{"opens on time", []string{vienna}, "2026-11-23T21:00:00Z", "2026-11-24T04:00:00Z", "2026-11-23T21:00:00Z"},
		{"after midnight", []string{vienna}, "2026-11-24T03:59:59Z", "2026-11-24T04:00:00Z", "2026-11-24T03:59:59Z"},
		{"closes on time", []string{vienna}, "2026-11-24T04:00:00Z", "", "2026-11-24T21:00:00Z"},
		{"the night of Friday is on Saturday", []string{vienna}, "2026-11-28T03:00:00Z", "2026-11-28T04:00:00Z", "2026-11-28T03:00:00Z"},
		{"weekend", []string{vienna}, "2026-11-28T22:00:00Z", "", "2026-11-30T21:00:00Z"},
		{"summer", []string{vienna}, "2026-07-06T20:00:00Z", "2026-07-07T03:00:00Z", "2026-07-06T20:00:00Z"},
		{"whole days join", []string{"daily 00:00-24:00 UTC"}, "2026-11-23T12:00:00Z", "2026-12-15T00:00:00Z", "2026-11-23T12:00:00Z"},
		{"two join", []string{"Mon 20:00-22:00 UTC", "Mon 21:00-23:00 UTC"}, "2026-11-23T20:30:00Z", "2026-11-23T23:00:00Z", "2026-11-23T20:30:00Z"},
		{"two apart", []string{"Mon 20:00-21:00 UTC", "Mon 22:00-23:00 UTC"}, "2026-11-23T21:30:00Z", "", "2026-11-23T22:00:00Z"},
		{"list of days over Sunday", []string{"Sat-Mon,wednesday 10:00-11:00 UTC"}, "2026-11-24T10:30:00Z", "", "2026-11-25T10:00:00Z"},

		// 2026-10-25: at 03:00 CEST (01:00 UTC) it is 02:00 CET.
		{"night of the longer hour", []string{"Sat 22:00-05:00 Europe/Vienna"}, "2026-10-24T20:00:00Z", "2026-10-25T04:00:00Z", "2026-10-24T20:00:00Z"},
		{"closes the first time", []string{"Sat 22:00-02:30 Europe/Vienna"}, "2026-10-25T00:29:00Z", "2026-10-25T00:30:00Z", "2026-10-25T00:29:00Z"},
		{"and stays closed", []string{"Sat 22:00-02:30 Europe/Vienna"}, "2026-10-25T01:15:00Z", "", "2026-10-31T21:00:00Z"},
		{"opens the second time", []string{"Sun 02:30-04:00 Europe/Vienna"}, "2026-10-25T00:45:00Z", "", "2026-10-25T01:30:00Z"},
		{"no time is left", []string{"Sun 02:15-02:45 Europe/Vienna"}, "2026-10-25T00:30:00Z", "", "2026-11-01T01:15:00Z"},

		// 2026-03-29: at 02:00 CET (01:00 UTC) it is 03:00 CEST.
		{"night of the shorter hour", []string{"Sat 22:00-05:00 Europe/Vienna"}, "2026-03-28T21:00:00Z", "2026-03-29T03:00:00Z", "2026-03-28T21:00:00Z"},
		{"closes at the change", []string{"Sat 22:00-02:30 Europe/Vienna"}, "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", "2026-03-29T00:59:59Z"},
		{"opens at the change", []string{"Sun 02:30-04:00 Europe/Vienna"}, "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z", "2026-03-29T01:00:00Z"},
		{"swallowed by the change", []string{"Sun 02:15-02:45 Europe/Vienna"}, "2026-03-29T00:30:00Z", "", "2026-04-05T00:15:00Z"},
		{"half an hour", []string{"Sun 01:45-02:45 Australia/Lord_Howe"}, "2026-10-03T15:14:00Z", "", "2026-10-03T15:15:00Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ws := windows(t, tt.windows...)
			at := instant(t, tt.at)
			until, open := ws.Open(at)
			if open != (tt.until != "") || open && !until.Equal(instant(t, tt.until)) {
				t.Errorf("open %v until %v, want %q", open, until.UTC(), tt.until)
			}
			next, ok := ws.Next(at)
			if ok != (tt.next != "") || ok && !next.Equal(instant(t, tt.next)) {
				t.Errorf("next %v, want %q", next.UTC(), tt.next)
			}
		})
	}
}

// TestWindows_changes steps through the weeks in which clocks are set: a window is
// never open when the clock on the wall is outside of it.
func TestWindows_changes(t *testing.T) {
	for _, zone := range []string{"Europe/Vienna", "Australia/Lord_Howe"} {
		ws := windows(t, "daily 22:10-05:20 "+zone)
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		for at := instant(t, "2026-03-27T00:00:00Z"); at.Year() == 2026; at = at.Add(10 * time.Minute) {
			switch at.Format("01-02") { // to the next week with a change in one of the zones
			case "03-31":
				at = instant(t, "2026-04-03T00:00:00Z")
			case "04-06":
				at = instant(t, "2026-10-02T00:00:00Z")
			case "10-05":
				at = instant(t, "2026-10-24T00:00:00Z")
			case "10-27":
				at = instant(t, "2027-01-01T00:00:00Z")
			}
			wall := at.In(loc)
			m := wall.Hour()*60 + wall.Minute()
			inside := m >= 22*60+10 || m < 5*60+20
			if _, open := ws.Open(at); open != inside {
				t.Fatalf("%v: open %v", wall, open)
			}
		}
	}
}

func FuzzParseWindow(f *testing.F) {
	f.Add("Mon-Fri 22:00-05:00 Europe/Vienna")
	f.Add("daily 00:00-24:00 UTC")
	at := time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		w, err := ParseWindow(s)
		if err != nil {
			return
		}
		ws := Windows{w}
		next, ok := ws.Next(at)
		if !ok || next.Before(at) {
			t.Fatalf("%q: next %v", s, next)
		}
		if until, open := ws.Open(next); !open || !until.After(next) {
			t.Fatalf("%q: closed when it opens", s)
		}
	})
}
