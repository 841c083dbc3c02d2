package look

import (
	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/chart"
)

// Renderer is the command that renders charts, in the process that is started for it.
func Renderer(s *session.Session) *cobra.Command {
	return &cobra.Command{
		Use: chart.Command, Short: "Render the chart that standard input names, for -f CHART", Hidden: true, Args: session.Args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if err := chart.Main(s.Env.Stdin, s.Env.Stdout); err != nil {
				return errs.Newf(errs.Internal, "rendering a chart: %w", err)
			}
			return nil
		},
	}
}
