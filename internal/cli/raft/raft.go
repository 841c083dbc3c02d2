package raft

import (
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/members"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/cli/snapshot"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Command returns "raft" with all that is below it.
func Command(s *session.Session) *cobra.Command {
	return session.Group("raft", "The members and snapshots by Vault's names: see operator members, and snapshot",
		members.List(s, "list-peers"), members.Remove(s, "remove-peer"), snapshot.Raft(s), autopilot(s),
		absent("join", "nothing has to be said to join: a node whose configuration names the others (cluster_members) does when it starts (docs/operations/cluster.md)"),
		absent("demote", "voters are not demoted: take a member out with strongkeep operator members remove"),
		absent("promote", "a node that has joined votes by itself when it has caught up"),
	)
}

func autopilot(s *session.Session) *cobra.Command {
	none := "there is nothing to configure: members that lost their disk are replaced, and others removed by strongkeep operator members remove only"
	return session.Group("autopilot", "Whether all members are there, and how many may fail",
		&cobra.Command{
			Use: "state", Short: "Whether all members are there, and how many may fail", Args: session.Args(0, 0),
			Example: "  strongkeep operator raft autopilot state",
			RunE: func(c *cobra.Command, _ []string) error {
				data, err := s.ReadData(c.Context(), "sys/storage/raft/autopilot/state")
				if err != nil {
					return err
				}
				return s.Print(data, session.Row{"Key", "Value"}, session.Pairs(data))
			},
		},
		absent("get-config", none), absent("set-config", none),
	)
}

// absent is a command of Vault's that there is not; it says what there is.
func absent(name, instead string) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: "Not here: " + instead, Hidden: true, DisableFlagParsing: true,
		RunE: func(c *cobra.Command, _ []string) error {
			return errs.Newf(errs.Unsupported, "there is no %q: %s", c.CommandPath(), instead)
		},
	}
}
