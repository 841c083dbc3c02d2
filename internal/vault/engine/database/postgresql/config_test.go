package postgresql

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

func decode64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParse(t *testing.T) {
	const password = `p@ss:/?#[]%"' w`
	for name, c := range map[string]struct{ url, user, password, host, database string }{
		"URL":          {"postgresql://{{username}}:{{password}}@db:5433/app?sslmode=disable", `us er"@`, password, "db", "app"},
		"key=value":    {"host=db user={{username}} password={{password}} dbname=app sslmode=disable", `us er"@`, password, "db", "app"},
		"literal":      {"postgresql://joe:literal@db/app", "joe", "literal", "db", "app"},
		"without":      {"postgresql://db/app", `us er"@`, password, "db", "app"},
		"own database": {"postgresql://{{username}}:{{password}}@db/{{username}}", "joe", password, "db", "joe"},
	} {
		conf := driver.Config{URL: c.url, Username: c.user, Password: redact.FromString(c.password)}
		if name == "literal" {
			conf.Username, conf.Password = "", redact.Secret{}
		}
		got, err := parse(conf, false)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if cc := got.ConnConfig; cc.User != c.user || cc.Password != c.password || cc.Host != c.host || cc.Database != c.database {
			t.Errorf("%s: user %q, password right %v, host %q, database %q", name, cc.User, cc.Password == c.password, cc.Host, cc.Database)
		}
	}
}

func TestRefusedURLs(t *testing.T) {
	for url, want := range map[string]string{
		"": "cannot be empty",
		"postgresql://{{username}}:canary@db:port/app":         "neither a URL",
		"postgresql://u:canary@db/app?sslmode=sideways":        "neither a URL",
		"postgresql://u:canary@db/app?passfile=/etc/shadow":    "must not name a passfile",
		"postgresql://u:canary@db/app?x=1&service%66ile=/tmp":  "must not name a servicefile",
		"host=db password=canary service=other":                "must not name a service",
		"host=db password=canary PASSFILE=/root/.pgpass x=y":   "must not name a passfile",
		"postgresql://u:canary@db/app?sslrootcert=/etc/shadow": "neither a URL",
	} {
		_, err := open(driver.Config{URL: url, Pool: driver.Pool{MaxOpen: 1}})
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

func TestRefusedDetails(t *testing.T) {
	for details, want := range map[string]string{
		`{"password_authentication":"md5"}`:               "password_authentication",
		`{"tls_ca":"canary"}`:                             "tls_ca",
		`{"tls_certificate":"canary","private_key":"c"}`:  "tls_certificate",
		`{"terminate_sessions":"canary"}`:                 "terminate_sessions",
		`{"tls_ca":"canary","connection_url":"disabled"}`: "sslmode",
	} {
		body, err := engine.ParseBody([]byte(details))
		if err != nil {
			t.Fatal(err)
		}
		url := "postgresql://db/app?sslmode=verify-full"
		if body.Has("connection_url") {
			url = "postgresql://db/app?sslmode=disable"
		}
		_, err = open(driver.Config{URL: url, Details: body, Pool: driver.Pool{MaxOpen: 1}})
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %q", details, err, want)
		}
	}
}
