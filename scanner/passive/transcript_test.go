package passive

import (
	"bytes"
	"testing"

	"probity/evidence"
	"probity/internal/wire/tlswire"
)

// TestRead_transcript: what is kept of a handshake and the certificates are
// together every message that was sent in clear, byte for byte.
func TestRead_transcript(t *testing.T) {
	list, _, err := read(t, &packets{list: load(t, ours("live_dicom_tls12_orthanc_mtls.pcap"))}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, o := range list {
		if o.Kind != evidence.KindTLS || o.Facts.TLS.Version != tlswire.VersionTLS12 {
			continue
		}
		if len(o.Raw) != 1 || o.Raw[0].Media != mediaTLS {
			t.Fatalf("%d raw blobs: %+v", len(o.Raw), o.Raw)
		}
		var types []byte
		certificates := map[evidence.Role]int{}
		role := evidence.RoleClient
		for b := o.Raw[0].Data; len(b) > 0; {
			size := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
			types = append(types, b[0])
			switch b[0] {
			case tlswire.TypeServerHello:
				role = evidence.RoleServer
			case tlswire.TypeCertificate:
				body := []byte{0, 0, 0}
				for _, c := range o.Certs {
					if c.Role == role {
						body = append(append(body, byte(len(c.DER)>>16), byte(len(c.DER)>>8), byte(len(c.DER))), c.DER...)
						certificates[role]++
					}
				}
				n := len(body) - 3
				body[0], body[1], body[2] = byte(n>>16), byte(n>>8), byte(n)
				if len(body) != size {
					t.Errorf("%s: the certificates make a message of %d bytes, the header says %d", role, len(body), size)
				}
				size = 0
			}
			if len(b) < 4+size {
				t.Fatalf("message of type %d ends early", b[0])
			}
			b = b[4+size:]
		}
		want := []byte{
			tlswire.TypeClientHello, tlswire.TypeCertificate, tlswire.TypeClientKeyExchange, tlswire.TypeCertificateVerify,
			tlswire.TypeServerHello, tlswire.TypeCertificate, tlswire.TypeServerKeyExchange, tlswire.TypeCertificateRequest, tlswire.TypeServerHelloDone,
		}
		if !bytes.Equal(types, want) || certificates[evidence.RoleClient] == 0 || certificates[evidence.RoleServer] == 0 {
			t.Errorf("messages %v with certificates %v, want %v", types, certificates, want)
		}
		seen++
	}
	if seen == 0 {
		t.Error("the capture holds no handshake")
	}
}
