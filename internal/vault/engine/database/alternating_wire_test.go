package database_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/dbtest"
)

// The policies of docs/engines/database.md, "Alternating roles".
const (
	operatorPolicy = `path "database/alternating-roles/orders/+" { capabilities = ["read", "update"] }`
	readerPolicy   = `path "database/alternating-creds/orders" { capabilities = ["read"] }
path "sys/events/subscribe/*" { capabilities = ["read"] }`
)

// serveTurns runs a vault with the alternating role "orders" of a PostgreSQL.
func serveTurns(t *testing.T) (*testenv.Vault, *dbtest.Server) {
	t.Helper()
	pg := dbtest.PostgreSQL(t)
	v := serve(t, pg, "postgresql-database-plugin", create)
	write(t, v, "database/alternating-roles/orders", map[string]any{
		"db_name": "db", "usernames": "orders_a,orders_b", "creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'`,
	})
	t.Cleanup(func() {
		m := &mount{t: t, pg: pg}
		m.sql(`DROP ROLE IF EXISTS orders_a`)
		m.sql(`DROP ROLE IF EXISTS orders_b`)
	})
	return v, pg
}

func status(err error) int {
	var res *vault.ResponseError
	if errors.As(err, &res) {
		return res.StatusCode
	}
	return 0
}

// A turn through the official client, by tokens that may do no more than their
// part, over a restart of the vault.
func TestWireTurn(t *testing.T) {
	v, pg := serveTurns(t)
	tokens := []string{v.Policy("operator", operatorPolicy), v.Policy("reader", readerPolicy)}
	operator, reader := v.NewClient(tokens[0]), v.NewClient(tokens[1])
	act := func(verb string, turn int, side string) (*vault.Secret, error) {
		return operator.Logical().Write("database/alternating-roles/orders/"+verb, map[string]any{"turn": turn, "side": side, "holder": "apps/orders"})
	}
	must := func(turn int, all ...string) (last *vault.Secret) {
		t.Helper()
		for _, a := range all {
			verb, side, _ := strings.Cut(a, " ")
			var err error
			if last, err = act(verb, turn, side); err != nil {
				t.Fatalf("%s: %v", a, err)
			}
		}
		return last
	}
	if _, err := reader.Logical().Read("database/alternating-creds/orders"); err != nil { // the client takes a 404 for an empty answer
		t.Errorf("before the first turn: %v", err)
	}
	if got := v.HTTP("GET", "database/alternating-creds/orders", nil); got.Status != 404 || !strings.Contains(got.Body, "published nothing yet") {
		t.Errorf("before the first turn: %d %s", got.Status, got.Body)
	}
	must(1, "stage", "publish new")
	if s := must(1, "close"); len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "no old credential") {
		t.Errorf("closing nothing: %v", s.Warnings)
	}
	must(1, "retire old")
	if s := must(2, "stage"); s.Data["step"] != "staged" || s.Data["version"] != json.Number("1") || s.Data["published"] != "old" || s.Data["new_username"] != "orders_b" {
		t.Errorf("the answer to stage: %v", s.Data)
	}
	v.Restart()
	v.Unseal()
	operator, reader = v.NewClient(tokens[0]), v.NewClient(tokens[1]) // it listens elsewhere now
	for what, c := range map[string]struct {
		verb string
		turn int
		want string
	}{
		"an old turn":  {"close", 1, "turn 1 is not the present one of the alternating role \"orders\": that is turn 2 (staged) of apps/orders"},
		"another turn": {"stage", 3, "cannot begin while another one"},
	} {
		if _, err := act(c.verb, c.turn, ""); status(err) != http.StatusConflict || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := operator.Logical().Write("database/alternating-roles/orders/stage", map[string]any{"turn": 2, "holder": "apps/other"})
	if status(err) != http.StatusConflict || !strings.Contains(err.Error(), "turned by apps/orders") {
		t.Errorf("another holder: %v", err)
	}
	if s := must(2, "publish new", "close", "reopen", "close", "retire old"); s.Data["step"] != "done" || s.Data["old_username"] != "orders_a" {
		t.Errorf("the answer to retire: %v", s.Data)
	}
	s, err := reader.Logical().Read("database/alternating-creds/orders")
	if err != nil || s == nil || s.Data["version"] != json.Number("2") || s.Data["rotation"] != "apps/orders" || s.Data["last_rotation"] == "" || s.LeaseID != "" || len(s.Data) != 5 {
		t.Fatalf("alternating-creds: %v, %v", s, err)
	}
	if err := login(pg, text(s, "username"), text(s, "password")); err != nil {
		t.Error(err)
	}
	if s, err := operator.Logical().Read("database/alternating-roles/orders/state"); err != nil || s.Data["step"] != "done" || s.Data["under_way"] != false || s.Data["version"] != json.Number("2") || s.Data["published"] != "new" {
		t.Errorf("state: %v, %v", s, err)
	}
	for path, c := range map[string]*vault.Client{"alternating-creds/orders": operator, "alternating-roles/orders/state": reader, "alternating-roles/orders": operator} {
		if _, err := c.Logical().Read("database/" + path); status(err) != http.StatusForbidden {
			t.Errorf("%s by who may not: %v", path, err)
		}
	}
}

// What is staged is given to its holder, by a right of its own, as long as readers
// are not given it; and it is what they are given then.
func TestWireStaged(t *testing.T) {
	v, pg := serveTurns(t)
	operator := v.NewClient(v.Policy("operator", operatorPolicy))
	lender := v.NewClient(v.Policy("lender", `path "database/alternating-staged/orders" { capabilities = ["read"] }`))
	act := func(verb string, turn int, side string) {
		t.Helper()
		if _, err := operator.Logical().Write("database/alternating-roles/orders/"+verb, map[string]any{"turn": turn, "side": side, "holder": "apps/orders"}); err != nil {
			t.Fatal(err)
		}
	}
	read := func(c *vault.Client, turn, holder string) (*vault.Secret, error) {
		return c.Logical().ReadWithData("database/alternating-staged/orders", map[string][]string{"turn": {turn}, "holder": {holder}})
	}
	refused := func(what, turn, holder, want string) {
		t.Helper()
		if _, err := read(lender, turn, holder); status(err) != http.StatusConflict || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	refused("before any turn", "1", "apps/orders", "turn 1 is not the present one")
	refused("no turn", "0", "", "turn 0 is not the present one")
	act("stage", 1, "")
	if _, err := read(operator, "1", "apps/orders"); status(err) != http.StatusForbidden {
		t.Errorf("by who moves turns: %v", err)
	}
	s, err := read(lender, "1", "apps/orders")
	if err != nil || len(s.Data) != 5 || s.Data["version"] != json.Number("1") {
		t.Fatalf("%v", err)
	}
	if err := login(pg, text(s, "username"), text(s, "password")); err != nil {
		t.Error(err)
	}
	refused("another holder", "1", "apps/other", "turned by apps/orders")
	refused("another turn", "2", "apps/orders", "turn 1 (staged)")
	act("publish", 1, "new")
	refused("published", "1", "apps/orders", "nothing that is staged and not published")
	shown, err := v.Logical().Read("database/alternating-creds/orders")
	if err != nil || text(shown, "password") != text(s, "password") || text(shown, "username") != text(s, "username") {
		t.Errorf("what was published is not what was staged (%v)", err)
	}
	act("retire", 1, "old")
	refused("done", "1", "apps/orders", "nothing that is staged")
	act("stage", 2, "")
	act("retire", 2, "new")
	refused("discarded", "2", "apps/orders", "nothing that is staged")
}

// Who may read the credential hears that there is another.
func TestWirePublishIsHeard(t *testing.T) {
	v, _ := serveTurns(t)
	conn := listen(t, v, v.Policy("reader", readerPolicy), "database/alternating-publish?json=true")
	for _, verb := range []string{"stage", "publish"} {
		write(t, v, "database/alternating-roles/orders/"+verb, map[string]any{"turn": 1, "side": "new"})
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, message, err := conn.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var heard struct {
		Data struct {
			Event struct{ Metadata map[string]string }
			Type  string `json:"event_type"`
		}
	}
	if err := json.Unmarshal(message, &heard); err != nil {
		t.Fatal(err)
	}
	if heard.Data.Type != "database/alternating-publish" || heard.Data.Event.Metadata["data_path"] != "database/alternating-creds/orders" {
		t.Errorf("heard %s", message)
	}
}

func listen(t *testing.T, v *testenv.Vault, token, what string) *websocket.Conn {
	t.Helper()
	ca, err := os.ReadFile(v.Server.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	conn, _, err := websocket.Dial(t.Context(), "wss"+strings.TrimPrefix(v.Server.URL(), "https")+"/v1/sys/events/subscribe/"+what, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, HTTPHeader: http.Header{"X-Vault-Token": {token}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

// Many ask for the same acts at once: each is done once, and all succeed.
func TestWireTurnsTogether(t *testing.T) {
	v, pg := serveTurns(t)
	for turn := 1; turn <= 3; turn++ {
		for _, a := range []string{"stage", "publish new", "close", "retire old"} {
			verb, side, _ := strings.Cut(a, " ")
			var wait sync.WaitGroup
			for range 6 {
				c := v.NewClient(v.Root)
				wait.Go(func() {
					if _, err := c.Logical().Write("database/alternating-roles/orders/"+verb, map[string]any{"turn": turn, "side": side}); err != nil {
						t.Errorf("turn %d, %s: %v", turn, a, err)
					}
				})
			}
			wait.Wait()
		}
		s := read(t, v, "database/alternating-creds/orders")
		if err := login(pg, text(s, "username"), text(s, "password")); err != nil {
			t.Errorf("turn %d: %v", turn, err)
		}
	}
}

// No log of ours, the audit log included, holds a password of a turn, and no
// answer but that of alternating-creds, whatever fails.
func TestWireTurnCanaries(t *testing.T) {
	v, pg := serveTurns(t)
	var secrets, answers []string
	keep := func(path string, body string) {
		res := v.HTTP("POST", "database/alternating-roles/orders/"+path, strings.NewReader(body))
		answers = append(answers, res.Body)
	}
	for _, turn := range []string{"1", "2"} {
		for _, a := range []string{"stage", "publish", "close", "retire"} {
			if a == "close" && turn == "2" {
				pg.Kill(t)
				keep(a, `{"turn":2,"side":"new"}`)
				pg.Start(t)
			}
			side := "new"
			if a == "retire" {
				side = "old"
			}
			keep(a, `{"turn":`+turn+`,"side":"`+side+`"}`)
		}
		s := read(t, v, "database/alternating-creds/orders")
		secrets = append(secrets, text(s, "password"))
	}
	write(t, v, "database/alternating-roles/orders", map[string]any{"creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'; SELECT '{{password}}'::int`})
	keep("stage", `{"turn":3}`)
	if last := answers[len(answers)-1]; !strings.Contains(last, "making the new user") {
		t.Errorf("bad statements: %s", last)
	}
	for _, path := range []string{"alternating-roles/orders", "alternating-roles/orders/state", "alternating-roles/orders/sessions"} {
		answers = append(answers, v.HTTP("GET", "database/"+path, nil).Body)
	}
	audit, err := os.ReadFile(v.AuditFile())
	if err != nil {
		t.Fatal(err)
	}
	all := v.Log.String() + string(audit) + strings.Join(answers, "\n")
	if !strings.Contains(all, "alternating-creds") || len(secrets) != 2 || secrets[0] == "" {
		t.Fatal("nothing was written")
	}
	for i, secret := range secrets {
		if strings.Contains(all, secret) {
			t.Errorf("password %d is in a log or an answer", i)
		}
	}
}
