package gate

import (
	"context"
	"slices"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/identity"
	"github.com/strongkeep/strongkeep/internal/vault/unsealed"
)

// loginAs has auth/lab/login give a token with this alias.
func (b *bench) loginAs(change func(*engine.Auth)) *engine.Auth {
	b.t.Helper()
	b.lab.on("update login", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
		a := &engine.Auth{DisplayName: "ann", Alias: "ann", Params: engine.TokenParams{Policies: []string{"p"}}}
		if change != nil {
			change(a)
		}
		return &engine.Response{Auth: a}, nil
	})
	res, err := b.do(engine.Update, "auth/lab/login", redact.Secret{})
	if err != nil {
		b.t.Fatal(err)
	}
	return res.Auth
}

func (b *bench) changeEntity(id string, change func(*identity.Entity)) {
	b.t.Helper()
	err := b.vault.Commit(b.t.Context(), func(t *unsealed.Tx) error {
		x := b.vault.Identity.Edit(t, "")
		old, err := x.Entity(b.t.Context(), id)
		if err != nil {
			return err
		}
		now := old.Clone()
		change(now)
		return x.PutEntity(b.t.Context(), old, now)
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// Facts §4.2.1: token, entity and alias are one commit.
func TestFirstLoginIsOneCommit(t *testing.T) {
	b := newBench(t)
	before := b.revision()
	first := b.loginAs(func(a *engine.Auth) { a.Ephemeral, a.Origin = true, "x/y" })
	if got := b.revision() - before; got != 1 {
		t.Errorf("%d commits", got)
	}
	if first.Issued.EntityID == "" {
		t.Fatal("no entity")
	}
	if again := b.loginAs(func(a *engine.Auth) { a.Ephemeral, a.Origin = true, "x/y" }); again.Issued.EntityID != first.Issued.EntityID {
		t.Error("another entity")
	}
	if none := b.loginAs(func(a *engine.Auth) { a.Alias = "" }); none.Issued.EntityID != "" {
		t.Error("an entity for nobody")
	}
	if none := b.loginAs(func(a *engine.Auth) { a.Alias, a.KnownOnly = "bob", true }); none.Issued.EntityID != "" {
		t.Error("an entity by a login that leaves nothing")
	}
}

// Handlers and audit lines learn of the entity and what it adds.
func TestEntityOfARequest(t *testing.T) {
	b := newBench(t)
	auth := b.loginAs(nil)
	tok := redact.FromString(auth.Issued.ClientToken)
	b.token(`path "lab/any/*" { capabilities = ["read"] }`, nil) // writes policy p
	b.changeEntity(auth.Issued.EntityID, func(e *identity.Entity) { e.Policies = []string{"more"} })
	var seen engine.Caller
	b.lab.on("read any/x", func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		seen = req.Caller
		return ok(ctx, tx, req)
	})
	if _, err := b.do(engine.Read, "lab/any/x", tok); err != nil {
		t.Fatal(err)
	}
	if seen.EntityID != auth.Issued.EntityID || !slices.Equal(seen.Policies, []string{"default", "more", "p"}) {
		t.Errorf("%+v", seen)
	}
	line := b.audit.auth(t, "lab/any/x")
	if line["entity_id"] != auth.Issued.EntityID || line["identity_policies"].([]any)[0] != "more" || len(line["token_policies"].([]any)) != 2 || len(line["policies"].([]any)) != 3 {
		t.Errorf("%v", line)
	}
}

// auth is who made the last request to path, by its line.
func (r *recorder) auth(t *testing.T, path string) map[string]any {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range slices.Backward(r.lines) {
		if req, _ := line["request"].(map[string]any); req["path"] == path {
			return line["auth"].(map[string]any)
		}
	}
	t.Fatalf("no line for %s", path)
	return nil
}

// Whoever disabled an entity need not fear a write that was under way.
func TestWriteOfAnEntityDisabledMeanwhile(t *testing.T) {
	b := newBench(t)
	auth := b.loginAs(nil)
	b.token(`path "lab/kv/*" { capabilities = ["create", "update"] }`, nil)
	b.lab.on("create kv/x", func(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		b.changeEntity(auth.Issued.EntityID, func(e *identity.Entity) { e.Disabled = true })
		tx.Put(req.Path, []byte("v"))
		return nil, nil
	})
	if _, err := b.do(engine.Update, "lab/kv/x", redact.FromString(auth.Issued.ClientToken)); !errs.Is(err, errs.Denied) {
		t.Errorf("%v, want Denied", err)
	}
}
