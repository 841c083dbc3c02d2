package gate

import (
	"context"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

// tokens is how many tokens are stored; one is root's.
func (b *bench) tokens() int {
	b.t.Helper()
	names, err := b.vault.Store.List(b.t.Context(), "token/id/", "", 0)
	if err != nil {
		b.t.Fatal(err)
	}
	return len(names)
}

// What is done behind a login's commit may fail: nobody is given the token then,
// and nobody may have it.
func TestLoginIsTakenBackIfAfterFails(t *testing.T) {
	for name, c := range map[string]struct {
		after   func(context.Context) error
		kind    engine.TokenType
		wrapped bool
		works   bool
		refused errs.Kind
	}{
		"an error":       {after: func(context.Context) error { return errs.New(errs.Unavailable, "the directory is down") }, refused: errs.Unavailable},
		"a panic":        {after: func(context.Context) error { panic("canary-of-a-panic") }, refused: errs.Internal},
		"wrapped":        {after: func(context.Context) error { return errs.New(errs.Unavailable, "down") }, wrapped: true, refused: errs.Unavailable},
		"a batch token":  {after: func(context.Context) error { return errs.New(errs.Unavailable, "down") }, kind: engine.TokenBatch, refused: errs.Unavailable},
		"no error at it": {after: func(context.Context) error { return nil }, works: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			var during int
			b.lab.on("update login", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
				return &engine.Response{
					Auth: &engine.Auth{DisplayName: "ann", Params: engine.TokenParams{Policies: []string{"p"}, Type: c.kind}},
					After: func(ctx context.Context) error {
						during = b.tokens() // it runs behind the commit
						return c.after(ctx)
					},
				}, nil
			})
			do := b.do
			if c.wrapped {
				do = b.wrapped
			}
			res, err := do(engine.Update, "auth/lab/login", redact.Secret{})
			if c.works {
				if err != nil || res.Auth.Issued == nil || b.tokens() != 2 {
					t.Errorf("a login that works: %+v, %v, %d tokens", res, err, b.tokens())
				}
				return
			}
			if !errs.Is(err, c.refused) || res != nil || strings.Contains(err.Error(), "canary") {
				t.Errorf("answered %+v, %v", res, err)
			}
			if left := b.tokens(); left != 1 {
				t.Errorf("%d tokens are left of %d; want root's alone", left, during)
			}
			if made := during - 1; c.kind != engine.TokenBatch && made < 1 {
				t.Errorf("the test is void: %d tokens were made", made)
			}
			lines := strings.Join(b.audit.of("auth/lab/login"), "|")
			if !strings.HasPrefix(lines, "request update|response update ") {
				t.Errorf("on record is %q", lines)
			}
		})
	}
}

// A login without After whose run is made anew leaves one token.
func TestLoginThatRunsAgain(t *testing.T) {
	b := newBench(t)
	runs := 0
	b.lab.on("update login", func(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
		runs++
		if _, err := tx.Get(ctx, "seen"); err != nil {
			return nil, err
		}
		if runs == 1 { // another login in between
			if _, err := b.do(engine.Update, "auth/lab/login", redact.Secret{}); err != nil {
				return nil, err
			}
		}
		tx.Put("seen", []byte("1"))
		return &engine.Response{Auth: &engine.Auth{Params: engine.TokenParams{Policies: []string{"p"}}}}, nil
	})
	if _, err := b.do(engine.Update, "auth/lab/login", redact.Secret{}); err != nil || runs != 3 {
		t.Fatalf("%d runs, %v", runs, err)
	}
	if n := b.tokens(); n != 3 {
		t.Errorf("%d tokens, want root's and one for each login", n)
	}
}

// The mount decides which type logins get, but who wants batch tokens relies on
// getting nothing else.
func TestTypeOfALogin(t *testing.T) {
	const refused = token.Type(200)
	service, batch := token.Service, token.Batch
	for tuned, want := range map[mount.TokenType][4]token.Type{ // of a role that wants the default, service, batch; a stateless one
		"":                   {service, service, batch, batch},
		mount.DefaultService: {service, service, batch, batch},
		mount.DefaultBatch:   {batch, service, batch, batch},
		mount.Service:        {service, service, service, refused},
		mount.Batch:          {batch, batch, batch, batch},
	} {
		m := &mount.Mount{Entry: mount.Entry{Path: "auth/k8s/"}}
		m.Config.TokenType = tuned
		for role, want := range want {
			kind := min(engine.TokenType(role), engine.TokenBatch)
			got, err := loginType(&engine.Auth{Params: engine.TokenParams{Type: kind}, KnownOnly: role == 3}, m)
			if want == refused {
				if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "sys/auth/k8s/tune") || !strings.Contains(err.Error(), "stateless") {
					t.Errorf("case %d on a mount tuned to %q: %v", role, tuned, err)
				}
				continue
			}
			if err != nil || got != want {
				t.Errorf("case %d on a mount tuned to %q: %v, %v", role, tuned, got, err)
			}
		}
	}
}

// A refused type leaves nothing: no token, no entity.
func TestRefusedTypeLeavesNothing(t *testing.T) {
	b := newBench(t)
	b.lab.on("update login", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
		return &engine.Response{Auth: &engine.Auth{Alias: "ann", KnownOnly: true, Params: engine.TokenParams{Policies: []string{"p"}, Type: engine.TokenBatch}}}, nil
	})
	b.vault.Mounts.Table().ByPath(namespace.Root, "auth/lab/").Config.TokenType = mount.Service
	before := b.revision()
	if res, err := b.do(engine.Update, "auth/lab/login", redact.Secret{}); !errs.Is(err, errs.Invalid) || res != nil {
		t.Errorf("answered %+v, %v", res, err)
	}
	if after := b.revision(); after != before {
		t.Errorf("%d commits", after-before)
	}
}
