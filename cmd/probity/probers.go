package main

import (
	"probity/scanner"
	"probity/scanner/probe/dicomprobe"
	"probity/scanner/probe/snmpprobe"
	"probity/scanner/probe/sshprobe"
	"probity/scanner/probe/tlsprobe"
)

// probers lists every prober; a new one is one line here.
func probers() []scanner.Prober {
	return []scanner.Prober{tlsprobe.New(), sshprobe.New(), dicomprobe.New(), snmpprobe.New()}
}
