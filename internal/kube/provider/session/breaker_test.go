package session

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// picky is a backend that fails for some keys.
type picky struct {
	backend
	mu    sync.Mutex
	bad   map[string]error // by a prefix of keys
	asked map[string]int   // by key
}

func newPicky() *picky { return &picky{bad: map[string]error{}, asked: map[string]int{}} }

func (p *picky) Open(ctx context.Context, cfg provider.Config) (provider.Store, error) {
	_, err := p.backend.Open(ctx, cfg)
	return p, err
}

func (p *picky) Read(_ context.Context, req provider.Request) (provider.Value, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked[req.Key]++
	if req.For != "" {
		return provider.Value{}, errs.New(errs.Internal, "a store is told who asks")
	}
	for prefix, err := range p.bad {
		if strings.HasPrefix(req.Key, prefix) {
			return provider.Value{}, err
		}
	}
	return provider.Value{}, nil
}

func (p *picky) Write(ctx context.Context, w provider.Write) error { return p.Delete(ctx, w.Place) }
func (p *picky) Delete(ctx context.Context, at provider.Place) error {
	_, err := p.Read(ctx, provider.Request{Key: at.Key, For: at.For})
	return err
}
func (p *picky) Exists(ctx context.Context, at provider.Place) (bool, error) {
	return true, p.Delete(ctx, at)
}

func (p *picky) total() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, asked := range p.asked {
		n += asked
	}
	return n
}

// Guards against one namespace pausing a shared store for all others, with as many keys
// as it likes that make the store answer with a failure.
func TestOneNamespacePausesItselfOnly(t *testing.T) {
	b := newPicky()
	b.bad["mine/"] = errs.New(errs.Unavailable, "500")
	run(t, &b.backend, func(t *testing.T, p *Pool) {
		p.cfg.Providers["test"] = b
		for i := range 20 { // it goes on and on, by reads and by writes
			for j := range 3 {
				key := fmt.Sprintf("mine/%d", j)
				if _, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: key, For: "mallory"}); !errs.Is(err, errs.Unavailable) {
					t.Fatalf("%v, want unavailable", err)
				}
				if err := p.Delete(t.Context(), object(t, 1), provider.Place{Key: key, For: "mallory"}); !errs.Is(err, errs.Unavailable) {
					t.Fatalf("%v, want unavailable", err)
				}
			}
			// Others are heard, also on what they never asked for before.
			if i%2 == 0 {
				continue // what fails is not told by a success in between
			}
			for _, by := range []string{"alice", "bob"} {
				if _, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: fmt.Sprintf("ours/%s/%d", by, i), For: by}); err != nil {
					t.Fatalf("%s is held back: %v", by, err)
				}
				if err := p.Write(t.Context(), object(t, 1), provider.Write{Place: provider.Place{Key: "ours/w", For: by}}); err != nil {
					t.Fatalf("%s is held back from writing: %v", by, err)
				}
			}
			time.Sleep(downPause)
		}
		if n := b.asked["mine/1"] + b.asked["mine/2"]; n > 0 {
			t.Errorf("%d calls of a namespace whose call had just failed", n)
		}
	})
}

// An outage that several namespaces meet still costs one call a second, not one of each.
func TestAnOutageIsHeardOfByAll(t *testing.T) {
	for name, key := range map[string]func(space, i int) string{
		"a key for each": func(space, i int) string { return fmt.Sprintf("%d/%d", space, i) },
		"one for all":    func(int, int) string { return "shared" },
	} {
		b := newPicky()
		b.bad[""] = errs.New(errs.Unavailable, "connection refused")
		run(t, &b.backend, func(t *testing.T, p *Pool) {
			p.cfg.Providers["test"] = b
			const seconds = 10
			for range seconds {
				for space := range 50 {
					for i := range 4 {
						_, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: key(space, i), For: fmt.Sprint(space)})
						if !errs.Is(err, errs.Unavailable) {
							t.Fatalf("%s: %v, want unavailable", name, err)
						}
					}
				}
				time.Sleep(downPause)
			}
			if n := b.total(); n > seconds+1 {
				t.Errorf("%s: %d calls in %d seconds of an outage", name, n, seconds)
			}
			delete(b.bad, "")
			if _, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: "any", For: "1"}); err != nil {
				t.Errorf("%s: after it: %v", name, err)
			}
			b.bad["x"] = errs.New(errs.Unavailable, "500") // what was before does not count any more
			_, _ = p.Read(t.Context(), object(t, 1), provider.Request{Key: "x", For: "1"})
			if _, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: "any", For: "2"}); err != nil {
				t.Errorf("%s: a success in between is forgotten: %v", name, err)
			}
		})
	}
}

// What a store would answer everybody pauses it for all at once.
func TestWhatIsSaidToEverybody(t *testing.T) {
	for _, kind := range []errs.Kind{errs.Sealed, errs.Unauthenticated, errs.Exhausted} {
		b := newPicky()
		b.bad["mine"] = errs.New(kind, "no")
		run(t, &b.backend, func(t *testing.T, p *Pool) {
			p.cfg.Providers["test"] = b
			_, _ = p.Read(t.Context(), object(t, 1), provider.Request{Key: "mine", For: "alice"})
			if _, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: "other", For: "bob"}); !errs.Is(err, kind) || b.total() != 1 {
				t.Errorf("%s: %v after %d calls", kind, err, b.total())
			}
		})
	}
}

// Failures of different namespaces long after one another say nothing of the store.
func TestFailuresFarApart(t *testing.T) {
	b := newPicky()
	b.bad["bad"] = errs.New(errs.Unavailable, "500")
	run(t, &b.backend, func(t *testing.T, p *Pool) {
		p.cfg.Providers["test"] = b
		_, _ = p.Read(t.Context(), object(t, 1), provider.Request{Key: "bad/1", For: "alice"})
		time.Sleep(tellFor + time.Second)
		_, _ = p.Read(t.Context(), object(t, 1), provider.Request{Key: "bad/2", For: "bob"})
		if _, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: "good", For: "carol"}); err != nil {
			t.Errorf("%v", err)
		}
	})
}
