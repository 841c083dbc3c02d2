package feed

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

func event(rev store.Revision, keys ...string) store.Event {
	var changes []store.Change
	for _, key := range keys {
		changes = append(changes, store.Put(key, []byte("v")))
	}
	return Event(rev, changes)
}

func watch(t *testing.T, f *Feed, prefix string, from store.Revision) store.Watcher {
	t.Helper()
	w, err := f.Watch(t.Context(), prefix, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func TestEventHoldsWritesOnly(t *testing.T) {
	e := Event(7, []store.Change{store.Put("a", []byte("1")).If(3), store.Check("b", 2), store.Delete("c")})
	if e.Revision != 7 || len(e.Changes) != 2 || e.Changes[0].Guarded || e.Changes[0].Expect != 0 ||
		e.Changes[0].Key != "a" || e.Changes[1].Op != store.OpDelete {
		t.Errorf("event %+v", e)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		cfg   Config
		size  int
		least store.Revision // from which a watch must work after 1000 events
		most  store.Revision // from which it must not
	}{
		"by events": {Config{Events: 100, Bytes: 1 << 30}, 1, 900, 899},
		"by bytes":  {Config{Events: 1 << 20, Bytes: 100 * 2048}, 2048 - 2*eventOverhead - 1, 900, 899},
		"one event over all bytes": {
			Config{Events: 100, Bytes: 1}, 1000, 999, 998},
	} {
		t.Run(name, func(t *testing.T) {
			f := New(c.cfg, 0)
			defer f.Close()
			for rev := store.Revision(1); rev <= 1000; rev++ {
				f.Publish(Event(rev, []store.Change{store.Put("k", make([]byte, c.size))}))
			}
			if _, err := f.Watch(t.Context(), "", c.most); !errs.Is(err, errs.Exhausted) {
				t.Errorf("watching from %d: %v, want Exhausted", c.most, err)
			}
			w := watch(t, f, "", c.least)
			for want := c.least + 1; want <= 1000; want++ {
				if e := <-w.Events(); e.Revision != want {
					t.Fatalf("event %d, want %d", e.Revision, want)
				}
			}
			if n := len(f.history); n > 3*max(100, len(f.history)-f.first) {
				t.Errorf("the history holds %d slots for %d events", n, len(f.history)-f.first)
			}
		})
	}
}

func TestResetEndsWatches(t *testing.T) {
	f := New(Config{}, 5)
	defer f.Close()
	if _, err := f.Watch(t.Context(), "", 4); !errs.Is(err, errs.Exhausted) {
		t.Errorf("watching from before the feed began: %v", err)
	}
	old := watch(t, f, "", 5)
	f.Publish(event(6, "a"))
	f.Reset(9)
	for range old.Events() { // at most event 6
	}
	if err := old.Err(); !errs.Is(err, errs.Exhausted) {
		t.Errorf("Err after Reset is %v", err)
	}
	if _, err := f.Watch(t.Context(), "", 6); !errs.Is(err, errs.Exhausted) {
		t.Errorf("watching from before the Reset: %v", err)
	}
	w := watch(t, f, "", 9)
	f.Publish(event(10, "a"))
	if e := <-w.Events(); e.Revision != 10 {
		t.Errorf("event %d, want 10", e.Revision)
	}
}

func TestFilterSharesOrCuts(t *testing.T) {
	e := event(1, "a/x", "a/y", "b/z")
	whole, ok := filter(e, "")
	if !ok || &whole.Changes[0] != &e.Changes[0] {
		t.Error("an event that matches as a whole was copied")
	}
	part, ok := filter(e, "a/")
	if !ok || len(part.Changes) != 2 || len(e.Changes) != 3 {
		t.Errorf("cut to %d changes of %d", len(part.Changes), len(e.Changes))
	}
	if _, ok := filter(e, "c"); ok {
		t.Error("an event without a match matched")
	}
}

func relayOver(t *testing.T, step Step) (*Feed, *Relay, store.Watcher, context.CancelFunc) {
	t.Helper()
	f, r := New(Config{}, 0), &Relay{}
	t.Cleanup(f.Close)
	t.Cleanup(r.Close)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	inner, err := f.Watch(ctx, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	w, err := r.Forward(ctx, inner, step)
	if err != nil {
		t.Fatal(err)
	}
	return f, r, w, cancel
}

func TestRelayChangesAndDrops(t *testing.T) {
	f, _, w, _ := relayOver(t, func(_ context.Context, e store.Event) (store.Event, bool, error) {
		e.Changes = []store.Change{store.Delete(strings.ToUpper(e.Changes[0].Key))}
		return e, e.Revision%2 == 0, nil
	})
	for rev := store.Revision(1); rev <= 6; rev++ {
		f.Publish(event(rev, fmt.Sprintf("k%d", rev)))
	}
	for _, want := range []store.Revision{2, 4, 6} {
		if e := <-w.Events(); e.Revision != want || e.Changes[0].Key != fmt.Sprintf("K%d", want) {
			t.Errorf("event %+v, want %d", e, want)
		}
	}
}

func TestRelayEnds(t *testing.T) {
	broken := errors.New("broken")
	pass := func(_ context.Context, e store.Event) (store.Event, bool, error) { return e, true, nil }
	fail := func(context.Context, store.Event) (store.Event, bool, error) { return store.Event{}, false, broken }
	hang := func(ctx context.Context, e store.Event) (store.Event, bool, error) {
		<-ctx.Done()
		return e, true, ctx.Err()
	}
	for name, c := range map[string]struct {
		step Step
		end  func(f *Feed, r *Relay, w store.Watcher, cancel context.CancelFunc)
		want func(error) bool
	}{
		"by Close":             {pass, func(_ *Feed, _ *Relay, w store.Watcher, _ context.CancelFunc) { w.Close(); w.Close() }, isNil},
		"by context":           {pass, func(_ *Feed, _ *Relay, _ store.Watcher, cancel context.CancelFunc) { cancel() }, isNil},
		"by context in a step": {hang, func(_ *Feed, _ *Relay, _ store.Watcher, cancel context.CancelFunc) { cancel() }, isNil},
		"by Close in a step":   {hang, func(_ *Feed, _ *Relay, w store.Watcher, _ context.CancelFunc) { w.Close() }, isNil},
		"by the inner watch":   {pass, func(f *Feed, _ *Relay, _ store.Watcher, _ context.CancelFunc) { f.Close() }, is(errs.Unavailable)},
		"by loss inside":       {pass, func(f *Feed, _ *Relay, _ store.Watcher, _ context.CancelFunc) { f.Reset(99) }, is(errs.Exhausted)},
		"by the relay":         {pass, func(_ *Feed, r *Relay, _ store.Watcher, _ context.CancelFunc) { r.Close() }, is(errs.Unavailable)},
		"by an error":          {fail, func(*Feed, *Relay, store.Watcher, context.CancelFunc) {}, func(err error) bool { return errors.Is(err, broken) }},
	} {
		t.Run(name, func(t *testing.T) {
			f, r, w, cancel := relayOver(t, c.step)
			for rev := store.Revision(1); rev <= 3*buffered; rev++ { // more than the channels hold
				f.Publish(event(rev, "k"))
			}
			c.end(f, r, w, cancel)
			for range w.Events() {
			}
			if err := w.Err(); !c.want(err) {
				t.Errorf("Err is %v", err)
			}
		})
	}
}

func isNil(err error) bool { return err == nil }

func is(kind errs.Kind) func(error) bool {
	return func(err error) bool { return errs.Is(err, kind) }
}

func TestRelaySends(t *testing.T) {
	_, r, w, _ := relayOver(t, func(_ context.Context, e store.Event) (store.Event, bool, error) { return e, true, nil })
	r.Send(store.Event{Revision: 77})
	if e := <-w.Events(); e.Revision != 77 {
		t.Errorf("event %+v", e)
	}
	r.End(errs.New(errs.Exhausted, "lost"))
	r.Send(store.Event{Revision: 78})
	if _, open := <-w.Events(); open || !errs.Is(w.Err(), errs.Exhausted) {
		t.Errorf("after End: open %v, Err %v", open, w.Err())
	}
}

func TestClosedRelayRefuses(t *testing.T) {
	f, r := New(Config{}, 0), &Relay{}
	defer f.Close()
	r.Close()
	inner := watch(t, f, "", 0)
	if _, err := r.Forward(t.Context(), inner, nil); !errs.Is(err, errs.Unavailable) {
		t.Errorf("Forward of a closed relay: %v", err)
	}
	if _, open := <-inner.Events(); open {
		t.Error("the inner watch was left open")
	}
}

func BenchmarkPublish(b *testing.B) {
	f := New(Config{}, 0)
	defer f.Close()
	w, err := f.Watch(b.Context(), "", 0)
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		for range w.Events() {
		}
	}()
	changes := []store.Change{store.Put("f/a", make([]byte, 300)), store.Put("f/b", make([]byte, 300))}
	b.ReportAllocs()
	rev := store.Revision(0)
	for b.Loop() {
		rev++
		f.Publish(Event(rev, changes))
	}
}

// A sign of life follows the events it speaks of and comes before newer ones, with its time; there
// is no more than one for a reader that was slow, and none that is older than another.
func TestPulse(t *testing.T) {
	f := New(Config{}, 5)
	defer f.Close()
	at := time.Now()
	all, none, ahead := watch(t, f, "", 0), watch(t, f, "zzz", 0), watch(t, f, "", 9)
	want := func(w store.Watcher, all ...store.Event) {
		t.Helper()
		for _, want := range all {
			if e := <-w.Events(); e.Revision != want.Revision || len(e.Changes) != len(want.Changes) || !e.At.Equal(want.At) {
				t.Errorf("event %+v, want %+v", e, want)
			}
		}
	}
	f.Publish(event(6, "a"), event(7, "b"))
	f.Pulse(8, at)
	want(all, event(6, "a"), event(7, "b"), store.Event{Revision: 8, At: at})
	want(none, store.Event{Revision: 8, At: at})
	want(ahead, store.Event{Revision: 9, At: at}) // it began behind what the sign of life speaks of

	f.Publish(event(10, "c"))
	want(all, event(10, "c"))
	f.Pulse(10, at.Add(2))
	f.Pulse(10, at.Add(1)) // proven earlier
	want(all, store.Event{Revision: 10, At: at.Add(2)})
	want(none, store.Event{Revision: 10, At: at.Add(2)})
	f.Publish(event(11, "zzz"))
	want(none, event(11, "zzz"))
}

// Events without end keep no sign of life from a reader.
func TestPulseAmidEvents(t *testing.T) {
	f := New(Config{}, 5)
	defer f.Close()
	w := &watcher{feed: f, cursor: 5}
	at := time.Now()
	f.Publish(event(6, "a"))
	f.Pulse(6, at)
	f.Publish(event(7, "b"))
	for _, want := range []store.Event{event(6, "a"), {Revision: 6, At: at}, event(7, "b")} {
		e, ok, err := f.next(w)
		if err != nil || !ok || e.Revision != want.Revision || !e.At.Equal(want.At) {
			t.Errorf("%+v %v %v, want %+v", e, ok, err, want)
		}
	}
}
