package gate_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/lease/leasetest"
)

func working(t *testing.T, work func(context.Context) (time.Time, error)) (*testenv.Vault, *leasetest.Database) {
	t.Helper()
	db := new(leasetest.Database)
	if work != nil {
		db.Work(work)
	}
	v := testenv.Start(t, func(c *app.ServerConfig) { c.Engines = map[string]engine.Factory{"users": db.Factory} })
	if err := v.Sys().Mount("users", &vault.MountInput{Type: "users"}); err != nil {
		t.Fatal(err)
	}
	return v, db
}

func take[T any](t *testing.T, what string, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(time.Minute):
		t.Fatal("not in time:", what)
	}
	return v
}

// Work is called when the mount runs, when woken and at the time it asked for,
// after an error and after a panic, and not after the mount is gone.
func TestWorker(t *testing.T) {
	calls := make(chan int)
	var n atomic.Int64
	var stopped atomic.Bool
	v, db := working(t, func(ctx context.Context) (time.Time, error) {
		i := int(n.Add(1))
		select {
		case calls <- i:
		case <-ctx.Done():
			stopped.Store(true)
			return time.Time{}, ctx.Err()
		}
		switch i {
		case 2:
			return time.Time{}, errors.New("canary-free failure")
		case 3:
			panic("canary-of-a-panic")
		case 4:
			return time.Now().Add(10 * time.Millisecond), nil
		}
		return time.Time{}, nil
	})
	take(t, "the first call", calls)
	db.Config().Wake()
	for _, what := range []string{"after Wake", "after an error", "after a panic", "at the time asked for"} {
		take(t, what, calls)
	}
	db.Config().Wake()
	if err := v.Sys().Unmount("users"); err != nil { // a call may be waiting in the channel
		t.Fatal(err)
	}
	before := n.Load()
	db.Config().Wake()
	if n.Load() != before {
		t.Error("called after the mount was removed")
	}
	if text := v.Log.String(); !strings.Contains(text, "canary-free failure") || strings.Contains(text, "canary-of-a-panic") {
		t.Error("the log lacks a failure or tells a panic's value")
	}
}

// Sealing stops a Worker and waits for it; unsealing starts one again.
func TestWorkerAndSeal(t *testing.T) {
	entered, left := make(chan bool, 8), make(chan bool, 8)
	v, _ := working(t, func(ctx context.Context) (time.Time, error) {
		entered <- true
		<-ctx.Done()
		left <- true
		return time.Time{}, ctx.Err()
	})
	take(t, "work", entered)
	v.Server.Gate().Seal()
	select {
	case <-left:
	default:
		t.Error("sealed while it works")
	}
	v.Unseal()
	take(t, "work after the unseal", entered)
}

// Update runs again after a conflict, commits what it wrote once, and refuses
// once the mount is gone.
func TestUpdate(t *testing.T) {
	v, db := working(t, nil)
	cfg, ctx := db.Config(), t.Context()
	put := func(value string) func(context.Context, engine.Tx) error {
		return func(ctx context.Context, tx engine.Tx) error {
			if _, err := tx.Get(ctx, "k"); err != nil {
				return err
			}
			tx.Put("k", []byte(value))
			return nil
		}
	}
	runs := 0
	err := cfg.Update(ctx, func(ctx context.Context, tx engine.Tx) error {
		if runs++; runs == 1 {
			if _, err := tx.Get(ctx, "k"); err != nil {
				return err
			}
			if err := cfg.Update(ctx, put("other")); err != nil { // another commits in between
				return err
			}
		}
		return put("mine")(ctx, tx)
	})
	if err != nil || runs != 2 {
		t.Errorf("%d runs, %v", runs, err)
	}
	var got string
	read := func(ctx context.Context, tx engine.Tx) error {
		e, err := tx.Get(ctx, "k")
		got = string(e.Value)
		return err
	}
	if err := cfg.Update(ctx, read); err != nil || got != "mine" {
		t.Errorf("%q, %v", got, err)
	}
	refused := errs.New(errs.Invalid, "no")
	if err := cfg.Update(ctx, func(context.Context, engine.Tx) error { return refused }); !errors.Is(err, refused) {
		t.Error(err)
	}
	if err := v.Sys().Unmount("users"); err != nil {
		t.Fatal(err)
	}
	if err := cfg.Update(ctx, put("late")); !errs.Is(err, errs.NotExist) {
		t.Errorf("after the removal: %v", err)
	}
}

// After runs when its transaction is durable and its request on record; if it
// panics the lease is ended and the client told no more than that.
func TestAfter(t *testing.T) {
	v, db := working(t, nil)
	var seen string
	db.Hook(func(op, _ string) {
		if op == "make" {
			b, _ := os.ReadFile(v.AuditFile())
			seen = string(b)
		}
	})
	s, err := v.Logical().Read("users/creds/after")
	if err != nil || s.LeaseID == "" {
		t.Fatal(s, err)
	}
	if !strings.Contains(seen, `"path":"users/creds/after"`) {
		t.Error("After ran before the request was on record")
	}
	db.Hook(func(op, _ string) {
		if op == "make" {
			panic("canary-of-a-panic")
		}
	})
	_, err = v.Logical().Read("users/creds/panic")
	var re *vault.ResponseError
	if !errors.As(err, &re) || re.StatusCode != 500 || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v", err)
	}
	db.Hook(nil)
	if users := db.Users(); len(users) != 1 {
		t.Errorf("users %q", users)
	}
	count, err := v.Logical().Read("sys/leases/count")
	if err != nil || count.Data["lease_count"].(interface{ String() string }).String() != "1" {
		t.Errorf("%v, %v", count, err)
	}
}
