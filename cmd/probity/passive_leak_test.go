//go:build cgo && linux

package main

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
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
}

// TestRead_leak plants more than 500 markers over all protocols and looks for
// them in everything that a reading leaves: the database and its write-ahead log
// while they are in use and afterwards, what is printed, and every report.
func TestRead_leak(t *testing.T) {
	var p planter
	for h := byte(1); h <= 8; h++ {
		p.host(h)
	}
	if got := bytes.Count(p.pcap, []byte("Zq")); p.markers < 500 || got < 500 {
		t.Fatalf("%d markers, %d of them in whole in the capture", p.markers, got)
	}
	db := filepath.Join(t.TempDir(), "db", "a.db")
	if err := os.Mkdir(filepath.Dir(db), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd, stderr := process(t, "read", "-", "--db", db, "--fail-on", "none")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdin.Write(p.pcap); err != nil {
		t.Fatal(err)
	}
	held := map[string][]byte{}
	for range 800 { // until what was read is in the log of the open database
		for name, b := range filesOf(t, filepath.Dir(db)) {
			held["open "+name] = b
		}
		if bytes.Contains(held["open a.db-wal"], []byte("ORU^R01")) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if !bytes.Contains(held["open a.db-wal"], []byte("ORU^R01")) {
		t.Error("the write-ahead log was not seen in use")
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	held["output"], held["messages"] = stdout.Bytes(), stderr.Bytes()
	for _, format := range []string{"table", "json", "jsonl", "html"} {
		held[format] = []byte(probity(t, exitOK, "report", "--db", db, "--format", format))
	}
	maps.Copy(held, filesOf(t, filepath.Dir(db)))
	marker := regexp.MustCompile(`(?i)zq0[0-9]{3}`) // also one that was cut, or folded to lower case
	for name, b := range held {
		if at := marker.FindIndex(b); at != nil {
			t.Errorf("%s: a marker at byte %d: %q", name, at[0], b[max(0, at[0]-100):min(len(b), at[0]+100)])
		}
	}
	if got := protocolsOf(t, db); slices.Contains(got, "unknown") || !slices.Contains(got, "intellivue") || !slices.Contains(got, "telnet") || !slices.Contains(got, "http") {
		t.Errorf("v_endpoint names the protocols %q", got)
	}
	for _, want := range []string{"poct1", "ORU^R01", "intellivue", "ge-unity", "telnet", "mqtt", "modbus", "lis2", "ws-discovery"} {
		if !bytes.Contains(held["a.db"], []byte(want)) {
			t.Errorf("%s was not read: it is not in the database", want)
		}
	}
}

// protocolsOf returns the protocols that the view of endpoints names.
func protocolsOf(t *testing.T, db string) (list []string) {
	t.Helper()
	conn, err := sql.Open("sqlite3", db)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	rows, err := conn.Query("SELECT DISTINCT protocol FROM v_endpoint ORDER BY protocol")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var p string
		if err := rows.Scan(&p); err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// filesOf returns the content of all files of a folder.
func filesOf(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue // of a database in use they come and go
		}
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(f)] = b
	}
	return out
}

// TestRead_core: a reading that is made to crash leaves no core file, and what the
// runtime prints holds nothing of the traffic.
func TestRead_core(t *testing.T) {
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil || bytes.ContainsAny(pattern, "|/") {
		t.Skipf("core files do not go into the folder of the process: %q, %v", pattern, err)
	}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	cores := func(cmd *exec.Cmd, path string, args ...string) (dir string) {
		dir = t.TempDir()
		cmd.Path, cmd.Args, cmd.Dir = sh, append([]string{"sh", "-c", `ulimit -c unlimited; exec "$0" "$@"`, path}, args...), dir
		return dir
	}
	left := func(dir string) []string {
		list, err := filepath.Glob(filepath.Join(dir, "core*"))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	control, _ := process(t)
	dir := cores(control, sh, "-c", "kill -ABRT $$")
	if _ = control.Run(); len(left(dir)) == 0 {
		t.Skip("this system writes no core files")
	}

	args := []string{"read", "-", "--db", filepath.Join(t.TempDir(), "a.db")}
	cmd, out := process(t, args...)
	dir = cores(cmd, cmd.Path, args...)
	cmd.Env = append(cmd.Env, "GOTRACEBACK=crash")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var p planter
	p.host(1)
	if _, err := stdin.Write(p.pcap); err != nil {
		t.Fatal(err)
	}
	for range 1000 { // until it reads
		if len(filesOf(t, filepath.Dir(args[3]))) > 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := cmd.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	stderr := out.String()
	if len(left(dir)) > 0 || !strings.Contains(stderr, "SIGABRT") {
		t.Errorf("cores %q; %.300s", left(dir), stderr)
	}
	if strings.Contains(strings.ToLower(stderr), "zq0") {
		t.Error("the trace holds a marker")
	}
}
