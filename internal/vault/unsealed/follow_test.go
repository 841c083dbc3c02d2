package unsealed

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/devices"
	"github.com/strongkeep/strongkeep/internal/vault/audit/headers"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/expiry"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/quota"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/fault"
)

// Long enough for a busy machine to stand still, short enough to be waited for.
const (
	silence   = 6 * time.Second
	leaderTTL = 3 * time.Second
)

// pair is two nodes on one store. The second can be cut off from it.
type pair struct {
	*bench        // the first
	other  *bench // shares raw and the barrier
}

// beating is a store whose watches give signs of life, as those of a store do that several
// processes write to: each behind everything that it speaks of.
type beating struct{ store.Store }

type beat struct {
	store.Watcher
	events chan store.Event
	stop   context.CancelFunc
	done   sync.WaitGroup
}

func (b beating) Watch(ctx context.Context, prefix string, from store.Revision) (store.Watcher, error) {
	w, err := b.Store.Watch(ctx, prefix, from)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	one := &beat{Watcher: w, events: make(chan store.Event), stop: stop}
	one.done.Go(func() { one.run(ctx, b.Store, from) })
	return one, nil
}

func (b *beat) Events() <-chan store.Event { return b.events }

func (b *beat) Close() {
	b.stop()
	b.Watcher.Close()
	b.done.Wait()
}

func (b *beat) run(ctx context.Context, s store.Store, last store.Revision) {
	defer close(b.events)
	tick := time.NewTicker(silence / 20)
	defer tick.Stop()
	for {
		var e store.Event
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			at := time.Now()
			rev, err := s.Apply(ctx)
			if err != nil || rev > last { // what it speaks of is still to come
				continue
			}
			e.Revision, e.At = rev, at
		case next, ok := <-b.Watcher.Events():
			if !ok {
				return
			}
			e, last = next, next.Revision
		}
		select {
		case b.events <- e:
		case <-ctx.Done():
			return
		}
	}
}

func newPair(t *testing.T, change func(*Config)) *pair {
	t.Helper()
	p := &pair{bench: newBench(t, func(c *Config) {
		c.MaxSilence = silence
		open := c.Open
		c.Open = func(raw store.Store, keys *seal.Keyring) (store.Store, error) { return open(beating{raw}, keys) }
		if change != nil {
			change(c)
		}
	})}
	p.other = &bench{t: t, raw: p.raw, labs: map[string]*lab{}, cfg: p.cfg}
	p.other.log = audit.NewBroker(audit.Config{Types: p.other.devices(), Log: p.cfg.Log, Now: time.Now})
	p.other.cfg.Open = func(raw store.Store, _ *seal.Keyring) (store.Store, error) {
		p.other.fault = fault.New(beating{store.Borrow(raw)})
		return p.other.fault, nil
	}
	p.other.cfg.Types = p.other.types
	p.other.open()
	t.Cleanup(func() {
		if p.other.v != nil {
			p.other.close()
		}
		if err := p.other.log.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// commit has the first node write, and returns the revision.
func (p *pair) commit(change func(*Tx) error) store.Revision {
	p.t.Helper()
	t := p.v.Begin()
	if err := change(t); err != nil {
		p.t.Fatal(err)
	}
	rev, err := t.Commit(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.v.TakeUp(p.t.Context(), t); err != nil {
		p.t.Fatal(err)
	}
	return rev
}

// shown waits until the second node shows rev.
func (p *pair) shown(rev store.Revision) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	if err := p.other.v.follower.Await(ctx, rev); err != nil {
		p.t.Fatal(err)
	}
	if seen := p.other.v.follower.Seen(); seen < rev {
		p.t.Fatalf("seen %d, waited for %d", seen, rev)
	}
}

// Whatever one node changes of what nodes keep in memory, the other one has once it shows
// the revision of the change.
func TestFollow(t *testing.T) {
	var mu sync.Mutex
	read := map[store.Store]int{} // settings, by the store of a node
	p := newPair(t, func(c *Config) {
		c.Settings = func(_ context.Context, s store.Store) error {
			mu.Lock()
			defer mu.Unlock()
			read[s]++
			return nil
		}
	})
	ctx := t.Context()
	table := func() *mount.Table { return p.other.v.Mounts.Table() }

	e := mount.Entry{Class: mount.Secret, Path: "more/", Type: "lab"}
	p.shown(p.commit(func(tx *Tx) error { return p.v.Mounts.Add(ctx, tx, &e) }))
	m := table().ByPath(namespace.Root, "more/")
	if m == nil {
		t.Fatal("a mount made elsewhere is not here")
	}
	p.shown(p.commit(func(tx *Tx) error {
		return p.v.Mounts.Remove(ctx, tx, p.v.Mounts.Table().ByPath(namespace.Root, "more/"))
	}))
	if table().ByPath(namespace.Root, "more/") != nil {
		t.Error("a mount removed elsewhere is served")
	}

	second := devices.Device{Spec: audit.Spec{Path: "second/", Type: "elsewhere"}}
	if err := second.NewKey(p.cfg.Random); err != nil {
		t.Fatal(err)
	}
	p.shown(p.commit(func(tx *Tx) error { return devices.Add(ctx, tx, second) }))
	if _, err := p.other.log.Hash("second/", "x"); err != nil {
		t.Error("an audit device enabled elsewhere is not enabled:", err)
	}

	p.shown(p.commit(func(tx *Tx) error { return headers.Set(ctx, tx, "X-Of-Others", headers.Setting{}) }))
	if got := p.other.v.Headers().Of(map[string][]string{"X-Of-Others": {"x"}}); len(got) != 1 {
		t.Error("a header audited elsewhere is not audited")
	}

	there := func() int { mu.Lock(); defer mu.Unlock(); return read[p.other.v.Store] }
	before := there()
	p.shown(p.commit(func(tx *Tx) error { tx.Put(SettingsPrefix+"x", []byte("1")); return nil }))
	if got := there(); got != before+1 {
		t.Errorf("settings changed once are read %d times", got-before)
	}

	p.shown(p.commit(func(tx *Tx) error { return p.v.Leases.Hold(ctx, tx, true) }))
	if !p.other.v.Leases.Stats().Held {
		t.Error("leases held elsewhere end here")
	}
	if err := p.other.v.Current(); err != nil {
		t.Error(err)
	}
}

// A node that hears nothing is not current, and is again when it has caught up; no change is lost.
func TestSilence(t *testing.T) {
	p := newPair(t, nil)
	p.other.fault.Mute()
	until(t, "it is silent", func() bool { return p.other.v.Current() != nil })
	if err := p.other.v.Current(); !errs.Is(err, errs.Unavailable) {
		t.Error(err)
	}
	if err := p.v.Current(); err != nil {
		t.Error("the first node:", err)
	}
	e := mount.Entry{Class: mount.Secret, Path: "more/", Type: "lab"}
	rev := p.commit(func(tx *Tx) error { return p.v.Mounts.Add(t.Context(), tx, &e) })
	ctx, cancel := context.WithTimeout(t.Context(), silence/10)
	defer cancel()
	if err := p.other.v.follower.Await(ctx, rev); !errs.Is(err, errs.Unavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Error("what cannot be seen is waited for without end:", err)
	}
	p.other.fault.Unmute()
	p.shown(rev)
	until(t, "it is current again", func() bool { return p.other.v.Current() == nil })
	if p.other.v.Mounts.Table().ByPath(namespace.Root, "more/") == nil {
		t.Error("the change is lost")
	}
}

// Watches that end, and such that have lost events, lose no change.
func TestLostWatches(t *testing.T) {
	for name, err := range map[string]error{
		"ended":       errs.New(errs.Unavailable, "the watch is lost"),
		"lost events": errs.New(errs.Exhausted, "events are lost"),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, nil)
			for _, path := range []string{"one/", "two/", "three/"} {
				remove := func() {}
				if errs.Is(err, errs.Exhausted) { // the store does not remember where the node was either
					remove = p.other.fault.Add(fault.Rule{Op: fault.Watch, Times: 1, Err: err})
				}
				p.other.fault.LoseWatches(err)
				e := mount.Entry{Class: mount.Secret, Path: path, Type: "lab"}
				p.shown(p.commit(func(tx *Tx) error { return p.v.Mounts.Add(t.Context(), tx, &e) }))
				if p.other.v.Mounts.Table().ByPath(namespace.Root, path) == nil {
					t.Error("a change is lost:", path)
				}
				remove()
			}
			until(t, "it is current", func() bool { return p.other.v.Current() == nil })
		})
	}
}

// What cannot be taken up makes the node answer nothing, rather than without it, and is
// tried again; who wrote it does not lose it.
func TestCannotTakeUp(t *testing.T) {
	p := newPair(t, nil)
	p.other.mu.Lock()
	p.other.noDevice = true
	p.other.mu.Unlock()
	second := devices.Device{Spec: audit.Spec{Path: "second/", Type: "elsewhere"}}
	if err := second.NewKey(p.cfg.Random); err != nil {
		t.Fatal(err)
	}
	rev := p.commit(func(tx *Tx) error { return devices.Add(t.Context(), tx, second) })
	until(t, "it answers nothing", func() bool { return p.other.v.Current() != nil })
	if p.other.v.follower.Seen() >= rev {
		t.Error("it says that it shows what it could not take up")
	}
	p.other.mu.Lock()
	p.other.noDevice = false
	p.other.mu.Unlock()
	p.shown(rev)
	if _, err := p.other.log.Hash("second/", "x"); err != nil {
		t.Error(err)
	}
	until(t, "it is current", func() bool { return p.other.v.Current() == nil })
}

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within a minute: ", what)
		}
	}
}

// A vault whose store nobody else writes to is always current.
func TestAlone(t *testing.T) {
	b := newBench(t, nil)
	if err := b.v.Current(); err != nil {
		t.Error(err)
	}
}

// Who is subscribed on one node hears what happens on the other, with its revision, once; and
// is told when events were lost.
func TestEventsOfOthers(t *testing.T) {
	p := newPair(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	m := p.v.Mounts.Table().ByPath(namespace.Root, "lab/")
	here, err := p.v.Events.Subscribe("*", "", 10)
	if err != nil {
		t.Fatal(err)
	}
	there, err := p.other.v.Events.Subscribe("*", "", 10)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		err := p.v.update(ctx, p.v.Store, m.ID, func(_ context.Context, tx *Tx) error {
			tx.Put(m.Storage()+"x", []byte{byte(i)})
			tx.Emit(engine.Event{Type: "lab/write", Path: "x", Metadata: map[string]string{"data_path": "x"}})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		first, err := here.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		second, err := there.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if string(first.JSON()) != string(second.JSON()) || first.Revision == 0 || second.Path != "lab/x" {
			t.Errorf("one node tells %s, the other %s", first.JSON(), second.JSON())
		}
	}
	p.other.fault.Add(fault.Rule{Op: fault.Watch, Times: 1, Err: errs.New(errs.Exhausted, "events are lost")})
	p.other.fault.LoseWatches(errs.New(errs.Unavailable, "the watch is lost"))
	if m, err := there.Next(ctx); err == nil {
		t.Errorf("events are lost, and it hears %s", m.JSON())
	} else if ctx.Err() != nil {
		t.Error("nobody says that events are lost")
	}
}

// Who waits for events on a node that hears nothing learns it, though nothing happens.
func TestSubscribersOfADeafNode(t *testing.T) {
	p := newPair(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	there, err := p.other.v.Events.Subscribe("*", "", 10)
	if err != nil {
		t.Fatal(err)
	}
	p.other.fault.Mute()
	m, err := there.Next(ctx)
	p.other.fault.Unmute()
	if !errs.Is(err, errs.Exhausted) {
		t.Errorf("it hears %v, %v", m, err)
	}
}

// A commit whose answer was lost is announced on its own node too.
func TestEventsOfLostAnswers(t *testing.T) {
	p := newPair(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	m := p.v.Mounts.Table().ByPath(namespace.Root, "lab/")
	here, err := p.v.Events.Subscribe("*", "", 10)
	if err != nil {
		t.Fatal(err)
	}
	p.bench.fault.Add(fault.Rule{Op: fault.Apply, Prefix: EventsKey, After: true, Times: 1, Err: errs.New(errs.Unavailable, "nobody knows")})
	for i, want := range []errs.Kind{errs.Unavailable, 0} {
		err := p.v.update(ctx, p.v.Store, m.ID, func(_ context.Context, tx *Tx) error {
			tx.Put(m.Storage()+"x", []byte{byte(i)})
			tx.Emit(engine.Event{Type: "lab/write", Path: "x"})
			return nil
		})
		if want != 0 && !errs.Is(err, want) || want == 0 && err != nil {
			t.Fatal(err)
		}
		if e, err := here.Next(ctx); err != nil || e.Path != "lab/x" {
			t.Errorf("commit %d: %+v, %v", i, e, err)
		}
	}
}

// Who asks for work and could not tell asks again; who has lost events looks whether there is work.
func TestWakesAreNotLost(t *testing.T) {
	p := newPair(t, func(c *Config) { c.Node, c.LeaderTTL = named("first"), leaderTTL })
	p.firstLeads()
	until(t, "its worker works", func() bool { return p.works() > 0 })
	p.other.fault.Add(fault.Rule{Op: fault.Apply, Prefix: wakePrefix, Times: 1, Err: errs.New(errs.Unavailable, "away")})
	before := p.works()
	p.other.labs["lab/"].cfg.Wake()
	until(t, "a wake that could not be told at first has the first node work", func() bool { return p.works() > before })

	before = p.works()
	p.bench.fault.Add(fault.Rule{Op: fault.Watch, Times: 1, Err: errs.New(errs.Exhausted, "events are lost")})
	p.bench.fault.LoseWatches(errs.New(errs.Unavailable, "the watch is lost"))
	until(t, "events that are lost have the worker look", func() bool { return p.works() > before })
}

// A worker that does not end holds up its own node's background work, and nothing that others have changed.
func TestHoldWaitsForNobody(t *testing.T) {
	p := newPair(t, func(c *Config) { c.Node, c.LeaderTTL = named("first"), leaderTTL })
	p.firstLeads()
	until(t, "its worker works", func() bool { return p.works() > 0 })
	l, hang := p.labs["lab/"], make(chan struct{})
	l.mu.Lock()
	l.hang = hang
	l.mu.Unlock()
	before := p.works()
	l.cfg.Wake()
	until(t, "the worker is at it", func() bool { return p.works() > before })
	write := func(change func(*Tx) error) {
		t.Helper()
		tx := p.other.v.Begin()
		if err := change(tx); err != nil {
			t.Fatal(err)
		}
		rev, err := tx.Commit(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.v.follower.Await(ctx, rev); err != nil {
			t.Error("what another node has changed waits for a worker:", err)
		}
	}
	write(func(tx *Tx) error { return p.other.v.Leases.Hold(t.Context(), tx, true) })
	e := mount.Entry{Class: mount.Secret, Path: "more/", Type: "lab"}
	write(func(tx *Tx) error { return p.other.v.Mounts.Add(t.Context(), tx, &e) })
	close(hang)
	before = p.works()
	until(t, "the first node holds still", func() bool {
		p.v.duty.mu.Lock()
		defer p.v.duty.mu.Unlock()
		return p.v.duty.held
	})
	write(func(tx *Tx) error { return p.other.v.Leases.Hold(t.Context(), tx, false) })
	until(t, "it works again", func() bool { return p.works() > before })
}

// Quotas of leases count again when any node has made or ended some.
func TestQuotasHearOfOthers(t *testing.T) {
	p := newPair(t, nil)
	now := time.Now()
	p.other.v.Quotas = quota.NewBook(quota.Config{Now: func() time.Time { return now }, Go: func(f func(context.Context)) { f(t.Context()) }, Count: p.other.v.countLeases})
	p.shown(p.commit(func(tx *Tx) error {
		return quota.Put(tx, &quota.Rule{Kind: quota.LeaseCount, Name: "few", Path: "lab/", MaxLeases: 1})
	}))
	m := p.v.Mounts.Table().ByPath(namespace.Root, "lab/")
	p.shown(p.commit(func(tx *Tx) error {
		expiry.Add(tx, expiry.Ref{Kind: p.v.Leases.Kind(m.ID).Name, ID: "x", Due: now.Add(time.Hour)})
		return nil
	}))
	if !p.other.v.Quotas.Stale("few") {
		t.Error("a lease was made elsewhere, and the count is believed")
	}
}
