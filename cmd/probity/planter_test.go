//go:build cgo && linux

package main

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// planter makes a capture and plants markers in it, each another.
type planter struct {
	pcap    []byte
	markers int
	client  uint16 // port of clients; 0: 40000
}

// m returns the next marker, which stands for a name, an identifier or text.
func (p *planter) m() string {
	p.markers++
	return fmt.Sprintf("Zq%05dxV", p.markers)
}

func (p *planter) ip(protocol byte, src, dst [4]byte, b []byte) {
	packet := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0}
	packet = binary.BigEndian.AppendUint16(packet, uint16(20+len(b)))
	packet = append(packet, 0, 1, 0, 0, 64, protocol, 0, 0)
	p.packet(append(append(append(packet, src[:]...), dst[:]...), b...))
}

func (p *planter) packet(packet []byte) {
	if p.pcap == nil {
		p.pcap = []byte("\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04\x00\x01\x00\x00\x00")
	}
	p.pcap = binary.LittleEndian.AppendUint32(p.pcap, 1_790_000_000)
	p.pcap = binary.LittleEndian.AppendUint32(p.pcap, 0)
	p.pcap = binary.LittleEndian.AppendUint32(p.pcap, uint32(len(packet)))
	p.pcap = binary.LittleEndian.AppendUint32(p.pcap, uint32(len(packet)))
	p.pcap = append(p.pcap, packet...)
}

func (p *planter) udp(host byte, from, to uint16, text string) {
	b := binary.BigEndian.AppendUint16(nil, from)
	b = binary.BigEndian.AppendUint16(b, to)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(text)))
	p.ip(17, [4]byte{10, 0, 0, host}, [4]byte{10, 0, 1, host}, append(append(b, 0, 0), text...))
}

// tcp plays a connection: texts of the client and the server in turn, in pieces.
func (p *planter) tcp(host byte, port uint16, texts ...string) {
	client, server := [4]byte{10, 0, 2, host}, [4]byte{10, 0, 0, host}
	seq := [2]uint32{1000, 9000}
	send := func(side int, flags byte, text string) {
		src, dst, from, to := client, server, max(p.client, 40000), port
		if side == 1 {
			src, dst, from, to = server, client, to, from
		}
		b := binary.BigEndian.AppendUint16(nil, from)
		b = binary.BigEndian.AppendUint16(b, to)
		b = binary.BigEndian.AppendUint32(b, seq[side])
		b = append(b, 0, 0, 0, 0, 0x50, flags, 255, 255, 0, 0, 0, 0)
		p.ip(6, src, dst, append(b, text...))
		seq[side] += uint32(len(text))
	}
	send(0, 2, "")
	send(1, 0x12, "")
	seq[0]++
	seq[1]++
	for i, text := range texts {
		for len(text) > 0 {
			n := min(len(text), 37+int(host))
			send(i%2, 0x18, text[:n])
			text = text[n:]
		}
	}
	send(0, 0x11, "")
	send(1, 0x11, "")
}

// host plants every protocol at one host.
func (p *planter) host(h byte) {
	m := p.m
	p.tcp(h, 2575, "\x0bMSH|^~\\&|MON|ICU|EHR|HOSP|2026|"+m()+"|ORU^R01|"+m()+"|P|2.5\rPID|1|"+m()+"|"+m()+"||"+m()+"^"+m()+"\rOBX|1|ST|"+m()+"||"+m()+"\rNTE|"+m()+"\r\x1c\r",
		"\x0bMSH|^~\\&|EHR|HOSP|MON|ICU|||ACK|"+m()+"|P|2.5\rMSA|AA|"+m()+"|"+m()+"\r\x1c\r")
	data := "\x04\x00\x00\x00\x01\x00\x00\x00\x00\xfc\x01\x02" + strings.Repeat(m()+m(), 12)
	p.tcp(h, 104, data, data+m())
	p.tcp(h, 80, "POST /Patient/"+m()+"?name="+m()+" HTTP/1.1\r\nAuthorization: "+m()+"\r\nCookie: "+m()+"\r\n\r\n"+m(),
		"HTTP/1.1 200 OK\r\nServer: nginx\r\nSet-Cookie: "+m()+"\r\nContent-Length: 40\r\nContent-Type: application/json\r\n\r\n{\"name\":\""+m()+"\"}")
	body := `{"resourceType":"Patient","name":"` + m() + `","fhirVersion":"` + m() + `"}`
	p.tcp(h, 8080, "GET /"+m()+" HTTP/1.1\r\n\r\n", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	dpws := "<e><s><d:ThisDevice><d:FriendlyName>" + m() + "</d:FriendlyName><d:SerialNumber>1</d:SerialNumber></d:ThisDevice><x>" + m() + "</x></s></e>"
	p.tcp(h, 6464, "POST /"+m()+" HTTP/1.1\r\n\r\n"+m(), fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nContent-Length: %d\r\n\r\n%s", len(dpws), dpws))
	p.tcp(h, 25, "EHLO "+m()+"\r\nMAIL FROM:<"+m()+">\r\nDATA\r\n"+m()+"\r\n.\r\n", "220 "+m()+"\r\n250 "+m()+"\r\n")
	p.tcp(h, 143, "a LOGIN "+m()+" "+m()+"\r\n", "* OK "+m()+"\r\n* SEARCH "+m()+"\r\n")
	p.tcp(h, 110, "USER "+m()+"\r\nPASS "+m()+"\r\n", "+OK "+m()+"\r\n"+m()+"\r\n")
	p.tcp(h, 21, "USER "+m()+"\r\nPASS "+m()+"\r\nSTOR "+m()+".dcm\r\n", "220 "+m()+"\r\n331 "+m()+"\r\n")
	p.tcp(h, 23, "\xff\xfd\x01"+m()+"\r\n"+m(), "\xff\xfb\x01"+m()+" login: ")
	p.tcp(h, 5222, "<?xml version='1.0'?><stream:stream to='"+m()+"'><message>"+m()+"</message>")
	p.tcp(h, 389, "\x30\x20\x02\x01\x01\x60\x1b\x02\x01\x03\x04\x09"+m()+"\x80\x09"+m())
	p.tcp(h, 5432, "\x00\x00\x00\x08\x04\xd2\x16\x2f", "N", "\x00\x00\x00\x20user\x00"+m()+"\x00"+m()+"\x00")
	p.tcp(h, 3389, "\x03\x00\x00\x2c\x27\xe0\x00\x00\x00\x00\x00Cookie: mstshash="+m()+"\r\n\x01\x00", m())
	p.tcp(h, 1883, "\x10\x30\x00\x04MQTT\x04\xc2\x00\x3c\x00\x09"+m()+"\x00\x09"+m()+"\x00\x09"+m())
	p.tcp(h, 9100, `<?xml version="1.0"?><HEL.R01><HDR><HDR.control_id V="`+m()+`"/></HDR><DEV><DEV.device_id V="`+m()+`"/><DEV.device_name V="`+m()+`"/><DEV.model_id V="G1"/></DEV></HEL.R01><OBS.R01><PT.patient_id V="`+m()+`"/></OBS.R01>`)
	p.tcp(h, 9200, "\x05\x021H|\\^&|"+m()+"|"+m()+"|Analyzer^7^1|"+m()+"|||||P|1|2026\rP|1|"+m()+"|"+m()+"\rO|1|"+m()+"\rR|1|"+m()+"\r")
	p.tcp(h, 502, "\x00\x01\x00\x00\x00\x0e\x01\x10\x00\x01"+m())
	p.tcp(h, 22, "SSH-2.0-x\r\n"+m(), "SSH-2.0-y\r\n"+m())
	p.tcp(h, 7777, m()+strings.Repeat(" "+m(), 5))
	p.udp(h, 161, 50000, "\x30\x42\x02\x01\x01\x04\x09"+m()+"\xa2\x32\x02\x01\x01\x02\x01\x00\x02\x01\x00\x30\x27\x30\x0e\x06\x08\x2b\x06\x01\x02\x01\x01\x01\x00\x04\x02HP\x30\x15\x06\x08\x2b\x06\x01\x02\x01\x01\x06\x00\x04\x09"+m())
	p.udp(h, 50001, 69, "\x00\x02"+m()+".hl7\x00octet\x00")
	p.udp(h, 1900, 1900, "NOTIFY * HTTP/1.1\r\nLOCATION: http://10.0.0.1/"+m()+"\r\nSERVER: x/1\r\nUSN: "+m()+"\r\n\r\n")
	p.udp(h, 50002, 3702, `<e:Envelope xmlns:e="x"><e:Body><d:Hello><a>`+m()+`</a><d:Types>p:MedicalDevice</d:Types><d:Scopes>sdc.ctxt.loc:/`+m()+`?bed=`+m()+`</d:Scopes><d:XAddrs>http://10.0.0.1:80/`+m()+`</d:XAddrs></d:Hello></e:Body></e:Envelope>`)
	p.udp(h, 5353, 5353, "\x00\x00\x84\x00\x00\x00\x00\x01\x00\x00\x00\x00\x06_dicom\x04_tcp\x05local\x00\x00\x0c\x00\x01\x00\x00\x00\x01\x00\x0c\x09"+m()+"\xc0\x0c")
	p.udp(h, 514, 514, "<13>"+m()+" "+m())
	label := "\x00\x0c" + m() + "\x00\x00\x00"
	indication := "\x00\x02\x00\x26\xf1\x35\x00\x0e" + label[:14] + "\x09\x28\x00\x10\x00\x06ACME\x00\x00\x00\x06M8000\x00"
	p.udp(h, 40000, 24005, "\x00\x00\x01\x00\x00\x01\x00\x3e\x00\x00\x00\x00\x00\x38\x00\x23\x00\x00\x00\x00\x00\xd6\xd4\x00\x0d\x17\x00\x2a"+indication)
	p.udp(h, 2000, 2000, "\x00\x00\x00\x00\x00\x00\x0a\x00\x00"+string([]byte{h})+strings.Repeat("\x00", 14)+m()+"|"+m()[:3]+strings.Repeat("\x00", 23)+"\xee\x00\x00\x00")
	p.udp(h, 68, 67, "\x01\x01\x06\x00abcd\x00\x00\x00\x00"+string([]byte{10, 0, 0, h})+strings.Repeat("\x00", 12)+"\x02\x00\x00\x00\x00"+string([]byte{h})+strings.Repeat("\x00", 10)+
		m()+strings.Repeat("\x00", 183)+"\x63\x82\x53\x63\x35\x01\x03\x3c\x04MSFT\x38\x09"+m()+"\x11\x09"+m()+"\xff")
	p.deeper(h)
	p.around(h)
}

// deeper plants in the parts of messages that surround what is read of them.
func (p *planter) deeper(h byte) {
	m := p.m
	u16 := func(n int) string { return string([]byte{byte(n >> 8), byte(n)}) }
	item := func(kind byte, v string) string { return string([]byte{kind, 0}) + u16(len(v)) + v }
	syntax := item(0x30, "1.2.840.10008.1.1") + item(0x40, "1.2.840.10008.1.2")
	user := item(0x51, "\x00\x00\x40\x00") + item(0x52, "1.2.3") + item(0x55, "V1") + item(0x58, "\x02\x01"+u16(9)+m()+u16(9)+m()) + item(0x77, m())
	request := "\x00\x01\x00\x00STORE           MODALITY        " + m() + strings.Repeat("\x00", 23) +
		item(0x10, "1.2.840.10008.3.1.1.1") + item(0x20, "\x01\x00\x00\x00"+syntax) + item(0x50, user) + item(0x66, m())
	data := "\x04\x00\x00\x00\x00\x20\x00\x00\x00\x1c\x01\x02\x10\x00\x10\x00PN\x12\x00" + m() + m()
	p.tcp(h, 11112, "\x01\x00\x00\x00"+u16(len(request))+request+data, "\x03\x00\x00\x00\x00\x04\x00\x01\x01\x01"+data)

	extension := func(kind int, v string) string { return u16(kind) + u16(len(v)) + v }
	psk := u16(9+6) + u16(9) + m() + "\x00\x00\x00\x00" + u16(33) + "\x20" + strings.Repeat("\x07", 32)
	extensions := extension(10, "\x00\x02\x00\x1d") + extension(21, m()) + extension(12, "\x09"+m()) + extension(0x5555, m()) + extension(41, psk)
	hello := "\x03\x03" + strings.Repeat("\x09", 32) + "\x00\x00\x02\x13\x01\x01\x00" + u16(len(extensions)) + extensions
	record := func(kind byte, v string) string { return string([]byte{kind, 3, 3}) + u16(len(v)) + v }
	p.tcp(h, 443, record(22, "\x01\x00"+u16(len(hello))+hello)+record(23, m()+m()),
		record(21, "\x02\x28")+m())
	key := u16(9) + m() // of a client that shares a key: RFC 4279 section 2
	p.tcp(h, 4433, record(22, "\x01\x00\x00\x2b\x03\x03"+strings.Repeat("\x09", 32)+"\x00\x00\x02\x00\x8c\x01\x00\x00\x00"),
		record(22, "\x02\x00\x00\x28\x03\x03"+strings.Repeat("\x08", 32)+"\x00\x00\x8c\x00\x00\x00"+"\x0c\x00\x00\x0b"+u16(9)+m()+"\x0e\x00\x00\x00"),
		record(22, "\x10\x00"+u16(len(key))+key)+record(20, "\x01")+record(22, m()))

	body := `{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1","publisher":"` + m() + `","contact":[{"name":"` + m() + `"}],"implementation":{"description":"` + m() + `"},"software":{"name":"HAPI","version":"6"}}`
	p.tcp(h, 8081, "GET /metadata?x="+m()+" HTTP/1.1\r\n\r\n", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	p.tcp(h, 2222, "SSH-2.0-x\r\n", m()+"\r\n"+m()+"\r\nSSH-2.0-y\r\n")
	p.tcp(h, 3306, "\x20\x00\x00\x01\x85\xa6\x3f\x20\x00\x00\x00\x01\x21"+strings.Repeat("\x00", 23)+m()+"\x00"+m(), "\x24\x00\x00\x00\x0a8.0.1\x00\x01\x00\x00\x00"+m()+"\x00\xff\xf7")
	p.tcp(h, 1433, "\x12\x01\x00\x11\x00\x00\x00\x00\x01\x00\x06\x00\x01\x02\xff\x00\x02"+"\x10\x01\x00\x1a\x00\x00\x00\x00"+m()+m(), "\x04\x01\x00\x11\x00\x00\x00\x00\x01\x00\x06\x00\x01\x02\xff\x00\x02"+m())
	p.tcp(h, 4840, "HELF\x29\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09\x00\x00\x00"+m()+"MSGF"+m(), "ACKF"+m())
	p.tcp(h, 9201, "\x05\x02H|\\^&|||Analyzer^1\rP|1|"+m()+"\r", "\x06\x06\x0bH|\\^&|"+m()+"||LIS|"+m()+"\rP|1|"+m()+"\r")
	p.tcp(h, 9101, "\x0b<HEL.R01><DEV><DEV.model_id V=\"G2\"/><x V=\""+m()+"\">"+m()+"</x></DEV></HEL.R01>\x1c\r\x0b<OBS.R01>"+m())
}

// around plants in announcements, and below and around what is read: in frames,
// damaged fragments, and connections with holes.
func (p *planter) around(h byte) {
	m := p.m
	p.udp(h, 161, 50003, "\x30\x50\x02\x01\x03\x30\x0d\x02\x01\x01\x02\x02\x05\xdc\x04\x01\x00\x02\x01\x03\x04\x1f\x30\x1d\x04\x05\x80\x00\x00\x01\x02\x02\x01\x05\x02\x02\x01\x00\x04\x09"+m()+"\x04\x00\x04\x00\x30\x1b\x04\x05\x80\x00\x00\x01\x02\x04\x00\xa8\x10"+m())
	p.udp(h, 50004, 162, "\x30\x30\x02\x01\x01\x04\x09"+m()+"\xa7\x20\x02\x01\x01\x02\x01\x00\x02\x01\x00\x30\x15\x30\x13\x06\x06\x2b\x06\x01\x04\x01\x05\x04\x09"+m())
	p.udp(h, 137, 137, "\x00\x01\x29\x10\x00\x01\x00\x00\x00\x00\x00\x01\x09"+m()+"\x00\x00\x20\x00\x01")
	p.udp(h, 546, 547, "\x01abc\x00\x01\x00\x04\x00\x03\x00\x01\x00\x63\x00\x09"+m())
	p.udp(h, 7000, 7000, "\x01\x04\x00\x00\x0a\x00\x00"+string([]byte{h})+"\x6a\xb1\x3b\x80"+m()+"|B-2\x00\x00\x00"+m()+",J\x00\x00\x00\x07"+strings.Repeat("\x00", 44))
	p.udp(h, 47808, 47808, "\x81\x0a\x00\x15\x01\x20\x00\x01\x30\x01\x0c\x09"+m())
	p.udp(h, 5353, 5353, "\x00\x00\x84\x00\x00\x00\x00\x01\x00\x00\x00\x00\x09_services\x07_dns-sd\x04_udp\x05local\x00\x00\x10\x00\x01\x00\x00\x00\x01\x00\x0c\x0b"+"n="+m())
	p.udp(h, 123, 123, "\x24\x02\x06\xe9"+strings.Repeat("\x01", 36)+"\xee\x00\x00\x00\x00\x00\x00\x00"+m())
	p.udp(h, 50005, 443, "\xc0\x00\x00\x00\x01\x09"+m()+"\x00"+m()+m())
	p.udp(h, 50006, 4433, "\x16\xfe\xfd"+m()+m())
	p.frame(0x88cc, "\x02\x07\x04\x02\x00\x00\x00\x00"+string([]byte{h})+"\x04\x0a\x05"+m()+"\x06\x02\x00\x78\x08\x09"+m()+"\x0a\x04sw-1\xfe\x0d\x00\x12\xbb\x03"+m()+"\x00\x00")
	p.frame(0x0806, "\x00\x01\x08\x00\x06\x04\x00\x01\x02\x00\x00\x00\x00"+string([]byte{h})+"\x0a\x00\x00"+string([]byte{h})+strings.Repeat("\x00", 10)+m())
	p.frame(0x9999, m())
	p.ip(47, [4]byte{10, 0, 0, h}, [4]byte{10, 0, 1, h}, []byte("\x00\x00\x88\x0b"+m()))
	p.ip(1, [4]byte{10, 0, 0, h}, [4]byte{10, 0, 1, h}, []byte("\x08\x00\x00\x00"+m()))
	// A fragment of a length that none but the last may have.
	p.ip(17, [4]byte{10, 0, 0, h}, [4]byte{10, 0, 1, h}, []byte("\x13\x88\x00\xa1\x00\x80\x00\x00"+m()+m()))
	at := len(p.pcap) - 34 - 26 // of the packet
	p.pcap[at+14+6] = 0x20      // more fragments
	// Segments behind a hole.
	p.tcp(h, 2576, "\x0bMSH|^~\\&|M2|ICU|EHR|HOSP|2026||ADT^A01|"+m()+"|P|2.5\rPID|"+m()+strings.Repeat("|"+m(), 30)+"\r")
	p.hole(h, 2577, "\x0bMSH|^~\\&|M2|", "ICU|EHR|HOSP|2026||ADT^A01|", m()+"|P|2.5\rPID|"+m()+"\r")
}

// frame adds an Ethernet frame of a type.
func (p *planter) frame(kind uint16, text string) {
	b := append([]byte{1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2}, byte(kind>>8), byte(kind))
	p.packet(append(b, text...))
}

// hole plays a client whose second text is missing, and which then gives up.
func (p *planter) hole(host byte, port uint16, before, missing, after string) {
	segment := func(seq uint32, flags byte, text string) {
		b := binary.BigEndian.AppendUint16(nil, 40000)
		b = binary.BigEndian.AppendUint16(b, port)
		b = binary.BigEndian.AppendUint32(b, seq)
		b = append(b, 0, 0, 0, 0, 0x50, flags, 255, 255, 0, 0, 0, 0)
		p.ip(6, [4]byte{10, 0, 2, host}, [4]byte{10, 0, 0, host}, append(b, text...))
	}
	segment(999, 2, "")
	segment(1000, 0x18, before)
	segment(1000+uint32(len(before)+len(missing)), 0x18, after)
	segment(1000+uint32(len(before)), 4, "")
}
