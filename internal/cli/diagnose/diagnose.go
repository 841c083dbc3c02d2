package diagnose

import (
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/diagnose"
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

The server that runs is asked at -address; with a token that may read sys/metrics it
says more. -offline asks none.

The exit code is 0 if all is well, 2 if there are warnings, 1 if something failed.`,
		Example: "  strongkeep operator diagnose -config=/etc/strongkeep/server.yaml\n  strongkeep operator diagnose -config=/etc/strongkeep/server.yaml -offline -format=json",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := settings.Load(c.Flags(), file)
			if err != nil {
				return err
			}
			in := diagnose.Config{Server: cfg, Now: time.Now}
			if !offline {
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

func show(s *session.Session, found []diagnose.Finding) error {
	rows := make([]session.Row, 0, len(found))
	for _, f := range found {
		rows = append(rows, session.Row{strings.ToUpper(string(f.Level)), f.Area, f.Question, f.Detail, f.Next})
	}
	if err := s.Print(map[string]any{"result": diagnose.Worst(found), "findings": found}, session.Row{"Level", "Area", "Question", "Why", "Next"}, rows); err != nil {
		return err
	}
	switch diagnose.Worst(found) {
	case diagnose.Failed:
		return session.Exit(exitFailed)
	case diagnose.Warning:
		return session.Exit(exitWarning)
	}
	return nil
}
