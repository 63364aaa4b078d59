package idwire

import (
	"slices"

	"probity/evidence"
)

// Bounds of what one document gives.
const (
	maxServices     = 16
	maxCapabilities = 64
)

// FHIR reads the software, the version and the security services of a
// CapabilityStatement (HL7 FHIR R4 section 5.1), or of a Conformance, as it was
// called in DSTU 2. Of a document that was cut off it returns what came before.
// Other resources give nothing.
func FHIR(b []byte) (evidence.FHIRFacts, bool) {
	f, is := evidence.FHIRFacts{Document: "capability"}, false
	eachString(b, func(path, quoted []byte) bool {
		switch string(path) {
		case "resourceType":
			is = string(quoted) == `"CapabilityStatement"` || string(quoted) == `"Conformance"`
			return is
		case "fhirVersion":
			f.Version = unquote(quoted)
		case "software.name":
			f.Software = unquote(quoted)
		case "software.version":
			f.Release = unquote(quoted)
		case "rest.security.service.coding.code":
			f.Services = add(f.Services, maxServices, unquote(quoted))
		}
		return true
	})
	slices.Sort(f.Services)
	return f, is
}

// SMART reads a SMART configuration (SMART App Launch 2.0 section 7.2):
// capabilities, how clients authenticate, grants and methods of PKCE. The
// addresses in it are passed over.
func SMART(b []byte) (evidence.FHIRFacts, bool) {
	f, is := evidence.FHIRFacts{Document: "smart"}, false
	eachString(b, func(path, quoted []byte) bool {
		switch string(path) {
		case "token_endpoint", "authorization_endpoint":
			is = true
		case "capabilities":
			f.Capabilities = add(f.Capabilities, maxCapabilities, unquote(quoted))
		case "token_endpoint_auth_methods_supported":
			f.ClientAuth = add(f.ClientAuth, maxServices, unquote(quoted))
		case "grant_types_supported":
			f.Grants = add(f.Grants, maxServices, unquote(quoted))
		case "code_challenge_methods_supported":
			f.PKCE = add(f.PKCE, maxServices, unquote(quoted))
		}
		return true
	})
	return f, is && len(f.Capabilities) > 0
}
