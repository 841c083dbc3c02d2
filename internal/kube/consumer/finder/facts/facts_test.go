package facts

import (
	"testing"
)

func TestSecretive(t *testing.T) {
	for _, c := range []struct {
		key, value string
		want       bool
	}{
		{"password", "12345678", true}, {"password", "1234567", false}, {"url", "postgres://u:p@h/db", true},
		{"username", "application_a", false}, {"DB_HOST", "db.example.test", false}, {"db-name", "production", false},
		{"ca.crt", "-----BEGIN CERTIFICATE-----\nMII", false}, {"tls.crt", "-----BEGIN CERTIFICATE-----\nMII", false},
		{"tls.key", "-----BEGIN PRIVATE KEY-----\nMII", true}, {"", "12345678", true},
	} {
		if got := secretive(c.key, []byte(c.value)); got != c.want {
			t.Errorf("%s=%s: %v", c.key, c.value, got)
		}
	}
}
