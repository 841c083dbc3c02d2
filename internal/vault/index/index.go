package index

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

// Progress is how far a node has taken up what others write; follow.Follower is one.
type Progress interface {
	// Seen is the revision up to which everything was taken up.
	Seen() store.Revision
	// Await returns when everything up to rev was taken up, or ctx ended.
	Await(ctx context.Context, rev store.Revision) error
}

// Book makes and reads indexes. Its methods may be called by any number of goroutines. A nil Book is that of
// a node whose store nobody else writes to: it gives none and heeds none.
type Book struct {
	Vault string // whose indexes they are; no colon in it
	Shown *Shown // what clients are served from
	Node  Progress

	waiting atomic.Int64 // requests that wait for what their index stands for
}

// Index is what a client has seen, for it to send to whichever node it asks next. It looks as
// the official clients want it, who compare two of them: base64 of v1:VAULT:REVISION:REVISION:.
func (b *Book) Index(ctx context.Context) (string, error) {
	if b == nil {
		return "", nil
	}
	if err := b.Shown.coverLists(ctx); err != nil {
		return "", err
	}
	rev := strconv.FormatUint(max(b.Shown.highest.Load(), uint64(b.Node.Seen())), 10)
	return base64.StdEncoding.EncodeToString([]byte(version + ":" + b.Vault + ":" + rev + ":" + rev + ":")), nil
}

const version = "v1"

// maxWaiting is how many requests may wait at once for what their index stands for: anybody can send
// one that never comes about. Those beyond are answered like impatient ones.
const maxWaiting = 1024

// CatchUp returns when this node shows all that the indexes stand for. Patient, it waits for
// that, but not for long, unless too many wait. Kinds: Invalid (no index), ErrBehind.
func (b *Book) CatchUp(ctx context.Context, indexes []string, patient bool) error {
	if b == nil {
		return nil // one node shows everything
	}
	var want store.Revision
	for _, text := range indexes {
		rev, err := b.parse(text)
		if err != nil {
			return err
		}
		want = max(want, rev)
	}
	if b.Node.Seen() >= want {
		return nil
	}
	defer b.waiting.Add(-1)
	if b.waiting.Add(1) > maxWaiting || !patient {
		return ErrBehind
	}
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	if b.Node.Await(ctx, want) != nil {
		return ErrBehind
	}
	return nil
}

func (b *Book) parse(text string) (store.Revision, error) {
	plain, err := base64.StdEncoding.DecodeString(text)
	parts := strings.Split(string(plain), ":")
	if err != nil || len(parts) != 5 || parts[0] != version {
		return 0, errs.New(errs.Invalid, "X-Vault-Index: send what the vault has sent, unchanged")
	}
	rev, err := strconv.ParseUint(parts[2], 10, 63)
	switch {
	case err != nil:
		return 0, errs.New(errs.Invalid, "X-Vault-Index: send what the vault has sent, unchanged")
	case parts[1] != b.Vault:
		// After a restore, say: what it has seen is not to be had here, however long it waits.
		return 0, errs.New(errs.Invalid, "X-Vault-Index: this is the index of another vault: send none")
	}
	return store.Revision(rev), nil
}
