package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	compose "github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/draft"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// app is one run of the program.
type app struct{ *session.Session }

// Command returns the snapshot command with all that is below it.
func Command(s *session.Session) *cobra.Command {
	a := &app{s}
	return session.Group("snapshot", "The whole vault in a file: save, inspect, verify, restore", a.save(), a.inspect(), a.verify(), a.restore(), a.read())
}

// Raft is what operator raft has of it.
func Raft(s *session.Session) *cobra.Command {
	a := &app{s}
	return session.Group("snapshot", "Save and restore the whole vault: the same as strongkeep snapshot", a.save(), a.restore())
}

// config reads a server's configuration file.
func (a *app) config(file string) (compose.ServerConfig, error) {
	c, err := compose.LoadServerConfig(file)
	c.Log = a.Env.Log()
	c.EtcdPassword = redact.FromString(a.Env.Getenv("STRONGKEEP_ETCD_PASSWORD"))
	return c, err
}

// withStore opens the store of a configuration while no server uses it.
func (a *app) withStore(ctx context.Context, file string, do func(compose.ServerConfig, store.Store) error) error {
	return a.with(ctx, file, compose.OpenStore, do)
}

// withEmpty is withStore for a store that is filled.
func (a *app) withEmpty(ctx context.Context, file string, do func(compose.ServerConfig, store.Store) error) error {
	return a.with(ctx, file, compose.OpenEmpty, do)
}

type opener func(context.Context, compose.ServerConfig) (store.Store, error)

func (a *app) with(ctx context.Context, file string, open opener, do func(compose.ServerConfig, store.Store) error) error {
	c, err := a.config(file)
	if err != nil {
		return err
	}
	name := nameOf(file, &c)
	base, err := open(ctx, c)
	if err != nil {
		return session.Local{Err: say(name, err)}
	}
	s := named{base, name}
	if err := errors.Join(do(c, s), s.Close()); err != nil {
		return session.Local{Err: err}
	}
	return nil
}

func (a *app) save() *cobra.Command {
	config := ""
	c := &cobra.Command{
		Use: "save FILE|URL", Short: "Save a snapshot of the running vault, or of a stopped one", Args: session.Args(1, 1),
		Long: `Save the whole vault, as it stands at one moment, in a file. What was in the file
before is replaced when the new snapshot has been read back whole from the disk;
until then nothing of it is under that name. In an object store a name that is there
already is refused. Secrets in it are sealed: who has the
file needs what unseals the vault.

With -config the store of a stopped server is read. Such a snapshot is signed only
if the configuration names an unseal key.` + remoteHelp,
		Example: "  strongkeep snapshot save vault.snapshot\n  strongkeep snapshot save -config=/etc/strongkeep/server.yaml vault.snapshot",
		RunE: func(c *cobra.Command, given []string) error {
			write := a.download
			if config != "" {
				write = func(ctx context.Context, w io.Writer) error { return a.readStore(ctx, config, w) }
			}
			into := keep
			if isRemote(given[0]) {
				into = keepRemote
			}
			info, err := into(c.Context(), given[0], write)
			if err != nil {
				return err
			}
			return a.tell(&info, given[0])
		},
	}
	session.Filled(c.Flags(), &config, "config", "configuration file of a stopped server, whose store is read")
	return c
}

// keep writes a file that is whole, and was read back, or not there.
func keep(ctx context.Context, path string, write func(context.Context, io.Writer) error) (info snapshot.Info, err error) {
	d, err := draft.Open(path)
	if err != nil {
		return info, session.Unwritable(err)
	}
	defer d.Discard()
	if err := write(ctx, d); err != nil {
		return info, session.Unwritable(err)
	}
	back, err := d.Reread()
	if err != nil {
		return info, session.Unwritable(err)
	}
	info, err = snapshot.Check(ctx, back)
	if err = errors.Join(err, back.Close()); err != nil {
		return info, errs.Newf(errs.KindOf(err), "reading the snapshot back: %w", err)
	}
	return info, session.Unwritable(d.Replace())
}

// download streams from the server.
func (a *app) download(ctx context.Context, w io.Writer) error {
	client, err := a.Client()
	if err != nil {
		return err
	}
	if err := a.RefuseWrapping(); err != nil {
		return err
	}
	client.SetClientTimeout(0) // it takes as long as it takes
	client.AddHeader("Accept", snapshot.MediaType)
	answer, err := client.Logical().ReadRawWithContext(ctx, "sys/storage/raft/snapshot")
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if _, err := io.Copy(w, answer.Body); err != nil {
		return errs.Newf(errs.Unavailable, "the snapshot did not arrive whole: %w", err)
	}
	return nil
}

func (a *app) readStore(ctx context.Context, config string, w io.Writer) error {
	return a.withStore(ctx, config, func(c compose.ServerConfig, s store.Store) error {
		src := snapshot.Source{Store: s, Version: compose.Version, Now: time.Now()}
		keys, err := compose.OpenKeys(ctx, c, s)
		if err != nil {
			a.Warn([]string{fmt.Sprintf("the snapshot is not signed, since the vault could not be opened: %v", err)})
		}
		if keys != nil {
			defer func() { _ = keys.Close() }()
			src.Keys = keys.Keyring()
		}
		_, err = snapshot.Write(ctx, w, src)
		return err
	})
}

func (a *app) inspect() *cobra.Command {
	return &cobra.Command{
		Use: "inspect FILE|URL", Short: "What a snapshot is of, and what is in it", Args: session.Args(1, 1),
		Long:    "Read a snapshot whole, and say what is in it." + remoteHelp,
		Example: "  strongkeep snapshot inspect vault.snapshot",
		RunE: func(c *cobra.Command, given []string) error {
			info, err := check(c.Context(), given[0])
			if err != nil {
				return err
			}
			return a.tell(&info, given[0])
		},
	}
}

// check reads the snapshot in a file, whole.
func check(ctx context.Context, path string) (snapshot.Info, error) {
	f, done, err := open(ctx, path)
	if err != nil {
		return snapshot.Info{}, err
	}
	defer done()
	info, err := snapshot.Check(ctx, f)
	if err != nil {
		return info, errs.Newf(errs.KindOf(err), "%s: %w", path, err)
	}
	return info, nil
}

// open opens a snapshot, out of its envelope if it is in one; done gives back what that took.
func open(ctx context.Context, path string) (_ *os.File, done func(), err error) {
	if isRemote(path) {
		f, done, err := fetch(ctx, path)
		if err != nil {
			return nil, nil, err
		}
		return unwrapped(f, done)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, errs.Newf(errs.Invalid, "%w", err)
	}
	return unwrapped(f, func() { _ = f.Close() })
}

// unwrapped takes a snapshot out of its envelope. given gives f back, and is called here
// unless f is returned.
func unwrapped(f *os.File, given func()) (_ *os.File, done func(), err error) {
	var start [2]byte
	if n, _ := f.ReadAt(start[:], 0); n < 2 || start != [2]byte{0x1f, 0x8b} {
		return f, given, nil
	}
	defer given()
	inner, err := snapshot.Unwrap(f)
	if err != nil {
		return nil, nil, err
	}
	plain, done, err := scratch()
	if err != nil {
		return nil, nil, err
	}
	if _, err = io.Copy(plain, inner); err == nil {
		_, err = plain.Seek(0, io.SeekStart)
	}
	if err != nil {
		done()
		return nil, nil, session.Unwritable(err)
	}
	return plain, done, nil
}

// tell prints what a snapshot is.
func (a *app) tell(info *snapshot.Info, file string) error {
	signed := "no"
	if info.Signed() {
		signed = "yes, by the vault"
	}
	rows := []session.Row{
		{"Vault", info.VaultID}, {"Time", info.Time.Format(time.RFC3339)}, {"Revision", fmt.Sprint(info.Revision)}, {"Version", info.Version},
		{"Entries", fmt.Sprint(info.Entries)}, {"Bytes", fmt.Sprint(info.Bytes)}, {"SHA-256", info.SHA256()}, {"Signed", signed},
	}
	all := map[string]any{
		"file": file, "vault_id": info.VaultID, "time": info.Time, "revision": info.Revision, "version": info.Version,
		"entries": info.Entries, "bytes": info.Bytes, "sha256": info.SHA256(), "mac": info.MAC(), "signed": info.Signed(), "folders": info.Folders,
	}
	return a.Print(all, session.Row{"Key", "Value"}, rows)
}
