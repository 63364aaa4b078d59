package lint

import "net"

func cidr(addr string, ones, bits int) []*net.IPNet {
	return []*net.IPNet{{IP: net.ParseIP(addr).To4(), Mask: net.CIDRMask(ones, bits)}}
}

func ips(addr string) []net.IP { return []net.IP{net.ParseIP(addr)} }
