package lint

import (
	"github.com/zmap/zcrypto/encoding/asn1"
)

// HardwareModule returns the serial number in the hardwareModuleName among the
// alternative names of a certificate (RFC 4108 section 5), and whether there is
// such a name; the serial is empty where it cannot be decoded. The text is
// untrusted.
func (c *Certificate) HardwareModule() (serial string, present bool) {
	if !c.Decoded() {
		return "", false
	}
	for _, n := range c.X509().OtherNames {
		if n.TypeID.String() != hardwareModuleName {
			continue
		}
		present = true
		var m struct {
			Type   asn1.ObjectIdentifier
			Serial []byte
		}
		value := n.Value.FullBytes
		if n.Value.Class == asn1.ClassContextSpecific { // still in its explicit tag
			value = n.Value.Bytes
		}
		if rest, err := asn1.Unmarshal(value, &m); err == nil && len(rest) == 0 && len(m.Serial) > 0 {
			return string(m.Serial), true
		}
	}
	return "", present
}
