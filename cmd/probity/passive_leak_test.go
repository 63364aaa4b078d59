//go:build cgo

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// planter makes a capture and plants markers in it, each another.
type planter struct {
	pcap    []byte
	markers int
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
	packet = append(append(append(packet, src[:]...), dst[:]...), b...)
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
		src, dst, from, to := client, server, uint16(40000), port
		if side == 1 {
			src, dst, from, to = server, client, port, 40000
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
}

// TestRead_leak plants more than 500 markers over all protocols and looks for
// them in everything that a reading leaves: database, output and reports.
func TestRead_leak(t *testing.T) {
	var p planter
	for h := byte(1); h <= 8; h++ {
		p.host(h)
	}
	if p.markers < 500 {
		t.Fatalf("%d markers", p.markers)
	}
	if got := bytes.Count(p.pcap, []byte("Zq")); got < 400 {
		t.Fatalf("%d markers in whole are in the capture", got)
	}
	dir := t.TempDir()
	path, db := filepath.Join(dir, "ward.pcap"), filepath.Join(dir, "db", "a.db")
	if err := os.WriteFile(path, p.pcap, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Dir(db), 0o700); err != nil {
		t.Fatal(err)
	}
	out := probity(t, exitOK, "read", path, "--db", db, "--fail-on", "none")
	for _, format := range []string{"json", "html"} {
		out += probity(t, exitOK, "report", "--db", db, "--format", format)
	}
	held := map[string][]byte{"output": []byte(out)}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(db), "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%q, %v", files, err)
	}
	for _, f := range files {
		if held[filepath.Base(f)], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	for name, b := range held {
		if at := bytes.Index(bytes.ToLower(b), []byte("zq0")); at >= 0 {
			t.Errorf("%s: a marker at byte %d: %q", name, at, b[max(0, at-100):min(len(b), at+100)])
		}
	}
	if !bytes.Contains(held["a.db"], []byte("poct1")) || !bytes.Contains(held["a.db"], []byte("ORU^R01")) {
		t.Error("the capture was not read: nothing of it is in the database")
	}
}
