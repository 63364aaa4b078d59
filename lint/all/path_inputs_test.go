package all_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"

	"probity/evidence"
	"probity/fixtures/pki"
	"probity/lint"
)

func pathInputs(w *world) []input {
	ca := func(name string, mod func(*x509.Certificate)) pki.Authority {
		return pki.Authority{Key: w.ec(name), DER: w.raw(w.root, w.ec(name).Public(), func(c *x509.Certificate) {
			c.Subject, c.IsCA, c.MaxPathLenZero = pkix.Name{CommonName: name}, true, true
			c.KeyUsage, c.NotAfter, c.DNSNames, c.ExtKeyUsage = x509.KeyUsageCertSign, now.AddDate(5, 0, 0), nil, nil
			mod(c)
		})}
	}
	clients := ca("Client CA", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	anything := ca("Any CA", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} })
	leaf := func(a pki.Authority) []byte { return w.issue(a, w.ec("leaf").Public(), w.device(1)) }
	served := func(name string, ders ...[]byte) input {
		return input{name: "chain/anchored/" + name, pem: chainPEM(host1, "server", ders...), policy: w.anchors()}
	}
	onFile := served("on_file", w.leaf(nil))
	onFile.policy.Intermediates = []lint.Intermediate{{File: "aia/other.cer", DER: clients.DER}, {File: "aia/device-ca.cer", DER: w.site.DER}}
	unused := input{name: "chain/anchored/purpose_in_file", pem: chainPEM("file/pump.pem", "file", leaf(clients), clients.DER), policy: w.anchors()}
	return []input{
		served("purpose", leaf(clients), clients.DER), served("any_purpose", leaf(anything), anything.DER), onFile, unused,
	}
}

// macInputs are two places with one certificate whose MAC addresses differ.
func macInputs(w *world) []input {
	leaf := w.leaf(nil)
	two := func(name string, macs ...string) input {
		i := input{
			name: "fleet/unique_certificate/" + name, policy: w.anchors(),
			pem: slicesConcat(chainPEM(host1, "server", leaf, w.site.DER), chainPEM(host2, "server", leaf, w.site.DER)),
		}
		for n, mac := range macs {
			a := asset(fmt.Sprintf("dev-%d", n+1), []string{"192.0.2.10", "192.0.2.20"}[n], "")
			a.Claims = []evidence.Claim{{Attribute: evidence.AttrMAC, Value: mac, Confidence: 80, Layer: "arp"}}
			i.assets = append(i.assets, a)
		}
		return i
	}
	return []input{
		two("cards", "00:1b:21:0a:0b:0c", "00:1b:21:0a:0b:0d"),
		two("made_up_cards", "02:42:ac:11:00:02", "52:54:00:12:34:56"),
		two("virtual_router", "00:00:5e:00:01:07", "00:1b:21:0a:0b:0d"),
	}
}

// knownHostInputs are lines of known_hosts files.
func knownHostInputs(w *world) []input {
	line := func(key, hosts string) evidence.Observation {
		spki := must[[]byte](w.t)(x509.MarshalPKIXPublicKey(w.ec(key).Public()))
		return evidence.Observation{
			Method: evidence.Import, Kind: evidence.KindArtefact, Result: evidence.ResultData, At: now,
			Endpoint: evidence.KnownHost("known_hosts", hosts), Facts: evidence.Facts{Artefact: &evidence.ArtefactFacts{Format: "ssh", Key: spki}},
		}
	}
	of := func(name string, lines ...evidence.Observation) input {
		for i := range lines {
			lines[i].ID, lines[i].Facts.Artefact.Index = int64(i+1), i
		}
		return input{name: "fleet/unique_ssh_host_key/" + name, obs: lines}
	}
	return []input{
		of("known_hosts", line("one", "pump-1,192.0.2.1"), line("two", "pump-2"), line("one", "192.0.2.1")),
		of("two_names", line("one", "pump-1,192.0.2.1"), line("one", "pump-2"), line("two", "pump-3")),
	}
}
