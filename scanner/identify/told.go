package identify

import (
	"slices"

	"probity/evidence"
)

// classMedical is the class of what speaks a protocol that only medical devices
// and their gateways speak.
const classMedical = "medical device"

// identityClaims are what a device tells everyone of itself; the layer is the
// protocol.
func identityClaims(f evidence.IdentityFacts) []evidence.Claim {
	var out []evidence.Claim
	add := func(a evidence.Attribute, v string, confidence int) {
		if v != "" {
			out = append(out, evidence.Claim{Attribute: a, Value: v, Confidence: confidence, Layer: f.Protocol})
		}
	}
	told := confidenceTold
	if f.Experimental {
		told = confidenceBanner / 2
	}
	add(evidence.AttrMAC, f.MAC, confidenceLink)
	for _, name := range f.Hostnames {
		add(evidence.AttrHostname, name, confidenceBanner)
	}
	add(evidence.AttrManufacturer, f.Manufacturer, told)
	add(evidence.AttrModel, f.Model, told)
	add(evidence.AttrVersion, f.Version, told)
	add(evidence.AttrSerial, f.Serial, told)
	add(evidence.AttrApplication, f.Software, confidenceBanner)
	switch f.Protocol {
	case "poct1":
		add(evidence.AttrClass, classMedical, confidenceUIDRoot)
	case "ws-discovery":
		if slices.Contains(f.Types, "MedicalDevice") {
			add(evidence.AttrClass, classMedical, confidenceUIDRoot)
		}
	case "intellivue", "ge-unity": // patient monitors and their central stations, read by no standard text
		add(evidence.AttrClass, classMedical, confidenceTold)
	}
	return out
}
