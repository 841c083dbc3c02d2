package unsealed

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Patience is how long a node waits for what a client has been shown by another one.
const Patience = 3 * time.Second

// ErrBehind is of kind Unavailable, and 412 on the wire, which the official clients send again:
// another node has shown the client more than this one can.
var ErrBehind = engine.WithStatus(errs.New(errs.Unavailable, "this node does not show yet what the index that was sent stands for; try again, or ask another node"), 412)

// Index is what a client has seen, for it to send to whichever node it asks next. It looks as
// the official clients want it, who compare two of them: base64 of v1:VAULT:REVISION:REVISION:.
// "" where nobody else writes to the store.
func (v *Vault) Index(ctx context.Context) (string, error) {
	if v.shown == nil {
		return "", nil
	}
	if err := v.shown.coverLists(ctx); err != nil {
		return "", err
	}
	rev := strconv.FormatUint(max(v.shown.highest.Load(), uint64(v.follower.Seen())), 10)
	return base64.StdEncoding.EncodeToString([]byte(indexVersion + ":" + v.id + ":" + rev + ":" + rev + ":")), nil
}

const indexVersion = "v1"

// maxWaiting is how many requests may wait at once for what their index stands for: anybody can send
// one that never comes about. Those beyond are answered like impatient ones.
const maxWaiting = 1024

// CatchUp returns when this node shows all that the indexes stand for. Patient, it waits for
// that, but not for long, unless too many wait. Kinds: Invalid (no index), ErrBehind.
func (v *Vault) CatchUp(ctx context.Context, indexes []string, patient bool) error {
	if v.follower == nil {
		return nil // one node shows everything
	}
	var want store.Revision
	for _, text := range indexes {
		rev, err := v.parseIndex(text)
		if err != nil {
			return err
		}
		want = max(want, rev)
	}
	if v.follower.Seen() >= want {
		return nil
	}
	defer v.waiting.Add(-1)
	if v.waiting.Add(1) > maxWaiting || !patient {
		return ErrBehind
	}
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	if v.follower.Await(ctx, want) != nil {
		return ErrBehind
	}
	return nil
}

func (v *Vault) parseIndex(text string) (store.Revision, error) {
	plain, err := base64.StdEncoding.DecodeString(text)
	parts := strings.Split(string(plain), ":")
	if err != nil || len(parts) != 5 || parts[0] != indexVersion {
		return 0, errs.New(errs.Invalid, "X-Vault-Index: send what the vault has sent, unchanged")
	}
	rev, err := strconv.ParseUint(parts[2], 10, 63)
	switch {
	case err != nil:
		return 0, errs.New(errs.Invalid, "X-Vault-Index: send what the vault has sent, unchanged")
	case parts[1] != v.id:
		// After a restore, say: what it has seen is not to be had here, however long it waits.
		return 0, errs.New(errs.Invalid, "X-Vault-Index: this is the index of another vault: send none")
	}
	return store.Revision(rev), nil
}

// shown is a store that knows how new what it has shown is.
type shown struct {
	store.Store
	highest atomic.Uint64
	// Names come without the revision at which they were there: lists counts the answers, covered how many
	// of them highest is known to be newer than.
	lists, covered atomic.Uint64
}

func (s *shown) note(rev store.Revision) { raise(&s.highest, uint64(rev)) }

// raise makes v at least n.
func raise(v *atomic.Uint64, n uint64) {
	for old := v.Load(); n > old; old = v.Load() {
		if v.CompareAndSwap(old, n) {
			return
		}
	}
}

// coverLists makes highest at least as new as all names that were listed.
func (s *shown) coverLists(ctx context.Context) error {
	lists := s.lists.Load()
	if lists <= s.covered.Load() {
		return nil
	}
	if _, err := s.Apply(ctx); err != nil {
		return err
	}
	raise(&s.covered, lists)
	return nil
}

// Get implements store.Store. An entry that is there says how new it is; of one that is not only the
// store knows, in which others may have written since.
func (s *shown) Get(ctx context.Context, key string) (store.Entry, error) {
	e, err := s.Store.Get(ctx, key)
	if e.Exists() {
		s.note(e.Revision)
	} else {
		s.note(e.AsOf)
	}
	return e, err
}

// List implements store.Store.
func (s *shown) List(ctx context.Context, folder, after string, limit int) ([]string, error) {
	names, err := s.Store.List(ctx, folder, after, limit)
	s.lists.Add(1)
	return names, err
}

// Apply implements store.Store.
func (s *shown) Apply(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	rev, err := s.Store.Apply(ctx, changes...)
	s.note(rev)
	return rev, err
}
