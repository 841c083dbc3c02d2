// Package fill puts very many leases into the store of a stopped server, sealed
// and indexed by the server's own code, in the time that asking for them would
// not do.
//
// Start reading at Leases.
package fill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/strongkeep/strongkeep/internal/errs"
	keyfile "github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/pebble"
	"github.com/strongkeep/strongkeep/internal/vault/store/sealed"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

// Config says where leases go, and how many.
type Config struct {
	DataDir string        // of a server that does not run
	KeyFile string        // that unseals it
	MountID string        // of an engine that gives leases
	Mount   string        // "database/"
	Path    string        // below it, of the requests that made the leases
	Token   redact.Secret // that holds them all
	Count   int
}

// batch is how many leases one commit holds, of a few changes each; writers is
// how many commits are under way at once.
const (
	batch   = store.MaxChanges / 8
	writers = 16
)

// ttl of the leases: none ends while something is measured.
const ttl = 24 * time.Hour

// Leases makes live leases, spread over the coming day, and returns the ID of
// the last.
func Leases(ctx context.Context, c Config) (last string, err error) {
	raw, err := pebble.Open(pebble.Config{Dir: filepath.Join(c.DataDir, "store"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return "", errs.Newf(errs.KindOf(err), "opening the store: %w", err)
	}
	defer func() { err = errors.Join(err, raw.Close()) }()
	key, err := keyfile.Load(c.KeyFile)
	if err != nil {
		return "", errs.Newf(errs.KindOf(err), "loading the unseal key: %w", err)
	}
	barrier := seal.New(seal.Config{Store: raw, Wrappers: []seal.Wrapper{key}, Log: slog.New(slog.DiscardHandler)})
	defer func() { err = errors.Join(err, barrier.Close()) }()
	if err := barrier.AutoUnseal(ctx); err != nil {
		return "", errs.Newf(errs.KindOf(err), "unsealing: %w", err)
	}
	// As internal/app does it.
	s, err := sealed.New(store.Borrow(raw), sealed.Config{Sealer: barrier.Keyring(), PlainPrefixes: []string{"lease/", "token/"}})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	holder, err := c.holder(barrier.Keyring())
	if err != nil {
		return "", err
	}
	return c.leases(ctx, s, holder)
}

// holder is the key of the token, derived as internal/vault/gate does it.
func (c Config) holder(keys *seal.Keyring) (string, error) {
	key, err := keys.Derive("token")
	if err != nil {
		return "", errs.Newf(errs.KindOf(err), "deriving the key for tokens: %w", err)
	}
	defer key.Wipe()
	tokens, err := token.New(token.Config{Key: key})
	if err != nil {
		return "", err
	}
	return tokens.TokenKey(c.Token.RevealString()), nil
}

func (c Config) leases(ctx context.Context, s store.Store, holder string) (last string, err error) {
	m := lease.NewManager(lease.ManagerConfig{Store: s})
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for from := 0; from < c.Count && ctx.Err() == nil; from += batch {
		group.Go(func() error {
			var changes changes
			for i := from; i < min(from+batch, c.Count); i++ {
				id, err := c.issue(m, &changes, holder, i)
				if err != nil {
					return err
				}
				if i == c.Count-1 {
					last = id
				}
			}
			_, err := s.Apply(ctx, changes...)
			return err
		})
	}
	err = group.Wait()
	return last, err
}

func (c Config) issue(m *lease.Manager, to *changes, holder string, i int) (id string, err error) {
	internal, err := json.Marshal(map[string]string{"username": fmt.Sprintf("v-bench-app-%020d", i), "role": "app"})
	if err != nil {
		return "", errs.Newf(errs.Internal, "encoding what the engine keeps: %w", err)
	}
	// Not all end in the same second.
	l := &engine.Lease{TTL: ttl + time.Duration(i%86400)*time.Second, Renewable: true, Role: "app", Internal: internal}
	made, _, err := m.Issue(to, lease.Ask{
		Owner: lease.Owner{ID: c.MountID, Path: c.Mount, TTLs: engine.TTLs{Default: ttl, Max: 3 * ttl}}, Path: c.Path,
		Holder: lease.Holder{TokenKey: holder, DisplayName: "bench"},
	}, l)
	if err != nil {
		return "", errs.Newf(errs.KindOf(err), "making lease %d: %w", i, err)
	}
	return made.ID, nil
}

// changes is the part of a transaction that leases need: of several changes of
// one key the last counts.
type changes []store.Change

func (c *changes) Put(key string, value []byte) { c.set(store.Put(key, value)) }
func (c *changes) Delete(key string)            { c.set(store.Change{Op: store.OpDelete, Key: key}) }

func (c *changes) set(change store.Change) {
	for i := range *c {
		if (*c)[i].Key == change.Key {
			(*c)[i] = change
			return
		}
	}
	*c = append(*c, change)
}
