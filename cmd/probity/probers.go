package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"probity/scanner"
	"probity/scanner/probe/bacnetprobe"
	"probity/scanner/probe/bannerprobe"
	"probity/scanner/probe/dicomprobe"
	"probity/scanner/probe/fhirprobe"
	"probity/scanner/probe/flawprobe"
	"probity/scanner/probe/httpprobe"
	"probity/scanner/probe/modbusprobe"
	"probity/scanner/probe/mqttprobe"
	"probity/scanner/probe/opcuaprobe"
	"probity/scanner/probe/rdpprobe"
	"probity/scanner/probe/sdcprobe"
	"probity/scanner/probe/smbprobe"
	"probity/scanner/probe/snmpprobe"
	"probity/scanner/probe/sshprobe"
	"probity/scanner/probe/starttls"
	"probity/scanner/probe/tlsprobe"
	"probity/scanner/probe/vncprobe"
)

// probers lists every prober that needs nothing of the operator; a new one is one
// line here.
func probers() []scanner.Prober {
	return []scanner.Prober{
		tlsprobe.New(), tlsprobe.NewDTLS(), sshprobe.New(), dicomprobe.New(), snmpprobe.New(),
		httpprobe.New(), sdcprobe.New(), bannerprobe.New(), rdpprobe.New(), smbprobe.New(), starttls.New(tlsprobe.New()),
		vncprobe.New(), fhirprobe.New(), opcuaprobe.New(), mqttprobe.New(), modbusprobe.New(), bacnetprobe.New(),
	}
}

// communityVariable may hold a community of SNMP: a command line can be read by
// every user of the machine.
const communityVariable = "PROBITY_SNMP_COMMUNITY"

const (
	maxCommunityFile   = 4096
	defaultSNMPVersion = "2c"
)

// probers lists those that a scan with these flags has.
func (f *targetFlags) probers() ([]scanner.Prober, error) {
	all := probers()
	if f.lab {
		all = append(all, flawprobe.New())
	}
	secret := []byte(os.Getenv(communityVariable))
	if f.snmpFile != "" {
		text, err := readLimited(f.snmpFile, maxCommunityFile)
		if err != nil {
			return nil, fmt.Errorf("--snmp-community-file: %w", err)
		}
		secret = bytes.TrimRight(text, "\r\n")
	} else if len(secret) == 0 {
		if f.snmpVersion != defaultSNMPVersion {
			return nil, errors.New("--snmp-version is for a community: give --snmp-community-file or $" + communityVariable)
		}
		return all, nil
	}
	community, err := snmpprobe.NewCommunity(secret)
	if err != nil {
		return nil, fmt.Errorf("SNMP %w", err)
	}
	get, err := snmpprobe.NewGetter(f.snmpVersion, community)
	if err != nil {
		return nil, fmt.Errorf("--snmp-version: %w", err)
	}
	return append(all, get), nil
}
