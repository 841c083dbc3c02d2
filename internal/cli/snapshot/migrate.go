package snapshot

import (
	"time"

	"github.com/spf13/cobra"

	compose "github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Migrate returns operator migrate.
func Migrate(s *session.Session) *cobra.Command {
	a := &app{s}
	from, to := "", ""
	c := &cobra.Command{
		Use: "migrate", Short: "Move a stopped vault into another store", Args: session.Args(0, 0),
		Long: `Move a vault from the store of one configuration file into the empty store of
another, from pebble to etcd for example, or back. No server may run on either; of one
that several servers share (ha_enabled) it is listened for 14 seconds whether one does. What
was copied is compared entry by entry; then the store that is left is marked, so that
no server starts on it, and only then the other one becomes the vault. If it ends
before that, run it again: it takes the move to its end. Of a
cluster of the servers' own (storage cluster) one node is filled, while no server of the
others runs; they join it.`,
		Example: "  strongkeep operator migrate -from=/etc/strongkeep/pebble.yaml -to=/etc/strongkeep/etcd.yaml",
		RunE: func(c *cobra.Command, _ []string) error {
			if from == "" || to == "" {
				return errs.New(errs.Invalid, "-from and -to are both needed: the configuration files of the store that is left and of the one that is filled")
			}
			n, ctx := uint64(0), c.Context()
			err := a.withStore(ctx, from, func(c compose.ServerConfig, left store.Store) error {
				listen := time.Duration(0)
				if c.SharedStore {
					listen = snapshot.LeastListen
				}
				return a.withEmpty(ctx, to, func(_ compose.ServerConfig, filled store.Store) (err error) {
					n, err = snapshot.Migrate(ctx, snapshot.Move{From: left, To: filled, Now: time.Now(), Tell: a.progress, Listen: listen})
					return err
				})
			})
			switch {
			case err != nil:
				return err
			case n == 0:
				return a.Done("The vault has moved already. Start the server with -config=%s.", to)
			}
			return a.Done("Success! Moved %d entries, and compared each. Start the server with -config=%s.", n, to)
		},
	}
	session.Filled(c.Flags(), &from, "from", "configuration file of the store that is left")
	session.Filled(c.Flags(), &to, "to", "configuration file of the empty store that is filled")
	return c
}
