//go:build linux && cgo

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"probity/evidence/store"
	"probity/scanner/passive/capture"
)

type listenFlags struct {
	passiveFlags
	interfaces  []string
	ring        int // MiB
	promiscuous bool
	filter      string
	length      time.Duration
	rotate      time.Duration
}

// maxRing bounds --ring, in MiB: the memory of a ring cannot be paged out.
const maxRing = 4096

// liveCommands are those that only Linux has.
func (a *app) liveCommands() []*cobra.Command { return []*cobra.Command{a.listenCommand()} }

func (a *app) listenCommand() *cobra.Command {
	var f listenFlags
	cmd := &cobra.Command{
		Use:   "listen -i IFACE...",
		Short: "Take evidence out of live traffic; sends nothing",
		Long: "listen takes the same evidence out of network interfaces as read does out of files. It\n" +
			"sends no packet. Both lines of a tap may be given: -i tap0 -i tap1. It ends after --for,\n" +
			"or when it is interrupted; what was seen is then kept. Packets that the kernel or the\n" +
			"network card lost are counted and make the run incomplete.\n\n" +
			"--filter takes: host ADDRESS, net PREFIX, port NUMBER, vlan [NUMBER], tcp, udp, tcp port\n" +
			"NUMBER, udp port NUMBER, joined by and, or, not and ( ). It looks at the outer headers\n" +
			"only.\n\n" +
			"It needs the capability CAP_NET_RAW and no other right; doctor says how to give it.\n\n" +
			"Exit codes: 0 done; 1 findings at or above --fail-on; 2 could not listen; 3 incomplete:\n" +
			"packets were lost; 130 interrupted, what was seen is kept.",
		Example: "  probity listen -i eth1 --for 8h --rotate 1h --db hospital.db",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.listen(cmd.Context(), f) },
	}
	f.register(cmd)
	fs := cmd.Flags()
	fs.StringSliceVarP(&f.interfaces, "interface", "i", nil, "listen on this `IFACE`; may be given again")
	fs.IntVar(&f.ring, "ring", 64, "memory for packets that wait, of each interface, in `MIB`")
	fs.BoolVar(&f.promiscuous, "promiscuous", true, "take packets for others too, as a mirror port needs it")
	fs.StringVar(&f.filter, "filter", "", "take only packets of this `EXPRESSION`")
	fs.DurationVar(&f.length, "for", 0, "end after this `DURATION` (default: when interrupted)")
	fs.DurationVar(&f.rotate, "rotate", 0, "seal a run and begin the next every `DURATION`; no packet is lost")
	return cmd
}

// options checks the flags of the capture.
func (f *listenFlags) options(now func() time.Time) (capture.LiveOptions, error) {
	o := capture.LiveOptions{Interfaces: f.interfaces, RingBytes: f.ring << 20, Promiscuous: f.promiscuous, Now: now}
	switch {
	case len(f.interfaces) == 0:
		return o, errors.New("no interface: name one with -i; see: ip link")
	case len(slices.Compact(slices.Sorted(slices.Values(f.interfaces)))) != len(f.interfaces):
		return o, fmt.Errorf("-i %s: an interface is named twice", strings.Join(f.interfaces, ","))
	case f.ring < 1 || f.ring > maxRing:
		return o, fmt.Errorf("--ring %d: want 1 to %d MiB", f.ring, maxRing)
	case f.length < 0:
		return o, fmt.Errorf("--for %s: want a duration such as 8h", f.length)
	case f.rotate < 0 || f.rotate > 0 && f.rotate < time.Second:
		return o, fmt.Errorf("--rotate %s: want a second at least", f.rotate)
	}
	if f.filter != "" {
		var err error
		if o.Filter, err = capture.ParseFilter(f.filter); err != nil {
			return o, fmt.Errorf("--filter: %w", err)
		}
	}
	return o, nil
}

func (a *app) listen(ctx context.Context, f listenFlags) error {
	if err := refuseCores(); err != nil {
		return err
	}
	if err := f.view.check(); err != nil {
		return err
	}
	o, err := f.options(a.now)
	if err != nil {
		return err
	}
	j, err := a.newJudgement(f.judge)
	if err != nil {
		return err
	}
	live, err := openLive(o)
	if err != nil {
		return err
	}
	st, err := a.openWriter(ctx, f.store)
	if err != nil {
		return errors.Join(err, live.Close())
	}
	defer func() { _ = st.Close() }()
	incomplete, err := a.recordLive(ctx, st, f, j, live)
	if err != nil {
		return err
	}
	return a.finish(ctx, st, f.passiveFlags, j, nil, incomplete)
}

// recordLive records what is heard, in one run or several, and closes the rings:
// nothing of them is in memory while it is judged.
func (a *app) recordLive(ctx context.Context, st *store.Store, f listenFlags, j *judgement, live *capture.Live) (incomplete bool, err error) {
	defer func() { _ = live.Close() }()
	defer context.AfterFunc(ctx, live.Stop)()
	if f.length > 0 {
		defer time.AfterFunc(f.length, live.Stop).Stop()
	}
	defer cutEvery(f.rotate, live.Cut)()
	names := strings.Join(f.interfaces, ",")
	source := tap{source: live, name: names, note: "interface " + names, dropped: live.Dropped, reading: context.WithoutCancel(ctx)}
	if f.filter != "" {
		source.note += ", filter " + f.filter
	}
	_, _ = fmt.Fprintf(a.stderr, "probity: listening on %s\n", oneLine(errors.New(names)))
	for !live.Ended() {
		complete, err := a.recordTraffic(ctx, st, f.store, j, source)
		if err != nil {
			return false, err
		}
		incomplete = incomplete || !complete
	}
	return incomplete, nil
}

// openLive says in one line what is to be done where the kernel refuses.
func openLive(o capture.LiveOptions) (*capture.Live, error) {
	live, err := capture.OpenLive(o)
	if errors.Is(err, capture.ErrPrivilege) {
		return nil, fmt.Errorf("%w; run once: %s", err, grantLine())
	}
	return live, err
}

// grantLine is the command that lets this program listen without being root.
func grantLine() string {
	exe, err := os.Executable()
	if err != nil {
		exe = "probity"
	}
	return fmt.Sprintf("sudo setcap cap_net_raw+ep %q", exe)
}

// cutEvery calls cut at intervals, until the function that it returns is called.
func cutEvery(interval time.Duration, cut func()) (stop func()) {
	if interval <= 0 {
		return func() {}
	}
	ticker := time.NewTicker(interval)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-ticker.C:
				cut()
			case <-done:
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(done)
	}
}

// checkLive says whether listen would be let. Not to listen is no defect of a
// machine that only scans.
func checkLive() checkup {
	c := checkup{"live capture", "ok", "this program may listen on interfaces", ""}
	err := capture.CheckPrivilege()
	if err != nil {
		c.Found = "listen is not possible: " + err.Error()
	}
	if errors.Is(err, capture.ErrPrivilege) {
		c.Mend = "to use listen: " + grantLine()
	}
	return c
}
