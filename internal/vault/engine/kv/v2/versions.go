package v2

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// edit is a change of some versions of one secret under way.
type edit struct {
	tx   engine.Tx
	now  time.Time
	key  string
	conf *config
	m    *metadata // a copy to change
}

// onVersions returns the handler that applies a change to each version that the
// request names. Versions and secrets that are not there are passed over; apply
// returns false where there was nothing to do.
func onVersions(operation string, apply func(*edit, *version) bool) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		numbers, err := numbersOf(req)
		if err != nil {
			return nil, err
		}
		e := &edit{tx: tx, now: clock(req)}
		if e.key, err = keyOf(req); err != nil {
			return nil, err
		}
		m, err := load(ctx, tx, e.key)
		if err != nil || m == nil {
			return nil, err
		}
		if e.conf, err = loadConfig(ctx, tx); err != nil {
			return nil, err
		}
		e.m = m.clone(e.now)
		if !e.each(numbers, apply) {
			return nil, nil
		}
		tx.Put(metaKey(e.key), e.m.encode())
		emit(tx, operation, operation+"/"+e.key, e.key, e.m)
		return nil, nil
	}
}

func numbersOf(req *engine.Request) ([]int64, error) {
	d := req.Decode()
	numbers := d.Ints("versions")
	if err := d.Err(); err != nil {
		return nil, err
	}
	if len(numbers) == 0 {
		return nil, errs.New(errs.Invalid, "No version number provided")
	}
	return numbers, nil
}

// each applies the change and reports whether it did anything.
func (e *edit) each(numbers []int64, apply func(*edit, *version) bool) (changed bool) {
	for _, n := range numbers {
		if n <= 0 {
			continue
		}
		if v := e.m.find(uint64(n)); v != nil && apply(e, v) {
			changed = true
		}
	}
	return changed
}

func softDelete(e *edit, v *version) bool {
	if v.gone(e.now) {
		return false
	}
	v.deleted = e.now
	return true
}

// undelete makes a version readable again, and stamps its expiry anew.
func undelete(e *edit, v *version) bool {
	if v.destroyed || v.deleted.IsZero() {
		return false
	}
	v.deleted = e.m.expiry(e.now, e.conf)
	return true
}

func destroy(e *edit, v *version) bool {
	if v.destroyed {
		return false
	}
	v.destroyed = true
	e.tx.Delete(versionKey(e.key, v.n))
	return true
}
