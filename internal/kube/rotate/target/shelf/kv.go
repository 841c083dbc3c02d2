package shelf

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// entry is a version of a KV v2 path.
type entry struct {
	// version is the current one, 0 where there was never any.
	version int64
	// values is nil where there is nothing to read: it was deleted, or never there.
	values  Values
	created time.Time
}

// kv is one path of a KV v2 engine.
type kv struct {
	vault       target.Vault
	mount, path string
}

func (k kv) at(what string) string { return k.mount + "/" + what + "/" + k.path }

type answer struct {
	Data     Values `json:"data"`
	Metadata struct {
		Version int64     `json:"version"`
		Created time.Time `json:"created_time"`
	} `json:"metadata"`
}

// read returns the current version.
func (k kv) read(ctx context.Context) (entry, error) {
	e, err := k.get(ctx, "")
	if !errs.Is(err, errs.NotExist) {
		return e, err
	}
	raw, err := k.vault.Call(ctx, http.MethodGet, k.at("metadata"), nil)
	if errs.Is(err, errs.NotExist) {
		return entry{}, nil
	}
	if err != nil {
		return entry{}, err
	}
	var m struct {
		Current int64 `json:"current_version"`
	}
	if json.Unmarshal(raw, &m) != nil {
		return entry{}, k.strange("metadata")
	}
	return entry{version: m.Current}, nil
}

// there returns the versions that may be readable, as the path's metadata has
// them. Those are left out that were deleted before past, by the vault's clock.
func (k kv) there(ctx context.Context, past time.Time) (map[int64]bool, error) {
	raw, err := k.vault.Call(ctx, http.MethodGet, k.at("metadata"), nil)
	if err != nil {
		return nil, err
	}
	var m struct {
		Versions map[int64]struct {
			Deleted   string `json:"deletion_time"` // in the future for one that will be; empty
			Destroyed bool   `json:"destroyed"`
		} `json:"versions"`
	}
	if json.Unmarshal(raw, &m) != nil || m.Versions == nil {
		return nil, k.strange("metadata")
	}
	out := map[int64]bool{}
	for version, v := range m.Versions {
		deleted, err := time.Parse(time.RFC3339Nano, v.Deleted)
		out[version] = !v.Destroyed && (err != nil || !deleted.Before(past))
	}
	return out, nil
}

// readable reports whether a version can be read.
func (k kv) readable(ctx context.Context, version int64) (bool, error) {
	_, err := k.get(ctx, fmt.Sprintf("?version=%d", version))
	if errs.Is(err, errs.NotExist) {
		return false, nil
	}
	return err == nil, err
}

func (k kv) get(ctx context.Context, query string) (entry, error) {
	raw, err := k.vault.Call(ctx, http.MethodGet, k.at("data")+query, nil)
	if err != nil {
		return entry{}, err
	}
	var a answer
	if json.Unmarshal(raw, &a) != nil || a.Metadata.Version < 1 {
		return entry{}, k.strange("data") // what json says may quote the value
	}
	if a.Data == nil {
		return entry{}, errs.Newf(errs.NotExist, "%q holds nothing", k.at("data"))
	}
	return entry{a.Metadata.Version, a.Data, a.Metadata.Created}, nil
}

func (k kv) strange(what string) error {
	return errs.Newf(errs.Invalid, "%q answers as no KV v2 engine does: check the target's mount, which must be one of version 2", k.at(what))
}

// errMoved says that a path was written by somebody else meanwhile.
var errMoved = errs.New(errs.Conflict, "the path was written by somebody else meanwhile")

// write replaces the version named, 0 for none, and returns the new one. When it
// is not the current one any more, errMoved.
func (k kv) write(ctx context.Context, over int64, data any) (int64, error) {
	body := map[string]any{"options": map[string]int64{"cas": over}, "data": data}
	raw, err := k.vault.Call(ctx, http.MethodPost, k.at("data"), body)
	if errs.Is(err, errs.Invalid) || errs.Is(err, errs.Conflict) {
		// Vault says 400 to a version that is not current, as to much else.
		now, again := k.read(ctx)
		if again != nil {
			return 0, again
		}
		if now.version != over {
			return 0, errMoved
		}
	}
	if err != nil {
		return 0, err
	}
	var made struct {
		Version int64 `json:"version"`
	}
	if json.Unmarshal(raw, &made) != nil || made.Version < 1 {
		return 0, k.strange("data")
	}
	return made.Version, nil
}

// versions does what ("delete", "undelete" or "destroy") to versions. Each is
// idempotent, and versions that are not there any more are left out by the vault.
func (k kv) versions(ctx context.Context, what string, versions []int64) error {
	if len(versions) == 0 {
		return nil
	}
	slices.Sort(versions)
	_, err := k.vault.Call(ctx, http.MethodPost, k.at(what), map[string]any{"versions": versions})
	return err
}

// forget removes the path with everything that it ever held.
func (k kv) forget(ctx context.Context) error {
	_, err := k.vault.Call(ctx, http.MethodDelete, k.at("metadata"), nil)
	if errs.Is(err, errs.NotExist) {
		return nil
	}
	return err
}
