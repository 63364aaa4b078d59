package key

import "probity/lint"

// pssParameters asks that what an RSA-PSS key restricts its signatures to is sound
// and can be kept.
func pssParameters() lint.Check {
	return lint.Check{
		Name:   "key/pss_parameters",
		Source: "RFC 4055 sections 1.2 and 3.1; RFC 8017 section 9.1; RFC 8446 section 4.2.3",
		Certificate: lint.WithKey(func(_ *lint.Env, _ *lint.CertificateSubject, k *lint.Key) lint.Verdict {
			switch {
			case k.Algorithm != lint.RSAPSS:
				return otherKind(k)
			case k.PSS == nil:
				return lint.Passf("The RSA-PSS key restricts its signatures to no hash.")
			}
			p := k.PSS
			hash, length := pssHash(p.Hash)
			switch {
			case p.Hash == "":
				return lint.Failf("The parameters of the RSA-PSS key cannot be read.")
			case hash == "":
				return lint.Inconclusivef("The hash %s of the RSA-PSS key is not known.", p.Hash)
			case hash == "MD5" || hash == "SHA-1":
				return lint.Failf("The RSA-PSS key restricts its signatures to %s.", hash)
			case p.Trailer != 1:
				return lint.Failf("The trailer field of the RSA-PSS key is %d instead of 1.", p.Trailer)
			case p.Salt < 0 || (k.Bits-1+7)/8 < length+p.Salt+2:
				return lint.Failf("The RSA-PSS key of %d bits has no room for a salt of %d bytes with %s.", k.Bits, p.Salt, hash)
			case p.MaskHash != p.Hash:
				return lint.Warnf("The mask of the RSA-PSS key is made with another hash than %s.", hash)
			case p.Salt < length:
				return lint.Warnf("The RSA-PSS key allows a salt of %d bytes, shorter than the %d of %s.", p.Salt, length, hash)
			}
			return lint.Passf("The RSA-PSS key restricts its signatures to %s with a salt of %d bytes or more.", hash, p.Salt)
		}),
	}
}

// pssHash names a hash and gives its length in bytes.
func pssHash(oid string) (name string, length int) {
	switch oid {
	case "1.2.840.113549.2.5":
		return "MD5", 16
	case "1.3.14.3.2.26":
		return "SHA-1", 20
	case "2.16.840.1.101.3.4.2.4":
		return "SHA-224", 28
	case "2.16.840.1.101.3.4.2.1":
		return "SHA-256", 32
	case "2.16.840.1.101.3.4.2.2":
		return "SHA-384", 48
	case "2.16.840.1.101.3.4.2.3":
		return "SHA-512", 64
	case "2.16.840.1.101.3.4.2.8":
		return "SHA3-256", 32
	case "2.16.840.1.101.3.4.2.9":
		return "SHA3-384", 48
	case "2.16.840.1.101.3.4.2.10":
		return "SHA3-512", 64
	}
	return "", 0
}
