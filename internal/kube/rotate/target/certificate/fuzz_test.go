package certificate

import (
	"strings"
	"testing"
	"time"
)

// Whatever the engine answers, what is taken is a pair, and no error quotes a key.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"certificate":"canary","private_key":"canary","ca_chain":["canary"],"issuing_ca":"canary"}`))
	f.Add([]byte(`{"certificate":"-----BEGIN CERTIFICATE-----\ncanary\n-----END CERTIFICATE-----"}`))
	f.Add([]byte(`canary`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := read(raw, []string{"a.example.com"}, time.Unix(1_700_000_000, 0))
		if err == nil && (m.chain == "" || m.ca == "" || m.key.Empty()) {
			t.Error("half of it was taken")
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%v quotes the answer", err)
		}
	})
}
