package etcd_test

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/testenv/etcdtest"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/cached"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

// TestKill kills etcd amid writes again and again: whatever was acknowledged
// must be there, nothing may be half there, the store goes on by itself, and a
// watch sees every commit once, in order, also those whose answer was lost.
func TestKill(t *testing.T) {
	server := etcdtest.Start(t, etcdtest.Options{})
	cfg := server.Config()
	cfg.Exclusive, cfg.Timeout = true, 10*time.Second
	s := open(t, cfg)
	w, err := s.Watch(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	const writers = 8
	var told [writers]atomic.Uint64 // newest counter that was acknowledged
	var stop atomic.Bool
	var running sync.WaitGroup
	for n := range writers {
		running.Go(func() {
			for i := uint64(1); !stop.Load(); i++ {
				value := binary.BigEndian.AppendUint64(nil, i)
				_, err := s.Apply(t.Context(), store.Put(fmt.Sprintf("w/%d/a", n), value), store.Put(fmt.Sprintf("w/%d/b", n), value))
				switch {
				case err == nil:
					told[n].Store(i)
				case !errs.Is(err, errs.Unavailable):
					t.Errorf("writing while etcd is killed: %v", err)
					return
				default:
					pause := time.NewTimer(5 * time.Millisecond)
					<-pause.C
				}
			}
		})
	}
	random := rand.New(rand.NewPCG(5, 5))
	for range 5 {
		before := told[0].Load()
		eventually(t, "writes are acknowledged again", func() bool { return told[0].Load() > before+10+random.Uint64N(100) })
		server.Kill(t)
		server.Restart(t)
	}
	before := told[0].Load()
	eventually(t, "writes are acknowledged at the end", func() bool { return told[0].Load() > before+10 })
	stop.Store(true)
	running.Wait()

	seen := map[string]uint64{}
	end := put(t, s, "end", "")
	for last := store.Revision(0); last != end; {
		e, ok := <-w.Events()
		if !ok {
			t.Fatalf("the watch ended: %v", w.Err())
		}
		if len(e.Changes) == 0 {
			continue
		}
		if e.Revision <= last {
			t.Fatalf("event %d after %d", e.Revision, last)
		}
		last = e.Revision
		if last != end && len(e.Changes) != 2 {
			t.Fatalf("an event of %d changes, want the 2 of a commit", len(e.Changes))
		}
		for _, c := range e.Changes {
			if len(c.Value) == 8 {
				seen[c.Key] = binary.BigEndian.Uint64(c.Value)
			}
		}
	}
	for n := range writers {
		a, b := get(t, s, fmt.Sprintf("w/%d/a", n)), get(t, s, fmt.Sprintf("w/%d/b", n))
		if a != b {
			t.Errorf("writer %d: half a commit is there", n)
		}
		got := binary.BigEndian.Uint64([]byte(a))
		if got < told[n].Load() {
			t.Errorf("writer %d was told that %d is stored, found %d", n, told[n].Load(), got)
		}
		if key := fmt.Sprintf("w/%d/a", n); seen[key] != got {
			t.Errorf("writer %d: the watch showed %d last, %d is stored", n, seen[key], got)
		}
	}
}

// An etcd that hangs: calls end in time, nobody is told what may be wrong, and
// all goes on when it answers again.
func TestHangingEtcd(t *testing.T) {
	server := etcdtest.Start(t, etcdtest.Options{})
	cfg := server.Config()
	put(t, open(t, cfg), "f/a", "1")
	cfg.Timeout = 300 * time.Millisecond
	var s *etcd.Store
	eventually(t, "opening in so little time", func() bool {
		var err error
		s, err = etcd.Open(t.Context(), cfg)
		return err == nil
	})
	server.Freeze(t)
	_, err := s.Get(t.Context(), "f/a")
	wantKind(t, err, errs.Unavailable, "reading an entry")
	_, err = s.List(t.Context(), "f/", "", 0)
	wantKind(t, err, errs.Unavailable, "listing a folder")
	_, err = s.Watch(t.Context(), "f/", 0)
	wantKind(t, err, errs.Unavailable)
	_, err = s.Apply(t.Context(), store.Put("f/a", []byte("2")))
	wantKind(t, err, errs.Unavailable, "committing", "did not answer in time")
	server.Thaw(t)
	eventually(t, "reading again", func() bool {
		e, err := s.Get(t.Context(), "f/a")
		if v := string(e.Value); err == nil && v != "1" && v != "2" {
			t.Errorf("f/a is %q", v)
		}
		return err == nil
	})
	server.Freeze(t)
	go func() {
		_, _ = s.Get(t.Context(), "f/a")
	}()
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Errorf("closing while etcd hangs: %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("closing waits for an etcd that hangs")
	}
	server.Thaw(t)
}

// Two processes, each with a cache, on one prefix: what one writes the other
// sees; and one that is cut off answers nothing rather than what was revoked.
func TestTwoCachesOverOneEtcd(t *testing.T) {
	const silence = 15 * time.Second // longer than a busy machine keeps a sign of life waiting
	server := etcdtest.Shared(t)
	cfg := server.Config()
	cfg.Timeout = 10 * time.Second
	link := newProxy(t, server.Endpoint)
	far := cfg
	far.Endpoints = []string{link.endpoint}
	quiet := slog.New(slog.DiscardHandler)
	here := cached.New(open(t, cfg), cached.Config{MaxSilence: silence, Log: quiet})
	defer here.Close()
	there := cached.New(open(t, far), cached.Config{MaxSilence: silence, Log: quiet})
	defer there.Close()

	put(t, here, "token", "valid")
	for _, s := range []*cached.Store{here, there} {
		eventually(t, "the cache answers", func() bool {
			before := s.Stats().Hits
			return get(t, s, "token") == "valid" && s.Stats().Hits > before
		})
	}
	put(t, here, "token", "valid still")
	eventually(t, "the other process sees the write", func() bool { return get(t, there, "token") == "valid still" })

	// Nothing is written for longer than the silence that is borne: the signs of
	// life keep both caches.
	misses := there.Stats().Misses
	for deadline := time.After(silence + time.Second); ; {
		tick := time.NewTimer(20 * time.Millisecond)
		select {
		case <-tick.C:
			if get(t, there, "token") != "valid still" || !there.Stats().Live {
				t.Fatal("the cache went off though etcd is well")
			}
			continue
		case <-deadline:
		}
		break
	}
	if now := there.Stats().Misses; now > misses+1 {
		t.Errorf("%d reads went through though nothing was written", now-misses)
	}

	link.Cut()
	put(t, here, "token", "revoked")
	cut := time.Now()
	eventually(t, "the process that was cut off stops answering", func() bool {
		asked := time.Since(cut)
		e, err := there.Get(t.Context(), "token")
		if err == nil && string(e.Value) == "valid still" && asked > silence {
			t.Fatalf("a revoked token is served %v later", asked)
		}
		return errs.Is(err, errs.Unavailable)
	})
	link.Mend()
	eventually(t, "the process is back", func() bool {
		e, err := there.Get(t.Context(), "token")
		if err == nil && string(e.Value) != "revoked" {
			t.Fatalf("after the cut the token is %q", e.Value)
		}
		return err == nil && there.Stats().Live
	})
}

// Signs of life come on an etcd that rests, and on one where others write.
func TestSignsOfLife(t *testing.T) {
	server := etcdtest.Start(t, etcdtest.Options{})
	admin := server.Dial(t)
	s := open(t, server.Config())
	w, err := s.Watch(t.Context(), "f/", 0)
	if err != nil {
		t.Fatal(err)
	}
	proven := time.Now()
	next := func(least store.Revision) {
		t.Helper()
		for {
			select {
			case e, ok := <-w.Events():
				if !ok || len(e.Changes) != 0 {
					t.Fatalf("%+v, %v", e, w.Err())
				}
				if !e.At.After(proven) || e.At.After(time.Now()) {
					t.Fatalf("a sign of life of %v, the one before was of %v", e.At, proven)
				}
				proven = e.At
				if e.Revision >= least {
					return
				}
			case <-time.After(time.Minute):
				t.Fatal("no sign of life")
			}
		}
	}
	next(0)
	for i := range 3 {
		r, err := admin.Put(t.Context(), "somebody-else", fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		next(store.Revision(r.Header.Revision))
	}
	server.Kill(t)
	server.Restart(t)
	next(0)
	now, err := s.Apply(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next(now)
}

// What etcd has compacted away while the store was cut off is lost to watches,
// and they say so.
func TestCompactedWhileCutOff(t *testing.T) {
	server := etcdtest.Start(t, etcdtest.Options{})
	admin := server.Dial(t)
	cfg := server.Config()
	link := newProxy(t, server.Endpoint)
	far := cfg
	far.Endpoints = []string{link.endpoint}
	near, s := open(t, cfg), open(t, far)
	first := put(t, near, "f/a", "0")
	w, err := s.Watch(t.Context(), "f/", first)
	if err != nil {
		t.Fatal(err)
	}
	second := put(t, near, "f/a", "1")
	e := <-w.Events()
	for len(e.Changes) == 0 && e.Revision < second && w.Err() == nil { // signs of life
		e = <-w.Events()
	}
	if e.Revision != second {
		t.Fatalf("event %d, want %d (%v)", e.Revision, second, w.Err())
	}
	link.Cut()
	var last store.Revision
	for i := range 20 {
		last = put(t, near, "f/a", fmt.Sprint(i))
	}
	if _, err := admin.Compact(t.Context(), int64(last)); err != nil {
		t.Fatal(err)
	}
	link.Mend()
	for e := range w.Events() {
		if len(e.Changes) > 0 {
			t.Errorf("an event behind the gap: %+v", e)
		}
	}
	wantKind(t, w.Err(), errs.Exhausted)
	eventually(t, "watching anew", func() bool {
		from, err := s.Apply(t.Context())
		if err != nil {
			return false
		}
		w, err = s.Watch(t.Context(), "f/", from)
		return err == nil
	})
	again := put(t, near, "f/a", "again")
	for e := range w.Events() {
		if len(e.Changes) > 0 {
			if e.Revision != again {
				t.Errorf("event %d, want %d", e.Revision, again)
			}
			break
		}
	}
}

// An etcd that is put back to a backup while the process runs: what the process has in memory is of a time
// that never was, and its watch would hear nothing until etcd is as far again.
func TestEtcdGoesBack(t *testing.T) {
	server := etcdtest.Start(t, etcdtest.Options{})
	cfg := server.Config()
	s := open(t, cfg)
	here := cached.New(store.Borrow(s), cached.Config{MaxSilence: etcd.MaxSilenceShared, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { _ = here.Close() })
	put(t, here, "f/a", "kept")
	server.Kill(t)
	kept := server.Copy(t)
	server.Restart(t)
	eventually(t, "what the backup does not have is written and read", func() bool {
		_, err := here.Apply(t.Context(), store.Put("f/a", []byte("lost")))
		return err == nil && get(t, here, "f/a") == "lost" && get(t, here, "f/a") == "lost"
	})
	server.Kill(t)
	server.Revert(t, kept)
	server.Restart(t)
	<-s.Broken()
	wantKind(t, s.Err(), errs.Unavailable, "backup", "restart")
	_, err := here.Get(t.Context(), "f/a")
	wantKind(t, err, errs.Unavailable)
	if got := get(t, open(t, cfg), "f/a"); got != "kept" {
		t.Errorf("a process that starts then reads %q", got)
	}
}

// A transaction that etcd refuses for its size was not made.
func TestOverEtcdsSize(t *testing.T) {
	s := open(t, etcdtest.Shared(t).Config())
	many := make([]store.Change, store.MaxChanges)
	for i := range many { // each key is sent twice: as a guard and as a write
		many[i] = store.Put(strings.Repeat("k", 1990)+fmt.Sprintf("/%04d", i), nil).If(0)
	}
	_, err := s.Apply(t.Context(), many...)
	wantKind(t, err, errs.TooLarge, "--max-request-bytes")
	if names, err := s.List(t.Context(), "", "", 0); err != nil || len(names) != 0 {
		t.Errorf("%d names, %v", len(names), err)
	}
}

func TestEtcdOutOfSpace(t *testing.T) {
	s := open(t, etcdtest.Start(t, etcdtest.Options{Flags: []string{"--quota-backend-bytes=20000000"}}).Config())
	put(t, s, "f/a", "x")
	for i := 0; ; i++ {
		_, err := s.Apply(t.Context(), store.Put(fmt.Sprintf("f/%d", i), make([]byte, store.MaxValue)))
		if err != nil {
			wantKind(t, err, errs.Unavailable, "out of space", "compact and defragment")
			break
		}
		if i > 100 {
			t.Fatal("etcd is never full")
		}
	}
	if get(t, s, "f/a") != "x" {
		t.Error("a full etcd does not read")
	}
}

// List against the store in memory, over folders larger than pages.
func TestListsAsOthersDo(t *testing.T) {
	ours, model := open(t, etcdtest.Shared(t).Config()), mem.New(mem.Config{})
	random := rand.New(rand.NewPCG(1, 2))
	var batch []store.Change
	seen := map[string]bool{}
	add := func(key string) {
		if !seen[key] {
			seen[key] = true
			batch = append(batch, store.Put(key, nil))
		}
		if len(batch) == store.MaxChanges {
			for _, s := range []store.Store{ours, model} {
				if _, err := s.Apply(t.Context(), batch...); err != nil {
					t.Fatal(err)
				}
			}
			batch = nil
		}
	}
	for i := range 3000 {
		add(fmt.Sprintf("p/big/%04d", i))
		add(fmt.Sprintf("p/n%03d", random.IntN(900)))
		add(fmt.Sprintf("p/s%02d/%d/x", random.IntN(60), i))
	}
	for _, folder := range []string{"", "p/", "p/big/", "p/s01/", "p/none/"} {
		whole, err := model.List(t.Context(), folder, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, limit := range []int{0, 1, 2, 255, 256, 257, 1000} {
			for _, after := range append([]string{"", "zzz", "n", "big", "big/"}, pick(random, whole, 5)...) {
				want, _ := model.List(t.Context(), folder, after, limit)
				got, err := ours.List(t.Context(), folder, after, limit)
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("List(%q, %q, %d): %d names, want %d, %v", folder, after, limit, len(got), len(want), err)
				}
			}
		}
	}
}

func pick(random *rand.Rand, names []string, n int) (some []string) {
	for range n {
		if len(names) > 0 {
			some = append(some, names[random.IntN(len(names))])
		}
	}
	return some
}

// Revisions are etcd's own, so that what an operator sees there can be compared.
func TestRevisionsAreThoseOfEtcd(t *testing.T) {
	server := etcdtest.Shared(t)
	admin := server.Dial(t)
	cfg := server.Config()
	s := open(t, cfg)
	rev := put(t, s, "f/a", "v")
	r, err := admin.Get(t.Context(), cfg.Prefix+"k/f/a")
	if err != nil || len(r.Kvs) != 1 || r.Kvs[0].ModRevision != int64(rev) || string(r.Kvs[0].Value) != "v" {
		t.Errorf("etcd has %v, %v; want v at %d", r, err, rev)
	}
	if _, err := admin.Put(t.Context(), "somebody-else", ""); err != nil {
		t.Fatal(err)
	}
	now, err := s.Apply(t.Context(), store.Check("f/a", rev))
	if err != nil || int64(now) != revision(t, admin) {
		t.Errorf("checks give revision %d, %v; etcd is at %d", now, err, revision(t, admin))
	}
	gone, err := s.Apply(t.Context(), store.Delete("f/never-there"))
	if err != nil || gone < now {
		t.Errorf("deleting nothing gives revision %d after %d, %v", gone, now, err)
	}
}
