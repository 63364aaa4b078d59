// Package churn simulates a hospital's network over weeks, for tests: devices that
// get other addresses, certificates, cards and software, that are replaced, fail
// over and are copied, and what a scanner and a sensor see of them.
package churn

import (
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"probity/evidence"
)

// A World is a simulated site over some weeks: devices that move, are renewed,
// re-imaged, repaired and replaced, and a scanner and a sensor that see them. It
// knows which device every observation is of.
type World struct {
	t        testing.TB
	r        *rand.Rand
	devices  []*simulated
	free     map[int][]netip.Addr // by network, addresses that nobody has
	now      time.Time
	run      int64
	id       int64
	issuer   ed25519.PrivateKey
	emit     func(evidence.Observation, int)
	serial   int64
	shared   []simulatedKeys // golden images
	addrs    int
	networks int
	scope    int // networks from this on are not looked at
	share    int // one device in so many is looked at; 0: all
}

type simulatedKeys struct {
	ssh  []byte
	cert []byte
}

// simulated is one device.
type simulated struct {
	n        int
	network  int
	dhcp     bool
	sensor   bool // a sensor sees its network
	addr     netip.Addr
	v6       netip.Addr
	mac      string
	host     string
	keys     simulatedKeys
	tlsKey   ed25519.PrivateKey
	engine   string
	boots    uint32
	booted   time.Time
	model    string
	serialNo string
	alive    bool
	gateway  bool // tells serial numbers of others
	nat      int  // devices behind its address
	vip      netip.Addr
	partner  *simulated
	active   bool // of a pair: holds the common address
}

const perNetwork = 240

// New returns a site of some devices. It tells emit every observation, and the
// number of the device that it is of; -1 for none.
func New(t testing.TB, seed uint64, devices int, emit func(evidence.Observation, int)) *World {
	w := &World{
		t: t, r: rand.New(rand.NewPCG(seed, 77)), free: map[int][]netip.Addr{}, emit: emit,
		now: time.Date(2026, 1, 5, 6, 0, 0, 0, time.UTC), issuer: ed25519.NewKeyFromSeed(make([]byte, 32)),
	}
	for i := range 12 {
		s := w.key(1_000_000 + i)
		w.shared = append(w.shared, simulatedKeys{ssh: s.Public().(ed25519.PublicKey), cert: w.certificate(fmt.Sprintf("appliance-%d", i), s)})
	}
	networks := devices/(perNetwork*3/4) + 1
	w.scope, w.networks = networks, networks
	for n := range networks {
		for h := range perNetwork {
			w.free[n] = append(w.free[n], netip.AddrFrom4([4]byte{10, byte(n >> 8), byte(n), byte(h + 10)}))
		}
	}
	for i := range devices {
		w.add(i % networks)
	}
	return w
}

func (w *World) key(n int) ed25519.PrivateKey {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(n))
	binary.LittleEndian.PutUint64(seed[8:], w.r.Uint64())
	return ed25519.NewKeyFromSeed(seed[:])
}

func (w *World) certificate(name string, key ed25519.PrivateKey) []byte {
	w.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(w.serial), Subject: pkix.Name{CommonName: name, Organization: []string{"Example"}},
		NotBefore: w.now, NotAfter: w.now.AddDate(1, 0, 0),
	}
	der, err := x509.CreateCertificate(nil, template, &x509.Certificate{Subject: pkix.Name{CommonName: "CA"}}, key.Public(), w.issuer)
	if err != nil {
		w.t.Fatal(err)
	}
	return der
}

func (w *World) chance(percent int) bool { return w.r.IntN(100) < percent }

// add brings a new device into a network.
func (w *World) add(network int) *simulated {
	d := &simulated{
		n: len(w.devices), network: network, dhcp: network%5 < 2, sensor: network%10 != 9, alive: true, booted: w.now,
		boots: uint32(w.r.IntN(30) + 1),
	}
	w.devices = append(w.devices, d)
	d.mac = w.card()
	d.host = fmt.Sprintf("dev%05d", d.n)
	d.addr = w.take(network)
	if w.chance(60) {
		d.keys.ssh = w.key(d.n).Public().(ed25519.PublicKey)
	}
	if w.chance(60) || d.keys.ssh == nil {
		d.tlsKey = w.key(d.n)
		d.keys.cert = w.certificate(d.host, d.tlsKey)
	}
	if w.chance(30) {
		d.engine = fmt.Sprintf("engine-%d-%d", d.n, w.r.Uint32())
	}
	if w.chance(15) {
		d.model, d.serialNo = fmt.Sprintf("Model %d", w.r.IntN(6)), fmt.Sprintf("SN%06d", d.n)
	}
	switch {
	case w.chance(4): // a copy of an image
		d.keys, d.tlsKey = w.shared[w.r.IntN(len(w.shared))], nil
	case w.chance(3): // two protocols
		d.v6 = netip.AddrFrom16([16]byte{0xfd, 1, 2, 3, 14: byte(d.n >> 8), 15: byte(d.n)})
	case w.chance(1):
		d.nat = 3
		d.dhcp = false
	case w.chance(1):
		d.gateway = true
		d.model, d.serialNo = "", ""
		d.sensor, d.dhcp = true, false
	case w.chance(2) && d.n > 0:
		o := w.devices[d.n-1]
		if o.partner == nil && !o.vip.IsValid() && !o.gateway && o.nat == 0 && o.alive {
			d.partner, o.partner = o, d
			d.vip = w.take(network)
			o.vip, d.active = d.vip, true
			d.dhcp, o.dhcp, d.sensor, o.sensor = false, false, true, true
		}
	}
	return d
}

func (w *World) card() string {
	v := w.r.Uint32()
	return fmt.Sprintf("00:1a:%02x:%02x:%02x:%02x", byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}

func (w *World) take(network int) netip.Addr {
	f := w.free[network]
	if len(f) == 0 {
		w.addrs++
		return netip.AddrFrom4([4]byte{11, byte(w.addrs >> 16), byte(w.addrs >> 8), byte(w.addrs)})
	}
	i := w.r.IntN(len(f))
	a := f[i]
	f[i] = f[len(f)-1]
	w.free[network] = f[:len(f)-1]
	return a
}

// Week changes the site as a week does.
func (w *World) Week() {
	for _, d := range slices.Clone(w.devices) {
		if !d.alive {
			continue
		}
		if d.dhcp && w.chance(20) {
			w.free[d.network] = append(w.free[d.network], d.addr)
			d.addr = w.take(d.network)
		}
		if w.r.IntN(1000) < 20 && d.tlsKey != nil { // renewal, half of them with a new key
			if w.chance(50) {
				d.tlsKey = w.key(d.n)
			}
			d.keys.cert = w.certificate(d.host, d.tlsKey)
		}
		if w.r.IntN(1000) < 5 && d.sensor { // re-imaged
			if d.keys.ssh != nil {
				d.keys.ssh = w.key(d.n).Public().(ed25519.PublicKey)
			}
			if d.tlsKey != nil {
				d.tlsKey = w.key(d.n)
				d.keys.cert = w.certificate(d.host, d.tlsKey)
			}
			if d.engine != "" {
				d.engine = fmt.Sprintf("engine-%d-%d", d.n, w.r.Uint32())
			}
		}
		if w.r.IntN(1000) < 3 && d.partner == nil && d.tlsKey != nil { // another network card
			d.mac = w.card()
		}
		if w.chance(10) { // restarted
			d.boots++
			d.booted = w.now
		}
		if d.partner != nil && d.active && w.chance(20) { // the pair fails over
			d.active, d.partner.active = false, true
		}
		if w.r.IntN(1000) < 4 && d.partner == nil { // another device in its place, at its address
			d.alive = false
			n := w.add(d.network)
			w.free[n.network] = append(w.free[n.network], n.addr)
			n.addr = d.addr
		}
	}
}

// Observe has the sensor listen for a day, and then the scanner scan.
func (w *World) Observe() {
	w.run++
	for _, d := range w.devices {
		if d.alive && d.sensor && w.looksAt(d) {
			w.overhear(d)
		}
	}
	w.now = w.now.Add(26 * time.Hour)
	w.run++
	start := w.now
	for _, d := range w.devices {
		if d.alive && w.looksAt(d) {
			w.now = start.Add(time.Duration(w.r.IntN(3600)) * time.Second)
			w.scan(d)
		}
	}
	for n := range min(w.scope, len(w.free)) {
		if w.share > 0 {
			break
		}
		for _, a := range w.free[n] {
			w.now = start.Add(time.Duration(w.r.IntN(3600)) * time.Second)
			w.send(-1, evidence.Observation{
				Method: evidence.Active, Kind: evidence.KindTLS, Result: evidence.ResultTimeout,
				Endpoint: evidence.Endpoint{Addr: a, Port: 443, Transport: evidence.TCP},
			})
		}
	}
	w.now = start.Add(5*24*time.Hour - 2*time.Hour)
}

func (w *World) looksAt(d *simulated) bool {
	return d.network < w.scope && (w.share == 0 || d.n%w.share == 0)
}

func (w *World) send(device int, o evidence.Observation) {
	w.id++
	o.ID, o.Run = w.id, w.run
	if o.At.IsZero() {
		o.At = w.now
	}
	if o.Result == "" {
		o.Result = evidence.ResultData
	}
	w.emit(o, device)
}

func (w *World) overhear(d *simulated) {
	told := func(addr netip.Addr, f evidence.IdentityFacts) {
		w.send(d.n, evidence.Observation{
			Method: evidence.Passive, Kind: evidence.KindIdentity, At: w.now.Add(time.Duration(w.r.IntN(24*3600)) * time.Second),
			Endpoint: evidence.Endpoint{Addr: addr, Transport: evidence.Link}, Facts: evidence.Facts{Identity: &f},
		})
	}
	told(d.addr, evidence.IdentityFacts{Protocol: "arp", MAC: d.mac})
	if d.v6.IsValid() {
		told(d.v6, evidence.IdentityFacts{Protocol: "nd", MAC: d.mac})
	}
	if d.dhcp {
		told(d.addr, evidence.IdentityFacts{Protocol: "dhcp", MAC: d.mac, Hostnames: []string{d.host}})
	}
	if d.vip.IsValid() && d.active {
		told(d.vip, evidence.IdentityFacts{Protocol: "arp", MAC: d.mac})
	}
	if d.gateway {
		for range 4 {
			told(d.addr, evidence.IdentityFacts{
				Protocol: "poct1", Manufacturer: "Example", Model: "Meter", Serial: fmt.Sprintf("M%04d", w.r.IntN(40)),
			})
		}
	}
}

func (w *World) scan(d *simulated) {
	addrs := []netip.Addr{d.addr}
	if d.v6.IsValid() {
		addrs = append(addrs, d.v6)
	}
	if d.vip.IsValid() && d.active {
		addrs = append(addrs, d.vip)
	}
	for _, addr := range addrs {
		at := func(port uint16, t evidence.Transport) evidence.Endpoint {
			return evidence.Endpoint{Addr: addr, Port: port, Transport: t}
		}
		ssh := func(port uint16, key []byte) {
			w.send(d.n, evidence.Observation{
				Method: evidence.Active, Kind: evidence.KindSSH, Endpoint: at(port, evidence.TCP),
				Keys:  []evidence.HostKey{{Algorithm: "ssh-ed25519", Blob: key}},
				Facts: evidence.Facts{SSH: &evidence.SSHFacts{Version: "SSH-2.0-OpenSSH_9.2"}},
			})
		}
		refused := func(port uint16, k evidence.Kind) {
			w.send(d.n, evidence.Observation{Method: evidence.Active, Kind: k, Result: evidence.ResultRefused, Endpoint: at(port, evidence.TCP)})
		}
		if d.keys.ssh != nil {
			ssh(22, d.keys.ssh)
		} else {
			refused(22, evidence.KindSSH)
		}
		if d.keys.cert == nil {
			refused(443, evidence.KindTLS)
		}
		for i := range d.nat {
			ssh(uint16(2200+i), w.shared[i].ssh[:31])
		}
		if d.keys.cert != nil {
			w.send(d.n, evidence.Observation{
				Method: evidence.Active, Kind: evidence.KindTLS, Endpoint: at(443, evidence.TCP),
				Certs: []evidence.Presented{{Role: evidence.RoleServer, DER: d.keys.cert}},
				Facts: evidence.Facts{TLS: &evidence.TLSFacts{Offer: evidence.OfferFull, Version: 0x304}},
			})
		}
		if d.engine != "" {
			w.send(d.n, evidence.Observation{
				Method: evidence.Active, Kind: evidence.KindSNMP, Endpoint: at(161, evidence.UDP),
				Facts: evidence.Facts{SNMP: &evidence.SNMPFacts{EngineID: []byte(d.engine), EngineBoots: d.boots, EngineTime: uint32(w.now.Sub(d.booted) / time.Second)}},
			})
		}
		if d.serialNo != "" {
			w.send(d.n, evidence.Observation{
				Method: evidence.Active, Kind: evidence.KindSDC, Endpoint: at(6464, evidence.TCP),
				Facts: evidence.Facts{SDC: &evidence.SDCFacts{Manufacturer: "Example", ModelName: d.model, Serial: d.serialNo, Firmware: "1.0"}},
			})
		}
	}
}

// Observations is how many there were so far.
func (w *World) Observations() int64 { return w.id }

// Limit lets the scanner and the sensor see only the first networks; each has
// about 180 devices.
func (w *World) Limit(networks int) { w.scope, w.share = networks, 0 }

// Sample lets them see only one device in so many, anywhere.
func (w *World) Sample(share int) { w.scope, w.share = w.networks, share }
