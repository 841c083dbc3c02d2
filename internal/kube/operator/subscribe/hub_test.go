package subscribe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// notifier is a store whose subscription a test drives.
type notifier struct {
	mu     sync.Mutex
	dials  []time.Time
	refuse error                            // what Notify returns at once
	report map[string]func(provider.Change) // by store name, while connected
	drop   map[string]context.CancelCauseFunc
	open   int
}

func (n *notifier) Notify(ctx context.Context, store v1.Store, report func(provider.Change)) error {
	n.mu.Lock()
	n.dials = append(n.dials, time.Now())
	if n.refuse != nil {
		defer n.mu.Unlock()
		return n.refuse
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	n.report[store.GetName()], n.drop[store.GetName()] = report, cancel
	n.open++
	n.mu.Unlock()
	report(provider.Change{Connected: true})
	<-ctx.Done()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open--
	return context.Cause(ctx)
}

func (n *notifier) change(store, topic string) {
	n.mu.Lock()
	f := n.report[store]
	n.mu.Unlock()
	f(provider.Change{Topic: topic})
}

func (n *notifier) connected() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open
}

func store(name string, generation int64) *v1.SecretStore {
	return &v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name, UID: "u", Generation: generation}}
}

func object(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "team", Name: name}
}

func wish(storeName, topic string) Wish { return Wish{v1.KeyOf(store(storeName, 1)), topic} }

// run runs f with a hub in a bubble of its own time. got collects what is due
// since it was last asked.
func run(t *testing.T, f func(t *testing.T, h *Hub, n *notifier, got func() string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := &notifier{report: map[string]func(provider.Change){}, drop: map[string]context.CancelCauseFunc{}}
		h := New(Config{Notifier: n, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- h.Run(ctx) }()
		var mu sync.Mutex
		due := map[string]bool{}
		go func() {
			for {
				select {
				case d := <-h.Due():
					mu.Lock()
					due[d.Object.Name] = true
					mu.Unlock()
				case <-ctx.Done():
					return
				}
			}
		}()
		f(t, h, n, func() string {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			var names []string
			for _, name := range []string{"a", "b", "c"} {
				if due[name] {
					names = append(names, name)
				}
			}
			clear(due)
			return strings.Join(names, " ")
		})
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n.connected() != 0 {
			t.Error("a subscription outlives the hub")
		}
	})
}

func TestChangesReachWhoWantsThem(t *testing.T) {
	run(t, func(t *testing.T, h *Hub, n *notifier, got func() string) {
		h.Want(object("a"), []Wish{wish("s", "x"), wish("s", "y")})
		h.Want(object("b"), []Wish{wish("s", "y")})
		h.Want(object("c"), []Wish{wish("other", "x")})
		h.Follow(store("s", 1))
		if s := got(); s != "a b" {
			t.Errorf("after connecting: %q, want every object of the store", s)
		}
		if !h.Connected(wish("s", "").Store) || h.Connected(wish("other", "").Store) {
			t.Error("Connected is wrong")
		}
		for topic, want := range map[string]string{"x": "a", "y": "a b", "z": ""} {
			n.change("s", topic)
			if s := got(); s != want {
				t.Errorf("change of %s: %q, want %q", topic, s, want)
			}
		}
		h.Want(object("a"), []Wish{wish("s", "z")})
		n.change("s", "y")
		if s := got(); s != "b" {
			t.Errorf("after the wishes changed: %q", s)
		}
		h.Forget(object("b"))
		n.change("s", "y")
		if s := got(); s != "" {
			t.Errorf("after Forget: %q", s)
		}
	})
}

// A folder is heard of by what is below it, at any depth, and not by its neighbours.
func TestFolders(t *testing.T) {
	run(t, func(t *testing.T, h *Hub, n *notifier, got func() string) {
		h.Want(object("a"), []Wish{wish("s", "kv/data/team/")})
		h.Want(object("b"), []Wish{wish("s", "kv/data/")})
		h.Want(object("c"), []Wish{wish("other", "kv/data/team/"), wish("s", "kv/data/team/x")})
		h.Follow(store("s", 1))
		got()
		for topic, want := range map[string]string{
			"kv/data/team/x": "a b c", "kv/data/team/x/y": "a b", "kv/data/teams/x": "b", "kv/data/team": "b", "other/x": "", "": "", "/": "",
		} {
			n.change("s", topic)
			if s := got(); s != want {
				t.Errorf("change of %q: %q, want %q", topic, s, want)
			}
		}
	})
}

func TestReconnectResyncsAndBacksOff(t *testing.T) {
	run(t, func(t *testing.T, h *Hub, n *notifier, got func() string) {
		h.Want(object("a"), []Wish{wish("s", "x")})
		h.Follow(store("s", 1))
		got()
		n.drop["s"](errors.New("lost"))
		synctest.Wait()
		if h.Connected(wish("s", "").Store) {
			t.Error("still connected")
		}
		time.Sleep(200 * time.Millisecond)
		if s := got(); s != "a" || n.connected() != 1 {
			t.Errorf("after reconnecting: %q due, %d connected", s, n.connected())
		}
		n.mu.Lock()
		n.refuse = errs.New(errs.Unavailable, "down")
		n.dials = nil
		n.mu.Unlock()
		n.drop["s"](errors.New("lost"))
		time.Sleep(10 * time.Minute)
		n.mu.Lock()
		defer n.mu.Unlock()
		if len(n.dials) < 15 || len(n.dials) > 60 {
			t.Errorf("%d tries in ten minutes, want about 20 to 40", len(n.dials))
		}
	})
}

func TestUnsupportedIsAskedAgainSeldom(t *testing.T) {
	run(t, func(t *testing.T, h *Hub, n *notifier, got func() string) {
		n.refuse = errs.New(errs.Unsupported, "no such endpoint")
		h.Want(object("a"), []Wish{wish("s", "x")})
		h.Follow(store("s", 1))
		time.Sleep(time.Hour)
		n.mu.Lock()
		tries := len(n.dials)
		n.refuse = nil
		n.mu.Unlock()
		if tries < 4 || tries > 13 || got() != "" {
			t.Errorf("%d tries in an hour, want about 6", tries)
		}
		time.Sleep(20 * time.Minute)
		if s := got(); s != "a" {
			t.Errorf("once it is supported: %q", s)
		}
	})
}

func TestFollowFollowsTheObject(t *testing.T) {
	run(t, func(t *testing.T, h *Hub, n *notifier, got func() string) {
		h.Want(object("a"), []Wish{wish("s", "x")})
		for _, generation := range []int64{1, 1, 1, 2} {
			h.Follow(store("s", generation))
			synctest.Wait()
		}
		if len(n.dials) != 2 || n.connected() != 1 {
			t.Errorf("%d dials, %d connected, want 2 and 1", len(n.dials), n.connected())
		}
		h.Unfollow(wish("s", "").Store)
		synctest.Wait()
		if n.connected() != 0 {
			t.Error("Unfollow leaves a connection")
		}
		got()
	})
}

// TestAnEndedSubscriptionSaysNothingLate guards that the metric of a store that
// was deleted does not come back, nor a lost connection of an old subscription
// hide the new one.
func TestAnEndedSubscriptionSaysNothingLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &notifier{report: map[string]func(provider.Change){}, drop: map[string]context.CancelCauseFunc{}}
		var mu sync.Mutex
		var heard []bool
		h := New(Config{Notifier: n, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler), State: func(_ v1.Store, connected bool) {
			mu.Lock()
			defer mu.Unlock()
			heard = append(heard, connected)
		}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- h.Run(ctx) }()
		h.Follow(store("s", 1))
		synctest.Wait()
		h.Follow(store("s", 2))
		synctest.Wait()
		h.Unfollow(wish("s", "").Store)
		h.Unfollow(wish("s", "").Store)
		mu.Lock()
		told := len(heard)
		mu.Unlock()
		synctest.Wait()
		if want := []bool{true, true, false}; !slices.Equal(heard, want) || told != len(want) {
			t.Errorf("State heard %v, %d of them when Unfollow returned, want %v", heard, told, want)
		}
		cancel()
		<-ended
	})
}

func TestFollowBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &notifier{report: map[string]func(provider.Change){}, drop: map[string]context.CancelCauseFunc{}}
		h := New(Config{Notifier: n, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler)})
		h.Follow(store("s", 1))
		synctest.Wait()
		if n.connected() != 0 {
			t.Error("subscribed before Run")
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- h.Run(ctx) }()
		synctest.Wait()
		if n.connected() != 1 {
			t.Error("not subscribed after Run")
		}
		cancel()
		<-ended
	})
}

// Stores are followed while the hub ends, as controllers do that end with it: what is
// followed too late is not subscribed to, and none is after Run. (The race detector
// looks on.)
func TestFollowWhileItEnds(t *testing.T) {
	for range 200 {
		n := &notifier{report: map[string]func(provider.Change){}, drop: map[string]context.CancelCauseFunc{}}
		h := New(Config{Notifier: n, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		var others sync.WaitGroup
		for i := range 4 {
			others.Go(func() {
				<-ctx.Done()
				h.Follow(store(fmt.Sprint(i), 1))
			})
		}
		ended := make(chan error)
		go func() { ended <- h.Run(ctx) }()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		others.Wait()
		if n.connected() != 0 {
			t.Fatal("a subscription outlives the hub")
		}
	}
}

// Whoever asks for a refresh does not wait, and is heard once however often it
// asks, before Run as after.
func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler)})
		a, b := types.NamespacedName{Namespace: "team", Name: "a"}, types.NamespacedName{Namespace: "team", Name: "b"}
		for range 1000 {
			h.Refresh(a)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- h.Run(ctx) }()
		if d := <-h.Due(); d.Object != a || d.Why == "" {
			t.Errorf("%+v", d)
		}
		synctest.Wait()
		h.Refresh(b)
		if d := <-h.Due(); d.Object != b {
			t.Errorf("%+v, want %v and %v no second time", d, b, a)
		}
		h.Refresh(a)
		h.Forget(a)
		synctest.Wait()
		select {
		case d := <-h.Due():
			if d.Object != a { // Run may have taken it before it was forgotten
				t.Errorf("%+v", d)
			}
		default:
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Another queue is another subscription, though the object is of the same generation;
// why one cannot be read is told once.
func TestQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &notifier{report: map[string]func(provider.Change){}, drop: map[string]context.CancelCauseFunc{}}
		var mu sync.Mutex
		var refused []string
		h := New(Config{Notifier: n, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler), Refused: func(s v1.Store, err error) {
			mu.Lock()
			defer mu.Unlock()
			refused = append(refused, s.GetAnnotations()[v1.AnnotationChanges]+": "+err.Error())
		}})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- h.Run(ctx) }()
		at := func(queue string) {
			s := store("s", 1)
			s.Annotations = map[string]string{v1.AnnotationChanges: queue}
			h.Follow(s)
			synctest.Wait()
		}
		at("one")
		at("one")
		if n.connected() != 1 || len(n.dials) != 1 {
			t.Errorf("%d dials, %d connected, want 1 and 1", len(n.dials), n.connected())
		}
		n.mu.Lock()
		n.refuse = errs.New(errs.Unsupported, "denied")
		n.mu.Unlock()
		at("two")
		if n.connected() != 0 {
			t.Error("the subscription to the first queue goes on")
		}
		time.Sleep(time.Hour)
		mu.Lock()
		if want := []string{"two: denied"}; !slices.Equal(refused, want) {
			t.Errorf("%q is told, want %q", refused, want)
		}
		mu.Unlock()
		h.Want(object("a"), []Wish{wish("s", "x")})
		h.Report(wish("s", "").Store, provider.Change{Topic: "x"})
		if d := <-h.Due(); d.Object != object("a") || d.Why != WhyChanged {
			t.Errorf("%+v", d)
		}
		cancel()
		<-ended
	})
}
