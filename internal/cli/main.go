package cli

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	compose "github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/cli/admin"
	checkcommand "github.com/strongkeep/strongkeep/internal/cli/check"
	"github.com/strongkeep/strongkeep/internal/cli/complete"
	"github.com/strongkeep/strongkeep/internal/cli/debug"
	"github.com/strongkeep/strongkeep/internal/cli/doctor"
	"github.com/strongkeep/strongkeep/internal/cli/drill"
	"github.com/strongkeep/strongkeep/internal/cli/encryption"
	"github.com/strongkeep/strongkeep/internal/cli/events"
	"github.com/strongkeep/strongkeep/internal/cli/externalsecret"
	"github.com/strongkeep/strongkeep/internal/cli/fix"
	"github.com/strongkeep/strongkeep/internal/cli/kms"
	"github.com/strongkeep/strongkeep/internal/cli/kv"
	"github.com/strongkeep/strongkeep/internal/cli/lease"
	"github.com/strongkeep/strongkeep/internal/cli/least"
	"github.com/strongkeep/strongkeep/internal/cli/login"
	"github.com/strongkeep/strongkeep/internal/cli/look"
	"github.com/strongkeep/strongkeep/internal/cli/migrate"
	"github.com/strongkeep/strongkeep/internal/cli/mount"
	"github.com/strongkeep/strongkeep/internal/cli/namespace"
	"github.com/strongkeep/strongkeep/internal/cli/pki"
	"github.com/strongkeep/strongkeep/internal/cli/rotation"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	snapshotcommand "github.com/strongkeep/strongkeep/internal/cli/snapshot"
	"github.com/strongkeep/strongkeep/internal/cli/trace"
	"github.com/strongkeep/strongkeep/internal/cli/transit"
	"github.com/strongkeep/strongkeep/internal/cli/whocan"
	"github.com/strongkeep/strongkeep/internal/cli/witness"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/printable"
)

// app is one run of the program; its methods make the commands.
type app struct{ *session.Session }

// Main runs a command line and returns its exit code: 0, or that of the
// error's kind (docs/cli.md).
func Main(args []string, env session.Env) int {
	ctx := env.Context
	if ctx == nil {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
	}
	env.Stdout = complete.Output(args, env.Stdout)
	a := &app{&session.Session{Env: env}}
	root := a.root()
	root.SetArgs(session.Normalize(args))
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if text, shown := session.Instead(err); shown {
		_, _ = fmt.Fprintln(env.Stdout, text)
		return 0
	}
	var silent session.Exit
	if errors.As(err, &silent) {
		return int(silent)
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		_, _ = fmt.Fprintln(env.Stderr, "Error:", printable.Text(a.Explain(err).Error()))
		return interrupted
	}
	err = a.Explain(err)
	_, _ = fmt.Fprintln(env.Stderr, "Error:", printable.Text(err.Error()))
	if errs.KindOf(err) == errs.Internal && isUsage(err) {
		return errs.Invalid.ExitCode()
	}
	return errs.KindOf(err).ExitCode()
}

// interrupted is what shells report of programs that SIGINT ended.
const interrupted = 128 + int(syscall.SIGINT)

// usage marks errors of cobra's own argument checks.
type usage struct{ error }

func isUsage(err error) bool { var u usage; return errors.As(err, &u) }

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "strongkeep",
		Short: "Secrets for Kubernetes: vault, sync, rotation and evidence in one program",
		Example: `  strongkeep server -dev
  export VAULT_ADDR=http://127.0.0.1:8200
  strongkeep kv put -mount=secret my-app/config password=@password.txt`,
		SilenceUsage: true, SilenceErrors: true,
		Version: "v" + compose.Version,
		Args:    cobra.ArbitraryArgs, // an unknown command is ours to explain
		RunE:    session.Unknown,
	}
	root.SetVersionTemplate("Strongkeep {{.Version}}\n")
	root.SetIn(a.Env.Stdin)
	root.SetOut(a.Env.Stdout)
	root.SetErr(a.Env.Stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage{session.FlagError(c, err)}
	})
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetGlobalNormalizationFunc(session.Alias)
	a.globalFlags(root.PersistentFlags())
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error { return a.checkFormat(c) }
	root.AddCommand(a.serverCommand(), a.operatorCommand(), admin.Status(a.Session), login.Command(a.Session), a.versionCommand())
	root.AddCommand(a.genericCommands()...)
	root.AddCommand(kv.Command(a.Session), events.Command(a.Session), a.policyCommand(), a.tokenCommand())
	root.AddCommand(mount.Commands(a.Session)...)
	root.AddCommand(a.auditCommand(), lease.Command(a.Session), snapshotcommand.Command(a.Session), pki.Command(a.Session), transit.Command(a.Session), namespace.Command(a.Session))
	root.AddCommand(rotation.Command(a.Session), drill.Command(a.Session), witness.Command(a.Session))
	root.AddCommand(externalsecret.Commands(a.Session, externalsecret.Config{Providers: compose.Providers(), Generators: compose.Generators()})...)
	root.AddCommand(migrate.Command(a.Session, migrate.Config{Providers: compose.Providers(), Generators: compose.Generators()}))
	root.AddCommand(whocan.Commands(a.Session)...)
	root.AddCommand(checkcommand.Command(a.Session, checkcommand.Config{Checks: compose.Checks(), Version: compose.Version}))
	root.AddCommand(doctor.Command(a.Session, compose.Symptoms()), fix.Command(a.Session, fix.Config{Checks: compose.Checks(), Providers: compose.Providers(), Generators: compose.Generators()}), look.Renderer(a.Session))
	root.AddCommand(trace.Commands(a.Session)...)
	root.AddCommand(least.Command(a.Session), kms.Command(a.Session, compose.KeyStores()), encryption.Command(a.Session, compose.Version, compose.KeyStores()), a.unwrapCommand(), a.printCommand(), a.pathHelpCommand(), debug.Command(a.Session), debug.Monitor(a.Session))
	complete.Add(a.Session, root)
	asPlugin(a.Env.Program, root)
	return root
}

// globalFlags are the flags of every command.
func (a *app) globalFlags(f *pflag.FlagSet) {
	f.StringVar(&a.Conn.Address, "address", "", "server to talk to (VAULT_ADDR; default "+session.DefaultAddress+")")
	f.StringVar(&a.Conn.CACert, "ca-cert", "", "CA certificate of the server, PEM (VAULT_CACERT)")
	f.StringVar(&a.Conn.CAPath, "ca-path", "", "directory of CA certificates, PEM (VAULT_CAPATH)")
	f.StringVar(&a.Conn.ClientCert, "client-cert", "", "certificate to present, PEM (VAULT_CLIENT_CERT)")
	f.StringVar(&a.Conn.ClientKey, "client-key", "", "its key, PEM (VAULT_CLIENT_KEY)")
	f.StringVar(&a.Conn.ServerName, "tls-server-name", "", "name to expect in the server's certificate (VAULT_TLS_SERVER_NAME)")
	f.BoolVar(&a.Conn.SkipVerify, "tls-skip-verify", false, "do not check the server's certificate: only for experiments (VAULT_SKIP_VERIFY)")
	f.StringVar(&a.Conn.Namespace, "namespace", "", "namespace; also -ns (VAULT_NAMESPACE)")
	f.StringVar(&a.Conn.WrapTTL, "wrap-ttl", "", "have the answer wrapped in a token of one use that lives so long (VAULT_WRAP_TTL)")
	f.StringArrayVar(&a.Conn.Headers, "header", nil, "NAME=VALUE to send with every request; may be repeated")
	f.BoolVar(&a.Conn.OutputCurl, "output-curl-string", false, "print the request as a call of curl, and do not make it")
	f.BoolVar(&a.Conn.OutputPolicy, "output-policy", false, "print the policy that the request needs, and do not make it")
	f.BoolVar(&a.NonInteractive, "non-interactive", false, "never ask on the terminal")
	f.StringVarP(&a.Format, "format", "o", session.First(a.Env.Lookup("FORMAT"), "table"), "output: table, json or yaml; for read also raw, for check also sarif, junit and html (VAULT_FORMAT)")
	f.StringVar(&a.Field, "field", "", "print only this field, raw; a.b is field b of a")
}

func (a *app) checkFormat(c *cobra.Command) error {
	switch a.Format {
	case "table", "json", "yaml":
		return nil
	case "raw":
		if c.Name() == "read" && c.Parent() == c.Root() {
			return nil
		}
		return errs.New(errs.Invalid, "format raw is for read; use table, json or yaml")
	}
	if slices.Contains(checkcommand.Formats(), a.Format) {
		if c.Name() == "check" && c.Parent() == c.Root() {
			return nil
		}
		return errs.Newf(errs.Invalid, "format %s is for check; use table, json or yaml", a.Format)
	}
	return errs.Newf(errs.Invalid, "format %q: use table, json or yaml", a.Format)
}
