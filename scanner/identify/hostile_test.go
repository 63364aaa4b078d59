package identify

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"probity/evidence"
)

// flood is what one hostile device can have seen of it: n identifiers, told in
// one of several ways.
func flood(kind string, n int) []evidence.Observation {
	addr := netip.MustParseAddr("192.0.2.66")
	out := make([]evidence.Observation, 0, n)
	for i := range n {
		o := evidence.Observation{
			ID: int64(i + 1), Run: 1, Method: evidence.Active, Result: evidence.ResultData, At: t0.Add(time.Duration(i) * time.Second),
			Kind: evidence.KindSSH, Endpoint: evidence.Endpoint{Addr: addr, Port: 22, Transport: evidence.TCP},
		}
		identity := func(f evidence.IdentityFacts) {
			o.Method, o.Kind, o.Endpoint.Port, o.Endpoint.Transport = evidence.Passive, evidence.KindIdentity, 0, evidence.Link
			o.Facts.Identity = &f
		}
		switch kind {
		case "ports": // another key at each
			o.Endpoint.Port = uint16(i)
			o.Keys = []evidence.HostKey{{Algorithm: fmt.Sprint("a", i>>16), Blob: fmt.Append(nil, i)}}
			o.Facts.SSH = &evidence.SSHFacts{}
		case "keys": // another each time, and no card to hold on to
			o.Keys = []evidence.HostKey{{Algorithm: "ssh-ed25519", Blob: fmt.Append(nil, i)}}
			o.Facts.SSH = &evidence.SSHFacts{}
			o.At, o.Run = t0.Add(time.Duration(i)*time.Hour), int64(i)
		case "names": // another each hour, of one card
			identity(evidence.IdentityFacts{Protocol: "dhcp", MAC: "00:1a:00:00:00:01", Hostnames: []string{fmt.Sprint("h", i)}})
			o.At = t0.Add(time.Duration(i) * time.Hour)
		case "cards": // each hour
			identity(evidence.IdentityFacts{Protocol: "arp", MAC: fmt.Sprintf("00:1a:01:%02x:%02x:%02x", byte(i>>16), byte(i>>8), byte(i))})
			o.At = t0.Add(time.Duration(i) * time.Hour)
		case "protocols": // names in thousands of tracks
			identity(evidence.IdentityFacts{Protocol: fmt.Sprint("p", i), Hostnames: []string{fmt.Sprint("h", i)}})
		case "serials":
			identity(evidence.IdentityFacts{Protocol: "poct1", Manufacturer: "Example", Model: "Meter", Serial: fmt.Sprint("SN", i)})
		case "addresses": // of one card
			identity(evidence.IdentityFacts{Protocol: "arp", MAC: "00:1a:00:00:00:02"})
			o.Endpoint.Addr = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			o.At = t0.Add(time.Duration(i) * 4 * time.Hour)
		case "moves": // as addresses, and at each the key of SSH
			at := i / 2
			identity(evidence.IdentityFacts{Protocol: "arp", MAC: "00:1a:00:00:00:02"})
			if i%2 == 1 {
				o.Kind, o.Facts, o.Endpoint.Port, o.Endpoint.Transport = evidence.KindSSH, evidence.Facts{SSH: &evidence.SSHFacts{}}, 22, evidence.TCP
				o.Keys = []evidence.HostKey{{Algorithm: "ssh-ed25519", Blob: []byte("own")}}
			}
			o.Endpoint.Addr = netip.AddrFrom4([4]byte{10, byte(at >> 16), byte(at >> 8), byte(at)})
			o.At = t0.Add(time.Duration(at) * 4 * time.Hour)
		case "clones": // one key everywhere
			o.Endpoint.Addr = netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
			o.Keys = []evidence.HostKey{{Algorithm: "ssh-ed25519", Blob: []byte("default")}}
			o.Facts.SSH = &evidence.SSHFacts{}
		}
		out = append(out, o)
	}
	return out
}

func floods() []string {
	return []string{"ports", "keys", "names", "cards", "protocols", "serials", "addresses", "moves", "clones"}
}

// BenchmarkFlood resolves what one hostile device can show, and twice as much; it
// reports how much longer twice as much takes.
func BenchmarkFlood(b *testing.B) {
	const n = 10_000
	for _, kind := range floods() {
		b.Run(kind, func(b *testing.B) {
			var took [2]time.Duration
			for b.Loop() {
				for i := range took {
					obs := flood(kind, n<<i)
					start := time.Now()
					Resolve(obs)
					took[i] += time.Since(start)
				}
			}
			b.ReportMetric(float64(took[0].Microseconds())/float64(b.N)/n, "µs/observation")
			b.ReportMetric(took[1].Seconds()/took[0].Seconds(), "times-for-twice")
		})
	}
}
