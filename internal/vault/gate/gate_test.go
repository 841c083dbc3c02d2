package gate

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/base"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/devices"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/cubbyhole"
	"github.com/strongkeep/strongkeep/internal/vault/gate/path"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/seal/rootkey"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/fault"
	"github.com/strongkeep/strongkeep/internal/vault/token"
	"github.com/strongkeep/strongkeep/internal/vault/unsealed"
)

// recorder is an audit device that keeps its lines and can be broken.
type recorder struct {
	mu     sync.Mutex
	lines  []map[string]any
	broken error
}

func (r *recorder) Write(lines []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return r.broken
	}
	for line := range strings.SplitSeq(strings.TrimSpace(string(lines)), "\n") {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			return err
		}
		r.lines = append(r.lines, m)
	}
	return nil
}

func (r *recorder) Reload() error  { return nil }
func (r *recorder) Target() string { return "memory" }
func (r *recorder) Close() error   { return nil }

func (r *recorder) breakWith(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = err
}

// of returns "type operation error" of each line about path.
func (r *recorder) of(path string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, m := range r.lines {
		req, _ := m["request"].(map[string]any)
		if req["path"] != path {
			continue
		}
		text, _ := m["error"].(string)
		out = append(out, strings.TrimSpace(m["type"].(string)+" "+req["operation"].(string)+" "+text))
	}
	return out
}

// lab is an engine whose handlers a test replaces.
type lab struct {
	mu       sync.Mutex
	handlers map[string]engine.Handler // by "operation path"
}

func (l *lab) Close() error { return nil }

func (l *lab) on(key string, h engine.Handler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handlers[key] = h
}

func (l *lab) handle(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	l.mu.Lock()
	h := l.handlers[req.Operation.String()+" "+req.Path]
	l.mu.Unlock()
	if h == nil {
		return nil, errs.New(errs.Internal, "the test has no handler for "+req.Operation.String()+" "+req.Path)
	}
	return h(ctx, tx, req)
}

func (l *lab) Routes() []engine.Route {
	all := map[engine.Operation]engine.Handler{
		engine.Read: l.handle, engine.Update: l.handle, engine.Create: l.handle, engine.Delete: l.handle, engine.List: l.handle,
	}
	exists := func(ctx context.Context, tx engine.Tx, req *engine.Request) (bool, error) {
		e, err := tx.Get(ctx, req.Path)
		return e.Exists(), err
	}
	return []engine.Route{
		{Pattern: "open/{name...}", Summary: "open", Unauthenticated: true, Handlers: all},
		{Pattern: "sudo/{name...}", Summary: "sudo", Sudo: true, Handlers: all},
		{Pattern: "ro/{name...}", Summary: "read only", ReadOnly: true, Handlers: all},
		{Pattern: "any/{name...}", Summary: "any token", TokenOnly: true, Handlers: all},
		{Pattern: "kv/{name...}", Summary: "entries", Exists: exists, Handlers: all},
		{Pattern: "known/{name}", Summary: "declares a field", Fields: []engine.Field{{Name: "field"}}, Handlers: all},
		{Pattern: "login", Summary: "login", Unauthenticated: true, Handlers: all},
	}
}

// bench is a gate over a store in memory, with the lab at lab/ and auth/lab/.
type bench struct {
	t     *testing.T
	gate  *Gate
	audit *recorder
	lab   *lab
	fault *fault.Store
	raw   store.Store
	root  redact.Secret
	vault *unsealed.Vault // while it is open
}

func newBench(t *testing.T) *bench { return newBenchWith(t, func(*unsealed.Config) {}) }

func newBenchWith(t *testing.T, change func(*unsealed.Config)) *bench {
	t.Helper()
	b := &bench{t: t, audit: &recorder{}, lab: &lab{handlers: map[string]engine.Handler{}}}
	raw := base.Open(t)
	factory := func(engine.Config) (engine.Engine, error) { return b.lab, nil }
	cfg := unsealed.Config{
		Barrier: seal.New(seal.Config{Store: raw}),
		Open: func(raw store.Store, _ *seal.Keyring) (store.Store, error) {
			b.fault = fault.New(store.Borrow(raw))
			return b.fault, nil
		},
		Types: func(v *unsealed.Vault) unsealed.Types {
			b.vault = v
			return unsealed.Types{
				Secrets: map[string]engine.Factory{"lab": factory, "cubbyhole": cubbyhole.New},
				Auths:   map[string]engine.Factory{"lab": factory},
				Systems: map[string]engine.Factory{"system": factory, "token": factory},
			}
		},
		TTLs: engine.TTLs{Default: time.Hour, Max: 24 * time.Hour},
		Defaults: unsealed.Defaults{
			Audit: []devices.Device{{Spec: audit.Spec{Path: "memory/", Type: "memory"}}},
			Mounts: []mount.Entry{
				{Class: mount.Secret, Path: "lab/", Type: "lab"}, {Class: mount.Auth, Path: "auth/lab/", Type: "lab"},
			},
		},
		Now: time.Now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler),
	}
	change(&cfg)
	b.raw = raw
	b.gate = New(Config{Raw: raw, Version: "0.0.0", Config: cfg, Devices: map[string]audit.Factory{"memory": func(audit.Setup) (audit.Device, error) { return b.audit, nil }}})
	t.Cleanup(func() {
		if err := errors.Join(b.gate.Close(), raw.Close()); err != nil {
			t.Error("closing:", err)
		}
	})
	made, err := b.gate.Init(t.Context(), seal.InitConfig{Shares: 1, Threshold: 1})
	if err != nil {
		t.Fatal("initialising:", err)
	}
	b.root = made.RootToken
	if b.gate.Open() {
		t.Fatal("a vault that needs people is open after initialisation")
	}
	if _, err := b.gate.Unseal(t.Context(), hexShare(made.Shares[0])); err != nil {
		t.Fatal("unsealing:", err)
	}
	// What opened the vault is noted behind the unsealing: tests count commits and entries.
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if e, err := raw.Get(t.Context(), rootkey.WorkedKey); err == nil && e.Exists() {
			return b
		}
		if time.Now().After(end) {
			t.Fatal("what opened the vault is not noted within a minute")
		}
	}
}

func (b *bench) do(op engine.Operation, path string, tok redact.Secret) (*engine.Response, error) {
	return b.gate.Handle(b.t.Context(), &Request{
		ID: "id-" + path, Operation: op, Path: path, Token: tok, Time: time.Now(),
		Remote: netip.MustParseAddrPort("192.0.2.1:1234"),
	})
}

// token makes a token with the policy text given to a policy of its own.
func (b *bench) token(text string, change func(*token.Spec)) redact.Secret {
	b.t.Helper()
	v := b.vault
	tx := v.Begin()
	spec := token.Spec{Orphan: true, Policies: []string{"p"}, Path: "test", Default: time.Hour, Max: time.Hour}
	if change != nil {
		change(&spec)
	}
	if _, err := v.Policies.Put(tx, policy.Namespace{}, "p", text); err != nil {
		b.t.Fatal(err)
	}
	made, err := v.Tokens.Create(b.t.Context(), tx, spec)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := tx.Commit(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	return made.Token
}

func ok(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
	return &engine.Response{Data: []byte(`{"ok":true}`)}, nil
}

func TestWhoMay(t *testing.T) {
	b := newBench(t)
	for _, key := range []string{"read open/x", "read sudo/x", "read ro/x", "read any/x", "read kv/x"} {
		b.lab.on(key, ok)
	}
	reader := b.token(`path "lab/ro/*" { capabilities = ["read"] }
		path "lab/sudo/*" { capabilities = ["read"] }`, nil)
	none := redact.Secret{}
	for _, c := range []struct {
		name, path string
		op         engine.Operation
		token      redact.Secret
		kind       errs.Kind
		text       string // "" = it succeeds
	}{
		{"open needs no token", "lab/open/x", engine.Read, none, 0, ""},
		{"no token", "lab/ro/x", engine.Read, none, errs.Unauthenticated, "permission denied"},
		{"unknown token", "lab/ro/x", engine.Read, redact.FromString("hvs.unknown"), errs.Unauthenticated, "permission denied"},
		{"root", "lab/sudo/x", engine.Read, b.root, 0, ""},
		{"allowed", "lab/ro/x", engine.Read, reader, 0, ""},
		{"sudo missing", "lab/sudo/x", engine.Read, reader, errs.Denied, "1 error occurred:\n\t* permission denied\n\n"},
		{"other capability", "lab/ro/x", engine.Delete, reader, errs.Denied, "1 error occurred:\n\t* permission denied\n\n"},
		{"other path", "lab/kv/x", engine.Read, reader, errs.Denied, "1 error occurred:\n\t* permission denied\n\n"},
		{"any token will do", "lab/any/x", engine.Read, reader, 0, ""},
		{"any token, but one", "lab/any/x", engine.Read, none, errs.Unauthenticated, "permission denied"},
		{"no mount, denied first", "nowhere/x", engine.Read, reader, errs.Denied, "1 error occurred:\n\t* permission denied\n\n"},
		{"no mount", "nowhere/x", engine.Read, b.root, errs.NotExist, `no handler for route "nowhere/x". route entry not found.`},
		{"no route", "lab/unknown", engine.Read, b.root, errs.NotExist, "1 error occurred:\n\t* unsupported path\n\n"},
		{"no operation", "lab/kv/x", engine.Patch, b.root, errs.Unsupported, "1 error occurred:\n\t* unsupported operation\n\n"},
		{"dots", "lab/ro/../kv/x", engine.Read, reader, errs.Invalid, "relative paths"},
		{"write to a folder", "lab/kv/x/", engine.Update, b.root, errs.Invalid, "cannot write to a path ending in '/'"},
		{"control character", "lab/ro/a\nb", engine.Read, reader, errs.Invalid, "control character"},
		{"not UTF-8", "lab/ro/\xff", engine.Read, reader, errs.Invalid, "UTF-8"},
		{"too long", "lab/ro/" + strings.Repeat("x", path.Max), engine.Read, reader, errs.Invalid, "limit"},
	} {
		res, err := b.do(c.op, c.path, c.token)
		switch {
		case c.text == "" && err != nil:
			t.Errorf("%s: refused: %v", c.name, err)
		case c.text == "" && string(res.Data) != `{"ok":true}`:
			t.Errorf("%s: answered %s", c.name, res.Data)
		case c.text != "" && !errs.Is(err, c.kind):
			t.Errorf("%s: kind of %v is %v, want %v", c.name, err, errs.KindOf(err), c.kind)
		case c.text != "" && !strings.Contains(err.Error(), c.text):
			t.Errorf("%s: error %q does not say %q", c.name, err, c.text)
		}
	}
}

func TestNamespaceIsRefusedNotIgnored(t *testing.T) {
	b := newBench(t)
	b.lab.on("read ro/x", ok)
	req := Request{ID: "1", Operation: engine.Read, Path: "lab/ro/x", Token: b.root, Time: time.Now(), Namespace: "team-a"}
	if _, err := b.gate.Handle(t.Context(), &req); !errs.Is(err, errs.NotExist) || !strings.Contains(err.Error(), "namespace") {
		t.Errorf("a namespace that does not exist: %v", err)
	}
	req.Namespace = "root"
	if _, err := b.gate.Handle(t.Context(), &req); err != nil {
		t.Errorf("the root namespace by its name: %v", err)
	}
}

func TestEveryRequestHasTwoLines(t *testing.T) {
	b := newBench(t)
	b.lab.on("read ro/x", ok)
	b.lab.on("read ro/bad", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
		return nil, errs.New(errs.Invalid, "no good")
	})
	b.lab.on("read ro/bug", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
		return nil, errors.New("a detail for the log")
	})
	denied := b.token(`path "other" { capabilities = ["read"] }`, nil)
	_, _ = b.do(engine.Read, "lab/ro/x", b.root)
	_, _ = b.do(engine.Read, "lab/ro/bad", b.root)
	_, _ = b.do(engine.Read, "lab/ro/bug", b.root)
	_, _ = b.do(engine.Read, "lab/ro/denied", denied)
	for path, want := range map[string]string{
		"lab/ro/x":      "request read|response read",
		"lab/ro/bad":    "request read|response read no good",
		"lab/ro/bug":    "request read|response read internal error",
		"lab/ro/denied": "request read 1 error occurred:\n\t* permission denied|response read 1 error occurred:\n\t* permission denied",
	} {
		if got := strings.Join(b.audit.of(path), "|"); got != want {
			t.Errorf("%s: lines are %q, want %q", path, got, want)
		}
	}
}

func TestWhatCannotBeAuditedDidNotHappen(t *testing.T) {
	b := newBench(t)
	write := func(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		tx.Put(req.Path, []byte("v"))
		return nil, nil
	}
	read := func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		e, err := tx.Get(ctx, req.Path)
		if err != nil || !e.Exists() {
			return nil, err
		}
		return &engine.Response{Data: []byte(`{"v":1}`)}, nil
	}
	b.lab.on("create kv/x", write)
	b.lab.on("read kv/x", read)
	b.audit.breakWith(errors.New("no space left"))
	if _, err := b.do(engine.Update, "lab/kv/x", b.root); !errs.Is(err, errs.Unavailable) {
		t.Fatalf("a write without an audit line: %v, want Unavailable", err)
	}
	if _, err := b.do(engine.Read, "lab/kv/x", b.root); !errs.Is(err, errs.Unavailable) {
		t.Fatalf("a read without an audit line: %v, want Unavailable", err)
	}
	b.audit.breakWith(nil)
	if res, err := b.do(engine.Read, "lab/kv/x", b.root); err != nil || res != nil {
		t.Fatalf("the refused write is there: %v %v", res, err)
	}
	if _, err := b.do(engine.Update, "lab/kv/x", b.root); err != nil {
		t.Fatalf("the device works again, the write is refused: %v", err)
	}
}

func TestConflictReruns(t *testing.T) {
	b := newBench(t)
	count := func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		e, err := tx.Get(ctx, "kv/n")
		if err != nil {
			return nil, err
		}
		tx.Put("kv/n", append(append([]byte{}, e.Value...), 'x'))
		return nil, nil
	}
	b.lab.on("create kv/n", count)
	b.lab.on("update kv/n", count)
	const writers, each = 8, 10
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			for range each {
				if _, err := b.do(engine.Update, "lab/kv/n", b.root); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	var length int
	b.lab.on("read kv/n", func(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
		e, err := tx.Get(ctx, "kv/n")
		length = len(e.Value)
		return nil, err
	})
	if _, err := b.do(engine.Read, "lab/kv/n", b.root); err != nil || length != writers*each {
		t.Errorf("%d increments arrived of %d (%v)", length, writers*each, err)
	}
}

// A create that meets someone else's create must be decided anew: policy may
// allow to create and not to update.
func TestRerunDecidesAnew(t *testing.T) {
	b := newBench(t)
	creator := b.token(`path "lab/kv/*" { capabilities = ["create"] }`, nil)
	first := true
	b.lab.on("create kv/x", func(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
		if first {
			first = false
			b.lab.on("create kv/x", func(_ context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
				tx.Put("kv/x", []byte("other"))
				return nil, nil
			})
			if _, err := b.do(engine.Update, "lab/kv/x", b.root); err != nil {
				return nil, err
			}
		}
		tx.Put("kv/x", []byte("mine"))
		return nil, nil
	})
	if _, err := b.do(engine.Update, "lab/kv/x", creator); !errs.Is(err, errs.Denied) {
		t.Errorf("an update by someone who may only create: %v, want Denied", err)
	}
}

func TestLoginIsOneCommit(t *testing.T) {
	b := newBench(t)
	b.lab.on("update login", func(_ context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
		tx.Put("seen", []byte("1"))
		return &engine.Response{Auth: &engine.Auth{
			DisplayName: "alice", Renewable: true, Orphan: true, Metadata: map[string]string{"who": "alice"},
			Params: engine.TokenParams{Policies: []string{"p"}, TTL: time.Minute},
		}}, nil
	})
	before := b.revision()
	res, err := b.do(engine.Update, "auth/lab/login", redact.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.revision() - before; got != 1 {
		t.Errorf("a login took %d commits, want 1", got)
	}
	issued := res.Auth.Issued
	if issued == nil || issued.TTL != time.Minute || strings.Join(issued.Policies, ",") != "default,p" || issued.Type != engine.TokenService {
		t.Fatalf("issued %+v", issued)
	}
	if len(res.Warnings) != 1 || res.Warnings[0] != `Policy "p" does not exist` {
		t.Errorf("warnings are %q", res.Warnings)
	}
	b.lab.on("read any/x", func(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
		if req.Caller.DisplayName != "lab-alice" || req.Caller.Metadata["who"] != "alice" {
			return nil, errs.Newf(errs.Invalid, "caller is %+v", req.Caller)
		}
		return &engine.Response{Data: []byte(`{"ok":true}`)}, nil
	})
	if _, err := b.do(engine.Read, "lab/any/x", redact.FromString(issued.ClientToken)); err != nil {
		t.Errorf("the new token: %v", err)
	}
}

// Classes of CVE-2026-46405: a method that answers auth and error must not
// leave a token behind; and only auth methods give tokens.
func TestCVE202646405LoginThatFailsLeavesNoToken(t *testing.T) {
	b := newBench(t)
	auth := &engine.Auth{Params: engine.TokenParams{Policies: []string{"p"}}}
	b.lab.on("update login", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
		return &engine.Response{Auth: auth}, errs.New(errs.Denied, "wrong password")
	})
	before := b.revision()
	res, err := b.do(engine.Update, "auth/lab/login", redact.Secret{})
	if !errs.Is(err, errs.Denied) || res != nil {
		t.Errorf("answered %+v, %v", res, err)
	}
	b.lab.on("update login", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
		return &engine.Response{Auth: auth}, nil
	})
	if _, err := b.do(engine.Update, "lab/login", redact.Secret{}); !errs.Is(err, errs.Internal) {
		t.Errorf("a secrets engine gave a login: %v", err)
	}
	auth.Params.Policies = []string{"Root "}
	if _, err := b.do(engine.Update, "auth/lab/login", redact.Secret{}); err == nil {
		t.Error("a login gave the root policy (class of CVE-2025-5999)")
	}
	if got := b.revision(); got != before {
		t.Errorf("%d commits were made by refused logins", got-before)
	}
}

func (b *bench) revision() store.Revision {
	b.t.Helper()
	rev, err := b.vault.Store.Apply(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return rev
}

func TestUsesAreCounted(t *testing.T) {
	b := newBench(t)
	b.lab.on("read ro/x", ok)
	tok := b.token(`path "lab/ro/*" { capabilities = ["read"] }`, func(s *token.Spec) { s.NumUses = 3 })
	if _, err := b.do(engine.Read, "lab/ro/x", tok); err != nil {
		t.Fatal("first use:", err)
	}
	if _, err := b.do(engine.Read, "lab/kv/denied", tok); !errs.Is(err, errs.Denied) {
		t.Fatal("second use, denied:", err)
	}
	if _, err := b.do(engine.Read, "lab/ro/x", tok); err != nil {
		t.Fatal("last use:", err)
	}
	if _, err := b.do(engine.Read, "lab/ro/x", tok); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("a fourth use of three: %v (a denied request counts too, facts §2.4)", err)
	}
	names, err := b.vault.Store.List(t.Context(), "token/id/", "", 0)
	if err != nil || len(names) != 1 {
		t.Errorf("tokens left after the last use: %d (%v), want only root", len(names), err)
	}
}

func TestUsesAreCountedOnceEach(t *testing.T) {
	b := newBench(t)
	b.lab.on("read ro/x", ok)
	const uses = 10
	tok := b.token(`path "lab/ro/*" { capabilities = ["read"] }`, func(s *token.Spec) { s.NumUses = uses })
	var wait sync.WaitGroup
	var mu sync.Mutex
	served := 0
	for range 3 * uses {
		wait.Go(func() {
			if _, err := b.do(engine.Read, "lab/ro/x", tok); err == nil {
				mu.Lock()
				served++
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	if served != uses {
		t.Errorf("%d requests were served with a token for %d", served, uses)
	}
}

// A write that was under way when its token was revoked must not commit after
// the revocation was acknowledged.
func TestWriteOfATokenRevokedMeanwhile(t *testing.T) {
	b := newBench(t)
	tok := b.token(`path "lab/kv/*" { capabilities = ["create", "update"] }`, nil)
	b.lab.on("create kv/x", func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		v := b.vault
		revoke := v.Begin()
		if err := v.Tokens.Revoke(ctx, revoke, v.Tokens.TokenKey(tok.RevealString()), token.Tree); err != nil {
			return nil, err
		}
		if _, err := revoke.Commit(ctx); err != nil {
			return nil, err
		}
		tx.Put(req.Path, []byte("v"))
		return nil, nil
	})
	if _, err := b.do(engine.Update, "lab/kv/x", tok); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("a write whose token was revoked meanwhile: %v, want Unauthenticated", err)
	}
}

// A policy that changes while a request conflicts holds for its second run.
func TestRerunAsksPolicyAnew(t *testing.T) {
	b := newBench(t)
	const text = `path "lab/kv/*" { capabilities = ["create", "update"] }`
	tok := b.token(text, nil)
	b.lab.on("create kv/y", func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		v := b.vault
		deny := v.Begin()
		if _, err := v.Policies.Put(deny, policy.Namespace{}, "p", `path "lab/kv/*" { capabilities = ["deny"] }`); err != nil {
			return nil, err
		}
		deny.Put(b.storage("lab/")+req.Path, []byte("someone else's"))
		if _, err := deny.Commit(ctx); err != nil {
			return nil, err
		}
		tx.Put(req.Path, []byte("v"))
		return nil, nil
	})
	if _, err := b.do(engine.Update, "lab/kv/y", tok); !errs.Is(err, errs.Denied) {
		t.Errorf("a write that policy denies on its second run: %v, want Denied", err)
	}
}

func (b *bench) storage(path string) string {
	return b.vault.Mounts.Table().ByPath(engine.Namespace{}, path).Storage()
}

func TestBoundAddressAndLostMount(t *testing.T) {
	b := newBench(t)
	b.lab.on("read ro/x", ok)
	const text = `path "lab/ro/*" { capabilities = ["read"] }`
	bound := b.token(text, func(s *token.Spec) { s.BoundCIDRs = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")} })
	if _, err := b.do(engine.Read, "lab/ro/x", bound); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("a token bound to another network: %v", err)
	}
	lost := b.token(text, func(s *token.Spec) { s.MountID = "00000000-0000-0000-0000-000000000000" })
	if _, err := b.do(engine.Read, "lab/ro/x", lost); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("a token of an auth method that was disabled: %v", err)
	}
}

func TestSealing(t *testing.T) {
	b := newBench(t)
	inside, leave := make(chan struct{}), make(chan struct{})
	b.lab.on("read ro/slow", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
		close(inside)
		<-leave
		return ok(t.Context(), nil, nil)
	})
	answered := make(chan error)
	go func() {
		_, err := b.do(engine.Read, "lab/ro/slow", b.root)
		answered <- err
	}()
	<-inside
	sealed := make(chan struct{})
	go func() { b.gate.Seal(); close(sealed) }()
	for b.gate.Open() {
	}
	if _, err := b.do(engine.Read, "lab/ro/x", b.root); !errs.Is(err, errs.Sealed) || err.Error() != "Vault is sealed" {
		t.Errorf("while sealing: %v", err)
	}
	select {
	case <-sealed:
		t.Error("sealed while a request was inside")
	default:
	}
	close(leave)
	if err := <-answered; err != nil {
		t.Errorf("the request inside: %v", err)
	}
	<-sealed
	if !b.gate.cfg.Barrier.Keyring().Sealed() {
		t.Error("the keys are still in memory")
	}
}

// A panic in an engine is one request's failure: it must not hold up a later seal.
func TestPanicIsAnInternalErrorAndLeaves(t *testing.T) {
	b := newBench(t)
	for path, h := range map[string]engine.Handler{
		"ro/writes": func(_ context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
			tx.Put("k", nil)
			return nil, nil
		},
		"ro/value": func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) { panic("canary-secret") },
		"ro/range": func(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
			_ = req.Path[len(req.Path)]
			return nil, nil
		},
	} {
		b.lab.on("read "+path, h)
		_, err := b.do(engine.Read, "lab/"+path, b.root)
		if !errs.Is(err, errs.Internal) || !strings.Contains(err.Error(), "gate_test.go") {
			t.Errorf("%s: %v; want an internal error with the place", path, err)
		}
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error quotes what was panicked with", path)
		}
	}
	b.gate.Seal() // hangs if a request is still counted as inside
	if b.gate.Open() {
		t.Error("the vault is open after Seal")
	}
}

// §1.1: a field that a route does not know is ignored with a warning.
func TestUnknownFieldsAreWarnedOf(t *testing.T) {
	b := newBench(t)
	for _, op := range []string{"create", "update", "read", "delete"} {
		b.lab.on(op+" known/x", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) { return nil, nil })
		b.lab.on(op+" ro/x", ok)
	}
	many := map[string]jsontext.Value{}
	for i := range 20 {
		many[strings.Repeat("é", 100)+string(rune('a'+i))] = []byte("1")
	}
	for name, c := range map[string]struct {
		op   engine.Operation
		path string
		body map[string]jsontext.Value
		want string
	}{
		"two":           {engine.Update, "lab/known/x", map[string]jsontext.Value{"typo": []byte("1"), "other": []byte("1"), "field": []byte("1")}, "[other typo]"},
		"all known":     {engine.Update, "lab/known/x", map[string]jsontext.Value{"field": []byte("1"), "name": []byte(`"x"`)}, ""},
		"read":          {engine.Read, "lab/known/x", map[string]jsontext.Value{"typo": []byte("1")}, ""},
		"declares none": {engine.Update, "lab/ro/x", map[string]jsontext.Value{"typo": []byte("1")}, ""},
		"many and long": {engine.Update, "lab/known/x", many, "[" + strings.Repeat(strings.Repeat("é", 32)+"… ", 16) + "…]"},
	} {
		res, err := b.gate.Handle(t.Context(), &Request{ID: "id", Operation: c.op, Path: c.path, Token: b.root, Body: engine.NewBody(c.body), Time: time.Now()})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		if res != nil {
			got = res.Warnings
		}
		if c.want == "" && got != nil || c.want != "" && (len(got) != 1 || got[0] != "Endpoint ignored these unrecognised parameters: "+c.want) {
			t.Errorf("%s: warnings %q, want of %s", name, got, c.want)
		}
	}
}

func TestSealOnRequest(t *testing.T) {
	b := newBench(t)
	b.lab.on("update sudo/seal", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
		b.vault.AskSeal()
		return nil, nil
	})
	if _, err := b.do(engine.Update, "lab/sudo/seal", b.root); err != nil {
		t.Fatal(err)
	}
	if b.gate.Open() {
		t.Error("the vault is open after the request that sealed it was answered")
	}
	if got := strings.Join(b.audit.of("lab/sudo/seal"), "|"); got != "request update|response update" {
		t.Errorf("the sealing was audited as %q", got)
	}
}

func TestEventsAreHeardByThoseWhoMay(t *testing.T) {
	b := newBench(t)
	b.lab.on("create kv/mine", func(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		tx.Put(req.Path, []byte("v"))
		tx.Emit(engine.Event{Type: "lab/write", Path: req.Path, Metadata: map[string]string{"modified": "true"}})
		return nil, nil
	})
	b.lab.on("create kv/yours", b.lab.handlers["create kv/mine"])
	b.lab.on("create kv/failed", func(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		tx.Emit(engine.Event{Type: "lab/write", Path: req.Path})
		return nil, errs.New(errs.Invalid, "refused")
	})
	const text = `path "sys/events/subscribe/*" { capabilities = ["read"] }
		path "lab/kv/mine" { capabilities = ["read"] }`
	tok := b.token(text, nil)
	subscribe := func(tok redact.Secret) (*Subscription, error) {
		return b.gate.Subscribe(t.Context(), &Request{
			ID: "s", Operation: engine.Read, Path: "sys/events/subscribe/lab/*", Token: tok, Time: time.Now(),
		}, "lab/*")
	}
	if _, err := subscribe(redact.FromString("hvs.wrong")); !errs.Is(err, errs.Unauthenticated) {
		t.Fatalf("subscribing with an unknown token: %v", err)
	}
	sub, err := subscribe(tok)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	for _, path := range []string{"lab/kv/failed", "lab/kv/yours", "lab/kv/mine"} {
		_, _ = b.do(engine.Update, path, b.root)
	}
	message, err := sub.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(message), `"path":"lab/kv/mine"`) {
		t.Errorf("heard %s", message)
	}
	v := b.vault
	tx := v.Begin()
	if err := v.Tokens.Revoke(t.Context(), tx, v.Tokens.TokenKey(tok.RevealString()), token.Tree); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := sub.CheckToken(t.Context()); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("a quiet stream of a revoked token: %v", err)
	}
}

func TestPolicyChangeHoldsAtOnce(t *testing.T) {
	b := newBench(t)
	b.lab.on("read ro/x", ok)
	tok := b.token(`path "lab/ro/*" { capabilities = ["read"] }`, nil)
	if _, err := b.do(engine.Read, "lab/ro/x", tok); err != nil {
		t.Fatal(err)
	}
	v := b.vault
	tx := v.Begin()
	if _, err := v.Policies.Put(tx, policy.Namespace{}, "p", `path "lab/ro/*" { capabilities = ["deny"] }`); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.do(engine.Read, "lab/ro/x", tok); !errs.Is(err, errs.Denied) {
		t.Errorf("after the policy changed: %v, want Denied", err)
	}
}

func hexShare(s redact.Secret) redact.Secret { return redact.FromString(hexOf(s.Reveal())) }

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 2*len(b))
	for _, c := range b {
		out = append(out, digits[c>>4], digits[c&15])
	}
	return string(out)
}
