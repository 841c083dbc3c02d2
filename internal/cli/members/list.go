package members

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/peer"
)

// page is where it is written what to do without a majority.
const page = `docs/operations/cluster.md, "When a majority is lost"`

// List lists the members; it is called name.
func List(s *session.Session, name string) *cobra.Command {
	a, file := &app{s}, ""
	c := &cobra.Command{
		Use: name, Short: "List the members of the cluster that the servers form (storage cluster)", Args: session.Args(0, 0),
		Long: `List the members of the cluster that the servers form (storage cluster).

A server checks the token in its store, so without a majority of the members none answers.
With -config the nodes are asked directly instead, from the machine of one of them and by the
cluster key that its configuration names: no token, majority or open vault is needed. What
is shown then is one node's view.`,
		Example: "  strongkeep operator members list\n  strongkeep operator members list -config=/etc/strongkeep/server.yaml",
		RunE: func(c *cobra.Command, _ []string) error {
			if file != "" {
				return a.look(c.Context(), file)
			}
			return a.list(c.Context())
		},
	}
	session.Filled(c.Flags(), &file, "config", "ask the nodes by the cluster key of this configuration file")
	return c
}

// list asks the server, which asks a majority.
func (a *app) list(ctx context.Context) error {
	data, err := a.ReadData(ctx, "sys/storage/raft/configuration")
	if err != nil {
		err = a.Explain(err)
		if kind := errs.KindOf(err); kind == errs.Unavailable || kind == errs.Sealed {
			return errs.Newf(kind, "%w. What nodes know without a majority, a token or an open vault: on the machine of one, strongkeep operator members list -config=FILE", err)
		}
		return err
	}
	config, _ := data["config"].(map[string]any)
	servers, _ := config["servers"].([]any)
	if len(servers) == 0 {
		return errs.New(errs.NotExist, "this server has no cluster of its own: its storage is another")
	}
	rows := make([]session.Row, 0, len(servers))
	for _, s := range servers {
		m, _ := s.(map[string]any)
		rows = append(rows, session.Row{session.Text(m["node_id"]), session.Text(m["address"]), session.Text(m["leader"]), session.Text(m["voter"]), session.Text(m["healthy"])})
	}
	return a.Print(data, session.Row{"Member", "Address", "Leader", "Voter", "Healthy"}, rows)
}

// look asks the nodes.
func (a *app) look(ctx context.Context, file string) error {
	cfg, err := a.configured(file)
	if err != nil {
		return err
	}
	s, err := member.Look(ctx, cfg)
	if err != nil {
		return err
	}
	rows := make([]session.Row, 0, len(s.Nodes))
	for _, n := range s.Nodes {
		voter := "not a member"
		if n.Member {
			voter = fmt.Sprint(n.Voter)
		}
		rows = append(rows, session.Row{n.Name, n.URL, fmt.Sprint(n.Leader), voter, n.Says})
	}
	if err := a.Print(s, session.Row{"Member", "Address", "Leader", "Voter", "It Says"}, rows); err != nil {
		return err
	}
	return a.Done("\n%s", verdict(s, file))
}

// verdict is what a Sight means, and what to do.
func verdict(s peer.Sight, file string) string {
	if s.By == "" {
		return fmt.Sprintf("No member answers here: these are the nodes of %s. Start their servers; if they run, look at the network and at cluster_key_file. See %s.", file, page)
	}
	view := fmt.Sprintf("The members are those that %s knows of, and was asked from here: one node's view.", s.By)
	switch need := s.Majority(); {
	case s.Leader != "":
		return fmt.Sprintf("%s The leader is %s; %d of %d voters answer here.", view, s.Leader, s.There, s.Voters)
	case s.There < need:
		return fmt.Sprintf("%s There is no leader, and nothing is acknowledged: %d of %d voters answer here, %d are needed. Start the others. If they are gone for good: %s.", view, s.There, s.Voters, need, page)
	default:
		return fmt.Sprintf("%s There is no leader, though %d of %d voters answer here: they elect one, or do not reach each other. Ask again; then look at the network between them. See %s.", view, s.There, s.Voters, page)
	}
}
