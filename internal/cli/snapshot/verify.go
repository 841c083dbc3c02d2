package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	compose "github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/settings"
)

func (a *app) verify() *cobra.Command {
	config, server := "", false
	c := &cobra.Command{
		Use: "verify FILE|URL", Short: "Whether a snapshot is whole, whose it is, and whether it opens", Args: session.Args(1, 1),
		Long: `Read a snapshot and say whether it is whole. Further:

-server asks the running vault whether it signed the snapshot.

-config opens the snapshot with the unseal key that a configuration file names,
checks the signature and decrypts every entry: what this says yes to, that key
opens after a disaster.` + remoteHelp,
		Example: "  strongkeep snapshot verify -server vault.snapshot\n  strongkeep snapshot verify -config=/etc/strongkeep/server.yaml vault.snapshot",
		RunE: func(c *cobra.Command, given []string) error {
			info, err := check(c.Context(), given[0])
			if err != nil {
				return err
			}
			said := fmt.Sprintf("Success! The snapshot is whole: %d entries, of %s.", info.Entries, info.Time.Format(time.RFC3339))
			if server {
				if err := a.ask(c.Context(), &info); err != nil {
					return err
				}
				said += " The vault signed it."
			}
			if config != "" {
				proof, err := a.prove(c.Context(), config, given[0])
				if err != nil {
					return err
				}
				said += fmt.Sprintf(" The key of the configuration opens it, and every entry, %d tokens and %d leases among them.", proof.Tokens, proof.Leases)
			}
			return a.Done("%s", said)
		},
	}
	c.Flags().BoolVar(&server, "server", false, "ask the running vault whether it signed the snapshot")
	session.Filled(c.Flags(), &config, "config", "configuration file whose unseal key is to open it")
	return c
}

// ask asks the vault about a signature.
func (a *app) ask(ctx context.Context, info *snapshot.Info) error {
	client, err := a.Client()
	if err != nil {
		return err
	}
	_, err = client.Logical().WriteWithContext(ctx, "sys/storage/snapshots/verify", map[string]any{"sha256": info.SHA256(), "mac": info.MAC()})
	return err
}

// prove opens the snapshot itself.
func (a *app) prove(ctx context.Context, config, path string) (proof snapshot.Proof, err error) {
	c, err := a.config(config)
	if err != nil {
		return proof, err
	}
	file, done, err := open(ctx, path)
	if err != nil {
		return proof, err
	}
	defer done()
	size, err := file.Stat()
	if err != nil {
		return proof, err
	}
	f, err := snapshot.Open(ctx, file, size.Size())
	if err != nil {
		return proof, err
	}
	keys, err := compose.OpenKeys(ctx, c, f)
	if err != nil {
		return proof, session.Local{Err: errs.Newf(errs.KindOf(err), "opening the snapshot with the keys of %s: %w", config, err)}
	}
	if keys == nil {
		return proof, errs.Newf(errs.Invalid, "%s names no unseal key (unseal_key_file or unseal_key_store): nothing here can open the snapshot", config)
	}
	defer func() { err = errors.Join(err, keys.Close()) }()
	info := f.Info()
	if err := info.Authenticate(keys.Keyring()); err != nil {
		return proof, err
	}
	return snapshot.Prove(ctx, f, keys.Keyring())
}

func (a *app) restore() *cobra.Command {
	config, path, unsigned := "", "", false
	c := &cobra.Command{
		Use: "restore FILE|URL|PLAN/SNAPSHOT", Short: "Make a vault of a snapshot, in an empty store; or bring back one path of it", Args: session.Args(1, 1),
		Long: `Make a vault of a snapshot, in the empty store that a configuration file names,
while no server uses it. The snapshot is read whole before anything is written, and
compared with what then lies in the store. If it ends before it is done, run it
again: no server starts on what is half filled. Of a cluster of the servers' own
(storage cluster) one node is filled, while no server of the others runs; they join it.

The restored vault opens with what opened the one it was made of. It ends nothing by
itself, no lease and no token, and rotates nothing, so that a copy does no harm while
the original lives: let it go on with strongkeep lease resume.

With -path one secret of a kv engine is brought back into the running vault, out of a
snapshot that the server keeps by a plan: what lay there is written as a new version,
as anything is written.` + remoteHelp,
		Example: "  strongkeep snapshot restore -path=secret/app/db daily/vault-snapshot-20260304T050607Z.snapshot\n  strongkeep snapshot restore -config=/etc/strongkeep/server.yaml vault.snapshot",
		RunE: func(c *cobra.Command, given []string) error {
			if path != "" {
				if config != "" || unsigned {
					return errs.New(errs.Invalid, "-path goes with neither -config nor -unsigned: it is about the running vault")
				}
				return a.bring(c.Context(), path, given[0])
			}
			if config == "" {
				return errs.New(errs.Invalid, "-config is missing: the configuration file of the server that is to run on what is restored")
			}
			file, done, err := open(c.Context(), given[0])
			if err != nil {
				return err
			}
			defer done()
			return a.fill(c.Context(), config, file, unsigned)
		},
	}
	session.Filled(c.Flags(), &config, "config", "configuration file of the server whose empty store is filled")
	session.Filled(c.Flags(), &path, "path", "bring back this one secret, as for kv get: secret/app/db")
	c.Flags().BoolVar(&unsigned, "unsigned", false, "take a snapshot that no vault has signed")
	return c
}

func (a *app) fill(ctx context.Context, config string, file *os.File, unsigned bool) error {
	var info snapshot.Info
	others := ""
	err := a.withEmpty(ctx, config, func(c compose.ServerConfig, s store.Store) (err error) {
		if c.Storage == settings.Storage {
			others = " Then those of the other nodes, with empty directories: they join it."
		}
		info, err = snapshot.Restore(ctx, file, snapshot.Target{Store: s, Now: time.Now(), Unsigned: unsigned, Tell: a.progress})
		return err
	})
	if err != nil {
		return err
	}
	return a.Done("Success! Restored %d entries of %s, and compared each. Start the server with -config=%s and unseal it.%s\nIts leases are held: strongkeep lease resume lets them go on.",
		info.Entries, info.Time.Format(time.RFC3339), config, others)
}

func (a *app) progress(done uint64) {
	_, _ = fmt.Fprintf(a.Env.Stderr, "%d entries are written\n", done)
}
