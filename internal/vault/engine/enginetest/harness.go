package enginetest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/password"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

// Harness is one mounted engine over a store in memory. It belongs to one
// goroutine. Its clock stands still until Advance.
type Harness struct {
	Engine engine.Engine
	Router *engine.Router

	ctx    context.Context
	store  *memoStore
	now    time.Time
	random *random
	logs   *lockedBuffer
	events []engine.Event
	nextID int
	leases map[string]*engine.Leased // by ID
	woken  atomic.Int64
}

// Policy is the one password policy that a Harness knows, besides the default.
const Policy = "strict"

func (h *Harness) update(_ context.Context, change func(context.Context, engine.Tx) error) error {
	_, err := h.transact(func(t *tx) (*engine.Response, error) { return nil, change(h.ctx, t) })
	return err
}

// Option changes how New sets a Harness up.
type Option func(*engine.Config)

// WithOptions gives the mount options, for example version=2.
func WithOptions(options map[string]string) Option {
	return func(c *engine.Config) { c.Options = options }
}

// WithTTLs sets the mount's TTLs; without it they are 768 hours both, as in Vault.
func WithTTLs(ttls engine.TTLs) Option {
	return func(c *engine.Config) { c.TTL = func() engine.TTLs { return ttls } }
}

// New mounts an engine, runs its Setup, and closes it when the test ends. It
// then also checks that no value which the store shares was changed.
func New(t testing.TB, factory engine.Factory, options ...Option) *Harness {
	t.Helper()
	h, err := mount(t.Context(), factory, options...)
	if err != nil {
		t.Fatalf("mounting the engine: %v", err)
	}
	t.Cleanup(func() {
		for _, problem := range h.close() {
			t.Error(problem)
		}
	})
	return h
}

func mount(ctx context.Context, factory engine.Factory, options ...Option) (*Harness, error) {
	h := &Harness{
		ctx:    ctx,
		store:  &memoStore{Store: mem.New(mem.Config{}), known: map[string]*handed{}},
		now:    time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.UTC),
		random: new(random),
		logs:   new(lockedBuffer),
		leases: map[string]*engine.Leased{},
	}
	h.random.seed(0)
	cfg := engine.Config{
		MountID:   "6d1c3b1e-4f53-4f0e-9d3c-5f4a5d1f6d0a",
		MountPath: func() string { return "mnt/" },
		Options:   map[string]string{},
		Log:       slog.New(slog.NewTextHandler(h.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now:       func() time.Time { return h.now },
		Random:    h.random,
		TTL:       func() engine.TTLs { return engine.TTLs{Default: 768 * time.Hour, Max: 768 * time.Hour} },
		Lockout:   engine.DefaultLockout,
		Update:    h.update,
		Duty:      h.update,
		Wake:      func() { h.woken.Add(1) },
		Password: func(_ context.Context, policy string) (redact.Secret, error) {
			if policy != "" && policy != Policy {
				return redact.Secret{}, errs.Newf(errs.Invalid, "there is no password policy %q", policy)
			}
			return password.Default().Generate(h.random)
		},
	}
	for _, option := range options {
		option(&cfg)
	}
	var err error
	if h.Engine, err = factory(cfg); err != nil {
		return nil, err
	}
	if h.Router, err = engine.NewRouter(h.Engine.Routes()); err != nil {
		return nil, err
	}
	if setter, ok := h.Engine.(engine.Setter); ok {
		_, err = h.transact(func(t *tx) (*engine.Response, error) { return nil, setter.Setup(ctx, t) })
	}
	return h, err
}

// close ends the engine and the store and returns what is wrong.
func (h *Harness) close() []string {
	var problems []string
	for range 2 {
		if err := h.Engine.Close(); err != nil {
			problems = append(problems, fmt.Sprintf("closing the engine: %v", err))
		}
	}
	for _, key := range h.store.changed() {
		problems = append(problems, fmt.Sprintf("the engine changed the shared value of %q", key))
	}
	if err := h.store.Close(); err != nil {
		problems = append(problems, fmt.Sprintf("closing the store: %v", err))
	}
	return problems
}

// Now returns the harness's time: that of the next request.
func (h *Harness) Now() time.Time { return h.now }

// Advance moves the clock.
func (h *Harness) Advance(d time.Duration) { h.now = h.now.Add(d) }

// DefaultCaller is who sends requests unless an edit says otherwise.
func DefaultCaller() engine.Caller {
	return engine.Caller{TokenKey: "tokenkey1", Accessor: "accessor1", DisplayName: "token-test", Policies: []string{"default"}}
}

// Do sends one request and commits it. A POST is op Update; where the route
// tells create from update, Do asks it, as the gate does. body is JSON, "" for
// none. Kinds of the gate's own: NotExist without a route, Unsupported without
// a handler.
func (h *Harness) Do(op engine.Operation, path, body string, edits ...func(*engine.Request)) (*engine.Response, error) {
	b, err := engine.ParseBody([]byte(body))
	if err != nil {
		return nil, err
	}
	req := &engine.Request{
		Operation: op, Mount: "mnt/", Path: path, Body: b,
		Caller: DefaultCaller(), Remote: netip.MustParseAddr("192.0.2.7"), Time: h.now,
	}
	h.nextID++
	req.ID = fmt.Sprintf("00000000-0000-4000-8000-%012d", h.nextID)
	for _, edit := range edits {
		edit(req)
	}
	handler, err := h.route(req)
	if err != nil {
		return nil, err
	}
	res, err := h.transact(func(t *tx) (*engine.Response, error) { return handler(h.ctx, t, req) })
	if err != nil || res == nil {
		return res, err
	}
	if err := h.finish(req, res); err != nil {
		return nil, err
	}
	return res, nil
}

// finish does what the gate does after the commit: it names the lease and runs
// After, whose failure has the lease revoked, or forgotten if nothing was made.
func (h *Harness) finish(req *engine.Request, res *engine.Response) error {
	l := res.Lease
	if l != nil && l.Tracked {
		l.ID = req.Mount + req.Path + "/" + req.ID
		h.leases[l.ID] = &engine.Leased{
			ID: l.ID, Path: req.Path, Role: l.Role, Internal: l.Internal, Issued: h.now, Expires: h.now.Add(l.TTL),
		}
	}
	if res.After == nil {
		return nil
	}
	err := res.After(h.ctx)
	if engine.IsUnmade(err) && l != nil {
		delete(h.leases, l.ID)
	} else if err != nil && l != nil && l.Tracked {
		if revokeErr := h.Revoke(l.ID); revokeErr != nil {
			h.logs.Write([]byte("revoking after a failure: " + revokeErr.Error() + "\n"))
		}
	}
	return err
}

// Revoke has the engine end a lease it gave; after an error the lease stays.
func (h *Harness) Revoke(leaseID string) error {
	leaser, l, err := h.leased(leaseID)
	if err != nil {
		return err
	}
	if _, err := h.transact(func(t *tx) (*engine.Response, error) { return nil, leaser.RevokeLease(h.ctx, t, l) }); err != nil {
		return err
	}
	delete(h.leases, leaseID)
	return nil
}

// Renew has the engine renew a lease it gave, by increment.
func (h *Harness) Renew(leaseID string, increment time.Duration) (renewed *engine.Lease, err error) {
	leaser, l, err := h.leased(leaseID)
	if err != nil {
		return nil, err
	}
	asked := *l
	asked.Increment = increment
	_, err = h.transact(func(t *tx) (_ *engine.Response, err error) {
		renewed, err = leaser.RenewLease(h.ctx, t, &asked)
		return nil, err
	})
	if err == nil {
		l.Expires = h.now.Add(renewed.TTL)
	}
	return renewed, err
}

// Leases returns the IDs of the leases that were given and not revoked, sorted.
func (h *Harness) Leases() []string { return slices.Sorted(maps.Keys(h.leases)) }

func (h *Harness) leased(id string) (engine.Leaser, *engine.Leased, error) {
	leaser, ok := h.Engine.(engine.Leaser)
	if !ok {
		return nil, nil, errs.New(errs.Unsupported, "the engine gives no leases")
	}
	l := h.leases[id]
	if l == nil {
		return nil, nil, errs.Newf(errs.NotExist, "there is no lease %q", id)
	}
	return leaser, l, nil
}

// Work has an engine.Worker do what is due at the harness's time.
func (h *Harness) Work() (next time.Time, err error) {
	worker, ok := h.Engine.(engine.Worker)
	if !ok {
		return time.Time{}, errs.New(errs.Unsupported, "the engine has no work of its own")
	}
	return worker.Work(h.ctx)
}

// Woken returns how often the engine has asked for Work since it was last called.
func (h *Harness) Woken() int { return int(h.woken.Swap(0)) }

// route finds the handler and fills in what the gate would.
func (h *Harness) route(req *engine.Request) (engine.Handler, error) {
	route, params, ok := h.Router.Match(req.Path)
	if !ok {
		return nil, errs.Newf(errs.NotExist, "no route for %q", req.Path)
	}
	req.Params = params
	handler := route.Handler(req.Operation)
	if handler == nil {
		return nil, errs.Newf(errs.Unsupported, "%s is not supported on %q", req.Operation, req.Path)
	}
	if req.Operation != engine.Update || route.Exists == nil {
		return handler, nil
	}
	asked := h.begin()
	exists, err := route.Exists(h.ctx, asked, req)
	switch {
	case err != nil:
		return nil, err
	case len(asked.writes()) != 0 || len(asked.events) != 0:
		return nil, errs.Newf(errs.Internal, "Exists of %q writes or emits", route.Pattern)
	case !exists:
		req.Operation = engine.Create
	}
	return route.Handler(req.Operation), nil
}

func (h *Harness) begin() *tx { return &tx{txn: store.Begin(h.store)} }

// transact runs f until its transaction commits, anew after each conflict.
func (h *Harness) transact(f func(*tx) (*engine.Response, error)) (*engine.Response, error) {
	for {
		t := h.begin()
		res, err := f(t)
		if err != nil {
			return res, err
		}
		_, err = t.txn.Commit(h.ctx)
		if errs.Is(err, errs.Conflict) {
			continue
		}
		if err == nil {
			h.events = append(h.events, t.events...)
		}
		return res, err
	}
}

// View returns a transaction that is never committed, for tests that call a
// handler themselves.
func (h *Harness) View() engine.Tx { return h.begin() }

// Conflict makes the next commit fail once, so that its handler runs again.
func (h *Harness) Conflict() { h.store.conflictOnce() }

// Events returns the events of all commits since it was last called.
func (h *Harness) Events() []engine.Event {
	events := h.events
	h.events = nil
	return events
}

// TokenGone tells an engine.TokenWatcher that a token was removed.
func (h *Harness) TokenGone(tokenKey string) error {
	watcher, ok := h.Engine.(engine.TokenWatcher)
	if !ok {
		return errs.New(errs.Unsupported, "the engine watches no tokens")
	}
	_, err := h.transact(func(t *tx) (*engine.Response, error) { return nil, watcher.TokenGone(h.ctx, t, tokenKey) })
	return err
}

// Stored returns everything the engine keeps, by key within the mount.
func (h *Harness) Stored(t testing.TB) map[string]string {
	t.Helper()
	stored, err := h.stored(h.ctx)
	if err != nil {
		t.Fatalf("reading the store: %v", err)
	}
	return stored
}

func (h *Harness) stored(ctx context.Context) (map[string]string, error) {
	all := map[string]string{}
	folders := []string{mountPrefix}
	for len(folders) > 0 {
		folder := folders[0]
		folders = folders[1:]
		names, err := h.store.List(ctx, folder, "", 0)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if name[len(name)-1] == '/' {
				folders = append(folders, folder+name)
				continue
			}
			e, err := h.store.Get(ctx, folder+name)
			if err != nil {
				return nil, err
			}
			all[(folder + name)[len(mountPrefix):]] = string(e.Value)
		}
	}
	return all, nil
}

// Logs returns what the engine has logged.
func (h *Harness) Logs() string { return h.logs.String() }

// random is a reproducible source: an engine run twice from one seed must do
// the same.
type random struct {
	mu  sync.Mutex
	src *rand.ChaCha8
}

func (r *random) seed(n byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.src = rand.NewChaCha8([32]byte{n})
}

func (r *random) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.src.Read(p)
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
