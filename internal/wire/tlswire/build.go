package tlswire

import (
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// Marshal returns the hello in one record. It fails if a list is too long for
// its length field or the hello for a record.
func (h ClientHello) Marshal() ([]byte, error) {
	body, err := h.body()
	if err != nil {
		return nil, err
	}
	version := h.RecordVersion
	if version == 0 {
		version = min(h.Version, VersionTLS10)
	}
	var b cryptobyte.Builder
	b.AddUint8(uint8(Handshake))
	b.AddUint16(version)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint8(TypeClientHello)
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(body) })
	})
	out, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("build ClientHello: %w", err)
	}
	if len(out)-recordHeader > 1<<14 {
		return nil, fmt.Errorf("build ClientHello: %d bytes do not fit one record", len(out)-recordHeader)
	}
	return out, nil
}

// body returns the hello without record and handshake headers.
func (h ClientHello) body() ([]byte, error) {
	suites := h.Suites
	if h.Version == VersionSSL3 && h.RenegotiationInfo && !slices.Contains(suites, EmptyRenegotiationInfoSCSV) {
		suites = append(slices.Clone(suites), EmptyRenegotiationInfoSCSV)
	}
	methods := h.Compression
	if methods == nil {
		methods = []byte{0}
	}
	var b cryptobyte.Builder
	b.AddUint16(h.Version)
	b.AddBytes(h.Random[:])
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(h.SessionID) })
	addUint16s16(&b, suites)
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(methods) })
	if h.Version != VersionSSL3 {
		b.AddUint16LengthPrefixed(h.addExtensions)
	}
	out, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("build ClientHello: %w", err)
	}
	return out, nil
}

func (h ClientHello) addExtensions(b *cryptobyte.Builder) {
	if h.ServerName != "" {
		addExtension(b, extServerName, func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				b.AddUint8(0) // host_name
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(h.ServerName)) })
			})
		})
	}
	if h.ExtendedMasterSecret {
		addExtension(b, extExtendedMasterSecret, func(*cryptobyte.Builder) {})
	}
	if h.RenegotiationInfo && !slices.Contains(h.Suites, EmptyRenegotiationInfoSCSV) {
		addExtension(b, extRenegotiationInfo, func(b *cryptobyte.Builder) {
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(h.Renegotiated) })
		})
	}
	if len(h.Groups) > 0 {
		addExtension(b, extSupportedGroups, func(b *cryptobyte.Builder) { addUint16s16(b, h.Groups) })
		addExtension(b, extPointFormats, func(b *cryptobyte.Builder) { b.AddBytes([]byte{1, 0}) }) // uncompressed only
	}
	if h.StatusRequest {
		addExtension(b, extStatusRequest, func(b *cryptobyte.Builder) { b.AddBytes([]byte{1, 0, 0, 0, 0}) }) // OCSP, no responders, no extensions
	}
	if len(h.SignatureSchemes) > 0 {
		addExtension(b, extSignatureAlgorithms, func(b *cryptobyte.Builder) { addUint16s16(b, h.SignatureSchemes) })
	}
	if len(h.ALPN) > 0 {
		addExtension(b, extALPN, func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				for _, name := range h.ALPN {
					b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(name)) })
				}
			})
		})
	}
	if len(h.SupportedVersions) > 0 {
		addExtension(b, extSupportedVersions, func(b *cryptobyte.Builder) {
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
				for _, v := range h.SupportedVersions {
					b.AddUint16(v)
				}
			})
		})
	}
	if h.SessionTicket {
		addExtension(b, extSessionTicket, func(b *cryptobyte.Builder) { b.AddBytes(h.Ticket) })
	}
	if len(h.PSKModes) > 0 {
		addExtension(b, extPSKModes, func(b *cryptobyte.Builder) {
			b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(h.PSKModes) })
		})
	}
	if h.SCT {
		addExtension(b, extSCT, func(*cryptobyte.Builder) {})
	}
	if h.Heartbeat {
		addExtension(b, extHeartbeat, func(b *cryptobyte.Builder) { b.AddUint8(1) }) // peer_allowed_to_send
	}
	if len(h.Cookie) > 0 {
		addExtension(b, extCookie, func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(h.Cookie) })
		})
	}
	if slices.Contains(h.SupportedVersions, VersionTLS13) {
		h.addKeyShares(b)
	}
	if h.PSK != nil {
		addExtension(b, extPreSharedKey, h.PSK.add)
	}
}

func (h ClientHello) addKeyShares(b *cryptobyte.Builder) {
	addExtension(b, extKeyShare, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, k := range h.KeyShares {
				b.AddUint16(k.Group)
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(k.Data) })
			}
		})
	})
}

func addExtension(b *cryptobyte.Builder, id uint16, data cryptobyte.BuilderContinuation) {
	b.AddUint16(id)
	b.AddUint16LengthPrefixed(data)
}

// addUint16s16 writes list with a two-byte length.
func addUint16s16(b *cryptobyte.Builder, list []uint16) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, v := range list {
			b.AddUint16(v)
		}
	})
}
