package stores

import (
	"context"
	"time"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// Backend reads external stores. session.Pool is one.
type Backend interface {
	Read(ctx context.Context, store v1.Store, req provider.Request) (provider.Value, error)
	Find(ctx context.Context, store v1.Store, q provider.Query) (found []provider.Found, began time.Time, err error)
	// Picks reports whether store is to be told which property is wanted.
	Picks(ctx context.Context, store v1.Store) bool
}

// Source reads through b from the stores that objects of namespace name. Errors
// name the store. It has no generators and no limits.
func (l Lookup) Source(b Backend, namespace string) gather.Source {
	return gather.Source{
		Read: func(ctx context.Context, ref v1.SecretStoreRef, req provider.Request) (v provider.Value, err error) {
			store, err := l.Store(ctx, namespace, ref)
			if err != nil {
				return v, err
			}
			req.For = namespace
			if v, err = b.Read(ctx, store, req); err != nil {
				return v, errs.Newf(errs.KindOf(err), "%s: %w", v1.KeyOf(store), err)
			}
			return v, nil
		},
		Find: func(ctx context.Context, ref v1.SecretStoreRef, q provider.Query) (found []provider.Found, began time.Time, err error) {
			store, err := l.Store(ctx, namespace, ref)
			if err != nil {
				return nil, began, err
			}
			q.For = namespace
			if found, began, err = b.Find(ctx, store, q); err != nil {
				return nil, began, errs.Newf(errs.KindOf(err), "%s: %w", v1.KeyOf(store), err)
			}
			return found, began, nil
		},
		Picks: func(ctx context.Context, ref v1.SecretStoreRef) bool {
			store, err := l.Store(ctx, namespace, ref)
			return err == nil && b.Picks(ctx, store) // what is wrong the read tells
		},
	}
}
