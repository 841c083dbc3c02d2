package member_test

import (
	"cmp"
	"context"
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

	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/port"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member"
	"github.com/strongkeep/strongkeep/internal/vault/store/feed"
	"github.com/strongkeep/strongkeep/internal/vault/store/storetest"
)

var key = redact.New([]byte(strings.Repeat("\x07k", 16)))

// list is of n nodes that nobody else has.
func list(t testing.TB, n int) []member.Config {
	t.Helper()
	peers := make([]member.Peer, n)
	for i := range peers {
		p, err := port.Free(port.Host())
		if err != nil {
			t.Fatal(err)
		}
		peers[i] = member.Peer{Name: string(rune('a' + i)), URL: "https://" + net.JoinHostPort(port.Host(), strconv.Itoa(p))}
	}
	dir := t.TempDir()
	all := make([]member.Config, n)
	for i, p := range peers {
		all[i] = member.Config{
			Dir: filepath.Join(dir, p.Name), Name: p.Name, Peers: peers, Listen: strings.TrimPrefix(p.URL, "https://"), Key: key,
			Log: slog.New(slog.NewTextHandler(logFile(t), &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", p.Name),
		}
	}
	return all
}

// logFile shows what nodes logged if the test fails.
func logFile(t testing.TB) *os.File {
	f, err := os.CreateTemp("", "strongkeep-member-*.log")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = f.Close()
		if t.Failed() {
			t.Log("log: ", f.Name())
			return
		}
		_ = os.Remove(f.Name())
	})
	return f
}

func open(t testing.TB, cfg member.Config) *member.Member {
	t.Helper()
	m, err := try(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, cfg.Name+" takes part", m.TakesPart)
	return m
}

// try opens a node that is closed with the test.
func try(t testing.TB, cfg member.Config) (*member.Member, error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	m, err := member.Open(ctx, cfg)
	if err == nil {
		t.Cleanup(func() { _ = m.Close() })
	}
	return m, err
}

// together opens all at once, as nodes must for their first start.
func together(t testing.TB, all []member.Config) []*member.Member {
	t.Helper()
	members, problems := make([]*member.Member, len(all)), make([]error, len(all))
	var running sync.WaitGroup
	for i, cfg := range all {
		running.Go(func() { members[i], problems[i] = try(t, cfg) })
	}
	running.Wait()
	for _, err := range problems {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range members {
		eventually(t, "a node takes part", m.TakesPart)
	}
	return members
}

func storeOf(t testing.TB, m *member.Member, cfg etcd.Config) *etcd.Store {
	t.Helper()
	cfg.Client = m.Client()
	cfg.Timeout = cmp.Or(cfg.Timeout, 20*time.Second) // of a machine that is busy
	s, err := etcd.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// eventually waits until f holds.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(2 * time.Minute); !f(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("this never came about: ", what)
		}
	}
}

func TestStore(t *testing.T) {
	m := open(t, list(t, 1)[0])
	n := 0
	configs := map[store.Store]etcd.Config{}
	fresh := func(t *testing.T, cfg etcd.Config) store.Store {
		s := storeOf(t, m, cfg)
		configs[s] = cfg
		return s
	}
	config := func() etcd.Config {
		n++
		return etcd.Config{Prefix: fmt.Sprintf("test-%d/", n)}
	}
	storetest.Run(t, func(t *testing.T) store.Store { return fresh(t, config()) }, storetest.Options{
		Reopen: func(t *testing.T, s store.Store) store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return fresh(t, configs[s])
		},
		Forgetful: func(t *testing.T) store.Store {
			cfg := config()
			cfg.History = feed.Config{Events: 64}
			return fresh(t, cfg)
		},
	})
}
