package probe_test

import (
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"probity/scanner/probe/bacnetprobe"
	"probity/scanner/probe/fhirprobe"
	"probity/scanner/probe/modbusprobe"
	"probity/scanner/probe/mqttprobe"
	"probity/scanner/probe/opcuaprobe"
	"probity/scanner/probe/snmpprobe"
	"probity/scanner/probe/vncprobe"
)

// community is what the operator of the tests gave.
const community = "ward-3-secret"

// identities are the probers that ask for what devices say of themselves, and of
// the ways in which they can be reached.
func identities(t *testing.T) []subject {
	t.Helper()
	secret, err := snmpprobe.NewCommunity([]byte(community))
	if err != nil {
		t.Fatal(err)
	}
	get, err := snmpprobe.NewGetter("2c", secret)
	if err != nil {
		t.Fatal(err)
	}
	statement := goodHTTP("application/fhir+json", `{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1",`+
		`"software":{"name":"Ward FHIR","version":"7"},"rest":[{"security":{"service":[{"coding":[{"code":"OAuth"}]}]}}]}`)
	return []subject{
		{prober: fhirprobe.New(), good: statement, port: 8080, urls: []string{"http://192.0.2.1:8080/fhir"}},
		{prober: fhirprobe.New(), good: behindTLS(t, statement), port: 8443, urls: []string{"https://192.0.2.1:8443/fhir"}},
		{prober: get, good: goodAgent, port: 161},
		{prober: vncprobe.New(), good: goodRFB, port: 5900},
		{prober: mqttprobe.New(), good: answers("\x20\x02\x00\x05"), port: 1883},
		{prober: modbusprobe.New(), good: goodModbus, port: 502},
		{prober: bacnetprobe.New(), good: goodBACnet, port: 47808},
		{prober: opcuaprobe.New(), good: goodOPCUA, port: 4840},
	}
}

// goodAgent answers the get request as Net-SNMP does: it sends the request back as
// a response, with values.
func goodAgent(c net.Conn) {
	buf := make([]byte, 1500)
	n, err := c.Read(buf)
	if err != nil {
		return
	}
	at := 2 + 3 + 2 + len(community)
	answer := slices.Concat([]byte{0x30, 0}, buf[2:at], []byte{0xa2, 0})
	pdu := slices.Clone(buf[at+2 : n])
	list := strings.Index(string(pdu), "\x30\x2a")
	answer = slices.Concat(answer, pdu[:list], []byte("\x30\x13\x30\x11\x06\x08\x2b\x06\x01\x02\x01\x01\x01\x00\x04\x05Pump1"))
	answer[1], answer[at+1] = byte(len(answer)-2), byte(len(answer)-at-2)
	c.Write(answer)
}

func goodRFB(c net.Conn) {
	if _, err := io.WriteString(c, "RFB 003.008\n"); err != nil {
		return
	}
	if _, err := io.ReadFull(c, make([]byte, 12)); err == nil {
		io.WriteString(c, "\x02\x02\x13")
	}
}

func goodModbus(c net.Conn) {
	request := make([]byte, 11)
	if _, err := io.ReadFull(c, request); err != nil {
		return
	}
	body := "\xff\x2b\x0e\x01\x01\x00\x00\x02\x00\x04ACME\x01\x02P7"
	c.Write(append(request[:2:2], append([]byte{0, 0, 0, byte(len(body))}, body...)...))
}

func goodBACnet(c net.Conn) {
	request := make([]byte, 1500)
	if _, err := c.Read(request); err != nil {
		return
	}
	answer := []byte("\x81\x0a\x00\x00\x01\x00\x30\x00\x0e\x0c\x02\x00\x04\xd2\x1e\x29\x79\x4e\x75\x05\x00ACME\x4f\x1f")
	answer[3], answer[7] = byte(len(answer)), request[8]
	c.Write(answer)
}

// goodOPCUA is a server with one endpoint without security.
func goodOPCUA(c net.Conn) {
	u32 := func(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }
	str := func(s string) []byte { return append(u32(uint32(len(s))), s...) }
	message := func(kind string, parts ...[]byte) {
		body := slices.Concat(parts...)
		c.Write(slices.Concat([]byte(kind+"F"), u32(uint32(8+len(body))), body))
	}
	request := func() bool {
		header := make([]byte, 8)
		if _, err := io.ReadFull(c, header); err != nil {
			return false
		}
		_, err := io.ReadFull(c, make([]byte, binary.LittleEndian.Uint32(header[4:])-8))
		return err == nil
	}
	const none = "http://opcfoundation.org/UA/SecurityPolicy#None"
	null := u32(^uint32(0))
	response := func(id byte) []byte {
		return slices.Concat([]byte{1, 0, id, 1}, make([]byte, 8), u32(1), u32(0), []byte{0}, null, []byte{0, 0, 0})
	}
	if !request() {
		return
	}
	message("ACK", u32(0), u32(65535), u32(65535), u32(0), u32(0))
	if !request() {
		return
	}
	message("OPN", u32(7), str(none), null, null, u32(1), u32(1), response(449-256), u32(0), u32(7), u32(9), make([]byte, 8), u32(1000), null)
	if !request() {
		return
	}
	application := slices.Concat(str("urn:pump"), str("urn:product"), []byte{2}, str("Pump"), u32(0), null, null, null)
	endpoint := slices.Concat(str("opc.tcp://pump:4840"), application, null, u32(1), str(none), u32(1), str("0"), u32(0), null, null, null, str("tcp"), []byte{0})
	message("MSG", u32(7), u32(9), u32(2), u32(2), response(431-256), u32(1), endpoint)
	request()
}
