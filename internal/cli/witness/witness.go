package witness

import (
	"log/slog"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/witness"
)

// Command returns the witness command.
func Command(s *session.Session) *cobra.Command {
	var cfg witness.Config
	var operator, level string
	c := &cobra.Command{
		Use: "witness", Short: "Run on a node: tell the operator which version the files of pods are of", Args: session.Args(0, 0),
		Long: `Run on each node, as deploy/witness/witness.yaml has it. The operator asks with a
random key, and is answered with HMACs of the files that the kubelet has put into
volumes of pods; no content leaves the node. Only the operator's ServiceAccount is
answered. What it is worth: docs/rotation/evidence.md.`,
		Example: "  kubectl apply -f deploy/witness/witness.yaml\n" +
			"  strongkeep witness -kubeconfig=node.kubeconfig -node=$(hostname) -pod=witness-1 -pod-namespace=strongkeep-witness",
		RunE: func(c *cobra.Command, _ []string) error {
			for _, v := range []struct {
				to       *string
				variable string
			}{
				{&cfg.Node, "NODE_NAME"}, {&cfg.Pod.Name, "POD_NAME"}, {&cfg.Pod.Namespace, "POD_NAMESPACE"},
				{&operator, "STRONGKEEP_OPERATOR"},
			} {
				*v.to = session.First(*v.to, s.Env.Getenv(v.variable))
			}
			if operator != "" {
				namespace, name, ok := strings.Cut(operator, "/")
				if !ok || namespace == "" || name == "" {
					return errs.Newf(errs.Invalid, "operator %q: give NAMESPACE/SERVICEACCOUNT", operator)
				}
				cfg.Operator = types.NamespacedName{Namespace: namespace, Name: name}
			}
			var l slog.Level
			if err := l.UnmarshalText([]byte(level)); err != nil {
				return errs.Newf(errs.Invalid, "log-level %q: use debug, info, warn or error", level)
			}
			cfg.Log = slog.New(slog.NewTextHandler(s.Env.Stderr, &slog.HandlerOptions{Level: l}))
			return witness.Run(c.Context(), cfg)
		},
	}
	f := c.Flags()
	f.StringVar(&cfg.Listen, "listen", "", "address of the API (default :8443)")
	f.StringVar(&cfg.Pods, "pods", "", "the kubelet's folder of pods (default /var/lib/kubelet/pods)")
	f.StringVar(&cfg.Node, "node", "", "name of the node (NODE_NAME)")
	f.StringVar(&cfg.Pod.Name, "pod", "", "name of the witness's own pod (POD_NAME)")
	f.StringVar(&cfg.Pod.Namespace, "pod-namespace", "", "its namespace (POD_NAMESPACE)")
	f.StringVar(&operator, "operator", "", "who may ask: NAMESPACE/SERVICEACCOUNT (STRONGKEEP_OPERATOR; default strongkeep-system/strongkeep-operator)")
	f.StringVar(&cfg.Kubeconfig, "kubeconfig", "", "how to reach the API server; default: the pod's ServiceAccount")
	f.StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return c
}
