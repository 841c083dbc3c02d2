package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

// The tests of this package speak to the whole vault over HTTPS: with the
// official client wherever it has the operation, and raw where it hides what
// counts. Each cites the section of facts/vault-api.md that it holds.

// Texts that clients compare with (§2.1).
const (
	textBadToken    = "permission denied"
	textDenied      = "1 error occurred:\n\t* permission denied\n\n"
	textSealed      = "Vault is sealed"
	textUnsupported = "1 error occurred:\n\t* unsupported path\n\n"
	textOperation   = "1 error occurred:\n\t* unsupported operation\n\n"
)

const emptyErrors = `{"errors":[]}` + "\n"

// start runs a vault with kv version 2 at secret/ and version 1 at kv/.
func start(t testing.TB) *testenv.Vault {
	t.Helper()
	v := testenv.Start(t, nil)
	mount(t, v, "secret", "kv-v2")
	mount(t, v, "kv", "kv-v1")
	return v
}

// clock is a time that a test moves.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *clock) advance(d time.Duration) { c.offset.Add(int64(d)) }

// startAt is start with a clock.
func startAt(t testing.TB) (*testenv.Vault, *clock) {
	t.Helper()
	c := new(clock)
	v := testenv.Start(t, func(cfg *app.ServerConfig) { cfg.Now = c.now })
	mount(t, v, "secret", "kv-v2")
	mount(t, v, "kv", "kv-v1")
	return v, c
}

func mount(t testing.TB, v *testenv.Vault, path, kind string) {
	t.Helper()
	if err := v.Sys().Mount(path, &vault.MountInput{Type: kind}); err != nil {
		t.Fatal(err)
	}
}

// send is one raw request with a body of JSON.
func send(v *testenv.Vault, method, path, body string, headers ...string) testenv.Answer {
	return v.HTTP(method, path, strings.NewReader(body), headers...)
}

// wantStatus fails the test unless the answer has the status.
func wantStatus(t testing.TB, a testenv.Answer, status int) {
	t.Helper()
	if a.Status != status {
		t.Fatalf("status %d, want %d: %s", a.Status, status, a.Body)
	}
}

// wantErrors fails the test unless the answer is just these errors.
func wantErrors(t testing.TB, a testenv.Answer, status int, texts ...string) {
	t.Helper()
	wantStatus(t, a, status)
	var got struct{ Errors []string }
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
	if !slices.Equal(got.Errors, texts) {
		t.Fatalf("errors %q, want %q", got.Errors, texts)
	}
}

// object decodes an answer's body.
func object(t testing.TB, a testenv.Answer) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.Body), &m); err != nil {
		t.Fatalf("status %d: %v: %s", a.Status, err, a.Body)
	}
	return m
}

// data is the envelope's data.
func data(t testing.TB, a testenv.Answer) map[string]any {
	t.Helper()
	m, _ := object(t, a)["data"].(map[string]any)
	if m == nil {
		t.Fatalf("status %d: no data: %s", a.Status, a.Body)
	}
	return m
}

func keys[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func wantKeys[V any](t testing.TB, what string, m map[string]V, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := keys(m); !slices.Equal(got, want) {
		t.Errorf("%s has the keys %q, want %q", what, got, want)
	}
}

// wantFailure fails the test unless err is the client's view of this answer.
func wantFailure(t testing.TB, err error, status int, text string) {
	t.Helper()
	var re *vault.ResponseError
	if !errors.As(err, &re) {
		t.Fatalf("error %v, want status %d", err, status)
	}
	if re.StatusCode != status || !strings.Contains(strings.Join(re.Errors, "\n"), text) {
		t.Fatalf("status %d, errors %q; want %d and %q", re.StatusCode, re.Errors, status, text)
	}
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var volatile = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|hv[sb]\.[A-Za-z0-9_-]+|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z`)

// masked replaces request IDs, tokens and times by a dash.
func masked(body string) string { return volatile.ReplaceAllString(body, "-") }

// create makes a token as the root token.
func create(t testing.TB, v *testenv.Vault, in vault.TokenCreateRequest) *vault.SecretAuth {
	t.Helper()
	return must[*vault.Secret](t)(v.Auth().Token().Create(&in)).Auth
}

// plain is the HTTP client that trusts the vault's CA.
func plain(v *testenv.Vault) *http.Client { return v.Client.CloneConfig().HttpClient }

// dial opens a TLS connection that speaks HTTP/1.1.
func dial(t testing.TB, v *testenv.Vault) *tls.Conn {
	t.Helper()
	ca, err := os.ReadFile(v.Server.CAFile())
	check(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	conn, err := tls.Dial("tcp", v.Server.Addr(), &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	check(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func jsonUnmarshal(text string, v any) error { return json.Unmarshal([]byte(text), v) }

func equal(a, b any) bool { return reflect.DeepEqual(a, b) }

// quote is s as a JSON string.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}
