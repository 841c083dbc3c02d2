package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func sample() Event {
	return Event{
		ID: "901f2388-aabb-a385-7bc0-0b09d5fa060b", Type: "kv-v2/data-write", Path: "secret/data/my-app/config",
		Mount: "secret/", MountClass: "secret", MountAccessor: "kv_a6081d01", Plugin: "kv", PluginVersion: "2",
		Time: time.Date(2026, 2, 17, 13, 11, 39, 227341000, time.FixedZone("west", -8*3600)), Revision: 42,
		Metadata: map[string]string{
			"path": "data/my-app/config", "operation": "data-write", "data_path": "secret/data/my-app/config",
			"current_version": "1", "oldest_version": "0", "modified": "true",
		},
	}
}

func newBus(t testing.TB, queue int) *Bus {
	b := NewBus(Config{Source: "strongkeep://c1", Queue: queue})
	t.Cleanup(b.Close)
	return b
}

func subscribe(t testing.TB, b *Bus, glob, ns string, buffer int) *Subscription {
	t.Helper()
	s, err := b.Subscribe(glob, ns, buffer)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestJSON(t *testing.T) {
	b := newBus(t, 0)
	s := subscribe(t, b, "*", "", 2)
	b.Publish(sample())
	m, err := s.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"901f2388-aabb-a385-7bc0-0b09d5fa060b","source":"strongkeep://c1","specversion":"1.0","type":"*",` +
		`"data":{"event":{"id":"901f2388-aabb-a385-7bc0-0b09d5fa060b","metadata":{"current_version":"1","data_path":"secret/data/my-app/config",` +
		`"modified":"true","oldest_version":"0","operation":"data-write","path":"secret/data/my-app/config","revision":"42"}},` +
		`"event_type":"kv-v2/data-write","plugin_info":{"mount_class":"secret","mount_accessor":"kv_a6081d01","mount_path":"secret/","plugin":"kv","version":"2"}},` +
		`"datacontentype":"application/cloudevents","time":"2026-02-17T21:11:39.227341Z"}`
	if got := string(m.JSON()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if once, again := m.JSON(), m.JSON(); &once[0] != &again[0] {
		t.Error("the JSON is made twice")
	}
	least := &Message{Event: Event{Namespace: "team/", Type: "a\"b\n"}}
	var v struct {
		Data struct {
			EventType string         `json:"event_type"`
			Namespace string         `json:"namespace"`
			Plugin    map[string]any `json:"plugin_info"`
		}
	}
	if err := json.Unmarshal(least.JSON(), &v); err != nil || v.Data.EventType != "a\"b\n" || v.Data.Namespace != "team/" || len(v.Data.Plugin) != 0 {
		t.Errorf("an event of little: %v %s", err, least.JSON())
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		glob, typ string
		want      bool
	}{
		{"*", "kv-v2/data-write", true},
		{"*", "", true},
		{"kv-v2/data-write", "kv-v2/data-write", true},
		{"kv-v2/data-write", "kv-v2/data-write2", false},
		{"kv-v2/*", "kv-v2/data-write", true},
		{"kv-v2/*", "kv-v1/write", false},
		{"kv-v2/*", "kv-v2/", true},
		{"kv-v2/*", "kv-v2", false},
		{"kv*/data-*", "kv-v2/data-write", true},
		{"kv*/data-*", "kv-v2/metadata-write", false},
		{"*data*", "kv-v2/metadata-write", true},
		{"*/*-write", "kv-v2/data-write", true},
		{"*/*-write", "kv-v1/write", false},
		{"a*a", "a", false},
		{"a*a", "aa", true},
		{"a*b*b", "abb", true},
		{"a*b*b", "ab", false},
		{"**", "x", true},
	} {
		p, err := compile(c.glob)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.match(c.typ); got != c.want {
			t.Errorf("%q on %q: %v", c.glob, c.typ, got)
		}
	}
}

// slow is matching by definition.
func slow(glob, s string) bool {
	switch {
	case glob == "":
		return s == ""
	case glob[0] == '*':
		return slow(glob[1:], s) || s != "" && slow(glob, s[1:])
	}
	return s != "" && s[0] == glob[0] && slow(glob[1:], s[1:])
}

func FuzzMatch(f *testing.F) {
	f.Add("kv*/data-*", "kv-v2/data-write")
	f.Add("a*b*b", "abab")
	f.Add("*", "")
	f.Fuzz(func(t *testing.T, glob, s string) {
		p, err := compile(glob)
		if err != nil || strings.Count(glob, "*") > 5 || len(s) > 30 {
			return
		}
		if got, want := p.match(s), slow(glob, s); got != want {
			t.Errorf("%q on %q: %v, want %v", glob, s, got, want)
		}
	})
}

func TestDelivery(t *testing.T) {
	b := newBus(t, 0)
	all := subscribe(t, b, "*", "", 10)
	writes := subscribe(t, b, "kv-v2/*-write", "", 10)
	team := subscribe(t, b, "*", "team/", 10)
	for i, e := range []Event{
		{Type: "kv-v2/data-write"}, {Type: "kv-v2/data-delete"}, {Type: "kv-v2/data-write", Namespace: "team/"}, {Type: "kv-v2/data-write", Namespace: "team/a/"}, {Type: "kv-v2/data-write"},
	} {
		e.ID = fmt.Sprint(i)
		b.Publish(e)
	}
	for name, c := range map[string]struct {
		s    *Subscription
		want string
	}{"all": {all, "0 1 4"}, "writes": {writes, "0 4"}, "team": {team, "2"}} {
		var got []string
		for range strings.Fields(c.want) {
			m, err := c.s.Next(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got = append(got, m.ID)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s got %v, want %s", name, got, c.want)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if m, err := c.s.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s got more: %v %v", name, m, err)
		}
	}
}

func TestSlowSubscriberIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, 0)
		tardy := subscribe(t, b, "*", "", 2)
		quick := subscribe(t, b, "*", "", 10)
		for range 3 {
			b.Publish(sample())
		}
		synctest.Wait()
		for range 2 {
			if _, err := tardy.Next(t.Context()); !errors.Is(err, ErrLost) || !errs.Is(err, errs.Exhausted) {
				t.Errorf("the slow one got %v, want ErrLost", err)
			}
		}
		for range 3 {
			if _, err := quick.Next(t.Context()); err != nil {
				t.Errorf("the quick one got %v", err)
			}
		}
		if n := b.Subscriptions(); n != 1 {
			t.Errorf("%d subscriptions, want one", n)
		}
		tardy.Close()
		if _, err := tardy.Next(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("the first reason is lost: %v", err)
		}
		again := subscribe(t, b, "*", "", 2)
		b.Publish(sample())
		if _, err := again.Next(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// When the bus itself is overrun, everyone is told.
func TestOverrunBusTellsEveryone(t *testing.T) {
	b := &Bus{queue: make(chan *Message, 2), poke: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{})}
	b.subs.Store(new([]*Subscription))
	s := subscribe(t, b, "*", "", 100)
	other := subscribe(t, b, "other", "", 100)
	for range 5 { // nothing runs yet: the third does not fit
		b.Publish(sample())
	}
	go b.run()
	for _, s := range []*Subscription{s, other} {
		for {
			m, err := s.Next(t.Context())
			if err == nil && m != nil {
				continue // queued before
			}
			if !errors.Is(err, ErrLost) {
				t.Errorf("got %v, want ErrLost", err)
			}
			break
		}
	}
	b.Close()
}

func TestClose(t *testing.T) {
	b := NewBus(Config{})
	s := subscribe(t, b, "*", "", 1)
	other := subscribe(t, b, "*", "", 1)
	other.Close()
	other.Close()
	if _, err := other.Next(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed subscription: %v", err)
	}
	got := make(chan error)
	go func() {
		_, err := s.Next(context.Background())
		got <- err
	}()
	b.Close()
	b.Close()
	if err := <-got; !errors.Is(err, ErrClosed) {
		t.Errorf("waiting while the bus closes: %v", err)
	}
	b.Publish(sample())
	if _, err := b.Subscribe("*", "", 1); !errors.Is(err, ErrClosed) {
		t.Errorf("subscribing to a closed bus: %v", err)
	}
}

func TestSubscribeRefuses(t *testing.T) {
	b := newBus(t, 0)
	for name, c := range map[string]struct {
		glob   string
		buffer int
	}{"no type": {"", 1}, "long type": {strings.Repeat("a", maxPattern+1), 1}, "no room": {"*", 0}, "negative room": {"*", -1}} {
		if _, err := b.Subscribe(c.glob, "", c.buffer); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b.Subscriptions() != 0 {
		t.Error("a refused subscription stays")
	}
}

// Every subscriber gets every event or is told that it did not, whatever the
// pace of either side.
func TestNothingIsLostSilently(t *testing.T) {
	b := newBus(t, 64)
	const publishers, each = 4, 500
	var readers, writers sync.WaitGroup
	for i := range 8 {
		s := subscribe(t, b, "*", "", 1+i*i*100)
		readers.Go(func() {
			seen := map[string]int{}
			for n := 0; n < publishers*each; n++ {
				m, err := s.Next(t.Context())
				if errors.Is(err, ErrLost) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				if m.Revision != uint64(seen[m.Mount]) {
					t.Errorf("%s: event %d came, want %d", m.Mount, m.Revision, seen[m.Mount])
					return
				}
				seen[m.Mount]++
				_ = m.JSON()
			}
		})
	}
	for p := range publishers {
		writers.Go(func() {
			for i := range each {
				b.Publish(Event{Mount: fmt.Sprint(p), Revision: uint64(i)})
			}
		})
	}
	writers.Wait()
	readers.Wait()
}

func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{0, 1, 1000} {
		b.Run(fmt.Sprintf("subscribers=%d", n), func(b *testing.B) {
			bus := NewBus(Config{Source: "strongkeep://c1", Queue: 1 << 16})
			var wg sync.WaitGroup
			var ready sync.WaitGroup
			for range n {
				ready.Add(1)
				wg.Go(func() {
					s, _ := bus.Subscribe("kv-v2/*", "", 1<<12)
					ready.Done()
					for {
						m, err := s.Next(b.Context())
						if errors.Is(err, ErrLost) {
							s, _ = bus.Subscribe("kv-v2/*", "", 1<<12)
							if s == nil {
								return
							}
							continue
						}
						if err != nil {
							return
						}
						_ = m.JSON()
					}
				})
			}
			ready.Wait()
			e := sample()
			b.ReportAllocs()
			for b.Loop() {
				bus.Publish(e)
			}
			b.StopTimer()
			bus.Close()
			wg.Wait()
		})
	}
}

// BenchmarkDeliver is one event from Publish until 1,000 subscribers have it.
func BenchmarkDeliver(b *testing.B) {
	const n = 1000
	bus := NewBus(Config{Source: "strongkeep://c1"})
	got := make(chan struct{}, n)
	var wg sync.WaitGroup
	for range n {
		s := subscribe(b, bus, "kv-v2/*", "", 16)
		wg.Go(func() {
			for {
				m, err := s.Next(context.Background())
				if err != nil {
					return
				}
				_ = m.JSON()
				got <- struct{}{}
			}
		})
	}
	e := sample()
	b.ReportAllocs()
	for b.Loop() {
		bus.Publish(e)
		for range n {
			<-got
		}
	}
	b.StopTimer()
	bus.Close()
	wg.Wait()
}
