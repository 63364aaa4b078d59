package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"

	"probity/reports"
	"probity/scanner"
	"probity/scanner/active"
	"probity/scanner/discover"
)

// discovery is what --discover asks for.
type discovery struct {
	link    *discover.Link
	methods []discover.Method
}

// discovery reads the flags; without --discover it returns nil. Nothing is sent.
func (f *targetFlags) discovery() (*discovery, error) {
	if f.discover == "" {
		if f.via != "" {
			return nil, errors.New("--via is for --discover")
		}
		return nil, nil
	}
	methods, err := discover.ParseMethods(f.discover)
	if err != nil {
		return nil, fmt.Errorf("--discover: %w", err)
	}
	if f.via == "" {
		return nil, errors.New("--discover needs an interface: name it with --via")
	}
	link, err := discover.OpenLink(f.via)
	if err != nil {
		return nil, fmt.Errorf("--via: %w", err)
	}
	return &discovery{link, methods}, nil
}

// questions yields the packets of the discovery of a plan.
func (d *discovery) questions(plan *scanner.Plan) iter.Seq[discover.Question] {
	if d == nil {
		return func(func(discover.Question) bool) {}
	}
	return discover.Questions(d.link, d.methods, plan)
}

// String says which methods, and where.
func (d *discovery) String() string {
	names := make([]string, len(d.methods))
	for i, m := range d.methods {
		names[i] = string(m)
	}
	return strings.Join(names, ", ") + " on " + d.link.Interface.Name
}

// shownQuestions are the first packets of a discovery, and how many there are.
type shownQuestions struct {
	Packets int                 `json:"packets"`
	Bytes   int64               `json:"bytes"`
	Via     string              `json:"via"`
	Shown   []discover.Question `json:"shown"`
}

func (d *discovery) shown(plan *scanner.Plan, most int) *shownQuestions {
	if d == nil {
		return nil
	}
	s := &shownQuestions{Via: d.link.Interface.Name, Shown: []discover.Question{}}
	for q := range d.questions(plan) {
		if most == 0 || len(s.Shown) < most {
			s.Shown = append(s.Shown, q)
		}
		s.Packets++
		s.Bytes += int64(q.Bytes)
	}
	return s
}

// write prints the packets that are sent before any connection.
func (s *shownQuestions) write(w io.Writer, width int) error {
	if s == nil {
		return nil
	}
	var rows [][]string
	for _, q := range s.Shown {
		rows = append(rows, []string{string(q.Method), q.To.String(), strconv.Itoa(q.Bytes), q.Why})
	}
	if err := reports.Grid(w, []string{"DISCOVERY", "TO", "BYTES", "WHY"}, rows, width); err != nil {
		return fmt.Errorf("print the plan: %w", err)
	}
	_, err := fmt.Fprintf(w, "%s, %d bytes by %s, before any connection; an address in scope that does not answer gets none\n\n", count(s.Packets, "packet"), s.Bytes, s.Via)
	return err
}

// finder is a discovery that is about to run; nil is none.
type finder struct {
	*discovery
	media discover.Media
}

// openFinder opens what --discover needs, before anything is recorded.
func (f *targetFlags) openFinder() (*finder, error) {
	d, err := f.discovery()
	if d == nil || err != nil {
		return nil, err
	}
	media, err := discover.Open(d.link, d.methods)
	if errors.Is(err, discover.ErrPrivilege) {
		err = fmt.Errorf("%w; probity doctor prints the command that gives it", err)
	}
	if err != nil {
		return nil, fmt.Errorf("--discover: %w", err)
	}
	return &finder{d, media}, nil
}

func (d *finder) note() string {
	if d == nil {
		return ""
	}
	return "; discovery by " + d.String()
}

func (d *finder) close() error {
	if d == nil {
		return nil
	}
	return d.media.Close()
}

// run discovers who is there and narrows the probes to those. An interruption is
// for the run of the plan to tell.
func (d *finder) run(ctx context.Context, plan *scanner.Plan, opts *active.Options) error {
	if d == nil {
		return nil
	}
	result, err := discover.Run(ctx, d.link, d.methods, d.media, plan, discover.Options{
		Ledger: opts.Ledger, Now: opts.Now, Rate: plan.Rates.Global, Windows: opts.Windows,
	})
	opts.Absent, opts.Begun = result.Absent, result.Sent > 0
	if ctx.Err() != nil || errors.Is(err, scanner.ErrRefused) {
		return nil //nolint:nilerr // the run of the plan says the same, and why each probe was not sent
	}
	return err
}
