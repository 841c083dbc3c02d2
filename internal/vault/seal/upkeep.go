package seal

import (
	"context"
	"fmt"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// pause is how long the upkeep waits before it tries again what went wrong.
const pause = 5 * time.Second

// upkeep runs while the vault is unsealed: it follows the keyring that other
// nodes rotate, keeps the count of encryptions ahead of their being made, and
// rotates when a term has been used enough. Seal and Open go on whatever
// happens here.
func (s *session) upkeep(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		s.log.WarnContext(ctx, "looking after the keyring went wrong and is tried again", "error", err, "in", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// follow returns when the watch ends or something goes wrong.
func (s *session) follow(ctx context.Context) error {
	w, err := s.store.Watch(ctx, KeyringKey, 0)
	if err != nil {
		return err
	}
	defer w.Close()
	// What was written before the watch listened.
	if err := s.reload(ctx); err != nil {
		return err
	}
	for {
		if err := s.tend(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.keys.wake:
		case ev, ok := <-w.Events():
			if !ok {
				return ended(w.Err())
			}
			if !touches(ev, KeyringKey) {
				continue
			}
			if err := s.reload(ctx); err != nil {
				return err
			}
		}
	}
}

// tend does what the count of the newest term asks for.
func (s *session) tend(ctx context.Context) error {
	r := s.keys.ring.Load()
	if r == nil {
		return nil // sealed: ctx is about to end
	}
	if r.use.due() {
		if err := s.rotate(ctx, r.newest()); err != nil {
			return err
		}
		now := s.keys.ring.Load()
		if now == nil || now == r {
			return nil
		}
		s.log.InfoContext(ctx, "rotated the keyring after many encryptions", "term", now.newest(), "encryptions", r.use.total())
		r = now
	}
	if r.use.short() {
		return s.reserve(ctx, r)
	}
	return nil
}

// ended says why a watch is over where nobody here closed it.
func ended(err error) error {
	if err == nil {
		return errs.New(errs.Unavailable, "the store ended the watch of the keyring")
	}
	return fmt.Errorf("watching the keyring: %w", err)
}

func touches(ev store.Event, key string) bool {
	for _, c := range ev.Changes {
		if c.Key == key {
			return true
		}
	}
	return false
}
