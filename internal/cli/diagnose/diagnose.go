package diagnose

import (
	"bufio"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/diagnose"
	"github.com/strongkeep/strongkeep/internal/printable"
)

// The exit codes, those of Vault's command.
const (
	exitFailed  = 1
	exitWarning = 2
)

// Settings are how the server command takes its own: the flags, and what they, the variables and
// the file say together.
type Settings struct {
	Bind func(*pflag.FlagSet, *app.ServerConfig)
	Load func(given *pflag.FlagSet, file string) (app.ServerConfig, error)
}

// Command returns the command.
func Command(s *session.Session, settings Settings) *cobra.Command {
	var flagged app.ServerConfig
	var file string
	offline := false
	c := &cobra.Command{
		Use: "diagnose", Short: "Look at all that a server depends on, and say what to do (exit code 0 ok, 1 failed, 2 warnings)", Args: session.Args(0, 0),
		Long: `Look at all that a server depends on: its disk and how fast it syncs, the clock,
certificates, files and who may read them, swap and core dumps, etcd, the key that
unseals, the port, and a server that runs. Give it what "strongkeep server" is given
(-config, flags, STRONGKEEP_* variables) and run it as the server's user, before the
first start or beside the server. Nothing is changed; some empty files are written
into the directories and removed.

The server that runs is asked at -address or VAULT_ADDR, else where its settings say
that it listens; with a token that may read sys/metrics it says more. -offline asks none.

The exit code is 0 if all is well, 2 if there are warnings, 1 if something failed.`,
		Example: "  strongkeep operator diagnose -config=/etc/strongkeep/server.yaml\n  strongkeep operator diagnose -config=/etc/strongkeep/server.yaml -offline -format=json",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := settings.Load(c.Flags(), file)
			if err != nil {
				return err
			}
			in := diagnose.Config{Server: cfg, Now: time.Now}
			if !offline {
				find(s, cfg)
				client, err := s.Client()
				if err != nil {
					return err
				}
				plain := *client.CloneConfig().HttpClient
				plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
				in.Address, in.Token, in.Client = client.Address(), client.Token(), &plain
			}
			return show(s, diagnose.Check(c.Context(), in))
		},
	}
	f := c.Flags()
	settings.Bind(f, &flagged)
	f.StringVar(&file, "config", "", "configuration file of the server, YAML or JSON")
	f.BoolVar(&offline, "offline", false, "ask no server that runs")
	return c
}

// find has the server asked where its own settings say that it is, unless somebody said where.
func find(s *session.Session, cfg app.ServerConfig) {
	if session.First(s.Conn.Address, s.Env.Lookup("ADDR")) != "" {
		return
	}
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil || port == "0" {
		return
	}
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	s.Conn.Address = "https://" + net.JoinHostPort(host, port)
	ca := filepath.Join(cfg.DataDir, "tls", "ca.pem")
	raw, _ := os.ReadFile(ca) // what is wrong with it is found out later
	if x509.NewCertPool().AppendCertsFromPEM(raw) && cfg.TLSCert == "" && session.First(s.Conn.CACert, s.Env.Lookup("CACERT"), s.Conn.CAPath, s.Env.Lookup("CAPATH")) == "" {
		s.Conn.CACert = ca
	}
}

func show(s *session.Session, found []diagnose.Finding) error {
	worst := diagnose.Worst(found)
	var err error
	if s.Format == "table" && s.Field == "" {
		err = lines(s.Env.Stdout, found)
	} else {
		err = s.Print(map[string]any{"result": worst, "findings": found}, nil, nil)
	}
	switch {
	case err != nil:
		return err
	case worst == diagnose.Failed:
		return session.Exit(exitFailed)
	case worst == diagnose.Warning:
		return session.Exit(exitWarning)
	}
	return nil
}

// lines is for people: by area, what is to be done below what it is about, and a sum at the end.
func lines(to io.Writer, found []diagnose.Finding) error {
	out := bufio.NewWriter(to)
	area, count := "", map[diagnose.Level]int{}
	for _, f := range found {
		if f.Area != area {
			area = f.Area
			_, _ = fmt.Fprintln(out, printable.Line(area))
		}
		count[f.Level]++
		_, _ = fmt.Fprintf(out, "  %-11s  %s: %s\n", strings.ToUpper(string(f.Level)), printable.Line(f.Question), printable.Line(f.Detail))
		if f.Next != "" {
			_, _ = fmt.Fprintf(out, "  %11s  -> %s\n", "", printable.Line(f.Next))
		}
	}
	_, _ = fmt.Fprintf(out, "\n%d failed, %d warnings, %d not checked, %d ok\n", count[diagnose.Failed], count[diagnose.Warning], count[diagnose.Unknown], count[diagnose.OK])
	return out.Flush()
}
