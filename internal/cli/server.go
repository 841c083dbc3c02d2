package cli

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	compose "github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/app/headroom"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// bindServer makes the flags of a server's configuration. Their names are the
// file's keys with dashes, and STRONGKEEP_* with underscores.
func bindServer(f *pflag.FlagSet, c *compose.ServerConfig) {
	f.StringVar(&c.DataDir, "data-dir", c.DataDir, "directory of the store, TLS material and audit logs (default /var/lib/strongkeep)")
	f.StringVar(&c.Storage, "storage", c.Storage, "pebble, cluster: servers form one of their own, etcd, or mem: nothing survives (default pebble)")
	f.StringVar(&c.ClusterKeyFile, "cluster-key-file", c.ClusterKeyFile, "key of the cluster, 64 hex digits, the same on each node")
	f.StringVar(&c.ClusterNode, "cluster-node", c.ClusterNode, "this node's name in the cluster (default: the host's)")
	f.StringSliceVar(&c.ClusterMembers, "cluster-members", c.ClusterMembers, "all members, NAME=https://HOST:PORT each, the same on each node")
	f.IntVar(&c.ClusterSize, "cluster-size", c.ClusterSize, "replicas of the StatefulSet, instead of members")
	f.StringVar(&c.ClusterService, "cluster-service", c.ClusterService, "headless Service of the StatefulSet")
	f.IntVar(&c.ClusterPort, "cluster-port", c.ClusterPort, "port of the StatefulSet's members (default 8201)")
	f.StringVar(&c.ClusterListen, "cluster-listen", c.ClusterListen, "where other members reach this node (default: the port of its address, on all addresses)")
	f.Int64Var(&c.ClusterQuota, "cluster-quota", c.ClusterQuota, "bytes of data at which no more writes are taken (default 8 GiB)")
	f.StringSliceVar(&c.EtcdEndpoints, "etcd-endpoints", c.EtcdEndpoints, "members of the etcd cluster, https://HOST:2379 each")
	f.StringVar(&c.EtcdPrefix, "etcd-prefix", c.EtcdPrefix, "prefix of all keys in etcd (default strongkeep/)")
	f.StringVar(&c.EtcdCAFile, "etcd-ca-file", c.EtcdCAFile, "CA of etcd's certificates, PEM (default: the system's)")
	f.StringVar(&c.EtcdCertFile, "etcd-cert-file", c.EtcdCertFile, "client certificate for etcd, PEM, read at every connection")
	f.StringVar(&c.EtcdKeyFile, "etcd-key-file", c.EtcdKeyFile, "its key, PEM")
	f.StringVar(&c.EtcdUsername, "etcd-username", c.EtcdUsername, "user of etcd's own authentication")
	f.StringVar(&c.EtcdPasswordFile, "etcd-password-file", c.EtcdPasswordFile, "file with the user's password (or set STRONGKEEP_ETCD_PASSWORD)")
	f.StringVar(&c.EtcdTimeout, "etcd-timeout", c.EtcdTimeout, "longest wait for an answer of etcd (default 5s)")
	f.BoolVar(&c.SharedStore, "ha-enabled", c.SharedStore, "several servers use the store in etcd, each for reads and writes")
	f.StringVar(&c.APIAddr, "api-addr", c.APIAddr, "URL at which clients reach this server, shown by others (default: that of -listen)")
	f.StringVar(&c.NodeName, "node-name", c.NodeName, "name of this server among others (default: the host's)")
	f.StringVar(&c.Listen, "listen", c.Listen, "address of the API (default 127.0.0.1:8200)")
	f.StringVar(&c.TLSCert, "tls-cert", c.TLSCert, "certificate, PEM, read again when it changes (default: made by a CA of the server's own)")
	f.StringVar(&c.TLSKey, "tls-key", c.TLSKey, "its key, PEM")
	f.StringSliceVar(&c.TLSNames, "tls-names", c.TLSNames, "further names and addresses of the certificate the server makes")
	f.StringVar(&c.UnsealKeyFile, "unseal-key-file", c.UnsealKeyFile, "key that unseals without people (operator unseal-key makes one)")
	f.StringVar(&c.UnsealKeyStore, "unseal-key-store", c.UnsealKeyStore, "file that names a key store, such as transit, whose key unseals without people")
	f.StringVar(&c.AuditDir, "audit-dir", c.AuditDir, "the only directory that file audit devices may write to (default DATA_DIR/audit)")
	f.StringVar(&c.SnapshotDir, "snapshot-dir", c.SnapshotDir, "the only directory that plans of snapshots may keep them below (default DATA_DIR/snapshots)")
	f.BoolVar(&c.NoDefaultAudit, "no-default-audit", c.NoDefaultAudit, "do not enable a file audit device when a vault is initialised")
	f.StringSliceVar(&c.SkipAuditDevices, "skip-audit-devices", c.SkipAuditDevices, "leave these stored audit devices off, to disable one that keeps the vault sealed")
	f.IntVar(&c.CacheBytes, "cache-bytes", c.CacheBytes, "memory for decrypted entries (default 32 MiB)")
	f.StringVar(&c.DefaultLeaseTTL, "default-lease-ttl", c.DefaultLeaseTTL, "lifetime of tokens and leases by default (default 768h, leases of secrets 1h)")
	f.BoolVar(&c.HoldLeases, "hold-leases", c.HoldLeases, "end nothing by itself until sys/leases/resume: for a copy restored while the original lives")
	f.BoolVar(&c.HoldFormat, "hold-format", c.HoldFormat, "write nothing in a newer form than the store holds, so that the version before can be gone back to")
	f.StringVar(&c.MaxLeaseTTL, "max-lease-ttl", c.MaxLeaseTTL, "the longest lifetime (default 768h)")
	f.StringVar(&c.LogLevel, "log-level", c.LogLevel, "debug, info, warn or error (default info)")
	f.StringVar(&c.LogFormat, "log-format", c.LogFormat, "text or json (default text)")
}

func (a *app) serverCommand() *cobra.Command {
	var flagged compose.ServerConfig
	var file string
	c := &cobra.Command{
		Use: "server", Short: "Run the vault", Args: session.Args(0, 0),
		Long: `Run the vault. Settings come from flags, then STRONGKEEP_* variables, then the
file of -config (YAML or JSON), under the same names. TLS is on: without a
certificate of yours the server makes a CA in DATA_DIR/tls at its first start.

-dev is for trying things out: plain HTTP on loopback, in memory, initialised
and unsealed, with kv version 2 at secret/.`,
		Example: "  strongkeep server -dev\n  strongkeep server -data-dir=/var/lib/strongkeep -listen=0.0.0.0:8200 -tls-names=vault.example.com",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.serverConfig(c.Flags(), file)
			if err != nil {
				return err
			}
			cfg.Dev, cfg.DevRootToken = flagged.Dev, session.First(flagged.DevRootToken, a.Env.Lookup("DEV_ROOT_TOKEN_ID"))
			cfg.Reread = func() (compose.ServerConfig, error) { return a.serverConfig(c.Flags(), file) }
			return a.serve(c, cfg)
		},
	}
	f := c.Flags()
	bindServer(f, &flagged)
	f.StringVar(&file, "config", "", "configuration file, YAML or JSON")
	f.BoolVar(&flagged.Dev, "dev", false, "development mode")
	f.StringVar(&flagged.DevRootToken, "dev-root-token-id", "", "root token of development mode (default: random)")
	return c
}

// serverConfig layers flags over variables over the file.
func (a *app) serverConfig(given *pflag.FlagSet, file string) (compose.ServerConfig, error) {
	var cfg compose.ServerConfig
	if file != "" {
		var err error
		if cfg, err = compose.LoadServerConfig(file); err != nil {
			return cfg, err
		}
	}
	layered := pflag.NewFlagSet("server", pflag.ContinueOnError)
	bindServer(layered, &cfg)
	cfg.EtcdPassword = redact.FromString(a.Env.Getenv("STRONGKEEP_ETCD_PASSWORD"))
	var problems []error
	layered.VisitAll(func(f *pflag.Flag) {
		value, set := a.Env.Getenv(variable(f.Name)), true
		if flag := given.Lookup(f.Name); flag.Changed {
			value = strings.Trim(flag.Value.String(), "[]")
		} else {
			set = value != ""
		}
		if !set {
			return
		}
		if err := layered.Set(f.Name, value); err != nil {
			problems = append(problems, errs.Newf(errs.Invalid, "setting %s: %w", f.Name, err))
		}
	})
	return cfg, errors.Join(problems...)
}

func (a *app) serve(c *cobra.Command, cfg compose.ServerConfig) error {
	if err := compose.Harden(); err != nil {
		a.Warn([]string{fmt.Sprintf("memory may appear in core dumps: %v", err)})
	}
	defer headroom.Keep(headroom.Server())()
	defer compose.SpareForSyncs()()
	// A closed pipe on standard output must refuse requests, not end the process.
	signal.Ignore(syscall.SIGPIPE)
	s, err := compose.NewServer(c.Context(), cfg)
	if err != nil {
		return err
	}
	if err := a.announce(s, cfg.Dev); err != nil {
		return errors.Join(err, s.Close())
	}
	stop := onHangup(s.Reload)
	defer stop()
	return errors.Join(s.Serve(c.Context()), s.Close())
}

// onHangup calls f at every SIGHUP until the returned function is called.
func onHangup(f func()) (stop func()) {
	signals := make(chan os.Signal, 1)
	done := make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		defer close(done)
		for range signals {
			f()
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}

func (a *app) announce(s *compose.Server, dev bool) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Strongkeep %s serves the vault at %s\n", compose.Version, s.URL())
	if ca := s.CAFile(); ca != "" {
		fmt.Fprintf(&b, "Clients trust it with: export VAULT_ADDR=%s VAULT_CACERT=%s\n", s.URL(), ca)
	}
	if dev {
		fmt.Fprintf(&b, "\nDEVELOPMENT MODE: no TLS. Not for real secrets.\n\n  export VAULT_ADDR=%s\n", s.URL())
		if token := s.DevRootToken(); !token.Empty() {
			fmt.Fprintf(&b, "  export VAULT_TOKEN=%s\n\nUnseal Key: %s\n", token.RevealString(), s.DevUnsealKey().RevealString())
		}
	}
	_, err := fmt.Fprint(a.Env.Stdout, b.String())
	return err
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: session.Args(0, 0), Example: "  strongkeep version",
		RunE: func(*cobra.Command, []string) error {
			return a.Print(map[string]string{"version": compose.Version, "build_date": compose.BuildDate}, nil,
				[]session.Row{{"Strongkeep v" + compose.Version}})
		},
	}
}

// variable is the environment's name of a flag.
func variable(flag string) string {
	return "STRONGKEEP_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}
