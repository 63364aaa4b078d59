package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"probity/fixtures/traffic"
)

type labTrafficFlags struct {
	config        traffic.Config
	size          string
	output, truth string
	flood         int
}

func (a *app) labTrafficCommand() *cobra.Command {
	var f labTrafficFlags
	cmd := &cobra.Command{
		Use:   "traffic",
		Short: "Write a capture of a simulated hospital network, of any size",
		Long: "traffic writes a capture (pcap) of TLS handshakes, DICOM associations, HL7 messages and\n" +
			"bulk, and on demand what it holds, as JSON: every connection, certificate and server\n" +
			"name. The same flags make the same bytes. It sends nothing; its memory does not grow\n" +
			"with the size, but for what it holds: some kilobytes for each megabyte.",
		Example: "  probity lab traffic --size 100M --output ward.pcap --truth ward.json\n" +
			"  probity lab traffic --size 10G | probity read - --db big.db",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.labTraffic(cmd.Context(), f) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.size, "size", "100M", "bytes, about; with K, M or G for powers of 1,024")
	fs.Uint64Var(&f.config.Seed, "seed", 1, "another seed makes another capture")
	fs.StringVar(&f.output, "output", "", "write the capture to `FILE`, which is replaced in one step (default: standard output)")
	fs.StringVar(&f.truth, "truth", "", "write what the capture holds to `FILE`")
	fs.IntVar(&f.config.Late, "late", 3, "packets of a thousand that come late")
	fs.IntVar(&f.config.Twice, "twice", 2, "packets of a thousand that come twice")
	fs.IntVar(&f.config.AtOnce, "at-once", 200, "conversations at a time")
	fs.BoolVar(&f.config.Small, "small", false, "no bulk, so that packets are small")
	fs.BoolVar(&f.config.Tunnels, "tunnels", false, "QinQ, MPLS, GRE, ERSPAN I to III, VXLAN, Geneve, GTP-U and IP in IP by turns")
	fs.BoolVar(&f.config.Pieces, "fragments", false, "IP fragments in some conversations")
	fs.IntVar(&f.flood, "flood", 0, "instead, this many connections that never come about")
	return cmd
}

func (a *app) labTraffic(ctx context.Context, f labTrafficFlags) error {
	var err error
	if f.config.Bytes, err = sizeOf(f.size); err != nil {
		return fmt.Errorf("--size: %w", err)
	}
	var truth traffic.Truth
	write := func(w io.Writer) (err error) {
		w = &untilDone{ctx, w}
		if f.flood > 0 {
			return traffic.Flood(w, f.config.Seed, f.flood)
		}
		truth, err = traffic.Write(w, f.config)
		return err
	}
	switch {
	case f.output != "" && f.output != "-":
		err = a.writeOutput(f.output, write)
	case a.width() > 0:
		return errors.New("a capture is not for a terminal: give --output FILE or a pipe")
	default:
		err = write(a.stdout)
	}
	if err != nil || f.truth == "" {
		return err
	}
	return a.writeOutput(f.truth, truth.WriteJSON)
}

// untilDone ends a long writing when its context does.
type untilDone struct {
	ctx context.Context //nolint:containedctx // a writer has no other way to get it
	w   io.Writer
}

// Write implements [io.Writer].
func (u *untilDone) Write(b []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.w.Write(b)
}

// sizeOf reads a size such as 10G.
func sizeOf(text string) (int64, error) {
	number, unit := text, int64(1)
	for i, suffix := range []string{"K", "M", "G"} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			number, unit = rest, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 || n > 1<<50/unit {
		return 0, fmt.Errorf("%q is no size such as 500M", text)
	}
	return n * unit, nil
}
