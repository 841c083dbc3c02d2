package fake

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/push"
	"github.com/strongkeep/strongkeep/internal/redact"
)

var _ provider.Writer = (*store)(nil)

// Write stores w in memory, until the store object changes or the operator ends.
// What stands in the store object is not the operator's to change.
func (s *store) Write(_ context.Context, w provider.Write) error {
	if w.Key == "" {
		return errs.New(errs.Invalid, "remoteKey is missing")
	}
	if err := push.Metadata(w.Metadata, &struct{}{}); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ofObject(w.Key) {
		return errs.Newf(errs.Conflict, "%q is in spec.provider.fake.data of the store and was not written by an operator: push to another key", w.Key)
	}
	data := w.Value
	if w.Property != "" {
		var err error
		if data, err = push.With(s.pushed[w.Key], w.Property, w.Value); err != nil {
			return err
		}
	}
	s.pushed[w.Key] = data
	return nil
}

// Delete forgets what Write stored.
func (s *store) Delete(_ context.Context, at provider.Place) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	have, ok := s.pushed[at.Key]
	if !ok {
		return nil
	}
	left := redact.Secret{}
	if at.Property != "" {
		var err error
		if left, err = push.Without(have, at.Property); err != nil {
			return err
		}
	}
	if left.Empty() {
		delete(s.pushed, at.Key)
		return nil
	}
	s.pushed[at.Key] = left
	return nil
}

// Exists reports whether there is a value.
func (s *store) Exists(ctx context.Context, at provider.Place) (bool, error) {
	v, err := s.Read(ctx, provider.Request{Key: at.Key})
	if errs.Is(err, errs.NotExist) {
		return false, nil
	}
	return err == nil && push.Has(v.Data, at.Property), err
}

func (s *store) written(key string) (provider.Value, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.pushed[key]
	return provider.Value{Data: data}, ok
}

// ofObject reports whether the store object has key.
func (s *store) ofObject(key string) bool {
	for have := range s.values {
		if have.Key == key {
			return true
		}
	}
	return false
}
