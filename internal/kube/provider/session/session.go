package session

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
	"golang.org/x/time/rate"
)

// session is one open store.
type session struct {
	key      v1.StoreKey
	id       identity
	cfg      *Config
	ctx      context.Context // ends with the session
	cancel   context.CancelFunc
	attempts int // how many opens in a row, this one included, were needed

	opened   chan struct{}     // closed when the next five are set
	store    provider.Store    // nil when openErr is not
	notifier provider.Notifier // nil: nobody tells of changes
	hook     *hook             // the notifier, where it is one; else nil
	provider string
	openErr  error

	slots chan struct{}  // one per call in flight
	users sync.WaitGroup // whoever entered and has not left

	mu      sync.Mutex
	ended   bool
	retryAt time.Time // when a failed open may be tried again
	flights map[wanted]*flight
	limit   *rate.Limiter // of calls to the backend; nil: none
	breaker breaker
	objects map[Object]bool
	read    material
}

func (s *session) open(spec *v1.SecretStoreSpec, scope provider.Scope) {
	defer close(s.opened)
	s.store, s.openErr = s.dial(spec, scope)
	if s.openErr == nil {
		s.openErr = s.listen(scope)
	}
	if errs.Is(s.openErr, errs.NotExist) { // must not look like a secret that the store does not have
		s.openErr = errs.As(errs.Unavailable, s.openErr)
	}
	if s.openErr != nil {
		pause := min(downPause<<min(s.attempts-1, 10), openPauseMax)
		s.mu.Lock()
		s.retryAt = s.cfg.Clock.Now().Add(pause)
		s.mu.Unlock()
	}
}

func (s *session) dial(spec *v1.SecretStoreSpec, scope provider.Scope) (provider.Store, error) {
	name, settings, err := spec.Provider.One()
	if err != nil {
		return nil, err
	}
	s.provider = name
	p, ok := s.cfg.Providers[name]
	if !ok {
		return nil, errs.Newf(errs.Unsupported, "spec.provider.%s: this operator has no such provider: use one of %s", name, strings.Join(slices.Sorted(maps.Keys(s.cfg.Providers)), ", "))
	}
	if r, ok := p.(provider.Rated); ok {
		perSecond, burst := r.Rate()
		s.limit = rate.NewLimiter(rate.Limit(perSecond), burst)
	}
	retry, err := retryOf(spec)
	if err != nil {
		return nil, err
	}
	return p.Open(s.ctx, provider.Config{
		Scope: scope, Settings: settings, Retry: retry,
		Cluster: recorder{s.cfg.Cluster, s}, Clock: s.cfg.Clock, Log: s.cfg.Log,
	})
}

// failedBefore reports whether opening failed, and whether it may be tried again.
func (s *session) failedBefore(now time.Time) (failed, due bool) {
	select {
	case <-s.opened:
	default:
		return false, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.openErr != nil, !now.Before(s.retryAt)
}

// enter keeps the session open until leave. It is false when the session has ended.
func (s *session) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.users.Add(1)
	return true
}

func (s *session) leave() { s.users.Done() }

func (s *session) close() {
	s.mu.Lock()
	already := s.ended
	s.ended = true
	s.mu.Unlock()
	s.cancel()
	s.users.Wait()
	if already || s.store == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.store.Close(ctx); err != nil {
		s.cfg.Log.Info("closing a store", "store", s.key.String(), "error", err)
	}
}

// note remembers how a call of by for w ended, err being what others may be told.
func (s *session) note(by string, w wanted, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.breaker.note(by, w.subject(), discreet(err, w))
}

// noteCheck lets a check that worked end a pause; one that failed says too
// little about reads to begin one.
func (s *session) noteCheck(err error) {
	if err == nil {
		s.note("", wanted{}, nil)
	}
}

func (s *session) reads(o Object) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[o]
}

// recorder is a Cluster that remembers what was read, found or not, and of Secrets and
// ConfigMaps a digest.
type recorder struct {
	provider.Cluster
	s *session
}

func (r recorder) record(kind string, ref provider.Ref) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.s.objects[Object{kind, ref.Namespace(), ref.Name()}] = true
}

func (r recorder) SecretKey(ctx context.Context, ref provider.Ref, key string) (redact.Secret, error) {
	r.record("Secret", ref)
	v, err := r.Cluster.SecretKey(ctx, ref, key)
	if err == nil {
		r.learn("Secret", ref, key, v.Reveal())
	}
	return v, err
}

// LabelledSecret implements provider.Labelled.
func (r recorder) LabelledSecret(ctx context.Context, ref provider.Ref, label, value string) (map[string]redact.Secret, error) {
	l, ok := r.Cluster.(provider.Labelled)
	if !ok {
		return nil, errs.New(errs.Internal, "labels of Secrets cannot be read")
	}
	r.record("Secret", ref)
	data, err := l.LabelledSecret(ctx, ref, label, value)
	for key, v := range data {
		r.learn("Secret", ref, key, v.Reveal())
	}
	return data, err
}

func (r recorder) ConfigMapKey(ctx context.Context, ref provider.Ref, key string) (string, error) {
	r.record("ConfigMap", ref)
	text, err := r.Cluster.ConfigMapKey(ctx, ref, key)
	if err == nil {
		r.learn("ConfigMap", ref, key, []byte(text))
	}
	return text, err
}
