package mtlsprobe

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"probity/evidence"
	"probity/internal/wire/dicomwire"
	"probity/scanner/probe"
)

// The protocols that the application may be asked in.
const (
	ApplicationNone  = ""
	ApplicationHTTP  = "http"
	ApplicationDICOM = "dicom"
)

const (
	listenTime = time.Second     // for a late alert, or for what a server says unasked
	answerTime = 2 * time.Second // for the answer of the application
	maxHTTP    = 8 << 10         // bytes of an HTTP answer
	maxPDU     = 64 << 10        // bytes of an association answer
)

// speak asks the application one harmless thing and notes the answer. The error
// is what ended the connection; nil means that nothing did.
func speak(c net.Conn, application, host string, now func() time.Time, f *evidence.MTLSFacts) error {
	wait := answerTime
	if application == ApplicationNone {
		wait = listenTime
	}
	if err := c.SetReadDeadline(now().Add(wait)); err != nil {
		return err
	}
	var err error
	switch application {
	case ApplicationHTTP:
		err = getRoot(c, host, f)
	case ApplicationDICOM:
		err = associate(c, f)
	default:
		var n int
		n, err = c.Read(make([]byte, 1))
		f.Answered = n > 0
	}
	if err != nil && (f.Answered || probe.ResultOf(err) == evidence.ResultTimeout) {
		return nil // the answer counts; what comes after it does not
	}
	return err
}

// aboutCertificate finds the words in which common servers tell a client that
// its certificate is the reason. nginx answers 400 with such a text where its log
// says 495 or 496.
var aboutCertificate = regexp.MustCompile(`(?i)(ssl|tls|client)[ -]certificate`)

// getRoot sends one GET / (RFC 9110 section 9.3.1) and reads the status, and of
// an error the beginning of the text.
func getRoot(c net.Conn, host string, f *evidence.MTLSFacts) error {
	_, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\nUser-Agent: probity\r\nAccept: */*\r\nConnection: close\r\n\r\n", host)
	if err != nil {
		return err
	}
	var text []byte
	buf := make([]byte, 2048)
	for len(text) < maxHTTP {
		n, err := c.Read(buf)
		text = append(text, buf[:n]...)
		f.Answered = len(text) > 0
		f.HTTPStatus = httpStatus(text)
		f.HTTPCertificate = f.HTTPStatus >= 400 && aboutCertificate.Match(text)
		if err != nil {
			return err
		}
		whole := bytes.Contains(text, []byte("\r\n\r\n"))
		if whole && f.HTTPStatus < 400 || f.HTTPCertificate {
			return nil
		}
	}
	return nil
}

// httpStatus reads the status line (RFC 9112 section 4); 0 means that it is none.
func httpStatus(text []byte) int {
	line, _, _ := strings.Cut(string(text[:min(len(text), 64)]), "\r\n")
	rest, ok := strings.CutPrefix(line, "HTTP/1.")
	if !ok || len(rest) < 5 || rest[1] != ' ' || len(rest) > 5 && rest[5] != ' ' {
		return 0
	}
	n, err := strconv.Atoi(rest[2:5])
	if err != nil || n < 100 || n > 599 {
		return 0
	}
	return n
}

// What the association request says of this program, as the DICOM prober does.
const (
	callingAE         = "PROBITY"
	calledAE          = "ANY-SCP"
	implementationUID = "2.25.44322105097376164620263518766017941148"
)

// associate asks for one association for verification and gives it back
// (PS3.8 section 9.3). No command is sent.
func associate(c net.Conn, f *evidence.MTLSFacts) error {
	request, err := dicomwire.Associate{
		Version: 1, CalledAE: calledAE, CallingAE: callingAE, ApplicationContext: dicomwire.ApplicationContext,
		Contexts: []dicomwire.Context{{
			ID: 1, AbstractSyntax: dicomwire.Verification, TransferSyntaxes: []string{dicomwire.ImplicitVRLittle},
		}},
		MaxPDU: maxPDU, ImplementationUID: implementationUID,
	}.MarshalRequest()
	if err != nil {
		return err
	}
	if _, err := c.Write(request); err != nil {
		return err
	}
	kind, err := readPDU(c)
	if err != nil {
		return err
	}
	f.Answered = true
	switch kind {
	case dicomwire.AssociateAC:
		f.DICOM = "ac"
		// The association is given back; a peer that does not confirm is told that
		// it is over. What goes wrong here changes nothing in what was learned.
		if _, err := c.Write(dicomwire.ReleaseRequest()); err != nil {
			return err
		}
		if kind, err := readPDU(c); err == nil && kind == dicomwire.ReleaseRP {
			return nil
		}
		_, err := c.Write(dicomwire.AbortRequest())
		return err
	case dicomwire.AssociateRJ:
		f.DICOM = "rj"
	case dicomwire.Abort:
		f.DICOM = "abort"
	case dicomwire.AssociateRQ, dicomwire.DataTF, dicomwire.ReleaseRQ, dicomwire.ReleaseRP:
		_, err := c.Write(dicomwire.AbortRequest())
		return err
	}
	return nil
}

// readPDU reads one protocol data unit and returns its type. The body is passed
// over, and that of a data set not even read.
func readPDU(c io.Reader) (dicomwire.Type, error) {
	header := make([]byte, dicomwire.HeaderSize)
	if _, err := io.ReadFull(c, header); err != nil {
		return 0, err
	}
	kind, length, err := dicomwire.Header(header)
	if err != nil || kind == dicomwire.DataTF {
		return kind, err
	}
	if length > maxPDU {
		return 0, fmt.Errorf("association answer of %d bytes", length)
	}
	_, err = io.CopyN(io.Discard, c, int64(length))
	return kind, err
}
