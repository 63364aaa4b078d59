package main

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"probity/evidence"
	"probity/lint"
	"probity/lint/all"
	"probity/rules"
	"probity/rules/catalogue"
	"probity/scanner/artefact"
)

// judgeFlags say how evidence is judged.
type judgeFlags struct {
	policy  string
	profile string
	at      string
	failOn  string
}

func (f *judgeFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.policy, "policy", "", "site `FILE` with anchors, declared HA pairs, names and rule parameters (YAML)")
	fs.StringVar(&f.profile, "profile", "", "hospital, premarket or legacy (default: of the policy, else hospital)")
	fs.StringVar(&f.at, "at", "", "judge as of this RFC 3339 `TIME` (default: now)")
	fs.StringVar(&f.failOn, "fail-on", "high", "exit 1 when a rule of at least this `SEVERITY` fails; none: never")
}

// judgement is what recorded observations amount to under a policy at a time.
type judgement struct {
	catalogue *catalogue.Catalogue
	policy    rules.Policy
	at        time.Time
	failOn    evidence.Severity // empty: never
	negative  bool              // a finding that was seen reaches failOn
}

// newJudgement reads what the flags name, so that a mistake in them shows before
// anything is sent or stored.
func (a *app) newJudgement(f judgeFlags) (*judgement, error) {
	j := &judgement{at: a.now().UTC().Truncate(time.Millisecond)}
	var err error
	if j.catalogue, err = catalogue.Load(); err != nil {
		return nil, err
	}
	if f.at != "" {
		if j.at, err = time.Parse(time.RFC3339, f.at); err != nil {
			return nil, fmt.Errorf("--at %q: want a time such as 2026-11-23T10:00:00Z", f.at)
		}
		j.at = j.at.UTC()
	}
	if !strings.EqualFold(f.failOn, "none") {
		if j.failOn, err = evidence.ParseSeverity(f.failOn); err != nil {
			return nil, fmt.Errorf("--fail-on: %w, or none", err)
		}
	}
	if j.policy, err = readPolicy(f.policy); err != nil {
		return nil, err
	}
	if f.profile != "" {
		if j.policy.Profile, err = rules.ParseProfile(f.profile); err != nil {
			return nil, fmt.Errorf("--profile: %w", err)
		}
	}
	return j, j.policy.Validate(j.catalogue, all.Checks())
}

// readPolicy reads the policy and the files that it names. No path is a policy
// that declares nothing.
func readPolicy(path string) (rules.Policy, error) {
	if path == "" {
		return rules.Policy{Profile: rules.Hospital}, nil
	}
	data, err := readLimited(path, maxPolicyBytes)
	if err != nil {
		return rules.Policy{}, fmt.Errorf("--policy: %w", err)
	}
	return rules.ParsePolicy(path, data, rules.Files{
		Read:         func(name string) ([]byte, error) { return readLimited(name, maxPolicyBytes) },
		Certificates: readIntermediates,
	})
}

// readIntermediates reads the certificates of a file, or of all files of a folder or an
// archive; other files there are passed over.
func readIntermediates(path string) ([]lint.Intermediate, error) {
	var out []lint.Intermediate
	err := eachFile([]string{path}, func(f artefactFile) error {
		obs, err := []evidence.Observation(nil), f.err
		if err == nil {
			obs, err = artefact.Read(f.name, f.data, "")
		}
		if err != nil && !f.inside {
			return err
		}
		for _, o := range obs {
			for _, c := range o.Certs {
				out = append(out, lint.Intermediate{File: f.name, DER: c.DER})
			}
		}
		if len(out) > artefact.MaxCertificates {
			return fmt.Errorf("%q holds more than %d certificates; give those of issuers only", path, artefact.MaxCertificates)
		}
		return nil
	})
	return out, err
}

// ahead judges certificates before the assets are known.
func (j *judgement) ahead(reading lint.Reading) error {
	if err := rules.Ahead(j.catalogue, all.Checks(), reading, j.policy, j.at); err != nil {
		return fmt.Errorf("judge certificates: %w", err)
	}
	return nil
}

// findings yields what a corpus amounts to, and sees whether any of it is negative.
func (j *judgement) findings(corpus *lint.Corpus) iter.Seq2[evidence.Finding, error] {
	return func(yield func(evidence.Finding, error) bool) {
		for f, err := range rules.Assess(j.catalogue, all.Checks(), corpus, j.policy, j.at) {
			if err != nil {
				err = fmt.Errorf("judge the evidence: %w", err)
			}
			j.see(f)
			if !yield(f, err) {
				return
			}
		}
	}
}

// see sees whether a finding is negative.
func (j *judgement) see(f evidence.Finding) {
	if j.failOn != "" && f.Outcome == evidence.Fail && f.Severity.Compare(j.failOn) >= 0 {
		j.negative = true
	}
}
