package node

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// versionsPrefix is the folder with one Version, as JSON, under each version.
const versionsPrefix = "settings/versions/"

// maxVersions bounds what is read at once.
const maxVersions = 10_000

// Version is the first time that a version of the server opened the vault.
type Version struct {
	Installed time.Time `json:"timestamp_installed"`
	Previous  *string   `json:"previous_version"` // the one that was new before it
	BuildDate string    `json:"build_date"`       // RFC 3339, or empty
}

// Record notes that a version of the server has opened the vault, if it is the
// first time. Kinds are those of the store.
func Record(ctx context.Context, s store.Store, version, buildDate string, now time.Time) error {
	e, err := s.Get(ctx, versionsPrefix+version)
	if err != nil || e.Exists() {
		return err
	}
	all, names, err := history(ctx, s)
	if err != nil {
		return err
	}
	v := Version{Installed: now.UTC().Truncate(time.Second), BuildDate: buildDate}
	for i, name := range names {
		if i == len(names)-1 && !all[name].Installed.After(v.Installed) {
			v.Previous = &name
		}
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return errs.Newf(errs.Internal, "encoding a version: %w", err)
	}
	_, err = s.Apply(ctx, store.Put(versionsPrefix+version, raw).If(0))
	if errs.Is(err, errs.Conflict) {
		return nil // another node was faster
	}
	return err
}

type reader interface {
	Get(ctx context.Context, key string) (store.Entry, error)
	List(ctx context.Context, folder, after string, limit int) ([]string, error)
}

// history returns all versions, and their names in the order of time.
func history(ctx context.Context, r reader) (map[string]Version, []string, error) {
	names, err := r.List(ctx, versionsPrefix, "", maxVersions)
	if err != nil {
		return nil, nil, err
	}
	all := make(map[string]Version, len(names))
	for _, name := range names {
		e, err := r.Get(ctx, versionsPrefix+name)
		if err != nil {
			return nil, nil, err
		}
		var v Version
		if err := json.Unmarshal(e.Value, &v); err != nil {
			return nil, nil, errs.Newf(errs.Internal, "reading the history of versions: %w", err)
		}
		all[name] = v
	}
	slices.SortStableFunc(names, func(a, b string) int { return all[a].Installed.Compare(all[b].Installed) })
	return all, names, nil
}

func versions(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	all, names, err := history(ctx, tx)
	if err != nil {
		return nil, err
	}
	return respond(map[string]any{"keys": names, "key_info": all})
}
