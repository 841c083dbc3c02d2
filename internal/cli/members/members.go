package members

import (
	"fmt"

	"github.com/spf13/cobra"

	compose "github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/settings"
)

// app is one run of the program.
type app struct{ *session.Session }

// Command returns "members" with all that is below it.
func Command(s *session.Session) *cobra.Command {
	a := &app{s}
	c := &cobra.Command{
		Use: "members", Short: "List the nodes; list, remove and recover the members of their cluster", Args: session.Args(0, 0),
		Example: "  strongkeep operator members",
		RunE:    a.nodes,
	}
	c.AddCommand(List(s, "list"), Remove(s, "remove"), a.restore())
	return c
}

// nodes are the servers on one store, whatever it is.
func (a *app) nodes(c *cobra.Command, _ []string) error {
	client, err := a.Client()
	if err != nil {
		return err
	}
	if err := a.RefuseWrapping(); err != nil {
		return err
	}
	s, err := client.Sys().HAStatusWithContext(c.Context())
	if err != nil {
		return err
	}
	rows := make([]session.Row, 0, len(s.Nodes))
	for _, n := range s.Nodes {
		rows = append(rows, session.Row{n.Hostname, n.APIAddress, fmt.Sprint(n.ActiveNode), n.Version})
	}
	return a.Print(s, session.Row{"Host Name", "API Address", "Active Node", "Version"}, rows)
}

// Remove takes a member out of the cluster; it is called name.
func Remove(s *session.Session, name string) *cobra.Command {
	a := &app{s}
	return &cobra.Command{
		Use: name + " MEMBER", Short: "Take a member out of the cluster, for good", Args: session.Args(1, 1),
		Long: `Take a member out of the cluster, for good. It stops serving; to come back it must
start with an empty directory. Take it out of the list of the others too. A member whose
disk was lost need not be removed: it joins anew by itself.`,
		Example: "  strongkeep operator members remove node-3",
		RunE: func(c *cobra.Command, given []string) error {
			if err := a.Confirm(fmt.Sprintf("The member %s leaves the cluster, and its data is of no use any more.", given[0])); err != nil {
				return err
			}
			if err := a.WritePath(c.Context(), "sys/storage/raft/remove-peer", map[string]any{"server_id": given[0]}); err != nil {
				return err
			}
			return a.Done("Success! Removed the member: %s", given[0])
		},
	}
}

func (a *app) restore() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "recover", Short: "Make a cluster of one out of this node's data, when the majority is gone for good", Args: session.Args(0, 0),
		Long: `Make a cluster of one out of this node's data, when the majority is gone for good. The
server must not run here, nor any other one of the cluster: whoever of them has data must
never start again with it. What the others acknowledged and this node had not heard of yet
is lost. Afterwards start this server, then the others with empty directories.`,
		Example: "  strongkeep operator members recover -config=/etc/strongkeep/server.yaml",
		RunE: func(c *cobra.Command, _ []string) error {
			if file == "" {
				return errs.New(errs.Invalid, "missing -config: the configuration file of this node's server")
			}
			own, err := a.configured(file)
			if err != nil {
				return err
			}
			if err := a.Confirm("All other members are removed, and what only they have is lost."); err != nil {
				return err
			}
			if err := member.Recover(c.Context(), own); err != nil {
				return errs.Newf(errs.KindOf(err), "recovering the cluster from %s: %w", own.Dir, err)
			}
			return a.Done("Success! This node is a cluster of one. Start its server, then the others with empty directories.")
		},
	}
	c.Flags().StringVar(&file, "config", "", "configuration file of the server, YAML or JSON")
	return c
}

// configured is the member that a server's configuration file makes of this machine.
func (a *app) configured(file string) (member.Config, error) {
	cfg, err := compose.LoadServerConfig(file)
	if err != nil {
		return member.Config{}, err
	}
	if cfg.Storage != settings.Storage {
		return member.Config{}, errs.Newf(errs.Invalid, "%s has storage %q, and no members: those are of a cluster of the servers' own (storage %s)", file, cfg.Storage, settings.Storage)
	}
	cfg.Log = a.Env.Log()
	return cfg.Member()
}
