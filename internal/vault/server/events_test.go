package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// heard is what a subscriber gets (Vault's shape of a CloudEvent).
type heard struct {
	ID, Source, SpecVersion, Type, DataContentType string
	Time                                           time.Time
	Data                                           struct {
		Event struct {
			ID       string
			Metadata map[string]string
		}
		EventType  string            `json:"event_type"`
		PluginInfo map[string]string `json:"plugin_info"`
	}
}

// subscribe opens a stream, over HTTP/1.1 as WebSockets need it.
func subscribe(t testing.TB, v *testenv.Vault, token, glob string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(must[[]byte](t)(os.ReadFile(v.Server.CAFile())))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	url := "wss" + strings.TrimPrefix(v.Server.URL(), "https") + "/v1/sys/events/subscribe/" + glob
	conn, res, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, HTTPHeader: http.Header{"X-Vault-Token": {token}},
	})
	if err == nil {
		t.Cleanup(func() { _ = conn.CloseNow() })
	}
	return conn, res, err
}

// next reads one event.
func next(t testing.TB, conn *websocket.Conn) heard {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, message, err := conn.Read(ctx)
	check(t, err)
	var h heard
	check(t, json.Unmarshal(message, &h))
	return h
}

// wantClosed waits for the end of a stream.
func wantClosed(t testing.TB, conn *websocket.Conn, code websocket.StatusCode, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, message, err := conn.Read(ctx)
	if websocket.CloseStatus(err) != code || !strings.Contains(err.Error(), text) {
		t.Errorf("the stream ended with %v after %q, want status %d and %q", err, message, code, text)
	}
}

// Issue 2, point 5: changes are heard, by those who may read what changed.
func TestEvents(t *testing.T) {
	v := start(t)
	token := v.Policy("listener", `path "sys/events/subscribe/*" { capabilities = ["read"] }
		path "secret/data/app/*" { capabilities = ["read"] }`)
	conn, _, err := subscribe(t, v, token, "kv-v2/*?json=true")
	check(t, err)
	kv, ctx := v.KVv2("secret"), t.Context()
	must[*vault.KVSecret](t)(kv.Put(ctx, "private", map[string]any{"x": "canary"})) // which the token may not read
	must[*vault.KVSecret](t)(kv.Put(ctx, "app/a", map[string]any{"x": "canary"}))
	check(t, v.KVv1("kv").Put(ctx, "app/a", map[string]any{"x": "canary"})) // of another type
	check(t, kv.Delete(ctx, "app/a"))
	check(t, kv.Undelete(ctx, "app/a", []int{1}))
	check(t, kv.DeleteMetadata(ctx, "app/a"))
	for i, want := range []string{"data-write data/app/a", "data-delete data/app/a", "undelete undelete/app/a", "metadata-delete metadata/app/a"} {
		operation, path, _ := strings.Cut(want, " ")
		h := next(t, conn)
		m := h.Data.Event.Metadata
		if h.Data.EventType != "kv-v2/"+operation || m["path"] != "secret/"+path || m["data_path"] != "secret/data/app/a" || m["operation"] != operation {
			t.Errorf("event %d is %+v, want %s", i, h, want)
		}
		if h.SpecVersion != "1.0" || h.ID == "" || h.Source == "" || h.Time.IsZero() || h.Data.PluginInfo["mount_path"] != "secret/" {
			t.Errorf("event %d lacks what a CloudEvent has: %+v", i, h)
		}
	}
	check(t, v.Auth().Token().RevokeTree(token))
	must[*vault.KVSecret](t)(kv.Put(ctx, "app/a", map[string]any{"x": "2"}))
	wantClosed(t, conn, websocket.StatusPolicyViolation, "permission denied")
}

// A changed policy, a disabled auth method and sealing end or silence streams at once.
func TestEventsEnd(t *testing.T) {
	v, c := start(t), newCluster(t)
	const listener = `path "sys/events/subscribe/*" { capabilities = ["read"] }
		path "secret/data/app/*" { capabilities = ["read"] }`
	kubernetesAuth(t, v, c)
	check(t, v.Sys().PutPolicy("app", listener))
	login := must[*vault.Secret](t)(v.NewClient("").Logical().Write("auth/kubernetes/login",
		map[string]any{"role": "app", "jwt": c.issue(t, "prod", "web", time.Hour)})).Auth.ClientToken
	ofMethod, _, err := subscribe(t, v, login, "kv-v2/data-*?json=true")
	check(t, err)
	narrowed, _, err := subscribe(t, v, v.Policy("narrow", listener), "kv-v2/data-*?json=1")
	check(t, err)
	root, _, err := subscribe(t, v, v.Root, "*?json=true")
	check(t, err)
	put := func(path string) {
		t.Helper()
		must[*vault.KVSecret](t)(v.KVv2("secret").Put(t.Context(), path, map[string]any{"x": "1"}))
	}
	put("app/one")
	for _, conn := range []*websocket.Conn{ofMethod, narrowed, root} {
		if got := next(t, conn).Data.Event.Metadata["path"]; got != "secret/data/app/one" {
			t.Errorf("heard of %s", got)
		}
	}
	check(t, v.Sys().PutPolicy("narrow", strings.Replace(listener, "app/*", "app/two", 1)))
	check(t, v.Sys().DisableAuth("kubernetes"))
	put("app/one")
	put("app/two")
	wantClosed(t, ofMethod, websocket.StatusPolicyViolation, "permission denied")
	if got := next(t, narrowed).Data.Event.Metadata["path"]; got != "secret/data/app/two" {
		t.Errorf("after its policy was narrowed it heard of %s", got)
	}
	check(t, v.Sys().Seal())
	wantClosed(t, narrowed, websocket.StatusGoingAway, "subscribe again")
	_, res, err := subscribe(t, v, v.Root, "*?json=true")
	if err == nil || res.StatusCode != 503 {
		t.Errorf("subscribing to a sealed vault: %v", err)
	}
}

// What is refused before the stream begins, with an answer like any other.
func TestEventsRefused(t *testing.T) {
	v := start(t)
	low := create(t, v, vault.TokenCreateRequest{Policies: []string{"default"}}).ClientToken
	for name, c := range map[string]struct {
		token, glob string
		status      int
	}{
		"no policy": {low, "kv-v2/*?json=true", 403}, "no token": {"", "kv-v2/*?json=true", 403}, "unknown token": {"hvs.x", "kv-v2/*?json=true", 403},
		"not as JSON": {v.Root, "kv-v2/*", 400}, "no type": {v.Root, "?json=true", 400}, "dots": {v.Root, "../x?json=true", 400},
	} {
		_, res, err := subscribe(t, v, c.token, c.glob)
		if err == nil || res == nil || res.StatusCode != c.status {
			t.Errorf("%s: %v, want status %d", name, err, c.status)
		}
	}
	a := send(v, "GET", "sys/events/subscribe/kv-v2/*?json=true", "")
	if a.Status != 400 || !strings.Contains(a.Body, "WebSocket") {
		t.Errorf("without an upgrade: %d %s", a.Status, a.Body)
	}
	wantStatus(t, send(v, "POST", "sys/events/subscribe/kv-v2/*?json=true", "{}"), 405)
}

// A server that stops says so to its subscribers instead of hanging on them.
func TestEventsEndWithTheServer(t *testing.T) {
	v := start(t)
	conn, _, err := subscribe(t, v, v.Root, "*?json=true")
	check(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		wantClosed(t, conn, websocket.StatusGoingAway, "subscribe again")
	}()
	v.Restart()
	<-done
}
