package encryption

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	clusters "github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/kms/serve"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/rewrite"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/turn"
)

// turnFlags are how people say which key is turned, and where.
type turnFlags struct {
	cluster clusters.Flags
	etcd    etcdFlags
	plugin  string
	turn.Config
}

func (g *turnFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&g.cluster.Kubeconfig, "kubeconfig", "", "how to reach the API server (KUBECONFIG, ~/.kube/config)")
	f.StringVar(&g.cluster.Context, "context", "", "context of the kubeconfig; its current one when not given")
	f.StringSliceVar(&g.Servers, "server", nil, "each API server, as https://ADDRESS:6443; may be repeated; that of the kubeconfig when not given")
	f.BoolVar(&g.TheseAreAll, "these-are-all", false, "the API servers given are all, in a cluster that keeps no leases of them")
	f.StringVar(&g.plugin, "config", "/etc/strongkeep/kms.yaml", "the plugin's configuration file, which says which key")
	f.StringSliceVar(&g.Resources, "resource", []string{"secrets"}, "RESOURCE or RESOURCE.GROUP that is encrypted with it; may be repeated")
	f.BoolVar(&g.New, "new-version", false, "make the next version first, where the key store lets the plugin's login do so; refused while a turn is under way")
	f.BoolVar(&g.LookOnly, "dry-run", false, "only say where it stands")
	f.StringVar(&g.Backups, "backups", "", "directory of etcd's snapshots: which of them needs which version, kept in a file there")
	f.StringSliceVar(&g.Forget, "forget", nil, "with -backups: a backup that is no longer there, and was given up; may be repeated")
	f.DurationVar(&g.Wait, "wait", 15*time.Minute, "how long to wait until all API servers write under the version")
	f.IntVar(&g.Width, "parallel", 16, "how many requests to make at once when rewriting, at most")
	f.StringVar((*string)(&g.By), "by", string(rewrite.Auto), "who has objects written: migration (a StorageVersionMigration), ourselves, or auto")
	f.StringVar((*string)(&g.Pace), "pace", string(rewrite.Gentle), "gentle: others wait about twice as long at most; full: as fast as it goes")
	g.etcd.add(c)
	f.StringVar(&g.EtcdPrefix, "etcd-prefix", stored.DefaultPrefix, "the API server's --etcd-prefix")
}

func (x command) rotateKey() *cobra.Command {
	var g turnFlags
	c := &cobra.Command{
		Use: "rotate-key", Short: "Turn the plugin's key, to the proof that nothing in etcd needs an older version", Args: session.Args(0, 0),
		Long: `Say where a turn of the KMS plugin's key stands, and go on with it: wait until every API
server is told of the newest version of the key, and none writes under another any more;
have everything rewritten; read etcd, and show that no value there needs an older version.
Only then it says how an older version is disabled, and which backups need it.

Where it stands is read off the key store, the API servers' metrics and etcd. Killed or
interrupted at any moment, the same command goes on. It never makes a version by itself:
-new-version does, if no turn is under way (of transit, by the plugin's login); for other
key stores it says the commands. Run it on a control-plane node, as who may read the
plugin's credentials; those of systemd are named by
CREDENTIALS_DIRECTORY=/run/credentials/strongkeep-kms.service.`,
		Example: `  strongkeep encryption rotate-key -dry-run -server=https://10.0.0.1:6443 -server=https://10.0.0.2:6443
  strongkeep encryption rotate-key -new-version -server=https://10.0.0.1:6443 -server=https://10.0.0.2:6443 \
    -etcd=https://127.0.0.1:2379 -etcd-ca=/etc/kubernetes/pki/etcd/ca.crt \
    -etcd-cert=/etc/kubernetes/pki/apiserver-etcd-client.crt -etcd-key=/etc/kubernetes/pki/apiserver-etcd-client.key \
    -backups=/var/backups/etcd`,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := x.turn(c.Context(), &g)
			if s == nil {
				return err
			}
			return errors.Join(x.printTurn(s, &g), err)
		},
	}
	g.add(c)
	return c
}

// turn does it, or says why not.
func (x command) turn(ctx context.Context, g *turnFlags) (*turn.State, error) {
	if g.etcd.snapshot != "" {
		return nil, errs.New(errs.Invalid, "-snapshot says how etcd was: a turn is proven by the running one, with -etcd; for snapshots there is -backups")
	}
	if len(g.Forget) > 0 && g.Backups == "" {
		return nil, errs.New(errs.Invalid, "-forget is of the list that -backups keeps: give both")
	}
	cfg := g.Config
	if err := x.key(g.plugin, &cfg); err != nil {
		return nil, err
	}
	var err error
	if cfg.REST, _, err = g.cluster.Rest(x.Env); err != nil {
		return nil, err
	}
	if g.etcd.given() {
		source, end, err := g.etcd.open()
		if err != nil {
			return nil, err
		}
		defer end()
		cfg.Stored = source
	}
	show := progress{out: x.Env.Stderr, now: time.Now}
	cfg.Progress = show.tell
	cfg.Say = func(format string, args ...any) {
		show.end()
		_, _ = fmt.Fprintf(x.Env.Stderr, format+"\n", args...)
	}
	s, err := turn.Run(ctx, cfg)
	show.end()
	return s, err
}

// key opens the key of a plugin's configuration.
func (x command) key(path string, cfg *turn.Config) error {
	plugin, err := serve.Load(path)
	if err != nil {
		return err
	}
	if cfg.Store, err = keystore.Open(x.stores, plugin.Key); err != nil {
		return errs.Newf(errs.KindOf(err), "configuration file %s: key: %w; a credential of the plugin's unit is found with CREDENTIALS_DIRECTORY=/run/credentials/strongkeep-kms.service", path, err)
	}
	cfg.Known = plugin.KnownKeyID
	cfg.Plugin, err = plugin.Plugin(cfg.Store, slog.New(slog.DiscardHandler))
	return err
}

func (x command) printTurn(s *turn.State, g *turnFlags) error {
	if x.Format != "table" || x.Field != "" {
		return x.Print(s, nil, nil)
	}
	var steps, versions []session.Row
	for i, step := range s.Steps {
		steps = append(steps, session.Row{strconv.Itoa(i + 1), step.What, step.State, step.Detail})
	}
	for i := range s.Versions {
		v := &s.Versions[i]
		versions = append(versions, session.Row{v.ID, string(v.Role), v.KeyID, moment(v.Made), count(v.Values)})
	}
	return errors.Join(
		x.Print(nil, session.Row{"", "STEP", "STATE", "DETAIL"}, steps),
		x.table(session.Row{"VERSION", "IS", "KEY ID", "MADE", "VALUES IN ETCD"}, versions),
		x.table(session.Row{"RESOURCE", "VALUES", "PROVIDER", "VERSION", "KEY ID"}, holdings(s)),
		x.table(session.Row{"BACKUP", "IS", "NEEDS VERSION (VALUES)"}, backups(s)),
		x.adviseTurn(s, g))
}

// holdings are the rows of what lies in etcd.
func holdings(s *turn.State) (rows []session.Row) {
	if s.Evidence == nil {
		return nil
	}
	for _, h := range s.Evidence.Holdings {
		rows = append(rows, session.Row{h.Resource, strconv.Itoa(h.Values), h.Provider, session.First(h.Version, "-"), session.First(h.KeyID, "-")})
	}
	return rows
}

// backups are the rows of which backup needs which version.
func backups(s *turn.State) (rows []session.Row) {
	if s.Backups == nil {
		return nil
	}
	ids := map[string]string{}
	for i := range s.Versions {
		ids[s.Versions[i].KeyID] = s.Versions[i].ID
	}
	for i := range s.Backups.Backups {
		b := &s.Backups.Backups[i]
		var needs []string
		for _, n := range b.Keys {
			needs = append(needs, fmt.Sprintf("%s (%d)", session.First(ids[n.KeyID], n.KeyID), n.Values))
		}
		if b.Unread != "" {
			needs = []string{"not known: " + b.Unread}
		}
		state := "there"
		if !b.Gone.IsZero() {
			state = "gone since " + moment(b.Gone)
		}
		if b.Of != "" {
			state = "written over, " + state
		}
		rows = append(rows, session.Row{b.Name, state, session.First(strings.Join(needs, ", "), "none")})
	}
	return rows
}

func count(n *int) string {
	if n == nil {
		return "not counted"
	}
	return strconv.Itoa(*n)
}

// adviseTurn says what may be done next, and what was not looked at.
func (x command) adviseTurn(s *turn.State, g *turnFlags) error {
	if !s.Proven {
		return nil
	}
	old, names := s.Old()
	out := []string{""}
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if len(old) > 0 {
		say("No value in etcd is under version %s. Disable now what may go, or run this again with -dry-run right before: as long as a version can encrypt, a plugin that is started may go back to it.", names)
		say("What may be disabled, as far as etcd goes, and brought back:")
		for _, v := range old {
			say("  version %s: %s", v.ID, strings.Join(v.Retire, "; "))
			if v.Known {
				say("    before that: it is the known_key_id in %s: tell a newer one on every node, %s", g.plugin, s.Versions[0].KeyID)
			}
			if len(v.Backups) > 0 {
				say("    never delete it for as long as these backups are kept, which need it: %s", strings.Join(v.Backups, ", "))
			}
		}
		say("%s", unlooked(s))
	}
	if len(s.Next) > 0 {
		say("The next version: %s", strings.Join(s.Next, "; "))
	}
	return x.say("%s\n", strings.Join(out, "\n"))
}

// unlooked is what may need an older version, and was not looked at.
func unlooked(s *turn.State) string {
	text := "Other clusters and vaults that use this key, and an etcd of --etcd-servers-overrides, were not looked at."
	switch {
	case s.Backups == nil:
		text += " Nor were backups of etcd: those from before need older versions; -backups=DIR tells which."
	case len(s.Backups.Backups) == 0:
		text += " No backup of etcd was found where -backups says: those that are elsewhere need older versions."
	case len(s.Backups.Unread()) > 0:
		text += " Of these backups it is not known which version they need: " + strings.Join(s.Backups.Unread(), ", ") + "."
	}
	return text
}
