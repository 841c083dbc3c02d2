package database_test

import (
	"context"
	"sync"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

// faults stand between an engine and its databases and store. A crash is a point
// behind which nothing happens any more, until restart.
type faults struct {
	mu      sync.Mutex
	at      string // where to crash: "before update", "after update", "before commit", ...
	skip    int    // how many times to pass that point first
	crashed bool
	calls   []string
}

// crashAt has the process end at a point, the next time it is passed.
func (f *faults) crashAt(point string, skip int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.skip = point, skip
}

// restart ends the crash; it reports whether there was one.
func (f *faults) restart() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.crashed
	f.at, f.skip, f.crashed = "", 0, false
	return was
}

// down reports whether the process has crashed.
func (f *faults) down() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.crashed
}

// took returns what was asked of databases since it was last called.
func (f *faults) took() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

func (f *faults) pass(point string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, point)
	if !f.crashed && (f.at == point || f.at == "any") {
		if f.skip--; f.skip < 0 {
			f.crashed = true
		}
	}
	if f.crashed {
		return errs.New(errs.Unavailable, "the process has crashed")
	}
	return nil
}

// option has the engine's own transactions crash.
func (f *faults) option(c *engine.Config) {
	var one sync.Mutex // the harness belongs to one goroutine
	for _, update := range []*func(context.Context, func(context.Context, engine.Tx) error) error{&c.Update, &c.Duty} {
		plain := *update
		*update = func(ctx context.Context, change func(context.Context, engine.Tx) error) error {
			one.Lock()
			defer one.Unlock()
			if err := f.pass("before commit"); err != nil {
				return err
			}
			return plain(ctx, change)
		}
	}
}

func (f *faults) wrap(t driver.Type) driver.Type {
	open := t.Open
	t.Open = func(c driver.Config) (driver.Database, error) {
		db, err := open(c)
		if err != nil {
			return nil, err
		}
		plain := &faulty{db, f}
		gate, locks := db.(driver.Gatekeeper)
		witness, tells := db.(driver.Witness)
		passwords, several := db.(driver.Passwords)
		switch {
		case several && locks && tells:
			return &powerful{&gated{plain, witness, gate}, passwords}, nil
		case locks && tells:
			return &gated{plain, witness, gate}, nil
		}
		return plain, nil
	}
	return t
}

type faulty struct {
	driver.Database
	*faults
}

func (f *faulty) around(what string, call func() error) error {
	if err := f.pass("before " + what); err != nil {
		return err
	}
	if err := call(); err != nil {
		return err
	}
	return f.pass("after " + what)
}

func (f *faulty) Ping(ctx context.Context) error {
	return f.around("ping", func() error { return f.Database.Ping(ctx) })
}

func (f *faulty) Create(ctx context.Context, a *driver.Account) error {
	return f.around("create", func() error { return f.Database.Create(ctx, a) })
}

func (f *faulty) Update(ctx context.Context, a *driver.Account) error {
	return f.around("update", func() error { return f.Database.Update(ctx, a) })
}

func (f *faulty) Delete(ctx context.Context, a *driver.Account) error {
	return f.around("delete", func() error { return f.Database.Delete(ctx, a) })
}

// gated and powerful are databases with optional powers.
type gated struct {
	*faulty
	driver.Witness
	gate driver.Gatekeeper
}

// Rules is a power of those that have it.
func (g *gated) Rules(ctx context.Context, username string) (rules bool, err error) {
	ranker, ok := g.Database.(driver.Ranker)
	if !ok {
		return false, nil
	}
	err = g.around("rank", func() error {
		rules, err = ranker.Rules(ctx, username)
		return err
	})
	return rules, err
}

func (g *gated) Lock(ctx context.Context, username string) error {
	return g.around("lock", func() error { return g.gate.Lock(ctx, username) })
}

func (g *gated) Unlock(ctx context.Context, username string) error {
	return g.around("unlock", func() error { return g.gate.Unlock(ctx, username) })
}

func (g *gated) EndSessions(ctx context.Context, username string) error {
	return g.around("end", func() error { return g.gate.EndSessions(ctx, username) })
}

type powerful struct {
	*gated
	passwords driver.Passwords
}

func (p *powerful) AddPassword(ctx context.Context, username string, password redact.Secret) error {
	return p.around("add", func() error { return p.passwords.AddPassword(ctx, username, password) })
}

func (p *powerful) RemovePassword(ctx context.Context, username string, password redact.Secret) error {
	return p.around("remove", func() error { return p.passwords.RemovePassword(ctx, username, password) })
}
