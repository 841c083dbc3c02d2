package rotation

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
)

func (x *commands) list() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List Rotations: phase, proof, what holds them, when the next turn is", Args: session.Args(0, 0),
		Example: "  strongkeep rotation list -A",
		RunE: func(c *cobra.Command, _ []string) error {
			k, err := x.flags.Connect(x.Env)
			if err != nil {
				return err
			}
			var list v1alpha1.RotationList
			if err := k.List(c.Context(), &list, k.In(&x.flags)); err != nil {
				return cluster.Explain(err, "listing Rotations")
			}
			if len(list.Items) == 0 && x.Format == "table" {
				_, err := fmt.Fprintln(x.Env.Stderr, x.none(k))
				return err
			}
			rows := make([]session.Row, 0, len(list.Items))
			for i := range list.Items {
				r := &list.Items[i]
				last := "never"
				if r.Status.LastDone != nil {
					last = ago(x.now().Sub(r.Status.LastDone.Time)) + " ago"
				}
				rows = append(rows, session.Row{r.Namespace, r.Name, string(phase(r)), turnOf(r), session.First(r.Status.Proof.Summary, "-"), last, session.First(r.Status.Next, "-"), reasonOf(r)})
			}
			return x.Print(list.Items, session.Row{"Namespace", "Name", "Phase", "Turn", "Proven", "Last Done", "Next", "Reason"}, rows)
		},
	}
	x.flags.AddAll(c.Flags())
	return c
}

// none says that there are no Rotations, and where else there may be.
func (x *commands) none(k *cluster.Cluster) string {
	if x.flags.All {
		return "There are no Rotations."
	}
	return fmt.Sprintf("There are no Rotations in namespace %s; those of all: strongkeep rotation list -A", k.Namespace)
}

// reasonOf is the reason of the condition that says most.
func reasonOf(r *v1alpha1.Rotation) string {
	for _, t := range []string{v1alpha1.ConditionHeld, v1alpha1.ConditionObserved, v1alpha1.ConditionProgressing, v1alpha1.ConditionReady} {
		c := meta.FindStatusCondition(r.Status.Conditions, t)
		if c == nil {
			continue
		}
		if bad := c.Status == metav1.ConditionTrue; t == v1alpha1.ConditionHeld && !bad || t == v1alpha1.ConditionObserved && bad {
			continue
		}
		return c.Reason
	}
	return "-"
}

// shown is a status for programs, with whose it is.
type shown struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	v1alpha1.RotationStatus
}

func (x *commands) status() *cobra.Command {
	c := x.named("status NAME", "Show a Rotation: phase, the evidence for each pod, what is missing, the next command", func(ctx context.Context, k *cluster.Cluster, r *v1alpha1.Rotation) error {
		if x.Format != "table" || x.Field != "" {
			return x.Print(shown{r.Namespace, r.Name, r.Status}, nil, nil)
		}
		w := bufio.NewWriter(x.Env.Stdout)
		x.head(w, r)
		p := r.Status.Proof
		Table(w, p.Evidence)
		if more := int(p.Pods) - len(p.Evidence); more > 0 && len(p.Evidence) > 0 {
			_, _ = fmt.Fprintf(w, "and %d more pods: all of them are in the signed statement when the turn ends\n", more)
		}
		x.timeline(w, r)
		x.conditions(w, r)
		if text := x.operatorSilent(ctx, k, r); text != "" {
			_, _ = fmt.Fprintf(w, "\n%s\n", text)
		}
		return w.Flush()
	})
	return c
}

// clients shows those of the vault itself.
func clients(line func(name, format string, values ...any), c *v1alpha1.ClientsStatus) {
	if c == nil {
		return
	}
	line("Clients", "%d of %d of the vault itself proven, %d more have ended", c.Proven, c.Total-c.Ended, c.Ended)
	for _, e := range c.Evidence {
		if e.Missing != "" {
			line("", "%s: %s", e.Name, e.Missing)
		}
	}
	for _, u := range c.Unknown {
		line("Clients unknown", "%s", u)
	}
}

func (x *commands) head(w io.Writer, r *v1alpha1.Rotation) {
	s := &r.Status
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	line := func(name, format string, values ...any) { _, _ = fmt.Fprintf(t, name+"\t"+format+"\n", values...) }
	line("Rotation", "%s/%s (%s)", r.Namespace, r.Name, kind(&r.Spec.Target))
	at := string(phase(r))
	if s.Phase == v1alpha1.PhaseHeld {
		at += " (in " + string(s.HeldFrom) + ")"
	}
	if s.Since != nil {
		at += ", for " + ago(x.now().Sub(s.Since.Time))
	}
	line("Phase", "%s", at)
	if s.Turn > 0 {
		line("Turn", "%d, cause %s", s.Turn, session.First(s.Cause, "unknown"))
	}
	if s.Version != "" {
		line("Version", "%s, before %s", s.Version, session.First(s.PreviousVersion, "none"))
	}
	if s.LastDone != nil {
		line("Last done", "%s (%s ago)", s.LastDone.UTC().Format(time.RFC3339), ago(x.now().Sub(s.LastDone.Time)))
	}
	line("Next", "%s", session.First(s.Next, "on demand"))
	if s.Statement != "" {
		line("Statement", "%s (strongkeep rotation evidence %s)", s.Statement, args(r))
	}
	p := s.Proof
	if p.Secrets > 0 || p.Pods > 0 {
		line("Secrets", "%d/%d hold the version", p.SecretsConfirmed, p.Secrets)
		line("Pods", "%d/%d proven, %d workloads", p.PodsProven, p.Pods, p.Workloads)
	}
	if p.OldSessions != nil {
		sessions := fmt.Sprintf("%d on the old credential", *p.OldSessions)
		if p.NewSessions != nil {
			sessions += fmt.Sprintf(", %d on the new one", *p.NewSessions)
		}
		line("Sessions", "%s", sessions)
	}
	clients(line, p.Clients)
	for _, u := range p.Unknown {
		line("Not asked", "%s", u)
	}
	_ = t.Flush()
}

// kind names the target of t.
func kind(t *v1alpha1.Target) string {
	switch {
	case t.Database != nil:
		return "database " + t.Database.Mount + "/" + t.Database.Role
	case t.KV != nil:
		return "kv " + t.KV.Mount + "/" + t.KV.Path
	case t.Certificate != nil:
		return "certificate " + t.Certificate.CommonName
	case t.AWSAccessKey != nil:
		return "AWS access key of " + t.AWSAccessKey.UserName
	case t.Webhook != nil:
		return "webhook " + t.Webhook.URL
	case t.Manual != nil:
		return "manual " + t.Manual.Mount + "/" + t.Manual.Path
	}
	return "nothing"
}

// Table writes what is known of each pod; nothing when there are none.
func Table(w io.Writer, pods []v1alpha1.PodEvidence) {
	if len(pods) == 0 {
		return
	}
	_, _ = fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "PROVEN\tPOD\tWORKLOAD\tUSES\tEVIDENCE\tMISSING")
	for i := range pods {
		e := &pods[i]
		has := make([]string, len(e.Has))
		for i, h := range e.Has {
			has[i] = string(h)
		}
		pod := e.Namespace + "/" + e.Pod
		if e.Cluster != "" {
			pod = e.Cluster + ":" + pod
		}
		proven := "no"
		if e.Proven {
			proven = "yes"
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", proven, pod, session.First(e.Workload, "-"),
			session.First(strings.Join(e.Uses, ", "), "-"), session.First(strings.Join(has, ", "), "-"), session.First(e.Missing, "-"))
	}
	_ = t.Flush()
}

func (x *commands) timeline(w io.Writer, r *v1alpha1.Rotation) {
	if len(r.Status.Timeline) == 0 {
		return
	}
	_, _ = fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "TIME\tTURN\tPHASE\tREASON\tMESSAGE")
	for i := range r.Status.Timeline {
		e := &r.Status.Timeline[i]
		_, _ = fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\n", e.Time.UTC().Format(time.DateTime), e.Turn, e.Phase, session.First(e.Reason, "-"), e.Message)
	}
	_ = t.Flush()
}

func (x *commands) conditions(w io.Writer, r *v1alpha1.Rotation) {
	list := slices.Clone(r.Status.Conditions)
	if len(list) == 0 {
		return
	}
	slices.SortFunc(list, func(a, b metav1.Condition) int { return strings.Compare(a.Type, b.Type) })
	_, _ = fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "CONDITION\tSTATUS\tREASON\tMESSAGE")
	for i := range list {
		c := &list[i]
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", c.Type, c.Status, c.Reason, c.Message)
	}
	_ = t.Flush()
}

// operatorSilent says when nobody seems to work on r: the spec is newer than
// what the operator has seen, or its lease has run out.
func (x *commands) operatorSilent(ctx context.Context, k *cluster.Cluster, r *v1alpha1.Rotation) string {
	var leases coordinationv1.LeaseList
	_ = k.List(ctx, &leases) // where they may not be seen there are none
	for i := range leases.Items {
		l := &leases.Items[i]
		if l.Name != "strongkeep-operator" || l.Spec.RenewTime == nil || l.Spec.LeaseDurationSeconds == nil {
			continue
		}
		silent := x.now().Sub(l.Spec.RenewTime.Time)
		if silent > 2*time.Duration(*l.Spec.LeaseDurationSeconds)*time.Second {
			return fmt.Sprintf("No operator has been heard of for %s (Lease %s/%s): nothing goes on until one runs.", ago(silent), l.Namespace, l.Name)
		}
		return ""
	}
	if r.Status.ObservedGeneration != r.Generation {
		return "The operator has not looked at the newest spec yet: is it running?"
	}
	return ""
}
