//go:build !linux

package discover

import "errors"

func openMedium(*Link, Method) (medium, error) {
	return nil, errors.New("ARP and ND are on Linux only; ask by mdns, ssdp or ws-discovery")
}
