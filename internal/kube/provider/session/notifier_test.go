package session

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// naming returns a store object that names who tells of changes.
func naming(t *testing.T, changes string) *v1.SecretStore {
	t.Helper()
	o := object(t, 1)
	o.Annotations = map[string]string{v1.AnnotationChanges: changes}
	return o
}

// mute is a backend that tells of nothing by itself, and has a queue "queue:x".
type mute struct {
	*backend
	Topic, Notify struct{} // not the backend's
}

func (m mute) Listen(address string) (provider.Notifier, error) {
	if address != "queue:x" {
		return nil, errs.Newf(errs.Invalid, "%q is no queue", address)
	}
	return m.backend, nil
}

type opener struct{ open func() provider.Store }

func (o opener) Open(context.Context, provider.Config) (provider.Store, error) { return o.open(), nil }

// keys is a cluster whose Secrets all have one key.
type keys struct {
	kube
	mu    sync.Mutex
	value string
	reads []string
}

func (k *keys) SecretKey(_ context.Context, ref provider.Ref, key string) (redact.Secret, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reads = append(k.reads, ref.String()+"/"+key)
	return redact.FromString(k.value), nil
}

// The annotation says who tells of changes. One that nobody can follow is a failure of
// the store, not passed over, and another session's when it changes.
func TestWhoTellsOfChanges(t *testing.T) {
	b := &backend{}
	m := mute{backend: b}
	run(t, b, func(t *testing.T, p *Pool) {
		k := &keys{value: strings.Repeat("k", 32)}
		p.cfg.Cluster = k
		p.cfg.Providers = map[string]provider.Provider{"test": opener{func() provider.Store { b.opens.Add(1); return m }}}
		for changes, want := range map[string]string{"": "", "queue:x": "t/a", "webhook:s/k": "a"} {
			if topic, err := p.Topic(t.Context(), naming(t, changes), "a"); err != nil || topic != want {
				t.Errorf("%q: topic %q (%v), want %q", changes, topic, err, want)
			}
		}
		for _, bad := range []string{"queue:y", "nonsense", "webhook:", "webhook:s", "webhook:s/", "webhook:/k", "webhook:other/s/k", "webhook:a/b/c/d"} {
			_, err := p.Topic(t.Context(), naming(t, bad), "a")
			if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), v1.AnnotationChanges) {
				t.Errorf("%q: %v (%v)", bad, err, errs.KindOf(err))
			}
		}
		if _, err := p.HookKey(t.Context(), naming(t, "queue:x")); !errs.Is(err, errs.Unsupported) {
			t.Errorf("a key of a store that names a queue: %v", err)
		}
		if err := p.Notify(t.Context(), naming(t, ""), nil); !errs.Is(err, errs.Unsupported) {
			t.Errorf("a store of which nobody tells: %v", err)
		}
	})
}

// A provider without queues says so.
func TestNoQueues(t *testing.T) {
	b := &backend{}
	run(t, b, func(t *testing.T, p *Pool) {
		_, err := p.Topic(t.Context(), naming(t, "sqs:x"), "a")
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "no queues") {
			t.Error(err)
		}
		// What tells by itself goes on beside a webhook, by the same topics.
		p.cfg.Cluster = &keys{value: strings.Repeat("k", 32)}
		if topic, err := p.Topic(t.Context(), naming(t, "webhook:s/k"), "a"); err != nil || topic != "t/a" {
			t.Errorf("topic %q (%v)", topic, err)
		}
	})
}

// A key is read once, is never short, and what it signs makes the next read a new one.
func TestHook(t *testing.T) {
	b := &backend{}
	run(t, b, func(t *testing.T, p *Pool) {
		k := &keys{value: "short"}
		p.cfg.Cluster = k
		var notices int
		p.cfg.Observe = func(_, call string, err error) {
			if call == "Notice" && err == nil {
				notices++
			}
		}
		o := naming(t, "webhook:hooks/key")
		before, err := p.Access(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.HookKey(t.Context(), o); !errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), k.value) {
			t.Errorf("a short key: %v", err)
		}
		k.value = strings.Repeat("k", 32)
		for range 3 {
			if key, err := p.HookKey(t.Context(), o); err != nil || key.RevealString() != k.value {
				t.Error(err)
			}
		}
		hooks := 0
		for _, read := range k.reads {
			if read == "team/hooks/key" {
				hooks++
			}
		}
		if hooks != 2 {
			t.Errorf("%d reads of the key, want 2: %q", hooks, k.reads)
		}
		if users := p.Users(Object{"Secret", "team", "hooks"}); len(users) != 1 {
			t.Errorf("an edit of the Secret would concern %v", users)
		}
		if after, err := p.Access(t.Context(), o); err != nil || after != before {
			t.Errorf("the store is taken for one that is read by other credentials (%v)", err)
		}
		read := func() {
			t.Helper()
			if _, err := p.Read(t.Context(), o, provider.Request{Key: "a"}); err != nil {
				t.Error(err)
			}
		}
		read()
		read()
		if topic, err := p.Changed(t.Context(), o, "a"); err != nil || topic != "t/a" {
			t.Errorf("%q (%v)", topic, err)
		}
		read()
		if n := b.reads.Load(); n != 2 || notices != 1 {
			t.Errorf("%d reads and %d notices, want 2 and 1", n, notices)
		}
	})
}

// What cannot be read is counted, and nobody is told: it changes nothing.
func TestUnread(t *testing.T) {
	b := &backend{}
	run(t, b, func(t *testing.T, p *Pool) {
		var mu sync.Mutex
		var counted []error
		p.cfg.Observe = func(_, call string, err error) {
			mu.Lock()
			defer mu.Unlock()
			if call == "Notice" {
				counted = append(counted, err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		heard := make(chan provider.Change, 10)
		go func() { ended <- p.Notify(ctx, object(t, 1), func(c provider.Change) { heard <- c }) }()
		b.changes <- provider.Change{Unread: errs.New(errs.Invalid, "garbage")}
		b.changes <- provider.Change{Topic: "t/a"}
		if c := <-heard; c.Topic != "t/a" {
			t.Errorf("%+v is told first", c)
		}
		cancel()
		<-ended
		mu.Lock()
		defer mu.Unlock()
		if len(counted) != 2 || counted[0] == nil || counted[1] != nil {
			t.Errorf("%v is counted", counted)
		}
		time.Sleep(time.Second) // of the bubble: flights end
	})
}
