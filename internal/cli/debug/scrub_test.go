package debug

import (
	"strings"
	"testing"
)

func TestScrubberTakesOutSecrets(t *testing.T) {
	s := scrubber{own: []byte("own-token")}
	in := `a hvs.CAESIJ1234567890abcdefgh b hvb.AAAAAQ_-1234567890abcdefgh c s.abcdefghijklmnopqrst1234 own-token
-----BEGIN EC PRIVATE KEY-----
canary
-----END EC PRIVATE KEY-----
kept: sys.mounts v1.2.3 secret/data/x -----BEGIN CERTIFICATE-----`
	out := string(s.clean([]byte(in)))
	for _, gone := range []string{"hvs.", "hvb.", "s.abc", "own-token", "canary"} {
		if strings.Contains(out, gone) {
			t.Errorf("%s is still in %s", gone, out)
		}
	}
	if !strings.HasSuffix(out, "kept: sys.mounts v1.2.3 secret/data/x -----BEGIN CERTIFICATE-----") {
		t.Errorf("too much is gone: %s", out)
	}
	if got := string((scrubber{}).clean([]byte("x"))); got != "x" {
		t.Errorf("without a token: %q", got)
	}
}
