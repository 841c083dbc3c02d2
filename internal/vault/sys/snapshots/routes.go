package snapshots

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/leader"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/keeper"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Config of Routes. All exported fields are set.
type Config struct {
	Keys       snapshot.Keys // of the open vault
	Keeper     *keeper.Keeper
	Mounts     *mount.Registry
	Namespaces *namespace.Registry
	Policies   *policy.Book
	// Caller is unsealed.Vault.Caller.
	Caller func(ctx context.Context, tx engine.Tx, req *engine.Request) (policy.Subject, error)
	// Leader is who makes snapshots; false: it is not known.
	Leader func() (leader.Status, bool)
	// Decrypt returns the view of a base store that the vault's keys open.
	Decrypt func(raw store.Store) (store.Store, error)

	turn chan struct{} // capacity 1; reading out of a snapshot
}

type handlers = map[engine.Operation]engine.Handler

// Routes are those below sys/.
func Routes(c Config) []engine.Route {
	c.turn = make(chan struct{}, 1)
	own := []engine.Route{
		{
			Pattern: "storage/raft/snapshot", Sudo: true, Summary: "GET streams a snapshot of the whole vault, sealed.",
			Help:     "It is a tar.gz for clients of Vault, and the snapshot itself with Accept: " + snapshot.MediaType + ". A snapshot is restored into an empty store by: strongkeep snapshot restore.",
			Handlers: handlers{engine.Read: stream, engine.Update: refuse},
		},
		{
			Pattern: "storage/raft/snapshot-force", Sudo: true, Summary: "Not served: a snapshot is restored into an empty store only.",
			Handlers: handlers{engine.Update: refuse},
		},
		{
			Pattern: "storage/snapshots/verify", Summary: "Whether this vault signed a snapshot, by its SHA-256 and signature.",
			Fields: []engine.Field{
				{Name: "sha256", Type: engine.String, Help: "in hex, as snapshot inspect shows it"},
				{Name: "mac", Type: engine.String, Help: "its signature in hex, likewise"},
			},
			Handlers: handlers{engine.Update: c.verify},
		},
		c.readRoute(),
	}
	return append(own, c.planRoutes()...)
}

// stream leaves the answer to the wire.
func stream(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
	return &engine.Response{Raw: &engine.Raw{}}, nil
}

// refuse says how it is done here.
func refuse(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
	return nil, errs.New(errs.Unsupported, "a snapshot is not restored over a vault that lives: restore it into an empty store, with the server stopped, by: strongkeep snapshot restore -config=CONFIG FILE; one path of it by: strongkeep snapshot restore -path=PATH NAME")
}

func (c Config) verify(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	digest, mac := d.String("sha256", ""), d.String("mac", "")
	if err := d.Err(); err != nil {
		return nil, err
	}
	if err := snapshot.CheckMAC(c.Keys, digest, mac); err != nil {
		return nil, err
	}
	return respond(map[string]any{"signed": true})
}

func respond(data any) (*engine.Response, error) {
	raw, err := engine.JSON(data)
	return &engine.Response{Data: raw}, err
}
