package looks_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/looks"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Tokens are put together here, so that no scanner of this repository takes them for some.
func join(parts ...string) string { return strings.Join(parts, "") }

var some = strings.Repeat("aB3dE5gH7jK9", 6)

func TestSecrets(t *testing.T) {
	b64 := base64.RawURLEncoding.EncodeToString
	for name, c := range map[string]struct {
		key, value string
		want       snapshot.Looks
	}{
		"a key":                    {"tls.key", "-----BEGIN RSA PRIVATE KEY-----\nx\n-----END", snapshot.LooksPrivateKey},
		"an encrypted key":         {"", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nx", snapshot.LooksPrivateKey},
		"a key behind its chain":   {"both.pem", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n", snapshot.LooksPrivateKey},
		"a certificate":            {"tls.crt", "-----BEGIN CERTIFICATE-----\nx", snapshot.LooksCert},
		"age":                      {"keys.txt", "# public key\nAGE-SECRET-KEY-1QQQ", snapshot.LooksPrivateKey},
		"JKS":                      {"store", "\xfe\xed\xfe\xed\x00", snapshot.LooksPrivateKey},
		"PKCS#12":                  {"client.p12", "\x30\x82\x00", snapshot.LooksPrivateKey},
		"a registry's login":       {".dockerconfigjson", `{"auths":{"r.example":{"auth":"dTpw"}}}`, snapshot.LooksRegistry},
		"AWS":                      {"x", join("AK", "IAQ3EGZXCVBNMASDFG"), snapshot.LooksToken},
		"GitHub":                   {"x", join("gh", "p_", some[:36]), snapshot.LooksToken},
		"GitHub, fine-grained":     {"x", join("github", "_pat_", some[:60]), snapshot.LooksToken},
		"GitLab":                   {"x", join("gl", "pat-", some[:20]), snapshot.LooksToken},
		"Slack":                    {"x", join("xo", "xb-123456789012-", some[:24]), snapshot.LooksToken},
		"Stripe":                   {"x", join("sk", "_live_", some[:24]), snapshot.LooksToken},
		"Google":                   {"x", join("AI", "za", some[:35]), snapshot.LooksToken},
		"SendGrid":                 {"x", join("S", "G.", some[:22], ".", some[:43]), snapshot.LooksToken},
		"npm":                      {"x", join("np", "m_", some[:36]), snapshot.LooksToken},
		"Vault":                    {"x", join("hv", "s.", some[:30]), snapshot.LooksToken},
		"a header":                 {"Authorization", join("Bearer hv", "s.", some[:30]), snapshot.LooksToken},
		"a JWT":                    {"x", b64([]byte(`{"alg":"RS256"}`)) + "." + b64([]byte(`{"sub":"x"}`)) + "." + some, snapshot.LooksToken},
		"a URL":                    {"DATABASE_URL", "postgres://shop:hunter2@db:5432/shop", snapshot.LooksURL},
		"a URL without user":       {"REDIS_URL", "redis://:hunter2@redis:6379/0", snapshot.LooksURL},
		"a URL with an @":          {"x", "postgres://shop:hun@ter:2@db:5432/shop", snapshot.LooksURL},
		"of JDBC":                  {"x", "jdbc:postgresql://shop:hunter2@db:5432/shop", snapshot.LooksURL},
		"of that scheme":           {"x", "jdbc://shop:hunter2@db", snapshot.LooksURL},
		"DB_PASSWORD":              {"DB_PASSWORD", "hunter", snapshot.LooksNamed},
		"a weak one":               {"password", "changeme", snapshot.LooksNamed},
		"of digits":                {"password", "123456", snapshot.LooksNamed},
		"PGPASSWORD":               {"PGPASSWORD", "hunter2", snapshot.LooksNamed},
		"camel":                    {"dbPassword", "hunter2", snapshot.LooksNamed},
		"dots":                     {"spring.datasource.password", "hunter2", snapshot.LooksNamed},
		"a file":                   {"password.txt", "hunter2", snapshot.LooksNamed},
		"DB_PASSWORD_PROD":         {"DB_PASSWORD_PROD", "hunter2", snapshot.LooksNamed},
		"API_KEY":                  {"API_KEY", "0a1b-2c3d-77", snapshot.LooksNamed},
		"SECRET_KEY_BASE":          {"SECRET_KEY_BASE", "Zz-0a1b2c3d77", snapshot.LooksNamed},
		"authToken2":               {"authToken2", "T-0a1b2c3d77", snapshot.LooksNamed},
		"base64 with a slash":      {"PASSWORD", "/aB3dE5gH7jK9aB3dE5gH7jK9", snapshot.LooksNamed},
		"nothing but its entropy":  {"SETTING", "aB3dE5gH7jK9lM1nP3qR5tU7", snapshot.LooksRandom},
		"hexadecimal":              {"SETTING", "9f86d081884c7d659a2feaa0c55ad015", snapshot.LooksRandom},
		"a name with a value only": {"clientSecret", "aB3dE5gH7jK9lM1n", snapshot.LooksNamed},
	} {
		if got := looks.Of(c.key, []byte(c.value)); got != c.want {
			t.Errorf("%s: %s looks like %q, want %q", name, c.key, got, c.want)
		}
	}
}

// What scanners by names get wrong is no secret here.
func TestNoSecrets(t *testing.T) {
	for _, c := range [][2]string{
		{"PASSWORD_FILE", "/run/secrets/db"}, {"DB_PASSWORD", "/run/secrets/db"}, {"SECRETS_DIR", "/etc/secrets"}, {"SECRET_NAME", "db-credentials"},
		{"secretName", "db-credentials"}, {"secret", "db-credentials"}, {"TOKEN_TTL", "3600"}, {"TOKEN_EXPIRY", "24h"}, {"PASSWORD", "${DB_PASSWORD}"},
		{"PASSWORD", "$(DB_PASSWORD)"}, {"password", "{{ .Values.password }}"}, {"password", "<your password>"}, {"password", "********"},
		{"password", "true"}, {"PASSWORD", ""}, {"API_TOKEN", "false"}, {"token", "3600"}, {"max_tokens", "4096"}, {"TOKEN_URL", "https://login.example/token"},
		{"OAUTH_TOKEN", "https://login.example/token"}, {"SECRET", "vault:secret/data/db#password"}, {"SECRET", "arn:aws:secretsmanager:eu-west-1:1:secret:x"},
		{"KEY", "name"}, {"PUBLIC_KEY", "x"}, {"PASSWORD_MIN_LENGTH", "12"}, {"PASSWORD_POLICY", "strict"}, {"AUTH_MODE", "token"},
		{"DATABASE_URL", "postgres://db:5432/shop"}, {"DATABASE_URL", "postgres://shop:$(DB_PASSWORD)@db:5432/shop"}, {"DATABASE_URL", "postgres://shop:${PW}@db/shop"},
		{"x", "postgres://shop:hunter2@"}, {"x", "postgres://shop:@db"}, {"x", "postgres://shop/x:hunter2@db"}, {"x", "postgres://a@b:hunter2@db"}, {"x", "postgres://shop:hunter 2@db"},
		{"x", "p://shop:hunter2@db"}, {"x", "1a://shop:hunter2@db"}, {"x", "jdbc:jdbc:x://shop:hunter2@db"}, {"x", "see postgres://shop:hunter2@db"}, {"x", "postgres://db:5432/shop"}, {"x", "postgres://shop:$PW@db/shop"},
		{"REQUEST_ID", "123e4567-e89b-12d3-a456-426614174000"}, {"X", "123e4567-e89b-12d3-a456-426614174000"}, {"checksum/config", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
		{"IMAGE", "registry.example/team/app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}, {"GIT_SHA", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"},
		{"CLASS", "org.springframework.boot.autoconfigure.jdbc.DataSourceAutoConfiguration"}, {"HOST", "my-release-postgresql-headless.shop.svc.cluster.local"},
		{"MESSAGE", "the password is in the vault, ask there"}, {"tokens", "alpha"}, {"PASSWORD", "your-password-here"}, {"aws", join("AK", "IAIOSFODNN7EXAMPLE")},
		{"config", "{}"}, {"auth.json", `{"auths":{}}`},
	} {
		if got := looks.Of(c[0], []byte(c[1])); got.Sensitive() {
			t.Errorf("%s=%s is taken for a %s", c[0], c[1], got)
		}
	}
}

func TestKeys(t *testing.T) {
	for key, want := range map[string]bool{
		"password": false, "tls.key": false, "application-prod.properties": false, "sh.helm.release.v1.shop.v1": false, "0123456789abcdef": false,
		join("gh", "p_", some[:36]): true, "aB3dE5gH7jK9lM1nP3qR5tU7wX9yZ1bC": true,
	} {
		if looks.Key(key) != want {
			t.Errorf("%s: %v", key, !want)
		}
	}
}

func FuzzOf(f *testing.F) {
	f.Add("password", []byte("hunter2"))
	f.Add("x", []byte("eyJ.."))
	f.Add("", []byte(`{"auths":{"a":null}}`))
	f.Fuzz(func(_ *testing.T, key string, value []byte) {
		_, _ = looks.Of(key, value), looks.Key(key)
	})
}

// What a known secret is that stands in no file by chance, and what is in half of all.
func TestOdd(t *testing.T) {
	for _, text := range []string{"xk29fq8zt1lm", "T7hqPzRw3e", "aB3dE5gH7jK9", "db-9fQ2xK81-prod", "qZrTbWmKxYpL", "0f4c9a1e77b2"} {
		if !looks.Odd(text) {
			t.Errorf("%s is nothing", text)
		}
	}
	for _, text := range []string{
		"information", "shop-user", "production-eu", "db.shop.svc.cluster.local", "us-east-1a", "t3.medium", "v1.28.4-gke.1083000", "2026-11-22T12:00:00Z", "0f8fad5b-d9cb-469f-a165-70867728950e",
		"/var/run/secrets/token", "https://idp.example/xk29fq8zt1lm", "jdbc:postgresql", "application/json", "RS256", "camelCaseName", "MAX_CONNECTIONS", "1234567890123", "hello world 1", "short1",
	} {
		if looks.Odd(text) {
			t.Errorf("%s is odd", text)
		}
	}
}

// Tokens are found among other text by the same table as values are, and only whole.
func TestTokensInText(t *testing.T) {
	for name, want := range map[string]string{
		"AWS, temporary": join("AS", "IAQ3EGZXCVBNMASDFG"), "Hugging Face": join("h", "f_", some[:34]), "Grafana": join("gl", "sa_", some[:32], "_0a1b2c3d"), "Docker": join("dckr", "_pat_", some[:27]),
		"Stripe's hooks": join("wh", "sec_", some[:32]), "Atlassian": join("ATA", "TT3", some[:60]), "OpenAI": join("sk", "-proj-", some[:40]), "GitHub": join("gh", "p_", some[:36]), "GitLab, a runner": join("gl", "rt-", some[:20]),
		"age": join("AGE-SECRET", "-KEY-1", strings.ToUpper(some[:58])), "a JWT": join("ey", "J0eXAiOiJKV1Qi.ey", "JzdWIiOiIxMjM0.", some[:43]),
	} {
		for _, around := range [][2]string{{"", ""}, {"a = \"", "\"\n"}, {"export X=", " y"}, {"\n", "\n"}} {
			var got []string
			text := around[0] + want + around[1]
			looks.Tokens([]byte(text), func(from, to int) { got = append(got, text[from:to]) })
			if len(got) != 1 || got[0] != want {
				t.Errorf("%s in %q: %q", name, around, got)
			}
		}
		if l := looks.Of("x", []byte(want)); l != snapshot.LooksToken && l != snapshot.LooksPrivateKey && name != "a JWT" {
			t.Errorf("%s as a value is %q", name, l)
		}
	}
	for _, text := range []string{
		"sk-fading-circle-in-the-middle-of-it", join("x", "gh", "p_", some[:36]), join("np", "m_", some[:36], "X"), "classes.AbcdefghijklmnopqrstuvwX", join("key-", "0123456789abcdef0123456789abcdef"),
		"eyJhbGciOiJub25lIn0.x.y", "SG.short.short", "glossy-background-image-of-the-page",
	} {
		looks.Tokens([]byte(text), func(from, to int) { t.Errorf("%s is taken for a token: %s", text, text[from:to]) })
	}
}

// A token at the end of a sentence is the token, without the stop: its print is that of
// the live one.
func TestTokensBeforeAStop(t *testing.T) {
	for _, want := range []string{
		join("gl", "pat-", some[:20]), join("gl", "pat-", some[:27], ".01.", some[:9]), join("gh", "s_", some[:36]), join("gh", "s_", some[:20], ".", some[:20]),
		join("gh", "p_", some[:36]), join("hv", "s.", some[:30]), join("S", "G.", some[:22], ".", some[:43]),
	} {
		for _, end := range []string{".", "...", ". And", ".\n"} {
			var got []string
			text := "It is " + want + end
			looks.Tokens([]byte(text), func(from, to int) { got = append(got, text[from:to]) })
			if len(got) != 1 || got[0] != want {
				t.Errorf("%q in %q", got, text)
			}
		}
	}
}

// Megabytes in which tokens seem to begin everywhere are gone through once: to look at the
// rest of the text for each beginning would take days.
func TestTokensInHostileText(t *testing.T) {
	const size = 1 << 20
	for _, c := range []struct{ begin, end string }{
		{"xoxb-", "_"}, {"eyJ-", ""}, {"eyJ", ""}, {"xeyJ-", ""}, {"eyJaaaaaaaaaa.", ""}, {"glpat-", ""}, {"xapp-1-", "_"}, {join("gh", "s_"), ""}, {join("gh", "s_."), ""}, {"xghs_", ""},
		{"SG.", ""}, {"SG.aaaaaaaaaaaaaaaa-", ""}, {"ya29.", ""}, {"ATATT3", ""}, {"ATATT3-", "é"}, {"EAACEdEose0cBA", "_"}, {"sk-ant-", ""}, {"sk-ant-a", ""}, {"https://discord.com/api/webhooks/1", ""},
		{"whsec_", ""}, {"glc_+", ""}, {"pypi-", ""}, {"tfp_-", ""}, {"hvs.", ""}, {"lin_api_", ""},
	} {
		text := append(bytes.Repeat([]byte(c.begin), size/len(c.begin)), c.end...)
		looks.Tokens(text, func(from, to int) {
			if from < 0 || to <= from || to > len(text) {
				t.Fatalf("%s: from %d to %d", c.begin, from, to)
			}
		})
	}
}

// What is passed by at once has no token in it that would be found alone.
func TestTokensBesideOthers(t *testing.T) {
	good := join("xo", "xb-123456789012-", some[:24])
	jwt := join("ey", "J0eXAiOiJKV1Qi.ey", "JzdWIiOiIxMjM0.", some[:43])
	for text, want := range map[string]string{
		"xoxb-aaaaaaaaaaaa_ " + good:    good,
		"xoxb-aaaaaaaaaaaa_-" + good:    good,
		"xoxb-short " + good:            good,
		"eyJ-eyJ-aaaaaaaaaaaa " + jwt:   jwt,
		"eyJaaaaaaaaaaaaa." + jwt:       jwt,
		"eyJx." + jwt + " eyJ":          jwt,
		"eyJaaaaaaaaaaaaa/" + jwt + ".": jwt,
	} {
		var got []string
		looks.Tokens([]byte(text), func(from, to int) { got = append(got, text[from:to]) })
		if len(got) != 1 || got[0] != want {
			t.Errorf("%q in %q", got, text)
		}
	}
}
