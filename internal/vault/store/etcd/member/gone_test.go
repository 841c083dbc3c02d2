package member

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/testenv/port"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/identity"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/peer"
)

// reading has clients read key from when it returns until end is called. Each error fails the test.
func reading(t *testing.T, s *etcd.Store, key string) (end func()) {
	t.Helper()
	var running, begun sync.WaitGroup
	ended := make(chan struct{})
	for range 8 {
		begun.Add(1)
		running.Go(func() {
			begin := sync.OnceFunc(begun.Done)
			defer begin()
			for {
				if e, err := s.Get(t.Context(), key); err != nil || e.Revision == 0 {
					t.Errorf("reading %s: %d, %v", key, e.Revision, err)
					return
				}
				begin()
				select {
				case <-ended:
					return
				default:
				}
			}
		})
	}
	begun.Wait()
	return func() {
		close(ended)
		running.Wait()
	}
}

// The member that a node stores through is killed amid it: reads do not fail, writes go on by another one,
// and nothing is made twice or lost to the watch.
func TestAnotherGone(t *testing.T) {
	t.Parallel()
	all := some(t, 5)
	nodes := running(t, all)
	closed(t, nodes[4])
	defer held(&all[4])()
	m := opened(t, all[4])
	if m == nil {
		t.FailNow()
	}
	s := stored(t, m)
	w, err := s.Watch(t.Context(), "f/", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	seen := make(chan error, 1)
	const last = "f/z"
	go func() { seen <- inOrder(t.Context(), w, last) }()
	put(t, stored(t, nodes[0]), "read")
	n := 0
	write := func(key string) {
		until(t, "a write of "+key, func() bool { // guarded: it is made once, also when an answer is lost
			_, err := s.Apply(t.Context(), store.Put(key, nil).If(0))
			return err == nil || errs.Is(err, errs.Conflict)
		})
		if e, err := s.Get(t.Context(), key); err != nil || e.Revision == 0 {
			t.Fatalf("%s: %d, %v", key, e.Revision, err)
		}
		n++
	}
	first, _ := m.route.Way()
	at := 0
	for at < 3 && all[at].own().URL != first {
		at++
	}
	for range 20 {
		write(fmt.Sprintf("f/%06d", n))
	}
	end := reading(t, s, "read") // some are under way when it is killed
	kill(nodes[at])
	until(t, "another way", func() bool {
		way, own := m.route.Way()
		return way != "" && way != first && !own
	})
	end()
	for range 20 {
		write(fmt.Sprintf("f/%06d", n))
	}
	write(last)
	if err := <-seen; err != nil {
		t.Error(err)
	}
}

// A node that was removed while it was down does not serve through the others, while its etcd is held.
func TestRemovedMeanwhile(t *testing.T) {
	t.Parallel()
	all := some(t, 3)
	nodes := running(t, all)
	closed(t, nodes[2])
	placed, err := nodes[0].Members(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range placed {
		if p.Name != all[2].Name {
			continue
		}
		remove := func() error { return nodes[0].removeID(t.Context(), p.ID, p.Name) }
		until(t, "a healthy cluster lets it go", func() bool { return remove() == nil })
		if err := remove(); err != nil { // asked again, as when the first answer was lost
			t.Error(err)
		}
	}
	asked := make(chan struct{})
	all[2].Log = slog.New(listener{slog.DiscardHandler, "was removed", sync.OnceFunc(func() { close(asked) })})
	goOn := held(&all[2])
	defer goOn()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		m, err := Open(ctx, all[2])
		if err == nil {
			t.Cleanup(func() { closed(t, m) })
			err = errs.New(errs.Internal, "it serves")
		}
		ended <- err
	}()
	select {
	case <-asked:
	case err := <-ended:
		t.Fatal(err)
	}
	cancel()
	goOn()
	if err := <-ended; !errs.Is(err, errs.Unavailable) {
		t.Error(err)
	}
}

// listener calls heard when what is logged says something.
type listener struct {
	slog.Handler
	says  string
	heard func()
}

func (listener) Enabled(context.Context, slog.Level) bool { return true }

func (l listener) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if strings.Contains(a.Value.String(), l.says) {
			l.heard()
		}
		return true
	})
	return nil
}

func (l listener) WithAttrs([]slog.Attr) slog.Handler { return l }

// A node does not defragment before its own member has caught up: its calls would go there meanwhile.
func TestDoesNotShrinkBefore(t *testing.T) {
	t.Parallel()
	all := some(t, 3)
	for _, m := range running(t, all) {
		closed(t, m)
	}
	i, err := identity.New(all[0].Key, t.TempDir(), "a", port.Host(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	c := peer.NewCaller(i, time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := Open(ctx, all[0])
		ended <- err
	}()
	until(t, "etcd runs", func() bool {
		s, err := c.State(t.Context(), all[0].own().URL)
		return err == nil && s.ID != 0
	})
	if err := c.Ask(t.Context(), http.MethodPost, all[0].own().URL+peer.ShrinkPath, nil, new(Health)); err == nil || !strings.Contains(err.Error(), "no member yet") {
		t.Error(err)
	}
	cancel()
	if err := <-ended; !errs.Is(err, errs.Unavailable) {
		t.Errorf("without a majority: %v", err)
	}
}
