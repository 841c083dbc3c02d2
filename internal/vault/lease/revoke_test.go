package lease_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/store/fault"
)

// ends are the ways to have a lease ended before one is answered.
var ends = map[string]func(*lease.Manager, context.Context, string) error{
	"revoke": func(m *lease.Manager, ctx context.Context, id string) error {
		return m.RevokeNow(ctx, engine.Namespace{}, id)
	},
	"unmount": func(m *lease.Manager, ctx context.Context, _ string) error { return m.EndMount(ctx, "a") },
	"prefix": func(m *lease.Manager, ctx context.Context, _ string) error {
		return m.EndPrefix(ctx, engine.Namespace{}, "a/creds", false)
	},
}

// A node that stops while an engine ends a lease at once, on request or with its mount, leaves a
// lease that nobody can renew, and that another node ends.
func TestNodeThatStopsWhileItEndsALease(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorldOf(t, false, true)
				rec := w.issue("a", "creds/r", engine.Lease{TTL: time.Hour, Renewable: true}, lease.Holder{})
				lost := fault.New(w.store)
				dying := &leaser{fail: func(context.Context, *engine.Leased) error {
					lost.Add(fault.Rule{Err: errs.New(errs.Unavailable, "this node is dead")})
					return nil
				}}
				node := lease.NewManager(lease.ManagerConfig{
					Store: lost, Shared: true,
					Owner: func(id string) (lease.Owner, bool) {
						o, ok := w.owner(id)
						o.Leaser = dying
						return o, ok
					},
				})
				if err := end(node, t.Context(), rec.ID); !errs.Is(err, errs.Unavailable) || len(dying.attempts(rec.Path)) != 1 {
					t.Errorf("%v after %d attempts", err, len(dying.attempts(rec.Path)))
				}
				if w.find(rec.ID) != nil {
					t.Error("it is valid")
				}
				time.Sleep(2 * time.Minute)
				synctest.Wait()
				if n, left := len(w.mounts["a"].attempts(rec.Path)), w.left(); n != 1 || len(left) != 0 {
					t.Errorf("ended by another node %d times; left: %q", n, left)
				}
			})
		})
	}
}

// Who ends leases at once is not joined by the expirer.
func TestLeaseIsEndedAtOnceByOne(t *testing.T) {
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synced(t, false, func(t *testing.T, w *world) {
				rec := w.issue("a", "creds/r", engine.Lease{TTL: time.Hour}, lease.Holder{})
				w.mounts["a"].fail = func(context.Context, *engine.Leased) error {
					time.Sleep(50 * time.Second)
					return nil
				}
				if err := end(w.Manager, t.Context(), rec.ID); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Hour)
				if n, left := len(w.mounts["a"].attempts(rec.Path)), w.left(); n != 1 || len(left) != 0 {
					t.Errorf("ended %d times; left: %q", n, left)
				}
			})
		})
	}
}

// Where others change a lease until the request's time is over, the client's request was not wrong.
func TestTimeIsOverAmidAConflict(t *testing.T) {
	synced(t, true, func(t *testing.T, w *world) {
		rec := w.issue("a", "creds/r", engine.Lease{TTL: time.Hour}, lease.Holder{})
		ctx, cancel := context.WithCancel(t.Context())
		other := lease.NewManager(lease.ManagerConfig{Store: w.store})
		w.mounts["a"].fail = func(context.Context, *engine.Leased) error {
			cancel()
			if _, err := other.RevokePrefix(t.Context(), engine.Namespace{}, rec.ID); err != nil {
				t.Error(err)
			}
			return nil
		}
		if err := w.RevokeNow(ctx, engine.Namespace{}, rec.ID); !errs.Is(err, errs.Unavailable) {
			t.Error(err)
		}
	})
}
