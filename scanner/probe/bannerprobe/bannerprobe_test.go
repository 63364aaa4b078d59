package bannerprobe

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probity/evidence"
)

func TestConclude(t *testing.T) {
	for name, tt := range map[string]struct {
		telnet bool
		in     string
		want   *evidence.BannerFacts
		kept   string
		result evidence.Result
	}{
		"greeting":        {false, "220 (vsFTPd 3.0.3)\r\n", &evidence.BannerFacts{Protocol: "ftp", Text: "220 (vsFTPd 3.0.3)"}, "220 (vsFTPd 3.0.3)\r\n", evidence.ResultData},
		"several lines":   {false, "220-Ward 3\r\n220 ready\r\n", &evidence.BannerFacts{Protocol: "ftp", Text: "220-Ward 3"}, "220-Ward 3\r\n220 ready\r\n", evidence.ResultData},
		"too many users":  {false, "421 busy\r\n", &evidence.BannerFacts{Protocol: "ftp", Text: "421 busy"}, "421 busy\r\n", evidence.ResultData},
		"escapes":         {false, "220 \x1b[31m\r\n", &evidence.BannerFacts{Protocol: "ftp", Text: `220 \x1b[31m`}, "220 \x1b[31m\r\n", evidence.ResultData},
		"SSH":             {false, "SSH-2.0-x\r\n", nil, "", evidence.ResultError},
		"negotiation":     {true, "\xff\xfd\x18\xff\xfb\x01Welcome J. Doe", &evidence.BannerFacts{Protocol: "telnet", Options: true}, "\xff\xfd\x18\xff\xfb\x01", evidence.ResultData},
		"login prompt":    {true, "Hello J. Doe\r\npump7 login: ", &evidence.BannerFacts{Protocol: "telnet"}, "login:", evidence.ResultData},
		"SSH at telnet":   {true, "SSH-2.0-x\r\n", nil, "", evidence.ResultError},
		"commands of IAC": {true, "\xff\xf4\x06", nil, "", evidence.ResultError},
		"nothing":         {true, "", nil, "", evidence.ResultError},
	} {
		var obs evidence.Observation
		conclude(&obs, []byte(tt.in), tt.telnet, nil)
		if diff := cmp.Diff(tt.want, obs.Facts.Banner); diff != "" || obs.Result != tt.result {
			t.Errorf("%s: %s (-want +got):\n%s", name, obs.Result, diff)
		}
		kept := ""
		for _, b := range obs.Raw {
			kept += string(b.Data)
		}
		if kept != tt.kept {
			t.Errorf("%s: kept %q, want %q", name, kept, tt.kept)
		}
	}
}

func TestExchanges_sendNothing(t *testing.T) {
	for _, x := range New().Exchanges("exhaustive") {
		if x.MaxBytes != 0 {
			t.Errorf("%s: %d bytes", x.What, x.MaxBytes)
		}
	}
}

func FuzzConclude(f *testing.F) {
	f.Add(true, []byte("\xff\xfd\x18login: "))
	f.Add(false, []byte("220-a\r\n220 b\r\n"))
	f.Fuzz(func(t *testing.T, telnet bool, b []byte) {
		var obs evidence.Observation
		conclude(&obs, b[:min(len(b), maxBanner)], telnet, nil)
		if obs.Result == "" {
			t.Error("no result")
		}
		if f := obs.Facts.Banner; f != nil && (len(f.Text) > maxBanner || strings.ContainsFunc(f.Text, func(r rune) bool { return r < ' ' })) {
			t.Errorf("text %q", f.Text)
		}
	})
}
