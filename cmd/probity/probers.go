package main

import (
	"probity/scanner"
	"probity/scanner/probe/bannerprobe"
	"probity/scanner/probe/dicomprobe"
	"probity/scanner/probe/httpprobe"
	"probity/scanner/probe/rdpprobe"
	"probity/scanner/probe/sdcprobe"
	"probity/scanner/probe/smbprobe"
	"probity/scanner/probe/snmpprobe"
	"probity/scanner/probe/sshprobe"
	"probity/scanner/probe/starttls"
	"probity/scanner/probe/tlsprobe"
)

// probers lists every prober; a new one is one line here.
func probers() []scanner.Prober {
	return []scanner.Prober{
		tlsprobe.New(), sshprobe.New(), dicomprobe.New(), snmpprobe.New(),
		httpprobe.New(), sdcprobe.New(), bannerprobe.New(), rdpprobe.New(), smbprobe.New(), starttls.New(tlsprobe.New()),
	}
}
