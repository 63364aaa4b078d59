//go:build cgo

package main

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"probity/evidence"
	"probity/scanner/probe/mtlsprobe"
)

// maxCredentialBytes bounds a file with a certificate, a key or a revocation list.
const maxCredentialBytes = 1 << 20

// credentialFlags name the certificates that the operator supplies.
type credentialFlags struct {
	pairs []*credentialPair
	crl   string
}

// credentialPair is one certificate with its key, in PEM files.
type credentialPair struct {
	kind       evidence.ClientCertificate
	flag       string
	cert, key  string
	unsuitable func(*x509.Certificate, time.Time) string // why it is not of its kind; empty: it is
}

func (f *credentialFlags) register(fs *pflag.FlagSet) {
	add := func(kind evidence.ClientCertificate, flag, what string, unsuitable func(*x509.Certificate, time.Time) string) {
		p := &credentialPair{kind: kind, flag: flag, unsuitable: unsuitable}
		fs.StringVar(&p.cert, flag+"-cert", "", "`FILE` with "+what+" and its chain (PEM)")
		fs.StringVar(&p.key, flag+"-key", "", "`FILE` with its private key (PEM, not encrypted); used, never stored")
		f.pairs = append(f.pairs, p)
	}
	add(evidence.ClientCertGood, "client", "a certificate that the device should accept", func(c *x509.Certificate, at time.Time) string {
		if at.Before(c.NotBefore) || at.After(c.NotAfter) {
			return "is not valid now"
		}
		return ""
	})
	add(evidence.ClientCertExpired, "expired", "an expired certificate of an accepted CA", func(c *x509.Certificate, at time.Time) string {
		if !at.After(c.NotAfter) {
			return "has not expired"
		}
		return ""
	})
	add(evidence.ClientCertNotYetValid, "not-yet-valid", "a certificate of an accepted CA that is not yet valid", func(c *x509.Certificate, at time.Time) string {
		if !at.Before(c.NotBefore) {
			return "is valid already"
		}
		return ""
	})
	add(evidence.ClientCertWrongPurpose, "wrong-purpose", "a certificate of an accepted CA that is not for clients", func(c *x509.Certificate, _ time.Time) string {
		forClients := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageAny}
		if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 || slices.ContainsFunc(c.ExtKeyUsage, func(u x509.ExtKeyUsage) bool { return slices.Contains(forClients, u) }) {
			return "may be used by clients"
		}
		return ""
	})
	add(evidence.ClientCertRevoked, "revoked", "a certificate of an accepted CA that is revoked", nil)
	fs.StringVar(&f.crl, "crl", "", "revocation list `FILE` of the site, which must list the revoked certificate (PEM or DER)")
}

// load reads the files and holds each certificate to its kind at an instant.
func (f *credentialFlags) load(at time.Time) ([]mtlsprobe.Credential, error) {
	var out []mtlsprobe.Credential
	for _, p := range f.pairs {
		if p.cert == "" && p.key == "" {
			continue
		}
		if p.cert == "" || p.key == "" {
			return nil, fmt.Errorf("--%s-cert and --%s-key are needed together", p.flag, p.flag)
		}
		c, err := p.load()
		if err != nil {
			return nil, err
		}
		leaf, err := x509.ParseCertificate(c.Chain[0])
		if err != nil {
			return nil, fmt.Errorf("--%s-cert %q: %w", p.flag, p.cert, err)
		}
		var why string
		if p.kind == evidence.ClientCertRevoked {
			why, err = f.notRevoked(leaf)
		} else {
			why = p.unsuitable(leaf, at)
		}
		if err != nil {
			return nil, err
		}
		if why != "" {
			return nil, fmt.Errorf("--%s-cert %q: the certificate %s; give one that the name of the flag describes", p.flag, p.cert, why)
		}
		out = append(out, c)
	}
	return out, nil
}

func (p *credentialPair) load() (mtlsprobe.Credential, error) {
	none := mtlsprobe.Credential{}
	cert, err := readLimited(p.cert, maxCredentialBytes)
	if err != nil {
		return none, fmt.Errorf("--%s-cert: %w", p.flag, err)
	}
	key, err := readLimited(p.key, maxCredentialBytes)
	if err != nil {
		return none, fmt.Errorf("--%s-key: %w", p.flag, err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return none, fmt.Errorf("--%s-cert %q and --%s-key %q: %w (want PEM, the key not encrypted)", p.flag, p.cert, p.flag, p.key, err)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		return none, fmt.Errorf("--%s-key %q: a key of type %T cannot sign", p.flag, p.key, pair.PrivateKey)
	}
	return mtlsprobe.Credential{Kind: p.kind, Chain: pair.Certificate, Key: signer}, nil
}

// notRevoked says why a certificate is not known to be revoked.
func (f *credentialFlags) notRevoked(leaf *x509.Certificate) (string, error) {
	if f.crl == "" {
		return "needs --crl, which shows that it is revoked", nil
	}
	data, err := readLimited(f.crl, maxCredentialBytes)
	if err != nil {
		return "", fmt.Errorf("--crl: %w", err)
	}
	if block, _ := pem.Decode(data); block != nil {
		data = block.Bytes
	}
	list, err := x509.ParseRevocationList(data)
	if err != nil {
		return "", fmt.Errorf("--crl %q: %w (want a certificate revocation list)", f.crl, err)
	}
	listed := func(e x509.RevocationListEntry) bool { return e.SerialNumber.Cmp(leaf.SerialNumber) == 0 }
	if string(list.RawIssuer) != string(leaf.RawIssuer) || !slices.ContainsFunc(list.RevokedCertificateEntries, listed) {
		return "is not on the list of --crl", nil
	}
	return "", nil
}
