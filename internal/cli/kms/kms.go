package kms

import (
	"context"
	"fmt"
	"log/slog"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/kms/conform"
	"github.com/strongkeep/strongkeep/internal/kms/doctor"
	"github.com/strongkeep/strongkeep/internal/kms/serve"
)

// exitFound is the exit code of a check that found something (docs/cli.md).
const exitFound session.Exit = 10

type command struct {
	*session.Session
	stores map[string]keystore.Opener
}

// Command returns the kms command, for the kinds of key stores there are.
func Command(s *session.Session, stores map[string]keystore.Opener) *cobra.Command {
	k := command{s, stores}
	c := &cobra.Command{
		Use: "kms", Short: "Encrypt what API servers keep in etcd: the KMS v2 plugin",
		Long: `The KMS v2 plugin for Kubernetes' encryption at rest, beside each API server.
docs/encryption.md has the way from a cluster in the clear to an encrypted one.`,
		Args: cobra.ArbitraryArgs, RunE: session.Unknown,
		Example: "  strongkeep kms run -config=/etc/strongkeep/kms.yaml\n  strongkeep kms status",
	}
	c.AddCommand(k.run(), k.status(), k.conform(), k.doctor(), k.newKey(), k.addKey())
	return c
}

func (k command) run() *cobra.Command {
	var config, level string
	c := &cobra.Command{
		Use: "run", Short: "Run the plugin: the socket that an API server comes to", Args: session.Args(0, 0),
		Long: `Run the plugin until it gets SIGTERM. It needs no cluster: its settings are a file,
its credentials are files. Run it from systemd (deploy/kms/strongkeep-kms.service) or
as a static pod (deploy/kms/static-pod.yaml), with the same name and key on every node.`,
		Example: "  strongkeep kms run -config=/etc/strongkeep/kms.yaml",
		RunE: func(c *cobra.Command, _ []string) error {
			var l slog.Level
			if err := l.UnmarshalText([]byte(level)); err != nil {
				return errs.Newf(errs.Invalid, "log-level %q: use debug, info, warn or error", level)
			}
			cfg, err := serve.Load(config)
			if err != nil {
				return err
			}
			key, err := keystore.Open(k.stores, cfg.Key)
			if err != nil {
				return errs.Newf(errs.KindOf(err), "configuration file %s: key: %w", config, err)
			}
			signal.Ignore(syscall.SIGPIPE)
			log := slog.New(slog.NewTextHandler(k.Env.Stderr, &slog.HandlerOptions{Level: l}))
			s, err := serve.New(c.Context(), cfg, key, log)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(k.Env.Stdout, "Strongkeep's KMS plugin listens at unix://%s\n", cfg.Socket); err != nil {
				return err
			}
			return s.Run(c.Context())
		},
	}
	c.Flags().StringVar(&config, "config", "/etc/strongkeep/kms.yaml", "configuration file, YAML or JSON")
	c.Flags().StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return c
}

func socketFlag(c *cobra.Command, to *string) {
	c.Flags().StringVar(to, "socket", serve.DefaultSocket, "path of the plugin's socket")
}

func (k command) status() *cobra.Command {
	var socket string
	var wait time.Duration
	c := &cobra.Command{
		Use: "status", Short: "Ask a plugin what it tells API servers", Args: session.Args(0, 0),
		Example: "  strongkeep kms status -socket=/run/strongkeep-kms/kms.sock -wait=1m",
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := conform.Dial(socket)
			if err != nil {
				return err
			}
			defer func() { _ = client.Close() }()
			ctx, cancel := context.WithTimeout(c.Context(), max(wait, patience))
			defer cancel()
			begun := time.Now()
			a, err := client.Status(ctx)
			for err != nil && wait > 0 && rest(ctx) {
				begun = time.Now()
				a, err = client.Status(ctx)
			}
			if err != nil {
				return fmt.Errorf("asking the plugin at %s: %w; ask for more with: strongkeep kms doctor", socket, err)
			}
			took := time.Since(begun).Round(time.Microsecond).String()
			return k.Print(map[string]string{"version": a.GetVersion(), "healthz": a.GetHealthz(), "key_id": a.GetKeyId(), "took": took}, session.Row{"VERSION", "HEALTH", "KEY ID", "TOOK"},
				[]session.Row{{a.GetVersion(), a.GetHealthz(), a.GetKeyId(), took}})
		},
	}
	socketFlag(c, &socket)
	c.Flags().DurationVar(&wait, "wait", 0, "for how long to ask again while it is not healthy")
	return c
}

// patience is how long a healthy plugin gets to answer.
const patience = 10 * time.Second

// rest reports false if ctx has ended by the time to ask again.
func rest(ctx context.Context) bool {
	t := time.NewTimer(100 * time.Millisecond)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (k command) conform() *cobra.Command {
	var cfg conform.Config
	c := &cobra.Command{
		Use: "conform", Short: "Ask a plugin as API servers do, and as none should", Args: session.Args(0, 0),
		Long: `Ask any KMS v2 plugin, ours or another's, some hundred things at its socket: limits of
the protocol, changed ciphertexts, key ids and annotations, many calls at once, and
with -peer whether the plugins of other nodes have the same key. It changes nothing.

Exit code 10 if the plugin is not one that an API server should be given.`,
		Example: "  strongkeep kms conform -socket=/run/strongkeep-kms/kms.sock",
		RunE: func(c *cobra.Command, _ []string) error {
			found, err := conform.Check(c.Context(), cfg)
			if err != nil {
				return err
			}
			rows := make([]session.Row, len(found))
			failed := false
			for i, f := range found {
				rows[i] = session.Row{string(f.Level), f.Question, f.Detail}
				failed = failed || f.Level == conform.Fail
			}
			return k.answer(found, session.Row{"ANSWER", "QUESTION", "DETAIL"}, rows, failed)
		},
	}
	socketFlag(c, &cfg.Socket)
	c.Flags().StringSliceVar(&cfg.Peers, "peer", nil, "socket of another node's plugin, where it can be reached; may be repeated")
	return c
}

func (k command) answer(v any, header session.Row, rows []session.Row, failed bool) error {
	if err := k.Print(v, header, rows); err != nil {
		return err
	}
	if failed {
		return exitFound
	}
	return nil
}

func (k command) doctor() *cobra.Command {
	cfg := doctor.Config{Stores: k.stores}
	c := &cobra.Command{
		Use: "doctor", Short: "Find out what keeps a plugin from working, and what to do", Args: session.Args(0, 0),
		Long: `Look at all that the plugin of this machine depends on: its configuration, the key
store and how long it takes, the clock, the socket and its directory, what the running
plugin says, the plugins of other nodes, and the API server's flags. It changes nothing.

Exit code 10 if something is wrong.`,
		Example: "  strongkeep kms doctor -config=/etc/strongkeep/kms.yaml -expect=sk1-0123456789abcdef0123456789abcdef",
		RunE: func(c *cobra.Command, _ []string) error {
			found := doctor.Check(c.Context(), cfg)
			rows := make([]session.Row, len(found))
			failed := false
			for i, f := range found {
				rows[i] = session.Row{string(f.Level), f.Question, f.Detail, f.Next}
				failed = failed || f.Level == conform.Fail
			}
			return k.answer(found, session.Row{"ANSWER", "QUESTION", "DETAIL", "NEXT"}, rows, failed)
		},
	}
	f := c.Flags()
	f.StringVar(&cfg.File, "config", "/etc/strongkeep/kms.yaml", "the plugin's configuration file")
	f.StringSliceVar(&cfg.Peers, "peer", nil, "socket of another node's plugin, where it can be reached; may be repeated")
	session.Filled(f, &cfg.Expect, "expect", "key id that kms status told on another node")
	f.StringVar(&cfg.Manifest, "manifest", "/etc/kubernetes/manifests/kube-apiserver.yaml", "the API server's static pod; empty: not looked at")
	return c
}

func (k command) newKey() *cobra.Command {
	return &cobra.Command{
		Use: "new-key FILE", Short: "Make a key file for a plugin", Args: session.Args(1, 1),
		Long: `Make a key file for the key store "file". Copy it to every control-plane node, and keep
a copy away from the backups of etcd: who has both has everything, and who has lost it
has lost what was encrypted.`,
		Example: "  strongkeep kms new-key /etc/strongkeep/kms.key",
		RunE: func(_ *cobra.Command, given []string) error {
			if _, err := file.Generate(given[0]); err != nil {
				return err
			}
			return k.Done("Success! Wrote a new key to %s (mode 0600).", given[0])
		},
	}
}

func (k command) addKey() *cobra.Command {
	return &cobra.Command{
		Use: "add-key FILE", Short: "Turn a key file: add a new key to it", Args: session.Args(1, 1),
		Long: `Add a new key to a key file. Older keys stay: they decrypt what they encrypted. Copy the
file to every control-plane node before activation_delay (3 minutes unless it is set)
has passed: then plugins begin to encrypt with the new key. "strongkeep encryption
rotate-key" takes it from there to the proof that nothing needs the old one.`,
		Example: "  strongkeep kms add-key /etc/strongkeep/kms.key",
		RunE: func(_ *cobra.Command, given []string) error {
			made := time.Now()
			if err := file.Add(given[0], made); err != nil {
				return err
			}
			return k.Done("Success! Added a new key to %s, made at %s. Copy it to every node at once; then finish the turn with strongkeep encryption rotate-key.", given[0], made.UTC().Format(time.RFC3339))
		},
	}
}
