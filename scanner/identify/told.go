package identify

import (
	"strconv"
	"strings"

	"probity/evidence"
	"probity/scanner/identify/fingerprint"
)

// told are what a device tells everyone of itself; the layer is the protocol.
func (d *drawing) told(f evidence.IdentityFacts) {
	layer, confidence := f.Protocol, confidenceTold
	switch {
	case f.Experimental:
		confidence = confidenceBanner / 2
	case f.Protocol == "poct1":
		confidence = confidenceHello
	}
	d.say(evidence.AttrMAC, f.MAC, confidenceLink, layer)
	d.show("oui", fingerprint.MAC, f.MAC, 0)
	for _, name := range f.Hostnames {
		d.say(evidence.AttrHostname, name, confidenceBanner, layer)
		d.show(layer, fingerprint.Hostname, name, 0)
	}
	d.show(layer, fingerprint.Protocol, f.Protocol, 0)
	d.product(layer, f.Manufacturer, f.Model, confidence)
	d.say(evidence.AttrVersion, f.Version, confidence, layer)
	d.serial(layer, f.Serial, confidence)
	d.describe(f)
}

// describe shows the texts that stand for a product in the protocols that have
// no better.
func (d *drawing) describe(f evidence.IdentityFacts) {
	layer := f.Protocol
	switch layer {
	case "snmp":
		d.show(layer, fingerprint.SNMPObjectID, f.ObjectID, 0)
		d.show(layer, fingerprint.SNMPDescr, f.Description, 0)
	case "lldp", "cdp":
		d.show(layer, fingerprint.LinkDescr, f.Description, 0)
	case "dhcp", "dhcpv6":
		d.show(layer, fingerprint.DHCPVendor, f.VendorClass, 0)
		d.show(layer, fingerprint.DHCPParameters, numbers(f.Parameters), 0)
	case "mdns":
		for _, t := range f.Types {
			d.show(layer, fingerprint.MDNSService, t, 0)
		}
	case "ws-discovery":
		for _, t := range f.Types {
			d.show(layer, fingerprint.WSDType, t, 0)
		}
	case "lis2":
		sender := f.Description
		if sender == "" { // recorded when serial number and version were taken by their place
			sender = strings.Join([]string{f.Model, f.Serial, f.Version}, "^")
		}
		d.show(layer, fingerprint.Analyser, sender, 0)
	case "ssdp":
		d.software(fingerprint.SSDPServer, layer, f.Software)
		return
	case "http":
		d.software(fingerprint.HTTPServer, layer, f.Software)
		return
	}
	d.say(evidence.AttrApplication, f.Software, confidenceBanner, layer)
}

func numbers(list []int) string {
	texts := make([]string, len(list))
	for i, n := range list {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, ",")
}
