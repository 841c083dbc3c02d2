package keeper

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// AskedPrefix is the folder with the time, RFC 3339, at which somebody asked for a snapshot
// of each plan. It is in the store, since who is asked may not be who makes it.
const AskedPrefix = "settings/snapshots-asked/"

// Writer is what asking needs; engine.Tx is one.
type Writer interface {
	Put(key string, value []byte)
}

// Ask has the next snapshot of a plan made soon, by the node that makes them.
func Ask(w Writer, name string, now time.Time) {
	w.Put(AskedPrefix+name, now.UTC().AppendFormat(nil, time.RFC3339))
}

// wanted reports whether somebody asked for a snapshot that was not made yet. Times of
// other nodes count only for what was asked before this one began.
func (k *Keeper) wanted(name string, asked store.Entry, newest time.Time) bool {
	if !asked.Exists() {
		return false
	}
	k.mu.Lock()
	rev, known := k.answered[name]
	k.mu.Unlock()
	if known {
		return rev != asked.Revision
	}
	at, err := time.Parse(time.RFC3339, string(asked.Value))
	return err == nil && newest.Before(at)
}

func (k *Keeper) answer(name string, asked store.Entry) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.answered[name] = asked.Revision
}

// changes differ when a plan was changed, or a snapshot asked for, on any node.
func changes(ctx context.Context, r Reader) (string, error) {
	var all strings.Builder
	for _, folder := range []string{Prefix, AskedPrefix} {
		names, err := r.List(ctx, folder, "", 0)
		if err != nil {
			return "", err
		}
		for _, name := range names {
			e, err := r.Get(ctx, folder+name)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&all, "%s%s %d\n", folder, name, e.Revision)
		}
	}
	return all.String(), nil
}
