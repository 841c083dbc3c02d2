package member

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/port"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd"
)

// three is the configuration of three nodes that nobody else has.
func three(t *testing.T) []Config {
	t.Helper()
	dir, all := t.TempDir(), make([]Config, 3)
	peers := make([]Peer, len(all))
	for i := range all {
		p, err := port.Free(port.Host())
		if err != nil {
			t.Fatal(err)
		}
		peers[i] = Peer{Name: string(rune('a' + i)), URL: "https://" + net.JoinHostPort(port.Host(), strconv.Itoa(p))}
	}
	for i, p := range peers {
		all[i] = Config{
			Dir: filepath.Join(dir, p.Name), Name: p.Name, Peers: peers, Listen: strings.TrimPrefix(p.URL, "https://"),
			Key: redact.New([]byte(strings.Repeat("\x07k", 16))), Log: slog.New(slog.DiscardHandler),
		}
	}
	return all
}

func opened(t *testing.T, cfg Config) *Member {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	m, err := Open(ctx, cfg)
	if err != nil {
		t.Error(err)
		return nil
	}
	t.Cleanup(func() { closed(t, m) })
	return m
}

func closed(t *testing.T, m *Member) {
	t.Helper()
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

func running(t *testing.T, all []Config) []*Member {
	t.Helper()
	members := make([]*Member, len(all))
	var starting sync.WaitGroup
	for i, cfg := range all {
		starting.Go(func() { members[i] = opened(t, cfg) })
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return members
}

func stored(t *testing.T, m *Member) *etcd.Store {
	t.Helper()
	s, err := etcd.Open(t.Context(), etcd.Config{Client: m.Client(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// held keeps a node's etcd from reading its file until go on is called.
func held(cfg *Config) (goOn func()) {
	gate := make(chan struct{})
	cfg.starting = func() { <-gate }
	return sync.OnceFunc(func() { close(gate) })
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); !f(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("this never came about: ", what)
		}
	}
}

func put(t *testing.T, s *etcd.Store, key string) store.Revision {
	t.Helper()
	rev, err := s.Apply(t.Context(), store.Put(key, []byte(key)))
	if err != nil {
		t.Fatalf("writing %s: %v", key, err)
	}
	if e, err := s.Get(t.Context(), key); err != nil || e.Revision != rev {
		t.Fatalf("%s has revision %d and not %d: %v", key, e.Revision, rev, err)
	}
	return rev
}

// A node reads, writes and watches while its own etcd has not read its file. Its watch goes on, without
// a gap and without anything twice, when calls begin to go to the own member, and when that was closed and
// the node starts again.
func TestServesWhileItStarts(t *testing.T) {
	t.Parallel()
	all := three(t)
	nodes := running(t, all)
	put(t, stored(t, nodes[0]), "f/before")
	closed(t, nodes[2])
	goOn := held(&all[2])
	defer goOn()
	m := opened(t, all[2])
	if m == nil {
		t.FailNow()
	}
	if m.running() || m.Health().Size != 0 {
		t.Error("etcd runs, though it is held")
	}
	s := stored(t, m)
	if e, err := s.Get(t.Context(), "f/before"); err != nil || string(e.Value) != "f/before" {
		t.Errorf("%q, %v", e.Value, err)
	}
	if names, err := s.List(t.Context(), "f/", "", 0); err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
	standings, err := m.Standings(t.Context())
	if err != nil || len(standings) != 3 {
		t.Errorf("%v, %v", standings, err)
	}
	leaders, there := 0, 0
	for _, p := range standings {
		if p.Leader {
			leaders++
		}
		if p.There {
			there++
		}
	}
	if leaders != 1 || there != 2 {
		t.Errorf("%d leaders, %d take part: %+v", leaders, there, standings)
	}
	w, err := s.Watch(t.Context(), "f/", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	seen := make(chan error, 1)
	const last = "f/z"
	go func() { seen <- inOrder(t.Context(), w, last) }()
	n := 0
	write := func() {
		put(t, s, fmt.Sprintf("f/%06d", n))
		n++
	}
	for range 20 {
		write()
	}
	goOn()
	until(t, "the own member takes part", func() bool { write(); return m.route.ByOwn() })
	for range 20 {
		write()
	}
	put(t, s, last)
	if err := <-seen; err != nil {
		t.Error(err)
	}
}

// inOrder reads a watch until last: numbered keys without a gap.
func inOrder(ctx context.Context, w store.Watcher, last string) error {
	n := 0
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, ok := <-w.Events():
			if !ok {
				return errs.Newf(errs.Internal, "the watch ended: %w", w.Err())
			}
			for _, c := range e.Changes {
				if c.Key == last {
					return nil
				}
				if want := fmt.Sprintf("f/%06d", n); c.Key != want {
					return errs.Newf(errs.Internal, "%s came where %s was to come", c.Key, want)
				}
				n++
			}
		}
	}
}
