package fleet

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/zmap/zcrypto/x509"

	"probity/evidence"
	"probity/internal/safetext"
	"probity/lint"
)

// unpredictableSerials asks that the serial numbers of an authority cannot be guessed
// from those that were seen. Who can guess the next one can prepare a certificate
// that collides with it, where the hash of the signature allows that (Stevens et al.
// 2009 for MD5, Leurent and Peyrin 2020 for SHA-1), and anyone can count what the
// authority issues.
func unpredictableSerials() lint.Check {
	return lint.Check{
		Name:   "fleet/unpredictable_serials",
		Source: "CA/Browser Forum Baseline Requirements section 7.1 (64 bits of a CSPRNG); Stevens et al., Short Chosen-Prefix Collisions for MD5, CRYPTO 2009",
		Params: []lint.Param{
			{Name: "samples", Doc: "certificates of one authority that a verdict needs", Default: 3},
			{Name: "bits", Doc: "bits that must differ among the serial numbers; 64 random ones differ in fewer than 56 once in 65,536 samples of three", Default: 56},
		},
		Fleet: func(env *lint.Env, c *lint.Corpus) []lint.GroupVerdict {
			f := c.Fleet()
			var out []lint.GroupVerdict
			enough := 0
			authorities := alike(len(f.Records), func(i int32) (lint.Mark, bool) {
				r := &f.Records[i]
				return r.Authority, r.HasSerial() && !r.SelfIssued
			}, func(_ lint.Mark, issued []int32) {
				s := seriesOf(f, issued)
				if len(s) < max(env.Int("samples"), 2) {
					return
				}
				enough++
				if why := s.pattern(env.Int("bits")); why != "" {
					out = append(out, s.verdict(c, f, why))
				}
			})
			if authorities == 0 {
				return fleetWide(lint.NotApplicablef("No certificate of an authority was seen."))
			}
			if enough == 0 {
				return fleetWide(lint.Inconclusivef("No authority was seen with %s; a pattern needs that many.", lint.Count(max(env.Int("samples"), 2), "certificate")))
			}
			return or(out, lint.Passf("The serial numbers of the authorities with enough certificates (%d) show no pattern.", enough))
		},
	}
}

// issued is a certificate of an authority.
type issued struct {
	*lint.Record
	at int32 // its place among the records
}

// series are certificates of one authority, by serial number, none twice.
type series []issued

func seriesOf(f *lint.Fleet, records []int32) series {
	s := make(series, len(records))
	for i, n := range records {
		s[i] = issued{&f.Records[n], n}
	}
	slices.SortFunc(s, func(a, b issued) int { return cmp.Or(a.CompareSerials(b.Record), cmp.Compare(a.at, b.at)) })
	return slices.CompactFunc(s, func(a, b issued) bool { return a.CompareSerials(b.Record) == 0 })
}

func (s series) serial(i int) *big.Int { return s[i].Serial() }

// pattern says how the serial numbers can be guessed, or returns "". The surest
// pattern comes first.
func (s series) pattern(bits int) string {
	first, last := s.serial(0), s.serial(len(s)-1)
	extent := new(big.Int).Sub(last, first)
	if form := s.times(); form != "" {
		return "they are the time of issue, " + form
	}
	if step := s.step(); step != nil {
		return fmt.Sprintf("each is %s more than the one before", step)
	}
	// So many in so small a range: random ones of 56 bits would lie 2^55 apart.
	if dense := new(big.Int).Mul(big.NewInt(int64(len(s))), big.NewInt(1<<10)); extent.Cmp(dense) < 0 {
		return fmt.Sprintf("they lie within %s of each other, as of a counter", extent)
	}
	if varies := s.varies(); varies < bits {
		return fmt.Sprintf("at most %d bits of them differ", varies)
	}
	return ""
}

// step is the difference of each to the one before, if it is the same for all; nil
// otherwise, and for so few that it may be chance.
func (s series) step() *big.Int {
	const few = 3
	if len(s) < few {
		return nil
	}
	step := new(big.Int).Sub(s.serial(1), s.serial(0))
	gap := new(big.Int)
	for i := 2; i < len(s); i++ {
		if gap.Sub(s.serial(i), s.serial(i-1)).Cmp(step) != 0 {
			return nil
		}
	}
	return step
}

// varies is how many of the low bits hold all differences: an upper bound of what
// was drawn at random.
func (s series) varies() int {
	first, all, x := s.serial(0), new(big.Int), new(big.Int)
	for i := 1; i < len(s); i++ {
		all.Or(all, x.Xor(s.serial(i), first))
	}
	return all.BitLen()
}

// times says in which form the serial numbers are times near the notBefore of their
// certificates, or returns "".
func (s series) times() string {
	const near = 48 * time.Hour
	for _, form := range []struct {
		name string
		unit time.Duration // of which the number counts
	}{{"in seconds", time.Second}, {"in milliseconds", time.Millisecond}, {"in microseconds", time.Microsecond}, {"in nanoseconds", 1}} {
		if !slices.ContainsFunc(s, func(c issued) bool {
			n := c.Serial()
			if !n.IsInt64() || n.Sign() <= 0 {
				return true
			}
			limit := int64(1<<63-1) / int64(form.unit)
			return n.Int64() > limit || time.Unix(0, n.Int64()*int64(form.unit)).Sub(c.NotBefore()).Abs() > near
		}) {
			return form.name
		}
	}
	if !slices.ContainsFunc(s, func(c issued) bool {
		text := c.Serial().String()
		const day = "20060102"
		if len(text) < len(day) {
			return true
		}
		at, err := time.Parse(day, text[:len(day)])
		return err != nil || at.Sub(c.NotBefore()).Abs() > near
	}) {
		return "as year, month and day"
	}
	return ""
}

// verdict judges a pattern: it is a weakness by itself only where a collision can be
// made for the hash that the authority signs with.
func (s series) verdict(c *lint.Corpus, f *lint.Fleet, why string) lint.GroupVerdict {
	const most = 100
	var members []member
	weak := x509.UnknownSignatureAlgorithm
	for i, cert := range s {
		switch a := cert.Algorithm(); a {
		case x509.MD5WithRSA, x509.MD2WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
			weak = a
		default:
		}
		if i < most {
			members = append(members, membersOf(c, f, f.SpotsOf(cert.at))...)
		}
	}
	first := f.Certificate(s[0].at)
	issuer, authority := first.Issuer(), first.Authority()
	value := safetext.Clean(issuer + "|" + authority)
	v := lint.Warnf("The serial numbers of %d certificates of %q can be guessed: %s.", len(s), issuer, why)
	if weak != x509.UnknownSignatureAlgorithm {
		v = lint.Failf("The serial numbers of %d certificates of %q can be guessed: %s; and it signs with %s, for which collisions can be made.", len(s), issuer, why, weak.String())
	}
	if len(s) > most {
		v.Detail += fmt.Sprintf(" The first %d are listed.", most)
	}
	return group(evidence.DuplicateSerials, value, members, confidenceProved, v)
}
