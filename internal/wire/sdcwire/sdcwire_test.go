package sdcwire

import (
	"bytes"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const head = `<?xml version="1.0"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:d="http://docs.oasis-open.org/ws-dd/ns/dpws/2009/01" xmlns:m="http://schemas.xmlsoap.org/ws/2004/09/mex"><s:Header/><s:Body>`

const tail = `</s:Body></s:Envelope>`

const metadata = `<m:Metadata><m:MetadataSection><d:ThisModel><d:Manufacturer xml:lang="en">Acme &amp; Co</d:Manufacturer>` +
	`<d:Manufacturer xml:lang="de">Acme</d:Manufacturer><d:ModelName> Vent 7 </d:ModelName><d:ModelNumber>7</d:ModelNumber></d:ThisModel></m:MetadataSection>` +
	`<m:MetadataSection><d:ThisDevice><d:FriendlyName>Bed 4, J. Doe</d:FriendlyName><d:FirmwareVersion>1.2</d:FirmwareVersion>` +
	`<d:SerialNumber>S-1</d:SerialNumber></d:ThisDevice></m:MetadataSection></m:Metadata>`

func TestParseGetResponse(t *testing.T) {
	for name, tt := range map[string]struct {
		in   string
		want Device
		err  string
	}{
		"complete":          {head + metadata + tail, Device{Manufacturer: "Acme & Co", ModelName: "Vent 7", ModelNumber: "7", Firmware: "1.2", Serial: "S-1"}, ""},
		"fault":             {head + `<s:Fault><s:Code/></s:Fault>` + tail, Device{Fault: true}, ""},
		"other names":       {head + `<ThisModel><ModelName>x</ModelName></ThisModel>` + tail, Device{}, ""},
		"outside ThisModel": {head + `<d:ModelName>x</d:ModelName>` + tail, Device{}, ""},
		"document type":     {`<!DOCTYPE a [<!ENTITY b "c">]>` + head + tail, Device{}, "document type"},
		"entity":            {head + `<d:ThisModel><d:ModelName>&x;</d:ModelName></d:ThisModel>` + tail, Device{}, "entity"},
		"instruction":       {head + `<?php 1?>` + tail, Device{}, "processing instruction"},
		"SOAP 1.1":          {`<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"/>`, Device{}, "no SOAP 1.2"},
		"page":              {`<html><body><p>x</body></html>`, Device{}, "no SOAP 1.2"},
		"nothing":           {"", Device{}, "no SOAP 1.2"},
		"cut off":           {head + metadata, Device{}, "no SOAP 1.2"},
		"too deep":          {strings.Repeat("<a>", maxDepth+1), Device{}, "deeper"},
		"too many":          {head + strings.Repeat("<a/>", maxElements) + tail, Device{}, "more than"},
	} {
		got, err := ParseGetResponse([]byte(tt.in))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: error %v, want %q", name, err, tt.err)
		}
	}
}

// TestParseGetResponse_devices reads what programs answer that nobody here wrote:
// sdc11073 2.0 of Dräger, and dpws 0.0.3 of npm, which indents.
func TestParseGetResponse_devices(t *testing.T) {
	for file, want := range map[string]Device{
		"sdc11073.xml": {Manufacturer: "Draeger", ModelName: "TestDevice", ModelNumber: "1.0", Firmware: "Version1", Serial: "12345"},
		"dpws.xml":     {Manufacturer: "ACME", ModelName: "Pump 7", ModelNumber: "7", Firmware: "0.0.1", Serial: "12345"},
	} {
		b, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseGetResponse(b)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: error %v (-want +got):\n%s", file, err, diff)
		}
	}
}

func TestParseGetResponse_textIsBounded(t *testing.T) {
	d, err := ParseGetResponse([]byte(head + `<d:ThisModel><d:ModelName>` + strings.Repeat("x", 9000) + `</d:ModelName></d:ThisModel>` + tail))
	if err != nil || len(d.ModelName) != maxText {
		t.Errorf("%d bytes, %v", len(d.ModelName), err)
	}
}

func TestGet_isWellFormed(t *testing.T) {
	var envelope struct {
		XMLName xml.Name `xml:"http://www.w3.org/2003/05/soap-envelope Envelope"`
		Action  string   `xml:"Header>Action"`
		To      string   `xml:"Header>To"`
	}
	for to, want := range map[string]string{"": anonymous, "urn:uuid:2": "urn:uuid:2"} {
		if err := xml.Unmarshal(Get("urn:uuid:1", to), &envelope); err != nil || envelope.Action != actionGet || envelope.To != want {
			t.Errorf("action %q, to %q, %v", envelope.Action, envelope.To, err)
		}
	}
}

func FuzzParseGetResponse(f *testing.F) {
	f.Add([]byte(head + metadata + tail))
	f.Add([]byte(head + `<s:Fault/>` + tail))
	f.Add([]byte(`<!DOCTYPE a><a>&b;</a>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseGetResponse(b)
		if err != nil && d != (Device{}) {
			t.Errorf("%+v with %v", d, err)
		}
		if !d.Fault && d != (Device{}) && !bytes.Contains(b, []byte("ThisModel")) && !bytes.Contains(b, []byte("ThisDevice")) {
			t.Errorf("%+v out of nothing", d)
		}
	})
}
