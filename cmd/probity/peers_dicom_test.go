//go:build cgo && linux

package main

import (
	"encoding/json"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"probity/fixtures/peer"
)

// serveOrthanc starts an archive that listens on all addresses.
func serveOrthanc(t *testing.T, port int, more map[string]any) {
	t.Helper()
	orthanc, dir := peer.Require(t, "Orthanc")["Orthanc"], t.TempDir()
	config := map[string]any{
		"Name": "ward", "StorageDirectory": dir, "IndexDirectory": dir, "Plugins": []string{}, "HttpServerEnabled": false,
		"DicomServerEnabled": true, "DicomAet": "WARD", "DicomPort": port, "DicomCheckCalledAet": false,
	}
	maps.Copy(config, more)
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	start(t, []string{net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}, orthanc, writeFile(t, filepath.Join(dir, "orthanc.json"), string(text)))
}

// TestPeer_dicom scans a radiology department. Its programs listen on all
// addresses; each is scanned under one of its own, as a device of its own.
func TestPeer_dicom(t *testing.T) {
	paths := peer.Require(t, "storescp", "dcmqrscp", "Orthanc")
	if !isolated(t) {
		return
	}
	p := newPKI(t)
	rsa, ec := p.issue("RSA"), p.issue("EC")
	start(t, []string{"127.0.0.1:11112"}, paths["storescp"], "--ignore", "11112")
	start(t, []string{"127.0.0.1:2762"}, paths["storescp"], "--ignore", "+tls", ec.key, ec.cert, "--add-cert-file", p.ca, "--require-peer-cert", "2762")
	dir := t.TempDir()
	start(t, []string{"127.0.0.1:2104"}, paths["dcmqrscp"], "-c", writeFile(t, filepath.Join(dir, "dcmqrscp.cfg"), `NetworkTCPPort = 2104
MaxPDUSize = 16384
MaxAssociations = 4
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
ANY-SCP `+dir+` RW (9, 1024mb) ANY
AETable END
`))
	serveOrthanc(t, 4242, nil)
	serveOrthanc(t, 3200, map[string]any{"DicomCheckCalledAet": true})
	serveOrthanc(t, 104, map[string]any{
		"DicomTlsEnabled": true, "DicomTlsCertificate": rsa.cert, "DicomTlsPrivateKey": rsa.key,
		"DicomTlsTrustedCertificates": p.ca, "DicomTlsRemoteCertificateRequired": true,
	})

	var m meter
	m.listen(t, "127.0.0.17:2345", "127.0.0.1:11112")

	db := scanned(t, exitNegative, "--policy", p.policy(), "127.0.0.17:2345",
		"127.0.0.11:11112", "127.0.0.12:2762", "127.0.0.13:2104", "127.0.0.14:4242", "127.0.0.15:3200", "127.0.0.16:104")
	db.want("SELECT address, protocol, tls_versions, client_auth FROM v_endpoint ORDER BY address",
		"127.0.0.11|dicom|[]|",
		`127.0.0.12|tls|["TLS 1.3"]|required`,
		"127.0.0.13|dicom|[]|",
		"127.0.0.14|dicom|[]|",
		"127.0.0.15|dicom|[]|",
		`127.0.0.16|tls|["TLS 1.0","TLS 1.1","TLS 1.2","TLS 1.3"]|required`,
		"127.0.0.17|dicom|[]|")
	var claims []string
	for _, address := range []string{"127.0.0.11", "127.0.0.13", "127.0.0.14", "127.0.0.17"} {
		for _, claim := range []string{"class|medical device", "role|DICOM node", "toolkit|OFFIS DCMTK", "toolkit_version|3.6.7"} {
			claims = append(claims, `["`+address+`"]|`+claim)
		}
	}
	claims = slices.Insert(claims, len(claims)-4, `["127.0.0.15"]|class|medical device`, `["127.0.0.15"]|role|DICOM node`,
		`["127.0.0.15"]|role|DICOM node that checks called AE titles`)
	db.want("SELECT addresses, attribute, value FROM v_claim JOIN v_asset USING(asset) WHERE layer='dicom' ORDER BY 1, 2, 3", claims...)
	const association = "json_extract(facts, '$.dicom.pdu'), json_extract(facts, '$.dicom.implementation_uid'), json_extract(facts, '$.dicom.max_pdu')"
	db.want("SELECT address, "+association+" FROM observation WHERE kind='dicom' AND result='data' ORDER BY address",
		"127.0.0.11|ac|1.2.276.0.7230010.3.0.3.6.7|16384",
		"127.0.0.13|ac|1.2.276.0.7230010.3.0.3.6.7|16384",
		"127.0.0.14|ac|1.2.276.0.7230010.3.0.3.6.7|16384",
		"127.0.0.15|rj||",
		"127.0.0.17|ac|1.2.276.0.7230010.3.0.3.6.7|16384")
	db.wantChain(p, "127.0.0.12", "2762", ec.cert, p.ca)
	db.wantChain(p, "127.0.0.16", "104", rsa.cert, p.ca)
	db.want("SELECT address, outcome FROM v_finding WHERE rule='MD-AUTH-001' AND outcome<>'not-applicable' ORDER BY address",
		"127.0.0.12|pass", "127.0.0.16|pass")
	db.wantFindings(
		"MD-AUTH-003|warn|104", "MD-AUTH-003|warn|2762", // neither names the authorities that it takes
		"MD-DUP-012|warn|-",                                                                                // two devices of one subject name
		"MD-ID-001|warn|-", "MD-ID-001|warn|-", "MD-ID-001|warn|-", "MD-ID-001|warn|-", "MD-ID-001|warn|-", // the five in clear
		"MD-PLN-001|warn|2104", "MD-PLN-001|warn|2345", "MD-PLN-001|warn|3200", "MD-PLN-001|warn|4242", "MD-PLN-001|warn|11112",
		"MD-TLS-002|fail|104", "MD-TLS-003|warn|2762", "MD-TLS-010|warn|104", "MD-TLS-012|warn|104")

	m.carrying.Wait()
	db.want("SELECT sum(connections), sum(bytes_sent), sum(bytes_received) FROM v_probe WHERE port=2345", m.row())
	if m.connections.Load() != 3 || m.overlaps.Load() != 0 {
		t.Errorf("storescp saw %d connections, %d of them while another was open; want two hellos and one association",
			m.connections.Load(), m.overlaps.Load())
	}
}
