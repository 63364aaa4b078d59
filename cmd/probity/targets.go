package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // windows name zones, and small systems know none

	"github.com/spf13/pflag"

	"probity/scanner"
)

// targetFlags say what may be touched, how much is sent and how fast.
type targetFlags struct {
	targetFile   string
	exclude      []string
	excludeFile  string
	ports        string
	level        string
	allowPublic  bool
	resolve      bool
	maxAddresses int
	classFile    string
	windows      []string
	rates        scanner.Rates
	passive      sightingFlags
	fhir, sdc    []string
	snmpFile     string
	snmpVersion  string
	lab          bool
	discover     string
	via          string
	policy       string                // with the site's classes of devices; not a flag of its own here
	notes        []string              // what the operator should hear, once planned
	classes      *scanner.Classes      // once planned
	sameAsset    map[netip.Addr]string // once planned
}

func (f *targetFlags) register(fs *pflag.FlagSet) {
	f.rates = scanner.DefaultRates()
	fs.StringVar(&f.targetFile, "targets", "", "`FILE` with one target a line (# begins a comment), or a table with a column address; -: standard input")
	fs.StringArrayVar(&f.exclude, "exclude", nil, "never touch this `TARGET`, whatever else is asked (repeatable)")
	fs.StringVar(&f.excludeFile, "exclude-file", "", "`FILE` with one exclusion a line; text after # is the reason; or a table")
	fs.StringVar(&f.classFile, "class-file", "", "`FILE` with an address and its class a line; pump, ventilator, monitor, dialysis, anaesthesia are excluded; what is said of a device beats a guess")
	fs.StringVar(&f.ports, "ports", "clinical", "port `SET`: clinical, web, all-tls, numbers, ranges, udp/161, comma-separated")
	fs.StringVar(&f.level, "probes", string(scanner.Gentle), "how much is sent: gentle, standard or exhaustive")
	fs.BoolVar(&f.allowPublic, "allow-public", false, "allow public addresses; scan only what you may")
	fs.BoolVar(&f.resolve, "resolve", false, "look names up in the DNS")
	fs.IntVar(&f.maxAddresses, "max-addresses", scanner.DefaultMaxAddresses, "refuse targets of more addresses than this")
	fs.StringArrayVar(&f.windows, "window", nil, "send only in this `TIME` of the week, such as 'Mon-Fri 22:00-05:00 Europe/Vienna' (repeatable)")
	f.passive.register(fs)
	fs.StringArrayVar(&f.fhir, "fhir", nil, "also ask the FHIR service at this base `URL` for its metadata and SMART configuration (repeatable)")
	fs.StringArrayVar(&f.sdc, "sdc", nil, "also ask the SDC provider at this `URL`, as its WS-Discovery tells it, for its metadata (repeatable)")
	fs.StringVar(&f.snmpFile, "snmp-community-file", "", "`FILE` with an SNMP community, for one get of description, product and name; or $"+communityVariable+"; never recorded")
	fs.StringVar(&f.snmpVersion, "snmp-version", defaultSNMPVersion, "version of SNMP for the community: 1 or 2c")
	fs.StringVar(&f.discover, "discover", "", "ask the link first who is there, by arp, nd, mdns, ssdp, ws-discovery (comma-separated), and probe only those in scope")
	fs.StringVar(&f.via, "via", "", "`INTERFACE` for --discover")
	fs.BoolVar(&f.lab, "lab", false, "the devices treat nobody: probe also pumps, ventilators and the like when they are known as such, and MQTT, Modbus, BACnet; with --probes exhaustive also try Heartbleed, CCS injection and ROBOT")
	fs.Float64Var(&f.rates.Global, "rate", f.rates.Global, "connections a second, all devices together")
	fs.Float64Var(&f.rates.Asset, "asset-rate", f.rates.Asset, "connections a second to one device")
	fs.IntVar(&f.rates.Parallel, "parallel", f.rates.Parallel, "devices at a time; each has one connection at most")
	fs.DurationVar(&f.rates.MaxTime, "timeout", f.rates.MaxTime, "bound of one connection")
}

// resolveTimeout bounds all name lookups of one command.
const resolveTimeout = 30 * time.Second

// plan turns targets and flags into a plan. It sends nothing, but for the name
// lookups that --resolve asks for.
func (f *targetFlags) plan(ctx context.Context, stdin io.Reader, db string, args []string) (*scanner.Plan, error) {
	level, err := parseLevel(f.level)
	if err != nil {
		return nil, err
	}
	table, err := scanner.LoadPorts()
	if err != nil {
		return nil, err
	}
	if f.lab {
		table = table.Lab()
	}
	set, err := table.Select(f.ports)
	if err != nil {
		return nil, fmt.Errorf("--ports: %w", err)
	}
	if _, err := f.parsedWindows(); err != nil {
		return nil, err
	}
	probers, err := f.probers()
	if err != nil {
		return nil, err
	}
	scope, err := f.scope(ctx, stdin, db, args)
	if err != nil {
		return nil, err
	}
	plan, err := scanner.NewPlan(scope, table, set, level, f.rates, probers)
	if errors.Is(err, scanner.ErrRefused) {
		return nil, &statusError{exitRefused, err}
	}
	if err != nil {
		return nil, err
	}
	if plan.Totals().Probes == 0 {
		return nil, &statusError{exitRefused, fmt.Errorf("nothing to scan: every target is excluded, the first %s: %s", plan.Exclusions[0].Target, plan.Exclusions[0].Reason)}
	}
	return plan, nil
}

func (f *targetFlags) parsedWindows() (scanner.Windows, error) {
	ws, err := scanner.ParseWindows(f.windows)
	if err != nil {
		return nil, fmt.Errorf("--window: %w", err)
	}
	return ws, nil
}

func (f *targetFlags) scope(ctx context.Context, stdin io.Reader, db string, args []string) (scanner.Scope, error) {
	s := scanner.Scope{AllowPublic: f.allowPublic, MaxAddresses: f.maxAddresses}
	if f.targetFile != "" {
		args = append(slices.Clip(args), "@"+f.targetFile)
	}
	seen, err := f.passive.targets(ctx, db, f.allowPublic)
	if err != nil {
		return s, err
	}
	if len(args) == 0 && !f.passive.used() && len(f.fhir)+len(f.sdc) == 0 {
		return s, errors.New("no targets: name an address, a prefix or --targets FILE; scope is never guessed")
	}
	exclusions := f.exclude
	if f.excludeFile != "" {
		exclusions = append(slices.Clip(exclusions), "@"+f.excludeFile)
	}
	var resolver scanner.Resolver
	if f.resolve {
		resolver = net.DefaultResolver
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	read := false
	for _, list := range []struct {
		args []string
		out  *[]scanner.Target
	}{{args, &s.Targets}, {exclusions, &s.Exclusions}} {
		targets, err := loadTargets(stdin, &read, list.args)
		if err != nil {
			return s, err
		}
		if list.out == &s.Targets {
			if targets, err = f.withURLs(targets); err != nil {
				return s, err
			}
		}
		f.noteUnread(targets)
		if *list.out, err = scanner.Resolve(ctx, targets, resolver); err != nil {
			return s, err
		}
	}
	s.Targets = append(s.Targets, seen...)
	return s, f.declare(&s)
}

// declare takes what the operator says of devices: their classes, of which the
// protected ones become exclusions, and which addresses are one device.
func (f *targetFlags) declare(s *scanner.Scope) error {
	declared, err := f.declared()
	if err != nil {
		return err
	}
	f.classes = scanner.NewClasses(slices.Concat(declared, s.Targets))
	f.sameAsset = scanner.SameAsset(s.Targets)
	s.Targets = f.classes.Mark(s.Targets)
	if f.classFile != "" || f.policy != "" { // what a table of targets protects is marked there
		s.Exclusions = append(s.Exclusions, scanner.NewClasses(declared).Exclusions()...)
	}
	return nil
}

// noteUnread says once for each table which of its columns are not read.
func (f *targetFlags) noteUnread(targets []scanner.Target) {
	for _, t := range targets {
		if t.Unread == "" {
			continue
		}
		file := t.Source[:strings.LastIndexByte(t.Source, ':')]
		if note := fmt.Sprintf("%s: columns that are not read: %s", file, t.Unread); !slices.Contains(f.notes, note) {
			f.notes = append(f.notes, note)
		}
	}
}

// urls yields what --fhir and --sdc name; each flag has the name of its prober.
func (f *targetFlags) urls() iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		_ = yield(scanner.FHIRProbe, f.fhir) && yield(scanner.SDCProbe, f.sdc)
	}
}

// withURLs adds what --fhir and --sdc name.
func (f *targetFlags) withURLs(targets []scanner.Target) ([]scanner.Target, error) {
	for prober, urls := range f.urls() {
		for _, u := range urls {
			t, err := scanner.ParseURL(prober, u)
			if err != nil {
				return nil, fmt.Errorf("--%s: %w", prober, err)
			}
			targets = append(targets, t)
		}
	}
	return targets, nil
}

// loadTargets reads arguments; "-" and "@-" are standard input, which can be
// read once: read says that it was. A second reading would find nothing, in
// place of targets or of exclusions.
func loadTargets(stdin io.Reader, read *bool, args []string) ([]scanner.Target, error) {
	var out []scanner.Target
	for _, arg := range args {
		var targets []scanner.Target
		var err error
		if arg == "-" || arg == "@-" {
			if *read {
				return nil, errors.New("standard input (-) can be read once only: give targets or exclusions as a file")
			}
			*read = true
			targets, err = scanner.ReadTargets(stdin, "standard input")
		} else {
			targets, err = scanner.LoadTargets([]string{arg})
		}
		if err != nil {
			return nil, err
		}
		out = append(out, targets...)
	}
	return out, nil
}

// declared lists the classes of --class-file and of the policy.
func (f *targetFlags) declared() ([]scanner.Target, error) {
	policy, err := readPolicy(f.policy)
	if err != nil {
		return nil, err
	}
	var out []scanner.Target
	for _, c := range policy.Classes {
		t, err := scanner.ParseTarget(c.Place)
		if err != nil {
			return nil, fmt.Errorf("policy: classes: %w", err)
		}
		if err := scanner.CheckClass(c.Class); err != nil {
			return nil, fmt.Errorf("policy: %s: %w", c.Place, err)
		}
		t.Class = c.Class
		out = append(out, t)
	}
	if f.classFile == "" {
		return out, nil
	}
	file, err := os.Open(f.classFile)
	if err != nil {
		return nil, fmt.Errorf("--class-file: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	targets, err := scanner.ReadClasses(file, f.classFile)
	if err != nil {
		return nil, fmt.Errorf("--class-file: %w", err)
	}
	f.noteUnread(targets)
	return append(out, targets...), nil
}

func parseLevel(s string) (scanner.Level, error) {
	for _, l := range []scanner.Level{scanner.Gentle, scanner.Standard, scanner.Exhaustive} {
		if strings.EqualFold(s, string(l)) {
			return l, nil
		}
	}
	return "", fmt.Errorf("--probes %q: want gentle, standard or exhaustive", s)
}
