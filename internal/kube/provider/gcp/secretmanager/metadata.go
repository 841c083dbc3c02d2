package secretmanager

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/wire"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// metadata returns the annotations and labels of a secret as a JSON object of two.
func (s *Store) metadata(ctx context.Context, name, key string) (provider.Value, error) {
	about, err := s.describe(ctx, name, key)
	if err != nil {
		return provider.Value{}, s.explain(err, key, latest)
	}
	raw, err := json.Marshal(map[string]map[string]string{"annotations": some(about.GetAnnotations()), "labels": some(about.GetLabels())})
	if err != nil {
		return provider.Value{}, errs.Newf(errs.Internal, "encoding the metadata of %q: %w", key, err)
	}
	return provider.Value{Data: redact.New(raw), Expires: s.lives.note(about)}, nil
}

func some(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func (s *Store) describe(ctx context.Context, name, key string) (*pb.Secret, error) {
	doing := fmt.Sprintf("describing %q in Secret Manager", key)
	about, err := do(ctx, s, call{wire.Call{Doing: doing, Routing: "name=" + name}, true},
		func(ctx context.Context) (*pb.Secret, error) {
			return s.client.GetSecret(ctx, &pb.GetSecretRequest{Name: name})
		})
	if err == nil && keyOf(about.GetName()) != key {
		return nil, errs.Newf(errs.Unavailable, "%s: the answer is not the secret that was asked for", doing)
	}
	return about, err
}

// keyOf returns the key of a secret's full name, in which Google writes the
// project's number; "" when it is none.
func keyOf(name string) string {
	_, key, _ := strings.Cut(name, "/secrets/")
	if !ids.MatchString(key) {
		return ""
	}
	return key
}

// expires returns when a secret ends, as far as that is known without asking often:
// it is no part of a value, and asking counts as a read of Google's small quota. A
// store that may not ask knows nothing.
func (s *Store) expires(ctx context.Context, name string) time.Time {
	key := keyOf(name)
	at, due := s.lives.get(key)
	if !due || s.admin.TokensAt(s.cfg.Clock.Now()) < adminBurst/2 {
		return at
	}
	about, err := s.describe(ctx, name, key)
	if err != nil {
		if errs.Is(err, errs.Denied) {
			s.lives.rest()
		}
		return at
	}
	return s.lives.note(about)
}

// How long what is known of a secret's end is believed, and of how many it is kept.
const (
	lifeFor  = time.Hour
	lifeRest = 10 * time.Minute
	maxLives = 50_000
)

// lives are the ends of secrets. It is safe for concurrent use.
type lives struct {
	clock clock.PassiveClock

	mu      sync.Mutex
	ends    map[string]life
	resting time.Time // until then nobody asks
}

type life struct {
	end, asked time.Time
}

func newLives(c clock.PassiveClock) *lives { return &lives{clock: c, ends: map[string]life{}} }

// get returns the end of key, zero when there is none or none known, and whether to ask.
func (l *lives) get(key string) (end time.Time, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock.Now()
	known, ok := l.ends[key]
	return known.end, (!ok || now.Sub(known.asked) >= lifeFor) && !now.Before(l.resting)
}

// note remembers when a secret ends, and returns it.
func (l *lives) note(about *pb.Secret) time.Time {
	var end time.Time
	if at := about.GetExpireTime(); at != nil {
		end = at.AsTime()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ends) >= maxLives {
		clear(l.ends)
	}
	l.ends[keyOf(about.GetName())] = life{end, l.clock.Now()}
	return end
}

// rest lets nobody ask for a while.
func (l *lives) rest() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resting = l.clock.Now().Add(lifeRest)
}
