package token

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/expiry"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

// With the real Expirer: tokens and trees of them end by themselves and leave
// nothing, those that were renewed stay.
func TestExpirerEndsTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		s := mem.New(mem.Config{})
		defer s.Close()
		m, err := New(Config{Key: redact.New(make([]byte, 32))})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, m: m, store: s}
		e := expiry.Start(expiry.Config{Store: s, Kinds: m.Kinds()})
		defer e.Close()
		kept := w.create(Spec{TTL: 2 * time.Minute, Renewable: true})
		for i := range 200 {
			top := w.create(Spec{TTL: time.Duration(1+i%7) * 10 * time.Second, Renewable: true})
			for range i % 3 {
				w.create(Spec{Creator: top.Entry, TTL: hour})
			}
		}
		revoked := w.create(Spec{TTL: hour})
		for range 100 {
			w.create(Spec{Creator: revoked.Entry, TTL: hour})
		}
		w.revoke(revoked, Tree)
		time.Sleep(90 * time.Second)
		w.must(func(tx *store.Txn) error {
			_, _, err := m.Renew(ctx, tx, kept.Entry, hour, Limits{Default: hour, Max: day})
			return err
		})
		time.Sleep(10 * time.Minute)
		if !w.valid(kept) {
			t.Error("a renewed token was ended")
		}
		if left := w.keys(); len(left) != 3 {
			t.Errorf("%d keys left, want those of the one that was renewed", len(left))
		}
	})
}
