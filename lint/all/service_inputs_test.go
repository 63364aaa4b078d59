package all_test

import "probity/evidence"

// failed is an attempt of a kind without an answer.
func failed(k evidence.Kind, r evidence.Result, detail string) evidence.Observation {
	return evidence.Observation{Kind: k, Result: r, Detail: detail}
}

// addServices adds the cases of services that are asked before any login.
func addServices(add func(name string, s *server)) {
	web := func(f evidence.HTTPFacts) evidence.Observation {
		return evidence.Observation{Kind: evidence.KindHTTP, Facts: evidence.Facts{HTTP: &f}}
	}
	add("web_encrypted/redirect", at(80).add(web(evidence.HTTPFacts{Status: 301, Redirect: evidence.RedirectHTTPS})))
	add("web_encrypted/login_in_clear", at(80).add(web(evidence.HTTPFacts{Status: 200, LoginForm: true})))
	add("web_encrypted/basic_in_clear", at(8042).add(web(evidence.HTTPFacts{Status: 401, Schemes: []string{"basic"}})))
	add("web_encrypted/clear", at(80).add(web(evidence.HTTPFacts{Status: 200, Redirect: evidence.RedirectNone})))
	add("web_encrypted/hsts", good(443).add(web(evidence.HTTPFacts{TLS: true, Status: 200, HSTS: true, HSTSAge: 31536000, LoginForm: true})))
	add("web_encrypted/no_hsts", good(443).add(web(evidence.HTTPFacts{TLS: true, Status: 200})))
	add("web_encrypted/downgrade", good(443).add(web(evidence.HTTPFacts{TLS: true, Status: 302, Redirect: evidence.RedirectHTTP, HSTS: true, HSTSAge: 60})))
	add("web_encrypted/no_page", good(443).add(web(evidence.HTTPFacts{TLS: true, Status: 404})))
	add("web_encrypted/silent", plain(8080).add(failed(evidence.KindHTTP, evidence.ResultTimeout, "no HTTP response: i/o timeout")))
	add("web_encrypted/dicom", plain(104))

	fhir := func(f evidence.FHIRFacts) evidence.Observation {
		return evidence.Observation{Kind: evidence.KindFHIR, Facts: evidence.Facts{FHIR: &f}}
	}
	add("fhir_encrypted/clear", at(8080).add(fhir(evidence.FHIRFacts{Document: "capability", Status: 200, Version: "4.0.1"})))
	add("fhir_encrypted/over_tls", good(443).add(fhir(evidence.FHIRFacts{TLS: true, Document: "capability", Status: 200, Version: "4.0.1"})))
	add("fhir_encrypted/web", good(443))

	sdc := func(f evidence.SDCFacts) evidence.Observation {
		return evidence.Observation{Kind: evidence.KindSDC, Facts: evidence.Facts{SDC: &f}}
	}
	device := evidence.SDCFacts{Manufacturer: "Acmed", ModelName: "Vent 7", Firmware: "1.2", Serial: "SN0001"}
	overTLS := device
	overTLS.TLS = true
	required := func(f *evidence.TLSFacts) { f.ClientAuth = evidence.ClientAuthRequired }
	add("sdc_mutual_tls/clear", at(6464).add(sdc(device)))
	add("sdc_mutual_tls/fault_in_clear", at(6464).add(sdc(evidence.SDCFacts{Fault: true})))
	add("sdc_mutual_tls/one_way", good(6464).add(sdc(overTLS)))
	add("sdc_mutual_tls/mutual", at(6464).says(evidence.OfferFull, 0x0304, 0x0304, tls13Suit, required))
	add("sdc_mutual_tls/no_metadata", good(6464).add(failed(evidence.KindSDC, evidence.ResultError, "status 404")))
	add("sdc_mutual_tls/web", good(443))
	add("electronic_identity/model_and_serial", good(6464).add(sdc(overTLS)))
	add("electronic_identity/vendor_only", at(6464).add(sdc(evidence.SDCFacts{Manufacturer: "Acmed"})))
	add("electronic_identity/fault", at(6464).add(sdc(evidence.SDCFacts{Fault: true})))
	add("electronic_identity/web", good(443))

	banner := func(f evidence.BannerFacts) evidence.Observation {
		return evidence.Observation{Kind: evidence.KindBanner, Facts: evidence.Facts{Banner: &f}}
	}
	add("no_clear_login/telnet", at(23).add(banner(evidence.BannerFacts{Protocol: "telnet", Options: true})))
	add("no_clear_login/ftp", at(21).add(banner(evidence.BannerFacts{Protocol: "ftp", Text: "220 ready"})))
	add("no_clear_login/another", good(21).add(failed(evidence.KindBanner, evidence.ResultError, "the peer speaks another protocol: no FTP greeting")))
	add("no_clear_login/silent", good(23).add(failed(evidence.KindBanner, evidence.ResultTimeout, "no banner: i/o timeout")))
	add("no_clear_login/web", good(443))

	smb := func(f evidence.SMBFacts) evidence.Observation {
		return evidence.Observation{Kind: evidence.KindSMB, Facts: evidence.Facts{SMB: &f}}
	}
	signed := smb(evidence.SMBFacts{Offer: "smb2", Dialect: 0x0302, SigningEnabled: true, SigningRequired: true})
	unsigned := smb(evidence.SMBFacts{Offer: "smb2", Dialect: 0x0302, SigningEnabled: true})
	add("smb_modern/good", at(445).add(signed).add(smb(evidence.SMBFacts{Offer: "smb1"})))
	add("smb_modern/hangs_up", at(445).add(signed).add(failed(evidence.KindSMB, evidence.ResultReset, "no answer to the smb1 negotiation: EOF")))
	add("smb_modern/smb1", at(445).add(signed).add(smb(evidence.SMBFacts{Offer: "smb1", SMB1: true})))
	add("smb_modern/unsigned", at(445).add(unsigned).add(smb(evidence.SMBFacts{Offer: "smb1"})))
	add("smb_modern/not_asked", at(445).add(signed))
	add("smb_modern/web", good(443))

	rdp := func(f evidence.RDPFacts) *server {
		return at(3389).add(evidence.Observation{Kind: evidence.KindRDP, Facts: evidence.Facts{RDP: &f}})
	}
	add("remote_desktop_nla/credssp", rdp(evidence.RDPFacts{Negotiates: true, Selected: 2}))
	add("remote_desktop_nla/tls", rdp(evidence.RDPFacts{Negotiates: true, Selected: 1}))
	add("remote_desktop_nla/old", rdp(evidence.RDPFacts{}))
	add("remote_desktop_nla/silent", good(3389).add(failed(evidence.KindRDP, evidence.ResultTimeout, "no connection confirm: i/o timeout")))
	add("remote_desktop_nla/web", good(443))
}
