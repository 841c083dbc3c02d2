package rootkey

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// WorkedKey is where storage has when each wrapping last opened something: a JSON object of times
// by kind and key, nothing secret. It is read by people who look at a sealed vault, and believed by nobody else.
const WorkedKey = "core/seal-worked"

// ReadWorked returns the record, by Wrapping.ID, and its revision. One that is damaged is as none.
func ReadWorked(ctx context.Context, s store.Store) (map[string]time.Time, store.Revision, error) {
	all := map[string]time.Time{}
	e, err := s.Get(ctx, WorkedKey)
	if err != nil || !e.Exists() {
		return all, 0, err
	}
	if json.Unmarshal(e.Value, &all) != nil || len(all) > 4*MaxWrappings {
		all = map[string]time.Time{} // written anew
	}
	return all, e.Revision, nil
}

// WriteWorked replaces the record of that revision. Kinds: Conflict (another node was faster), Unavailable.
func WriteWorked(ctx context.Context, s store.Store, all map[string]time.Time, was store.Revision) error {
	raw, err := json.Marshal(all, json.Deterministic(true))
	if err != nil {
		return errs.Newf(errs.Internal, "encoding when seals worked: %w", err)
	}
	_, err = s.Apply(ctx, store.Put(WorkedKey, raw).If(was))
	return err
}

// Latest is the later of two times.
func Latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
