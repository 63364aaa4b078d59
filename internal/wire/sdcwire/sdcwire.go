// Package sdcwire builds and reads the messages by which an IEEE 11073 SDC
// provider says who it is: WS-Discovery Probe (WS-Discovery 1.1 section 5) and
// WS-Transfer Get of DPWS metadata (DPWS 1.1 section 5).
//
// It reads identity only. Whatever else a message holds (a friendly name, scopes
// with a bed, states of a patient) is skipped and never returned.
//
// Invariant: no document type, entity or processing instruction is accepted, and
// depth, elements and text are bounded before anything is kept.
package sdcwire

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
)

// Names of SOAP 1.2, WS-Addressing 1.0, WS-Transfer 2004/09, WS-Discovery 1.1 and
// DPWS 1.1.
const (
	nsEnvelope   = "http://www.w3.org/2003/05/soap-envelope"
	nsAddressing = "http://www.w3.org/2005/08/addressing"
	nsDPWS       = "http://docs.oasis-open.org/ws-dd/ns/dpws/2009/01"
	actionGet    = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get"
	anonymous    = nsAddressing + "/anonymous"
)

// MediaType is the media type of SOAP 1.2 (RFC 3902).
const MediaType = "application/soap+xml"

// Bounds of what is read.
const (
	maxDepth    = 32
	maxElements = 4096
	maxText     = 256 // bytes of one field
)

// Device is what a provider says of itself.
type Device struct {
	Manufacturer string
	ModelName    string
	ModelNumber  string
	Firmware     string
	Serial       string
	// Fault is true if the provider refused with a SOAP fault.
	Fault bool
}

// Get returns a WS-Transfer Get to the device at the other end. id is a URN of a
// UUID and names the message; to is the endpoint reference of the device, empty if that
// is not known.
func Get(id, to string) []byte {
	return fmt.Appendf(nil, `<?xml version="1.0" encoding="UTF-8"?>`+
		`<s12:Envelope xmlns:s12="%s" xmlns:wsa="%s"><s12:Header>`+
		`<wsa:Action>%s</wsa:Action><wsa:MessageID>%s</wsa:MessageID><wsa:To>%s</wsa:To>`+
		`<wsa:ReplyTo><wsa:Address>%s</wsa:Address></wsa:ReplyTo>`+
		`</s12:Header><s12:Body/></s12:Envelope>`, nsEnvelope, nsAddressing, actionGet, id, cmp.Or(to, anonymous), anonymous)
}

// ErrNotSOAP marks a document that is no SOAP 1.2 envelope.
var ErrNotSOAP = errors.New("the document is no SOAP 1.2 envelope")

// ParseGetResponse reads the answer to [Get]. It returns [ErrNotSOAP] for a
// document of another kind, and an error for one that is damaged or beyond the
// bounds; a device without a field leaves it empty.
func ParseGetResponse(b []byte) (Device, error) {
	var d Device
	r := reader{decoder: xml.NewDecoder(bytes.NewReader(b))}
	for {
		path, text, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Device{}, err
		}
		if path[0] != (xml.Name{Space: nsEnvelope, Local: "Envelope"}) {
			return Device{}, ErrNotSOAP
		}
		d.set(path, text)
	}
	if r.elements == 0 {
		return Device{}, ErrNotSOAP
	}
	return d, nil
}

// set keeps the text of an element that is known. Of a field given twice the
// first value stays: DPWS allows texts in several languages.
func (d *Device) set(path []xml.Name, text string) {
	name, parent := path[len(path)-1], xml.Name{}
	if len(path) > 1 {
		parent = path[len(path)-2]
	}
	if name == (xml.Name{Space: nsEnvelope, Local: "Fault"}) && len(path) == 3 {
		d.Fault = true
	}
	if name.Space != nsDPWS || parent.Space != nsDPWS {
		return
	}
	fields := map[string]*string{
		"ThisModel/Manufacturer": &d.Manufacturer, "ThisModel/ModelName": &d.ModelName, "ThisModel/ModelNumber": &d.ModelNumber,
		"ThisDevice/FirmwareVersion": &d.Firmware, "ThisDevice/SerialNumber": &d.Serial,
	}
	if field := fields[parent.Local+"/"+name.Local]; field != nil && *field == "" {
		*field = text
	}
}

// reader walks a document within the bounds.
type reader struct {
	decoder  *xml.Decoder
	path     []xml.Name
	text     [][]byte // of each open element
	elements int
}

// next returns the path of the next element that ends, and its own text.
func (r *reader) next() (path []xml.Name, text string, err error) {
	for {
		token, err := r.decoder.Token()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil, "", io.EOF
			}
			return nil, "", fmt.Errorf("%w: %w", ErrNotSOAP, err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			r.elements++
			if len(r.path) >= maxDepth || r.elements > maxElements {
				return nil, "", fmt.Errorf("more than %d elements, or deeper than %d", maxElements, maxDepth)
			}
			r.path = append(r.path, t.Name)
			r.text = append(r.text, nil)
		case xml.EndElement:
			last := len(r.path) - 1 // the decoder has seen the start of every end
			path, text = append([]xml.Name(nil), r.path...), string(bytes.TrimSpace(r.text[last]))
			r.path, r.text = r.path[:last], r.text[:last]
			return path, text, nil
		case xml.CharData:
			if n := len(r.text); n > 0 {
				r.text[n-1] = append(r.text[n-1], t[:min(len(t), maxText-len(r.text[n-1]))]...)
			}
		case xml.ProcInst:
			if t.Target != "xml" || r.elements > 0 {
				return nil, "", errors.New("the document has a processing instruction")
			}
		case xml.Directive:
			return nil, "", errors.New("the document has a document type")
		case xml.Comment:
		}
	}
}
