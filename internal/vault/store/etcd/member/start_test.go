package member

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/port"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/identity"
)

// some is the configuration of n nodes that nobody else has.
func some(t *testing.T, n int) []Config {
	t.Helper()
	dir, all := t.TempDir(), make([]Config, n)
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
	for _, m := range members {
		until(t, "it takes part", m.TakesPart)
	}
	return members
}

func stored(t *testing.T, m *Member) *etcd.Store {
	t.Helper()
	s, err := etcd.Open(t.Context(), etcd.Config{
		Client: m.Client(), Log: slog.New(slog.DiscardHandler),
		Timeout: 20 * time.Second, // of a machine that is busy
	})
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
	all := some(t, 3)
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
	until(t, "of three members two take part, and one leads", func() bool {
		standings, err := m.Standings(t.Context())
		leaders, there := 0, 0
		for _, p := range standings {
			if p.Leader {
				leaders++
			}
			if p.There {
				there++
			}
		}
		return err == nil && len(standings) == 3 && leaders == 1 && there == 2
	})
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
	until(t, "the own member takes part", func() bool { write(); return m.TakesPart() })
	for range 20 {
		write()
	}
	put(t, s, last)
	if err := <-seen; err != nil {
		t.Error(err)
	}
}

// kill ends a member as SIGKILL would, but for its process.
func kill(m *Member) {
	_ = m.http.Close()
	m.port.Stop()
	m.server.Load().HardStop()
}

// Writes that were sent to a leader that is gone are given up when another one leads, not when etcd's time is
// over; what was given up may be tried again.
func TestLeaderGone(t *testing.T) {
	t.Parallel()
	all := some(t, 3)
	nodes := running(t, all)
	lead := -1
	until(t, "a leader", func() bool {
		for i, m := range nodes {
			if m.Health().Leader {
				lead = i
			}
		}
		return lead >= 0
	})
	s := stored(t, nodes[(lead+1)%3])
	put(t, s, "f/before")
	kill(nodes[lead])
	_, err := s.Apply(t.Context(), store.Put("f/a", nil))
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "another member leads now") {
		t.Errorf("a write that was sent to the leader that was killed: %v", err)
	}
	put(t, s, "f/b")
}

// A node reads and writes while its own member answers nothing, since it defragments its file, and its watch
// has no gap.
func TestServesWhileItShrinks(t *testing.T) {
	t.Parallel()
	all := some(t, 3)
	gates := make([]chan struct{}, len(all))
	for i := range all {
		gates[i] = make(chan struct{})
		all[i].shrinking = func() { <-gates[i] }
	}
	nodes := running(t, all)
	at := -1
	until(t, "a leader", func() bool {
		for i, m := range nodes {
			if m.Health().Leader {
				at = (i + 1) % 3
			}
		}
		return at >= 0
	})
	m, s := nodes[at], stored(t, nodes[at])
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
	for range 10 {
		write()
	}
	ended := make(chan error, 1)
	go func() { ended <- m.shrink() }()
	until(t, "calls go by another member", func() bool { write(); return !m.TakesPart() })
	file := m.server.Load().Backend().BatchTx() // as etcd has it while it defragments
	file.Lock()
	for range 10 {
		write()
	}
	if h := m.Health(); h.Size == 0 || h.Members != 3 { // must not wait for the file either
		t.Errorf("meanwhile its health is %+v", h)
	}
	file.Unlock()
	close(gates[at])
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !m.TakesPart() {
		t.Error("calls do not go to the own member again")
	}
	for range 10 {
		write()
	}
	put(t, s, last)
	if err := <-seen; err != nil {
		t.Error(err)
	}
}

// A node whose etcd does not start after all is lost, though it has served, and says why.
func TestDoesNotStart(t *testing.T) {
	t.Parallel()
	all := some(t, 3)
	nodes := running(t, all)
	closed(t, nodes[2])
	goOn := held(&all[2])
	defer goOn()
	m := opened(t, all[2])
	if m == nil {
		t.FailNow()
	}
	put(t, stored(t, m), "f/a")
	data := dataDir(all[2].Dir)
	if err := os.Rename(data, data+"-away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(data, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	goOn()
	select {
	case <-m.Lost():
	case <-time.After(time.Minute):
		t.Fatal("it is not lost")
	}
	if err := m.Err(); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "starting the member") {
		t.Error(err)
	}
}

// A node on which the majority of one that starts depends ends only after that has started.
func TestLinger(t *testing.T) {
	t.Parallel()
	all := some(t, 3)
	nodes := running(t, all)
	closed(t, nodes[2])
	goOn := held(&all[2])
	defer goOn()
	m := opened(t, all[2])
	if m == nil {
		t.FailNow()
	}
	s := stored(t, m)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = nodes[0].Close()
	}()
	until(t, "the node that is to end asks", func() bool { return nodes[0].lingers.Load() })
	select {
	case <-ended:
		t.Error("it ended")
	default:
	}
	put(t, s, "f/a")
	goOn()
	<-ended
	if !m.TakesPart() {
		t.Error("it ended before the other one had started")
	}
	put(t, s, "f/b")
}

// Etcd's clients are served on the members' port, and only who has the cluster key.
func TestClientsNeedTheKey(t *testing.T) {
	t.Parallel()
	cfg := some(t, 1)[0]
	opened(t, cfg)
	other, err := identity.New(redact.New([]byte(strings.Repeat("other-ke", 4))), t.TempDir(), "a", port.Host(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	same, err := identity.New(cfg.Key, t.TempDir(), "a", port.Host(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	strange := other.Client()
	strange.InsecureSkipVerify = true // it would talk to us
	bare := same.Client()
	bare.GetClientCertificate = nil
	for name, tc := range map[string]struct {
		tls    *tls.Config
		served bool
	}{"the key": {same.Client(), true}, "another key": {strange, false}, "no certificate": {bare, false}} {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{cfg.own().URL}, TLS: tc.tls, Logger: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), map[bool]time.Duration{true: time.Minute, false: 2 * time.Second}[tc.served])
		_, err = c.Get(ctx, "k")
		cancel()
		if (err == nil) != tc.served {
			t.Errorf("%s: %v", name, err)
		}
		_ = c.Close()
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
