package github

import (
	"strings"
	"testing"
)

// Whatever GitHub answers, what is taken for a token is one, and no error tells what came.
func FuzzToken(f *testing.F) {
	f.Add([]byte(`{"token":"ghs_x","expires_at":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"token":""}`))
	f.Add([]byte(`[1]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		made, err := token(text)
		if err != nil {
			if len(text) > 60 && strings.Contains(err.Error(), string(text)) {
				t.Fatal("the error tells what came")
			}
			return
		}
		if made.Data["token"].Empty() {
			t.Fatal("an empty token")
		}
	})
}

// Whatever stands in a Secret is a key or is refused.
func FuzzPrivateKey(f *testing.F) {
	f.Add([]byte("-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n"))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if key, ok := privateKey(text); ok && key.Validate() != nil {
			t.Fatal("a key that is none")
		}
	})
}
