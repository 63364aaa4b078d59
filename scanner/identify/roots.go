package identify

import (
	_ "embed" // the table of DICOM UID roots
	"encoding/hex"
	"strings"
	"sync"

	"probity/evidence"
)

// dicomRootsTSV lists owners of DICOM UID arcs: root, the attribute that a match
// claims (an implementation UID of a toolkit names the toolkit, not the
// product), its value and where the row was verified.
//
//go:embed data/dicom_roots.tsv
var dicomRootsTSV string

type uidRoot struct {
	attribute evidence.Attribute
	value     string
}

// dicomRoots parses the table once; its form is held by a test.
var dicomRoots = sync.OnceValue(func() map[string]uidRoot {
	roots := map[string]uidRoot{}
	for line := range strings.Lines(dicomRootsTSV) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) == 4 && f[0] != "root" {
			roots[f[0]] = uidRoot{evidence.Attribute(f[1]), f[2]}
		}
	}
	return roots
})

// lookupRoot returns the row with the longest root that is a prefix of uid by
// whole components.
func lookupRoot(uid string) (uidRoot, bool) {
	roots := dicomRoots()
	for uid != "" {
		if r, ok := roots[uid]; ok {
			return r, true
		}
		i := strings.LastIndexByte(uid, '.')
		if i < 0 {
			break
		}
		uid = uid[:i]
	}
	return uidRoot{}, false
}

func hexText(b []byte) string { return hex.EncodeToString(b) }
