package session

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// backend counts what is asked of it. Its zero value answers at once.
type backend struct {
	opens, reads, closes atomic.Int64
	inFlight, most       atomic.Int64
	hold                 time.Duration
	mu                   sync.Mutex
	err                  error
	openErr              error
	changes              chan provider.Change
}

func (b *backend) fail(err error) { b.mu.Lock(); b.err = err; b.mu.Unlock() }

func (b *backend) Open(ctx context.Context, cfg provider.Config) (provider.Store, error) {
	b.opens.Add(1)
	ref, err := cfg.Scope.Ref("auth", nil, "creds")
	if err != nil {
		return nil, err
	}
	if _, err := cfg.Cluster.SecretKey(ctx, ref, "k"); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.openErr != nil {
		return nil, b.openErr
	}
	return b, nil
}

func (b *backend) Check(context.Context) error { return nil }
func (b *backend) Topic(key string) string     { return "t/" + key }
func (b *backend) Close(context.Context) error { b.closes.Add(1); return nil }

func (b *backend) Read(_ context.Context, req provider.Request) (provider.Value, error) {
	b.reads.Add(1)
	if n := b.inFlight.Add(1); n > b.most.Load() {
		b.most.Store(n)
	}
	defer b.inFlight.Add(-1)
	time.Sleep(b.hold) // in a synctest bubble
	b.mu.Lock()
	defer b.mu.Unlock()
	return provider.Value{Data: redact.FromString(req.Key)}, b.err
}

func (b *backend) Notify(ctx context.Context, report func(provider.Change)) error {
	for {
		select {
		case c := <-b.changes:
			report(c)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

type kube struct{ err error }

func (k kube) SecretKey(context.Context, provider.Ref, string) (redact.Secret, error) {
	return redact.Secret{}, k.err
}
func (k kube) ConfigMapKey(context.Context, provider.Ref, string) (string, error) { return "", k.err }
func (k kube) ServiceAccountToken(context.Context, provider.Ref, []string) (redact.Secret, error) {
	return redact.Secret{}, k.err
}
func (k kube) ServiceAccountAnnotations(context.Context, provider.Ref) (map[string]string, error) {
	return nil, k.err
}

func object(t *testing.T, generation int64) *v1.SecretStore {
	t.Helper()
	p, err := v1.NewProvider("test", struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	return &v1.SecretStore{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "s", UID: "u", Generation: generation},
		Spec:       v1.SecretStoreSpec{Provider: p},
	}
}

func run(t *testing.T, b *backend, f func(*testing.T, *Pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b.changes = make(chan provider.Change) // made in the bubble
		p := New(Config{
			Providers: map[string]provider.Provider{"test": b}, Cluster: kube{}, Clock: clock.RealClock{},
			Log: slog.New(slog.DiscardHandler), Concurrency: 4,
		})
		f(t, p)
		p.Close()
		if o, c := b.opens.Load(), b.closes.Load(); b.openErr == nil && o != c {
			t.Errorf("%d opened, %d closed", o, c)
		}
	})
}

func TestReadsAreShared(t *testing.T) {
	b := &backend{hold: time.Second}
	run(t, b, func(t *testing.T, p *Pool) {
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				if v, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: "a"}); err != nil || v.Data.RevealString() != "a" {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if b.opens.Load() != 1 || b.reads.Load() != 1 {
			t.Errorf("%d opens, %d reads for 1000 readers, want 1 and 1", b.opens.Load(), b.reads.Load())
		}
		time.Sleep(600 * time.Millisecond)
		if _, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: "a"}); err != nil || b.reads.Load() != 2 {
			t.Errorf("a stale value was served: %d reads (%v)", b.reads.Load(), err)
		}
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	b := &backend{hold: time.Second}
	run(t, b, func(t *testing.T, p *Pool) {
		var wg sync.WaitGroup
		for i := range 40 {
			wg.Go(func() {
				_, _ = p.Read(t.Context(), object(t, 1), provider.Request{Key: string(rune('a' + i))})
			})
		}
		wg.Wait()
		if b.most.Load() != 4 || b.reads.Load() != 40 {
			t.Errorf("%d at once of %d, want 4 of 40", b.most.Load(), b.reads.Load())
		}
	})
}

func TestAChangedObjectOpensANewSession(t *testing.T) {
	b := &backend{}
	run(t, b, func(t *testing.T, p *Pool) {
		for generation := range int64(3) {
			for range 2 {
				if _, err := p.Read(t.Context(), object(t, generation), provider.Request{Key: "a"}); err != nil {
					t.Error(err)
				}
			}
		}
		if b.opens.Load() != 3 {
			t.Errorf("%d opens for three generations", b.opens.Load())
		}
		users := p.Users(Object{"Secret", "team", "creds"})
		if len(users) != 1 || users[0].Name != "s" || len(p.Users(Object{"Secret", "other", "creds"})) != 0 {
			t.Errorf("users of the credentials: %v", users)
		}
		p.Drop(users[0])
		if _, err := p.Read(t.Context(), object(t, 2), provider.Request{Key: "a"}); err != nil || b.opens.Load() != 4 {
			t.Errorf("after Drop: %d opens (%v)", b.opens.Load(), err)
		}
	})
}

func TestAStoreThatIsDownIsLeftAlone(t *testing.T) {
	b := &backend{}
	run(t, b, func(t *testing.T, p *Pool) {
		b.fail(errs.New(errs.Unavailable, "sealed"))
		for range 100 {
			if _, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: "a"}); !errs.Is(err, errs.Unavailable) || err.Error() != "sealed" {
				t.Fatal(err)
			}
		}
		if b.reads.Load() != 1 {
			t.Errorf("%d reads of a store that is down", b.reads.Load())
		}
		b.fail(nil)
		time.Sleep(downPause)
		if _, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: "a"}); err != nil {
			t.Errorf("after recovery: %v", err)
		}
		b.fail(errs.New(errs.NotExist, "no such secret")) // says nothing about other keys
		_, _ = p.Read(t.Context(), object(t, 1), provider.Request{Key: "b"})
		b.fail(nil)
		if _, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: "b"}); err != nil {
			t.Errorf("an absent secret was remembered: %v", err)
		}
	})
}

// Guards against one team learning from an error what another asks for.
func TestAStoreThatIsDownTellsNobodysKeys(t *testing.T) {
	for text, c := range map[string]struct {
		err  error
		want string
	}{
		"wrapped":   {errs.Newf(errs.Unavailable, "reading %q: %w", "secret/data/team-a/db", errs.New(errs.Unavailable, "connection refused")), `reading "secret/data/…/…": connection refused`},
		"as a word": {errs.New(errs.Sealed, "reading db of dbx, xdb, db2 and db: sealed"), "reading … of dbx, xdb, db2 and …: sealed"},
		"no key":    {errs.New(errs.Exhausted, "slow down"), "slow down"},
		"the key":   {errs.New(errs.Unavailable, "team-a/db"), "…/…"},
		"no UTF-8":  {errs.New(errs.Unavailable, "\xffdb\xff"), "\xff…\xff"},
	} {
		b := &backend{}
		run(t, b, func(t *testing.T, p *Pool) {
			b.fail(c.err)
			if _, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: "team-a/db"}); err == nil || err.Error() != c.err.Error() {
				t.Errorf("%s: who asked is told %v", text, err)
			}
			_, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: "team-b/db2"})
			if errs.KindOf(err) != errs.KindOf(c.err) || err.Error() != c.want {
				t.Errorf("%s: others are told %v, want %q", text, err, c.want)
			}
		})
	}
}

// What is told to others still says that it is no outage of the store.
func TestAReferenceIsToldAsOne(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"a Secret is missing": {errs.Newf(errs.Unavailable, "logging in: %w", provider.Reference(errs.New(errs.Unavailable, "no Secret"))), true},
		"the store is down":   {errs.New(errs.Unavailable, "logging in"), false},
	} {
		b := &backend{}
		run(t, b, func(t *testing.T, p *Pool) {
			b.fail(c.err)
			for _, key := range []string{"a", "b"} { // the second hears what the first was told
				_, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: key})
				if errors.Is(err, provider.ErrReference) != c.want || !errs.Is(err, errs.Unavailable) {
					t.Errorf("%s: %v", name, err)
				}
			}
			if n := b.reads.Load(); n != 1 {
				t.Errorf("%s: %d reads", name, n)
			}
		})
	}
}

// TestLoginThatIsRefused guards that a thousand objects of a store that refuses
// the login do not each try it.
func TestLoginThatIsRefused(t *testing.T) {
	b := &backend{}
	run(t, b, func(t *testing.T, p *Pool) {
		b.fail(errs.New(errs.Unauthenticated, "wrong role"))
		for i := range 100 {
			if _, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: strings.Repeat("a", i+1)}); !errs.Is(err, errs.Unauthenticated) {
				t.Fatal(err)
			}
		}
		if b.reads.Load() != 1 {
			t.Errorf("%d tries to log in, want 1", b.reads.Load())
		}
	})
}

// TestAnOldCopyOfAStore guards that a caller that still has the store as it was,
// such as a subscription, neither ends the new session nor opens the old one.
func TestAnOldCopyOfAStore(t *testing.T) {
	b := &backend{}
	run(t, b, func(t *testing.T, p *Pool) {
		for _, generation := range []int64{1, 2, 1, 2, 1} {
			if _, err := p.Read(t.Context(), object(t, generation), provider.Request{Key: "a"}); err != nil {
				t.Fatal(err)
			}
		}
		if b.opens.Load() != 2 {
			t.Errorf("%d opens, want one per generation", b.opens.Load())
		}
	})
}

// TestACopyOfAStoreThatIsGone guards that a caller that still has a store that was deleted
// leaves no session behind, which nobody would end.
func TestACopyOfAStoreThatIsGone(t *testing.T) {
	b := &backend{}
	run(t, b, func(t *testing.T, p *Pool) {
		key := v1.KeyOf(object(t, 1))
		gone, asked := false, 0
		p.cfg.Gone = func(context.Context, v1.Store) bool {
			if asked++; asked == 2 { // deleted while the second opens
				gone = true
				p.Drop(key)
			}
			return gone
		}
		if _, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: "a"}); err != nil {
			t.Fatal(err)
		}
		if asked != 1 {
			t.Errorf("asked %d times by one open", asked)
		}
		p.Drop(key)
		for range 3 {
			if _, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: "a"}); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "gone") {
				t.Errorf("%v, want unavailable", err)
			}
		}
		p.ending.Wait()
		if len(p.sessions) != 0 || b.opens.Load() != b.closes.Load() {
			t.Errorf("%d sessions are left; %d were opened, %d closed", len(p.sessions), b.opens.Load(), b.closes.Load())
		}
	})
}

// TestGivingUpIsNotAnEmptyValue guards that a read that never began, because its
// session ended and its caller gave up, does not look like one of an empty secret.
func TestGivingUpIsNotAnEmptyValue(t *testing.T) {
	b := &backend{}
	run(t, b, func(t *testing.T, p *Pool) {
		s, err := p.open(t.Context(), object(t, 1))
		if err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		s.ended = true // as close does, before the session is out of the pool's users
		s.mu.Unlock()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 20 { // opening may be given up, too
			if _, err := p.Read(ctx, object(t, 1), provider.Request{Key: "a"}); !errs.Is(err, errs.Unavailable) {
				t.Fatalf("%v, want Unavailable", err)
			}
		}
		s.mu.Lock()
		s.ended = false
		s.mu.Unlock()
	})
}

func TestFailedOpensBackOff(t *testing.T) {
	b := &backend{openErr: errs.New(errs.NotExist, "no Secret")}
	run(t, b, func(t *testing.T, p *Pool) {
		for range 600 { // a minute
			if _, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: "a"}); !errs.Is(err, errs.Unavailable) {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := b.opens.Load(); n < 5 || n > 8 {
			t.Errorf("%d opens in a minute, want about 6", n)
		}
		if len(p.Users(Object{"Secret", "team", "creds"})) != 1 {
			t.Error("what a failed open wanted to read is not known")
		}
	})
}

func TestChangesBypassSharing(t *testing.T) {
	b := &backend{}
	run(t, b, func(t *testing.T, p *Pool) {
		ctx, cancel := context.WithCancel(t.Context())
		heard := make(chan provider.Change)
		ended := make(chan error)
		go func() { ended <- p.Notify(ctx, object(t, 1), func(c provider.Change) { heard <- c }) }()
		read := func(want int64) {
			t.Helper()
			if _, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: "a"}); err != nil || b.reads.Load() != want {
				t.Errorf("%d reads, want %d (%v)", b.reads.Load(), want, err)
			}
		}
		read(1)
		read(1)
		b.changes <- provider.Change{Topic: "t/other"}
		<-heard
		read(1)
		b.changes <- provider.Change{Topic: "t/a"}
		<-heard
		read(2)
		b.changes <- provider.Change{Connected: true}
		<-heard
		read(3)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestNotifyEndsWithItsSession(t *testing.T) {
	b := &backend{}
	run(t, b, func(t *testing.T, p *Pool) {
		ended := make(chan error)
		go func() { ended <- p.Notify(t.Context(), object(t, 1), func(provider.Change) {}) }()
		synctest.Wait()
		p.Drop(v1.KeyOf(object(t, 1)))
		<-ended
	})
}

func TestSettingsThatCannotWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{Cluster: kube{}, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler), Providers: map[string]provider.Provider{"test": &backend{}}})
		defer p.Close()
		unknown, _ := v1.NewProvider("gitlab", struct{}{})
		bad, zero := "often", &v1.SecretStore{}
		for want, o := range map[string]*v1.SecretStore{
			"spec.provider.gitlab: this operator has no such provider": {ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "n"}, Spec: v1.SecretStoreSpec{Provider: unknown}},
			"names no provider": zero,
			`retryInterval "often" is not`: func() *v1.SecretStore {
				o := object(t, 1)
				o.Spec.RetrySettings = &v1.RetrySettings{RetryInterval: &bad}
				return o
			}(),
		} {
			if err := p.Check(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
	})
}
