package vault

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/providertest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault/vaulttest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault/writer"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// The suite of writes, for both versions of the engine.
func TestWriter(t *testing.T) {
	for _, version := range []string{"v2", "v1"} {
		t.Run(version, func(t *testing.T) {
			server := vaulttest.New().Start(t)
			settings := Settings{Server: server.URL, Path: "secret", Auth: tokenAuth()}
			w := providertest.Writing{
				Objects:  true,
				Versions: func(key string) int { _, n, _ := server.State(key); return n },
				Put:      server.Put,
				Before:   server.Before,
				Outage:   func() func() { server.Fail(500); return func() { server.Fail(0) } },
				OutageAfter: func(n int) func() {
					server.FailAfter(n, 500)
					return func() { server.Fail(0) }
				},
			}
			if version == "v1" {
				settings.Path, settings.Version = "kv1", "v1"
				w.Lossy, w.Mark, w.Versions, w.Put = true, writer.MarkV1, func(string) int { return server.Writes() }, server.PutV1
			}
			providertest.RunWriter(t, providertest.Harness{Provider: Provider{}, Cluster: cluster{"team/vault#token": "root"}, Settings: settings}, w)
		})
	}
}

func (f *fixture) push(t *testing.T, key, property, value, metadata string) error {
	t.Helper()
	return f.store.Write(t.Context(), provider.Write{
		Place: provider.Place{Key: key, Property: property}, Value: redact.FromString(value), Metadata: json.RawMessage(metadata),
	})
}

// facts §1.4: metadata of a PushSecret, merged or in place of what is there.
func TestWriteMetadata(t *testing.T) {
	f := newFixture(t, vaulttest.New(), nil)
	spec := func(s string) string {
		return `{"apiVersion":"kubernetes.external-secrets.io/v1alpha1","kind":"PushSecretMetadata","spec":` + s + `}`
	}
	for _, c := range []struct{ metadata, want string }{
		{"", `{"managed-by":"external-secrets"}`},
		{spec(`{"customMetadata":{"team":"a"}}`), `{"managed-by":"external-secrets","team":"a"}`},
		{spec(`{"customMetadata":{"env":"p"}}`), `{"env":"p","managed-by":"external-secrets","team":"a"}`},
		{spec(`{"customMetadata":{"x":"y"},"mergePolicy":"Replace"}`), `{"managed-by":"external-secrets","x":"y"}`},
		{"null", `{"managed-by":"external-secrets","x":"y"}`},
	} {
		if err := f.push(t, "about", "a", "1", c.metadata); err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(f.Meta("about")); err != nil || string(got) != c.want {
			t.Errorf("with %s: %s (%v), want %s", c.metadata, got, err, c.want)
		}
	}
	if _, n, _ := f.State("about"); n != 1 {
		t.Errorf("%d versions: metadata alone made some", n)
	}
	for metadata, words := range map[string]string{
		spec(`{"mergePolicy":"Sometimes"}`):                  "mergePolicy",
		spec(`{"customMetadata":{"managed-by":"somebody"}}`): "the operator's own",
		spec(`{"nope":1}`):                                   "nope",
		`[]`:                                                 "metadata of the PushSecret",
	} {
		if err := f.push(t, "about", "a", "2", metadata); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want invalid with %q", metadata, err, words)
		}
	}
}

// A secret whose last version a person deleted is written again only when it is
// ours; numbers and what else is there keep their digits.
func TestWriteOverDeleted(t *testing.T) {
	f := newFixture(t, vaulttest.New(), nil)
	if err := f.push(t, "ours", "a", "1", ""); err != nil {
		t.Fatal(err)
	}
	f.Delete("ours")
	f.Put("theirs", `{"a":"1"}`)
	f.Delete("theirs")
	if err := f.push(t, "ours", "b", "2", ""); err != nil {
		t.Error(err)
	}
	if got, n, _ := f.State("ours"); got != `{"b":"2"}` || n != 2 {
		t.Errorf("%s in %d versions", got, n)
	}
	if err := f.push(t, "theirs", "b", "2", ""); !errs.Is(err, errs.Conflict) {
		t.Errorf("%v, want conflict", err)
	}
	f.Put("ours", `{"n":1e400,"big":12345678901234567890}`)
	if err := f.push(t, "ours", "b", "<3>", ""); err != nil {
		t.Error(err)
	}
	if got, err := f.read(t, "ours"); err != nil || got != `{"b":"<3>","big":12345678901234567890,"n":1e400}` {
		t.Errorf("%s (%v)", got, err)
	}
}

// A refusal names the right that is missing.
func TestWriteDenied(t *testing.T) {
	f := newFixture(t, vaulttest.New(), nil)
	for path, words := range map[string]string{
		"secret/metadata/x": `"read" on "secret/metadata/x"`, "secret/data/x": `on "secret/data/x"`,
	} {
		f.Deny(path)
		if err := f.push(t, "x", "a", "1", ""); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want denied with %s", path, err, words)
		}
		f.Allow(path)
	}
}

// What the server says of a value that it does not take is not a crossing.
func TestWriteRefused(t *testing.T) {
	server := vaulttest.New()
	server.Answer = func(method, path string, _ []byte) (int, any, bool) {
		return http.StatusBadRequest, "no", method == http.MethodPut && strings.HasPrefix(path, "secret/data/") || method == http.MethodPost && strings.HasPrefix(path, "secret/data/")
	}
	f := newFixture(t, server, nil)
	if err := f.push(t, "x", "a", "1", ""); !errs.Is(err, errs.Invalid) || f.Count("secret/data/x") > 3 {
		t.Errorf("%v after %d requests, want invalid at once", err, f.Count("secret/data/x"))
	}
}
