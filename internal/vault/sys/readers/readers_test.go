package readers_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/base"
)

const canary = "planted-value-7f3a"

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type client struct {
	Accessor, Role           string
	DisplayName              string `json:"display_name"`
	EntityID                 string `json:"entity_id"`
	EntityName               string `json:"entity_name"`
	AuthPath                 string `json:"auth_path"`
	Remote                   string `json:"remote_address"`
	TokenType                string `json:"token_type"`
	Count, Version           int64
	Live, Own, Leased        bool
	Leases                   int
	First, Last              time.Time
	Expires, OldestLeaseTime *time.Time
}

type answer struct {
	Path         string
	Since, Until time.Time
	Complete     bool
	Incomplete   []string
	Clients      []client
}

// ask asks who has read path, by token.
func ask(t *testing.T, v *testenv.Vault, token, path string, since time.Time, own ...string) answer {
	t.Helper()
	body, err := json.Marshal(map[string]any{"since": since.Format(time.RFC3339Nano), "own_accessors": own})
	check(t, err)
	a := v.HTTP("POST", "sys/readers/"+path, strings.NewReader(string(body)), "X-Vault-Token", token)
	var s struct{ Data answer }
	if err := json.Unmarshal([]byte(a.Body), &s); err != nil || a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if strings.Contains(a.Body, canary) {
		t.Errorf("the answer holds a value: %s", a.Body)
	}
	if base.Etcd(t) { // which other nodes may serve too
		if s.Data.Complete || !strings.Contains(strings.Join(s.Data.Incomplete, " "), "other nodes") {
			t.Errorf("complete beside other nodes: %v", s.Data.Incomplete)
		}
		s.Data.Incomplete = s.Data.Incomplete[:len(s.Data.Incomplete)-1]
		s.Data.Complete = len(s.Data.Incomplete) == 0
	}
	return s.Data
}

// others are the clients that are not the caller's own.
func (a answer) others() (out []client) {
	for _, c := range a.Clients {
		if !c.Own {
			out = append(out, c)
		}
	}
	return out
}

type fixture struct {
	*testenv.Vault
	t      *testing.T
	before time.Time // the log reaches back to before it
}

func start(t *testing.T) *fixture {
	t.Helper()
	v := testenv.Start(t, nil)
	check(t, v.Sys().Mount("secret", &vault.MountInput{Type: "kv-v2"}))
	check(t, v.Sys().Mount("flat", &vault.MountInput{Type: "kv"}))
	f := &fixture{Vault: v, t: t, before: time.Now()}
	f.put()
	return f
}

func (f *fixture) put() {
	f.t.Helper()
	_, err := f.Logical().Write("secret/data/app", map[string]any{"data": map[string]any{"password": canary}})
	check(f.t, err)
}

// userpass logs in as name, which is an entity then, and returns a client of it.
func (f *fixture) userpass(name string) (*vault.Client, string) {
	f.t.Helper()
	if _, there := f.auths()["userpass/"]; !there {
		check(f.t, f.Sys().EnableAuthWithOptions("userpass", &vault.EnableAuthOptions{Type: "userpass"}))
		check(f.t, f.Sys().PutPolicy("reads", `path "secret/data/*" { capabilities = ["read"] }
path "flat/*" { capabilities = ["read"] }`))
	}
	_, err := f.Logical().Write("auth/userpass/users/"+name, map[string]any{"password": "pw-" + name, "token_policies": "reads", "token_ttl": "1h"})
	check(f.t, err)
	s, err := f.Logical().Write("auth/userpass/login/"+name, map[string]any{"password": "pw-" + name})
	check(f.t, err)
	return f.NewClient(s.Auth.ClientToken), s.Auth.Accessor
}

func (f *fixture) auths() map[string]*vault.AuthMount {
	all, err := f.Sys().ListAuth()
	check(f.t, err)
	return all
}

func (f *fixture) read(c *vault.Client, path string) {
	f.t.Helper()
	path, version, old := strings.Cut(path, "?version=")
	var query map[string][]string
	if old {
		query = map[string][]string{"version": {version}}
	}
	if s, err := c.Logical().ReadWithData(path, query); err != nil || s == nil {
		f.t.Fatalf("reading %s: %v, %v", path, s, err)
	}
}

// Who reads by the official client is known: who it is, which version it has, how
// often and when it read, and whether it can read again.
func TestWhoHasRead(t *testing.T) {
	f := start(t)
	web, accessor := f.userpass("web")
	f.read(web, "secret/data/app")
	f.put()
	f.read(web, "secret/data/app")
	f.read(web, "secret/data/app?version=1")
	f.read(web, "secret/data/app")
	a := ask(t, f.Vault, f.Root, "secret/data/app", f.before)
	if !a.Complete || len(a.Incomplete) > 0 || len(a.others()) != 1 {
		t.Fatalf("%+v", a)
	}
	c := a.others()[0]
	if c.DisplayName != "userpass-web" || c.EntityID == "" || c.EntityName == "" || c.AuthPath != "auth/userpass/login/web" || c.Remote != "127.0.0.1" || c.TokenType != "service" {
		t.Errorf("who: %+v", c)
	}
	if c.Count != 4 || c.Version != 2 || !c.Live || c.Expires == nil || c.Leased || c.Last.Before(c.First) || c.First.Before(f.before.Truncate(time.Second)) {
		t.Errorf("what: %+v", c)
	}
	if !strings.HasPrefix(c.Accessor, "hmac-sha256:") || strings.Contains(fmt.Sprint(a), accessor) {
		t.Errorf("the accessor is shown: %+v", c)
	}
	f.read(web, "secret/data/app?version=1") // the last one counts
	if c := ask(t, f.Vault, f.Root, "secret/data/app", f.before).others()[0]; c.Version != 1 || c.Count != 5 {
		t.Errorf("after the old one was read again: %+v", c)
	}
	check(t, web.Auth().Token().RevokeSelf(""))
	if c := ask(t, f.Vault, f.Root, "secret/data/app", f.before).others()[0]; c.Live || c.Count != 5 || c.EntityName == "" {
		t.Errorf("after its token ended: %+v", c)
	}
	if all := ask(t, f.Vault, f.Root, "secret/data/app", time.Now()).others(); len(all) != 0 {
		t.Errorf("nobody has read it since: %+v", all)
	}
}

// What is no read of this path does not count: other paths, answers that held
// nothing, refusals, writes.
func TestWhatIsNoRead(t *testing.T) {
	f := start(t)
	web, _ := f.userpass("web")
	denied := f.NewClient(f.Policy("nothing", `path "x" { capabilities = ["read"] }`))
	if _, err := denied.Logical().Read("secret/data/app"); err == nil {
		t.Fatal("read without a right")
	}
	_, err := f.Logical().Write("secret/data/app/below", map[string]any{"data": map[string]any{"k": canary}})
	check(t, err)
	f.read(web, "secret/data/app/below")
	f.read(f.Client, "secret/metadata/app")
	_, err = f.Logical().Delete("secret/data/app")
	check(t, err)
	if s, err := web.Logical().Read("secret/data/app"); err != nil || s != nil && s.Data["data"] != nil {
		t.Fatalf("%v, %v", s, err)
	}
	if a := ask(t, f.Vault, f.Root, "secret/data/app", f.before); len(a.Clients) != 0 || !a.Complete {
		t.Errorf("%+v", a)
	}
	if a := ask(t, f.Vault, f.Root, "secret/data/app/below", f.before); len(a.others()) != 1 {
		t.Errorf("%+v", a)
	}
}

// Own tokens are told apart: the one that asks, and those that it names.
func TestOwn(t *testing.T) {
	f := start(t)
	web, webs := f.userpass("web")
	batch, _ := f.userpass("other")
	operator := f.Policy("operator", `path "secret/data/app" { capabilities = ["read"] }
path "sys/readers/secret/data/app" { capabilities = ["update"] }`)
	for _, c := range []*vault.Client{web, batch, f.NewClient(operator)} {
		f.read(c, "secret/data/app")
	}
	names := func(a answer) (s string) {
		for _, c := range a.others() {
			s += c.DisplayName + " "
		}
		return s
	}
	if got := names(ask(t, f.Vault, operator, "secret/data/app", f.before)); got != "userpass-other userpass-web " {
		t.Errorf("others %q", got)
	}
	if got := names(ask(t, f.Vault, operator, "secret/data/app", f.before, webs)); got != "userpass-other " {
		t.Errorf("others %q", got)
	}
}

// Batch tokens have no accessor, and end by themselves.
func TestBatchTokens(t *testing.T) {
	f := start(t)
	f.userpass("job")
	_, err := f.Logical().Write("auth/userpass/users/job", map[string]any{"password": "pw-job", "token_policies": "reads", "token_ttl": "1h", "token_type": "batch"})
	check(t, err)
	s, err := f.Logical().Write("auth/userpass/login/job", map[string]any{"password": "pw-job"})
	check(t, err)
	f.read(f.NewClient(s.Auth.ClientToken), "secret/data/app")
	all := ask(t, f.Vault, f.Root, "secret/data/app", f.before).others()
	if len(all) != 1 || all[0].Accessor != "" || all[0].TokenType != "batch" || !all[0].Live || all[0].Expires == nil || time.Until(*all[0].Expires) > time.Hour {
		t.Errorf("%+v", all)
	}
}

// The right is by path, and by no other: who may not ask is told which is missing.
func TestRight(t *testing.T) {
	f := start(t)
	token := f.Policy("narrow", `path "sys/readers/secret/data/app" { capabilities = ["update"] }`)
	ask(t, f.Vault, token, "secret/data/app", f.before)
	for _, path := range []string{"sys/readers/secret/data/app/below", "sys/readers/flat/x", "sys/readers/secret/data"} {
		if a := f.HTTP("POST", path, strings.NewReader(`{"since":"2026-01-01T00:00:00Z"}`), "X-Vault-Token", token); a.Status != 403 {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
}

func TestBadQuestions(t *testing.T) {
	f := start(t)
	for _, c := range []struct{ path, body, want string }{
		{"secret/data/app", `{}`, "since must be a time"},
		{"secret/data/app", `{"since":"yesterday"}`, "since must be a time"},
		{"nowhere/x", `{"since":"2026-01-01T00:00:00Z"}`, "with its mount"},
		{"secret", `{"since":"2026-01-01T00:00:00Z"}`, "with its mount"},
		{"secret/data/app", `{"since":"2026-01-01T00:00:00Z","own_accessors":["` + strings.Repeat(`x","`, 1000) + `x"]}`, "the most is 1000"},
	} {
		if a := f.HTTP("POST", "sys/readers/"+c.path, strings.NewReader(c.body)); a.Status != 400 || !strings.Contains(a.Body, c.want) {
			t.Errorf("%s %.80s: %d %s", c.path, c.body, a.Status, a.Body)
		}
	}
}

// In a namespace the path is that of the namespace, and its parents see it with
// the namespace before it.
func TestNamespaces(t *testing.T) {
	f := start(t)
	_, err := f.Logical().Write("sys/namespaces/team", nil)
	check(t, err)
	check(t, f.WithNamespace("team").Sys().Mount("secret", &vault.MountInput{Type: "kv-v2"}))
	_, err = f.Logical().Write("team/secret/data/app", map[string]any{"data": map[string]any{"k": canary}})
	check(t, err)
	check(t, f.WithNamespace("team").Sys().PutPolicy("p", `path "secret/data/app" { capabilities = ["read"] }`))
	s, err := f.WithNamespace("team").Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"p"}})
	check(t, err)
	within := f.NewClient(s.Auth.ClientToken)
	within.SetNamespace("team")
	f.read(within, "secret/data/app")
	f.read(f.Client, "secret/data/app")
	all := ask(t, f.Vault, f.Root, "team/secret/data/app", f.before).others()
	if len(all) != 1 || !all[0].Live {
		t.Errorf("%+v", all)
	}
	if all := ask(t, f.Vault, f.Root, "secret/data/app", f.before).others(); len(all) != 0 { // root's own read it
		t.Errorf("%+v", all)
	}
}

// Logs that are moved aside are read too, compressed or not; one that does not
// reach back is said not to.
func TestRotatedLogs(t *testing.T) {
	f := start(t)
	web, _ := f.userpass("web")
	f.read(web, "secret/data/app")
	count := func() int64 {
		t.Helper()
		a := ask(t, f.Vault, f.Root, "secret/data/app", f.before)
		if !a.Complete || len(a.others()) != 1 {
			t.Fatalf("%+v", a)
		}
		return a.others()[0].Count
	}
	if n := count(); n != 1 {
		t.Errorf("%d reads", n)
	}
	check(t, os.Rename(f.AuditFile(), f.AuditFile()+".1"))
	f.read(web, "secret/data/app")
	if n := count(); n != 2 {
		t.Errorf("%d reads after the log was moved aside", n)
	}
	compress(t, f.AuditFile()+".1", f.AuditFile()+".2.gz")
	f.read(web, "secret/data/app")
	if n := count(); n != 3 {
		t.Errorf("%d reads after the old log was compressed", n)
	}
	check(t, os.Remove(f.AuditFile()+".2.gz"))
	a := ask(t, f.Vault, f.Root, "secret/data/app", f.before)
	if a.Complete || len(a.Incomplete) != 1 || !strings.Contains(a.Incomplete[0], "reaches back to") || a.others()[0].Count != 2 {
		t.Errorf("after the old log was deleted: %+v", a)
	}
}

func compress(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	check(t, err)
	defer in.Close()
	out, err := os.Create(to)
	check(t, err)
	z := gzip.NewWriter(out)
	_, err = io.Copy(z, in)
	check(t, err)
	check(t, z.Close())
	check(t, out.Close())
	check(t, os.Remove(from))
}

// Without a log that can be searched nothing but leases is known, and it is said.
func TestNoLogToSearch(t *testing.T) {
	f := start(t)
	web, accessor := f.userpass("web")
	f.read(web, "secret/data/app")
	check(t, f.Sys().EnableAuditWithOptions("out", &vault.EnableAuditOptions{Type: "socket", Options: map[string]string{"address": "127.0.0.1:9", "socket_type": "udp", "required": "false"}}))
	for path := range must(f.Sys().ListAudit()) {
		if path != "out/" {
			check(t, f.Sys().DisableAudit(path))
		}
	}
	a := ask(t, f.Vault, f.Root, "secret/data/app", f.before)
	if a.Complete || len(a.Clients) != 0 || len(a.Incomplete) != 1 || !strings.Contains(a.Incomplete[0], "cannot be read again") {
		t.Errorf("%+v", a)
	}
	check(t, f.Sys().DisableAudit("out"))
	a = ask(t, f.Vault, f.Root, "secret/data/app", f.before)
	if a.Complete || len(a.Incomplete) != 1 || !strings.Contains(a.Incomplete[0], "no audit device") || strings.Contains(fmt.Sprint(a), accessor) {
		t.Errorf("%+v", a)
	}
}

// A device that is enabled anew has another key: whom its log names from before cannot
// be told from those who have ended, and is not taken for such silently.
func TestDeviceEnabledAnew(t *testing.T) {
	f := start(t)
	web, _ := f.userpass("web")
	f.read(web, "secret/data/app")
	if a := ask(t, f.Vault, f.Root, "secret/data/app", f.before); !a.Complete || !a.others()[0].Live {
		t.Fatalf("%+v", a)
	}
	for path, d := range must(f.Sys().ListAudit()) {
		check(t, f.Sys().DisableAudit(path))
		check(t, f.Sys().EnableAuditWithOptions(path, &vault.EnableAuditOptions{Type: d.Type, Options: d.Options}))
	}
	anew := time.Now()
	a := ask(t, f.Vault, f.Root, "secret/data/app", f.before)
	if a.Complete || len(a.Incomplete) != 1 || !strings.Contains(a.Incomplete[0], "was enabled at") {
		t.Errorf("%+v", a)
	}
	f.read(web, "secret/data/app")
	for range 2 { // what is remembered is of the present key
		if a = ask(t, f.Vault, f.Root, "secret/data/app", anew); !a.Complete || len(a.others()) != 1 || !a.others()[0].Live {
			t.Errorf("since then: %+v", a)
		}
	}
}

// Devices that write accessors as they are, or lines with something before them,
// and those that are not required.
func TestOtherDevices(t *testing.T) {
	f := start(t)
	web, accessor := f.userpass("web")
	for path := range must(f.Sys().ListAudit()) {
		check(t, f.Sys().DisableAudit(path))
	}
	check(t, f.Sys().EnableAuditWithOptions("plain", &vault.EnableAuditOptions{Type: "file", Options: map[string]string{
		"file_path": filepath.Join(f.Config.DataDir, "audit", "plain.log"), "hmac_accessor": "false", "prefix": "@cee: ", "required": "false", "log_raw": "true",
	}}))
	since := time.Now()
	f.read(web, "secret/data/app")
	var a answer
	for deadline := time.Now().Add(time.Minute); len(a.Clients) == 0 && time.Now().Before(deadline); { // nobody waits for its lines
		a = ask(t, f.Vault, f.Root, "secret/data/app", since)
	}
	if a.Complete || !strings.Contains(strings.Join(a.Incomplete, " "), "not required") {
		t.Errorf("complete: %+v", a)
	}
	if len(a.Clients) != 1 || !a.Clients[0].Live || a.Clients[0].Version != 1 || strings.Contains(fmt.Sprint(a), accessor) {
		t.Errorf("%+v", a)
	}
}

// A path may have what is a wildcard in a search.
func TestWildcardsInPaths(t *testing.T) {
	f := start(t)
	for _, name := range []string{"a*b", "a+b", "axb"} {
		_, err := f.Logical().Write("flat/"+name, map[string]any{"k": canary})
		check(t, err)
		f.read(f.Client, "flat/"+name)
	}
	for _, name := range []string{"a*b", "a+b", "axb"} {
		if all := ask(t, f.Vault, f.Root, "flat/"+name, f.before).Clients; len(all) != 1 || all[0].Count != 1 || all[0].Version != 0 {
			t.Errorf("%s: %+v", name, all)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Who was given a lease is known while it lives, also where no log says so.
func TestLeases(t *testing.T) {
	f := start(t)
	check(t, f.Sys().Mount("pki", &vault.MountInput{Type: "pki"}))
	for path, body := range map[string]map[string]any{
		"pki/root/generate/internal": {"common_name": "example.com"},
		"pki/roles/web":              {"allow_any_name": true, "generate_lease": true, "ttl": "1h"},
	} {
		_, err := f.Logical().Write(path, body)
		check(t, err)
	}
	token := f.Policy("issue", `path "pki/issue/web" { capabilities = ["update"] }`)
	issue := func() string {
		s, err := f.NewClient(token).Logical().Write("pki/issue/web", map[string]any{"common_name": "a.example.com"})
		check(t, err)
		return s.LeaseID
	}
	ids := []string{issue(), issue()}
	one := func(a answer) client {
		t.Helper()
		if all := a.others(); len(all) == 1 {
			return all[0]
		}
		t.Fatalf("%+v", a)
		return client{}
	}
	if c := one(ask(t, f.Vault, f.Root, "pki/issue/web", f.before)); c.Leases != 2 || !c.Leased || c.Count != 2 || !c.Live {
		t.Errorf("%+v", c)
	}
	check(t, f.Sys().Revoke(ids[0]))
	if c := one(ask(t, f.Vault, f.Root, "pki/issue/web", time.Now())); c.Leases != 1 || !c.Leased || c.Count != 0 || !c.Live || c.DisplayName != "token" {
		t.Errorf("by its lease alone: %+v", c)
	}
	check(t, f.Sys().Revoke(ids[1]))
	if all := ask(t, f.Vault, f.Root, "pki/issue/web", time.Now()).others(); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	if c := one(ask(t, f.Vault, f.Root, "pki/issue/web", f.before)); c.Leases != 0 || !c.Leased || c.Count != 2 {
		t.Errorf("after its leases ended: %+v", c)
	}
}
