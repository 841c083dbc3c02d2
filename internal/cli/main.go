package cli

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// app is one run of the program.
type app struct {
	env    Env
	conn   connection
	format string // table, json or yaml
	field  string
}

// Main runs a command line and returns its exit code: 0, or that of the
// error's kind (docs/cli.md).
func Main(args []string, env Env) int {
	ctx := env.Context
	if ctx == nil {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
	}
	a := &app{env: env}
	root := a.root()
	root.SetArgs(normalize(args))
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var silent exit
	if errors.As(err, &silent) {
		return int(silent)
	}
	err = a.explain(err)
	_, _ = fmt.Fprintln(env.Stderr, "Error:", err)
	if errs.KindOf(err) == errs.Internal && isUsage(err) {
		return errs.Invalid.ExitCode()
	}
	return errs.KindOf(err).ExitCode()
}

// exit ends the program with a code and no message.
type exit int

func (exit) Error() string { return "" }

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
	}
	root.SetIn(a.env.Stdin)
	root.SetOut(a.env.Stdout)
	root.SetErr(a.env.Stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage{errs.Newf(errs.Invalid, "%w; see %s --help", err, c.CommandPath())}
	})
	root.CompletionOptions.HiddenDefaultCmd = false
	f := root.PersistentFlags()
	f.StringVar(&a.conn.address, "address", "", "server to talk to (VAULT_ADDR; default "+defaultAddress+")")
	f.StringVar(&a.conn.caCert, "ca-cert", "", "CA certificate of the server, PEM (VAULT_CACERT)")
	f.StringVar(&a.conn.clientCert, "client-cert", "", "certificate to present, PEM (VAULT_CLIENT_CERT)")
	f.StringVar(&a.conn.clientKey, "client-key", "", "its key, PEM (VAULT_CLIENT_KEY)")
	f.StringVar(&a.conn.serverName, "tls-server-name", "", "name to expect in the server's certificate (VAULT_TLS_SERVER_NAME)")
	f.BoolVar(&a.conn.skipVerify, "tls-skip-verify", false, "do not check the server's certificate: only for experiments (VAULT_SKIP_VERIFY)")
	f.StringVar(&a.conn.namespace, "namespace", "", "namespace (VAULT_NAMESPACE)")
	f.StringVarP(&a.format, "format", "o", first(a.env.lookup("FORMAT"), "table"), "output: table, json or yaml (VAULT_FORMAT)")
	f.StringVar(&a.field, "field", "", "print only this field, raw")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		switch a.format {
		case "table", "json", "yaml":
			return nil
		}
		return errs.Newf(errs.Invalid, "format %q: use table, json or yaml", a.format)
	}
	root.AddCommand(a.serverCommand(), a.operatorCommand(), a.statusCommand(), a.loginCommand(), a.versionCommand())
	root.AddCommand(a.genericCommands()...)
	root.AddCommand(a.kvCommand(), a.policyCommand(), a.tokenCommand())
	root.AddCommand(a.mountCommand(secretsSide), a.mountCommand(authSide), a.auditCommand())
	return root
}

// args checks the number of positional arguments with a message that shows the form.
func args(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, given []string) error {
		if len(given) < least || most >= 0 && len(given) > most {
			return errs.Newf(errs.Invalid, "wrong number of arguments: the form is %q; see %s --help", c.UseLine(), c.CommandPath())
		}
		return nil
	}
}

// group is a command that only holds others; an unknown one is an error.
func group(use, short string, children ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, RunE: func(c *cobra.Command, given []string) error {
		if len(given) > 0 {
			return errs.Newf(errs.Invalid, "unknown command %q; see %s --help", given[0], c.CommandPath())
		}
		return c.Help()
	}}
	c.AddCommand(children...)
	return c
}
