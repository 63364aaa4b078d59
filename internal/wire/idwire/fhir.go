package idwire

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"probity/evidence"
)

// Bounds of what one document gives.
const (
	maxServices     = 16
	maxCapabilities = 64
	maxTokens       = 1 << 18 // of JSON
)

// eachValue calls take with the path and the text of each string in a JSON
// document, up to the first damage or bound, until take returns false. The path
// has the names of the members, with dots between them; arrays add nothing.
func eachValue(b []byte, take func(path, value string) bool) {
	type frame struct {
		array bool
		name  string // of the member under way
		named bool
	}
	d := json.NewDecoder(bytes.NewReader(b))
	var stack []frame
	for range maxTokens {
		token, err := d.Token()
		if err != nil {
			return
		}
		n := len(stack) - 1
		if s, ok := token.(string); ok && n >= 0 && !stack[n].array && !stack[n].named {
			stack[n].name, stack[n].named = s, true
			continue
		}
		switch v := token.(type) {
		case json.Delim:
			if v == '{' || v == '[' {
				if len(stack) == maxDepth {
					return
				}
				stack = append(stack, frame{array: v == '['})
				continue
			}
			stack, n = stack[:n], n-1
		case string:
			var path []string
			for _, f := range stack {
				if !f.array {
					path = append(path, f.name)
				}
			}
			if !take(strings.Join(path, "."), v) {
				return
			}
		}
		if n >= 0 {
			stack[n].named = false
		}
	}
}

// FHIR reads the software, the version and the security services of a
// CapabilityStatement (HL7 FHIR R4 section 5.1), or of a Conformance, as it was
// called in DSTU 2. Of a document that was cut off it returns what came before.
// Other resources give nothing.
func FHIR(b []byte) (evidence.FHIRFacts, bool) {
	f, is := evidence.FHIRFacts{Document: "capability"}, false
	eachValue(b, func(path, value string) bool {
		switch path {
		case "resourceType":
			is = value == "CapabilityStatement" || value == "Conformance"
			return is
		case "fhirVersion":
			f.Version = text([]byte(value))
		case "software.name":
			f.Software = text([]byte(value))
		case "software.version":
			f.Release = text([]byte(value))
		case "rest.security.service.coding.code":
			f.Services = add(f.Services, maxServices, text([]byte(value)))
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
	eachValue(b, func(path, value string) bool {
		v := text([]byte(value))
		switch path {
		case "token_endpoint", "authorization_endpoint":
			is = true
		case "capabilities":
			f.Capabilities = add(f.Capabilities, maxCapabilities, v)
		case "token_endpoint_auth_methods_supported":
			f.ClientAuth = add(f.ClientAuth, maxServices, v)
		case "grant_types_supported":
			f.Grants = add(f.Grants, maxServices, v)
		case "code_challenge_methods_supported":
			f.PKCE = add(f.PKCE, maxServices, v)
		}
		return true
	})
	return f, is && len(f.Capabilities) > 0
}
