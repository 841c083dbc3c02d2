package gate

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/envelope"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/fault"
	"github.com/strongkeep/strongkeep/internal/vault/wrapping"
)

// wrapped is do with a wrapping TTL of a minute.
func (b *bench) wrapped(op engine.Operation, path string, tok redact.Secret) (*engine.Response, error) {
	return b.gate.Handle(b.t.Context(), &Request{
		ID: "id-" + path, Operation: op, Path: path, Token: tok, Time: time.Now(), WrapTTL: time.Minute,
		Remote: netip.MustParseAddrPort("192.0.2.1:1234"),
	})
}

// take unwraps below the gate, in one transaction.
func (b *bench) take(tok redact.Secret) (wrapping.Answer, error) {
	tx := b.vault.Begin()
	e, err := b.vault.Wrapping.Lookup(b.t.Context(), tx, tok)
	if err != nil {
		return wrapping.Answer{}, err
	}
	a, err := b.vault.Wrapping.Take(b.t.Context(), tx, e)
	if err != nil {
		return a, err
	}
	_, err = tx.Commit(b.t.Context())
	return a, err
}

// entries counts what the store holds.
func (b *bench) entries() int {
	n, folders := 0, []string{""}
	for len(folders) > 0 {
		folder := folders[0]
		folders = folders[1:]
		names, err := b.vault.Store.List(b.t.Context(), folder, "", 0)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "/") {
				folders = append(folders, folder+name)
			} else {
				n++
			}
		}
	}
	return n
}

// §2.10: what is kept is what the client would have got, to the byte, for reads
// of every kind of route and for logins, whose accessor is told.
func TestWrapKeepsTheAnswer(t *testing.T) {
	b := newBench(t)
	b.lab.on("read ro/x", ok)
	b.lab.on("read kv/x", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
		return &engine.Response{
			Data: []byte(`{"b":[1.50,"é\u0000"],"a":{"x":null}}`), Warnings: []string{"careful"}, TopLevel: true,
			Lease: &engine.Lease{ID: "lease", TTL: time.Hour, Renewable: true},
		}, nil
	})
	b.lab.on("read kv/pem", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
		return &engine.Response{Raw: &engine.Raw{Status: 200, ContentType: "application/pkix-cert", Body: []byte{0xff, 0, 1}}}, nil
	})
	for _, path := range []string{"lab/ro/x", "lab/kv/x", "lab/kv/pem"} {
		plain, err := b.do(engine.Read, path, b.root)
		if err != nil {
			t.Fatal(err)
		}
		want := wrapping.Answer{Status: 200, ContentType: "application/json"}
		if plain.Raw != nil {
			want.ContentType, want.Body = plain.Raw.ContentType, plain.Raw.Body
		} else {
			want.Body = envelope.Append(nil, "id-"+path, plain)
		}
		res, err := b.wrapped(engine.Read, path, b.root)
		if err != nil {
			t.Fatal(err)
		}
		w := res.Wrapped
		if w == nil || res.Data != nil || res.Auth != nil || res.Lease != nil || res.Raw != nil || res.Warnings != nil {
			t.Fatalf("%s: answered %+v", path, res)
		}
		if w.CreationPath != path || w.TTL != time.Minute || w.WrappedAccessor != "" || len(w.Accessor) != 24 {
			t.Errorf("%s: wrapped as %+v", path, w)
		}
		got, err := b.take(w.Token)
		if err != nil || got.Status != want.Status || got.ContentType != want.ContentType || !bytes.Equal(got.Body, want.Body) {
			t.Errorf("%s: kept %d %s %q, want %q; %v", path, got.Status, got.ContentType, got.Body, want.Body, err)
		}
		if _, err := b.take(w.Token); !errors.Is(err, wrapping.ErrToken) {
			t.Errorf("%s: taken again: %v", path, err)
		}
	}
	b.lab.on("update login", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
		return &engine.Response{Auth: &engine.Auth{DisplayName: "me"}}, nil
	})
	res, err := b.wrapped(engine.Update, "auth/lab/login", redact.Secret{})
	if err != nil || res.Auth != nil || len(res.Wrapped.WrappedAccessor) != 24 {
		t.Fatalf("a wrapped login: %+v %v", res, err)
	}
	a, err := b.take(res.Wrapped.Token)
	if err != nil || !bytes.Contains(a.Body, []byte(`"accessor":"`+res.Wrapped.WrappedAccessor+`"`)) {
		t.Errorf("the login within: %s %v", a.Body, err)
	}
}

// §2.10: errors, empty answers and what is no success are not wrapped.
func TestWhatIsNotWrapped(t *testing.T) {
	b := newBench(t)
	answers := map[string]*engine.Response{
		"none": nil, "keys": {Data: []byte(`{"keys":[]}`)}, "empty": {},
		"gone": {Data: []byte(`{"data":null}`), Status: 404}, "raw404": {Raw: &engine.Raw{Status: 404, Body: []byte("x")}},
		"raw204": {Raw: &engine.Raw{Status: 204}},
	}
	for name, res := range answers {
		b.lab.on("list ro/"+name+"/", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) { return res, nil })
		before := b.entries()
		if got, err := b.wrapped(engine.List, "lab/ro/"+name+"/", b.root); err != nil || got != res {
			t.Errorf("%s: %+v %v", name, got, err)
		}
		if after := b.entries(); after != before {
			t.Errorf("%s left %d entries", name, after-before)
		}
	}
	b.lab.on("read ro/bad", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
		return &engine.Response{Data: []byte(`{}`)}, errs.New(errs.Invalid, "no good")
	})
	if res, err := b.wrapped(engine.Read, "lab/ro/bad", b.root); res != nil || !errs.Is(err, errs.Invalid) {
		t.Errorf("an error: %+v %v", res, err)
	}
	b.lab.on("read ro/wire", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
		return &engine.Response{Raw: &engine.Raw{}}, nil
	})
	if res, err := b.wrapped(engine.Read, "lab/ro/wire", b.root); res != nil || !errs.Is(err, errs.Invalid) {
		t.Errorf("an answer that the wire makes: %+v %v", res, err)
	}
	if res, err := b.wrapped(engine.Help, "lab/ro/x", b.root); err != nil || res.Wrapped != nil {
		t.Errorf("help: %+v %v", res, err)
	}
	b.lab.on("read ro/large", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
		return &engine.Response{Data: []byte(`{"x":"` + strings.Repeat("x", store.MaxValue) + `"}`)}, nil
	})
	before := b.entries()
	if res, err := b.wrapped(engine.Read, "lab/ro/large", b.root); res != nil || !errs.Is(err, errs.TooLarge) || !strings.Contains(err.Error(), "too large to be wrapped") {
		t.Errorf("too large: %+v %v", res, err)
	}
	if after := b.entries(); after != before {
		t.Errorf("what is too large left %d entries", after-before)
	}
}

// A stranger can have a login wrapped, and nothing else: what open paths say is
// no secret, and copies of it would fill the store.
func TestStrangersHaveNothingWrapped(t *testing.T) {
	b := newBench(t)
	answer := &engine.Response{Raw: &engine.Raw{Status: 200, ContentType: "application/pkix-cert", Body: []byte("x")}}
	b.lab.on("read open/pem", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) { return answer, nil })
	before := b.entries()
	if got, err := b.wrapped(engine.Read, "lab/open/pem", redact.Secret{}); err != nil || got != answer {
		t.Errorf("%+v %v", got, err)
	}
	if after := b.entries(); after != before {
		t.Errorf("a stranger's request left %d entries", after-before)
	}
}

// One request is one commit, wrapped or not: without the commit there is neither
// what the handler wrote nor the wrapping token, and a conflict runs both again.
func TestWrapIsPartOfTheCommit(t *testing.T) {
	b := newBench(t)
	var runs atomic.Int32
	var meanwhile atomic.Bool
	meanwhile.Store(true)
	b.lab.on("create kv/x", func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		runs.Add(1)
		if _, err := tx.Get(ctx, "kv/other"); err != nil {
			return nil, err
		}
		tx.Put(req.Path, []byte("v"))
		if meanwhile.CompareAndSwap(true, false) {
			if _, err := b.do(engine.Update, "lab/kv/other", b.root); err != nil {
				t.Error(err)
			}
		}
		return &engine.Response{Data: []byte(`{"ok":true}`)}, nil
	})
	b.lab.on("create kv/other", func(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		tx.Put(req.Path, []byte("v"))
		return nil, nil
	})
	before := b.entries()
	res, err := b.wrapped(engine.Update, "lab/kv/x", b.root)
	if err != nil || res.Wrapped == nil || runs.Load() != 2 {
		t.Fatalf("%+v %v after %d runs", res, err, runs.Load())
	}
	// kv/x, kv/other; token, accessor, due time; the answer and how many there are.
	if added := b.entries() - before; added != 7 {
		t.Errorf("%d entries were added, want 7", added)
	}
	b.lab.on("create kv/y", func(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		tx.Put(req.Path, []byte("v"))
		return &engine.Response{Data: []byte(`{"ok":true}`)}, nil
	})
	// A store that cannot take the wrapping token takes nothing.
	before = b.entries()
	mend := b.fault.Add(fault.Rule{Op: fault.Apply, Prefix: "token/id/", Err: errs.New(errs.Unavailable, "the disk is full")})
	if res, err := b.wrapped(engine.Update, "lab/kv/y", b.root); res != nil || !errs.Is(err, errs.Unavailable) {
		t.Errorf("%+v %v", res, err)
	}
	mend()
	if after := b.entries(); after != before {
		t.Errorf("half a commit: %d entries are left", after-before)
	}
	b.audit.breakWith(errors.New("no space left"))
	if _, err := b.wrapped(engine.Update, "lab/kv/y", b.root); err == nil {
		t.Error("wrapped without an audit line")
	}
	if after := b.entries(); after != before {
		t.Errorf("a request that did not happen left %d entries", after-before)
	}
}

// What After fails to do is given to nobody: its wrapping token is taken back.
func TestWrapIsTakenBackIfAfterFails(t *testing.T) {
	b := newBench(t)
	fail := true
	b.lab.on("read kv/x", func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
		return &engine.Response{Data: []byte(`{"password":"p"}`), After: func(context.Context) error {
			if fail {
				return errs.New(errs.Unavailable, "the database is down")
			}
			return nil
		}}, nil
	})
	before := b.entries()
	if res, err := b.wrapped(engine.Read, "lab/kv/x", b.root); res != nil || !errs.Is(err, errs.Unavailable) {
		t.Fatalf("%+v %v", res, err)
	}
	if after := b.entries(); after != before {
		t.Errorf("%d entries are left", after-before)
	}
	fail = false
	res, err := b.wrapped(engine.Read, "lab/kv/x", b.root)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := b.take(res.Wrapped.Token); err != nil || !bytes.Contains(a.Body, []byte(`"password":"p"`)) {
		t.Errorf("%s %v", a.Body, err)
	}
}

// However many take it at once, one gets it.
func TestWrappedIsGivenOnce(t *testing.T) {
	b := newBench(t)
	b.lab.on("read ro/x", ok)
	for range 20 {
		res, err := b.wrapped(engine.Read, "lab/ro/x", b.root)
		if err != nil {
			t.Fatal(err)
		}
		var got atomic.Int32
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				if _, err := b.take(res.Wrapped.Token); err == nil {
					got.Add(1)
				}
			})
		}
		wait.Wait()
		if got.Load() != 1 {
			t.Fatalf("given %d times", got.Load())
		}
	}
}
