package passive

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestGolden_fingerprints holds JA3 and JA4 of what clients say against
// read-tls-client-hello 2.0.0 (npm), which nobody here wrote. They differ once: it
// takes every hello with supported_versions for TLS 1.3 ("t13d1011h2"), where Go
// offers 1.2 in it, which is the highest value, as the details of JA4 say.
func TestGolden_fingerprints(t *testing.T) {
	want := []string{
		"07714a0ff370c8e037b5d2b474e2d42f t12i020400_a5878986a7c9_847bbcdea70d",
		"0eb2909867e7f115c946b3b6697a8160 t12d1011h2_a8cf61a50a39_a92c7c6a82fe",
		"1a28e69016765d92e3b381168d68922c t13d5911h2_a33745022dd6_1f22a2ca17c4",
		"22558766122974704364c9c75c5cce0a t12d2808h2_d943125447b4_e7e480e5a997",
		"24fdb1f10384c4be81a72d6f020c6c73 t13i291200_723694b0fccc_2cc26d266019",
		"6dfd110ecec56cf3479112379fa202ad t13d3112h3_e8f1e7e78f70_f6eeaf393d2e",
		"71277185edebb8efeb244082fe412cf0 t13i1516h2_8daaf6152771_cb7bf5808d99",
		"725543c78edf669194c11dc7a039b56e t13i131000_f57a46bbacb6_ab7e3b40a677",
		"78f0dc5ac5b19daf131a133cfdee9691 t13i3111h2_e8f1e7e78f70_b26ce05bbdd6",
		"a800670a9e75f9768d052dd7f0be5728 t12i2806h1_d943125447b4_a44c6288192a",
		"ad8d5073ee6f6ff236274e82b9079dc0 t12i250900_7415a186c913_577ffa9d9a5c",
		"b1eb3ca3daaf03d365753f0a321e1601 t13i291200_723694b0fccc_899037bd0b8c",
		"c1e58b5fa361cf5bfc0635a61bd8573c t13i040900_16476d049b0b_78f1d400d464",
		"c61838e7d84aa55aef2691a4857f9339 t13i310900_e8f1e7e78f70_37c09640425f",
		"c6560fa9e0b81d902375b2ff738a60ec t13i1516h2_8daaf6152771_cb7bf5808d99",
		"d39e1be3241d516b1f714bd47c2bc968 t13d311100_e8f1e7e78f70_d41ae481755e",
		"d9bdcf22ac5d85f6d61c5ba4e13f7027 t13i290900_a95cea58be53_1f22a2ca17c4",
		"eb28ec148ca5e2e906234d15d3a1d3f0 t13i3110aa_e8f1e7e78f70_1f22a2ca17c4",
		"fbe7e189e37a07ee33706f86bc746344 t12i280600_d943125447b4_e7e480e5a997",
	}
	list, _ := readFile(t, ours("live_tls_hellos.pcap"))
	var got []string
	for _, o := range list {
		if f := o.Facts.TLS; f != nil {
			got = append(got, f.JA3+" "+f.JA4)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
