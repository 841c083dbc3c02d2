package drill

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
)

func (x *commands) list() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List drills: what is broken, on whom, until when", Args: session.Args(0, 0),
		Example: "  strongkeep drill list -A",
		RunE: func(c *cobra.Command, _ []string) error {
			k, err := x.flags.Connect(x.Env)
			if err != nil {
				return err
			}
			var list v1alpha1.DrillList
			if err := k.List(c.Context(), &list, k.In(&x.flags)); err != nil {
				return cluster.Explain(err, "listing Drills")
			}
			slices.SortStableFunc(list.Items, func(a, b v1alpha1.Drill) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
			rows := make([]session.Row, 0, len(list.Items))
			for i := range list.Items {
				d := &list.Items[i]
				rows = append(rows, session.Row{d.Namespace, d.Name, d.Spec.Workload.Kind + "/" + d.Spec.Workload.Name, string(d.Spec.Failure), phase(d),
					session.First(d.Status.Reason, "-"), clock(d.Status.Until)})
			}
			return x.Print(list.Items, session.Row{"Namespace", "Name", "Workload", "Failure", "Phase", "Reason", "Until"}, rows)
		},
	}
	x.flags.AddAll(c.Flags())
	return c
}

func phase(d *v1alpha1.Drill) string {
	if d.Status.Phase == "" {
		return "Unseen"
	}
	return string(d.Status.Phase)
}

func clock(t *metav1.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func (x *commands) status() *cobra.Command {
	c := &cobra.Command{
		Use: "status NAME", Short: "Show a drill: what is broken, what pods made of it, how long until they recovered", Args: session.Args(1, 1), ValidArgsFunction: x.complete,
		Example: "  strongkeep drill status -n shop web-storeaway-x7k2p",
		RunE: func(c *cobra.Command, given []string) error {
			_, d, err := x.get(c.Context(), given[0])
			if err != nil {
				return err
			}
			return x.show(d)
		},
	}
	x.flags.Add(c.Flags())
	return c
}

// show prints what is known of a drill.
func (x *commands) show(d *v1alpha1.Drill) error {
	if x.Format != "table" || x.Field != "" {
		return x.Print(d.Status, nil, nil)
	}
	w := bufio.NewWriter(x.Env.Stdout)
	x.head(w, d)
	pods(w, d.Status.Pods)
	if len(d.Status.Findings) > 0 {
		_, _ = fmt.Fprint(w, "\nFindings\n")
		for _, f := range d.Status.Findings {
			_, _ = fmt.Fprintf(w, "  %s\n", f)
		}
	}
	return w.Flush()
}

func (x *commands) head(w io.Writer, d *v1alpha1.Drill) {
	s := &d.Status
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	line := func(name, format string, values ...any) { _, _ = fmt.Fprintf(t, name+"\t"+format+"\n", values...) }
	line("Drill", "%s/%s", d.Namespace, d.Name)
	line("Failure", "%s of %s %s, for %s", d.Spec.Failure, d.Spec.Workload.Kind, d.Spec.Workload.Name, d.Spec.Duration.Duration)
	at := phase(d)
	if d.Active(x.now()) {
		at += fmt.Sprintf(", for another %s", s.Until.Sub(x.now()).Round(time.Second))
	}
	if s.Reason != "" {
		at += " (" + s.Reason + ")"
	}
	line("Phase", "%s", at)
	if text := saying(d); text != "" {
		line("", "%s", text)
	}
	if s.Phase == "" {
		line("", "no operator has seen it: does one run with -drills, and work in this namespace?")
	}
	for _, at := range []struct {
		name string
		t    *metav1.Time
	}{{"Began", s.Began}, {"Until", s.Until}, {"Ended", s.Ended}, {"Undone", s.Undone}, {"Recovered", s.Recovered}} {
		if at.t != nil {
			line(at.name, "%s", clock(at.t))
		}
	}
	for i := range s.ExternalSecrets {
		e := &s.ExternalSecrets[i]
		line("Breaks", "ExternalSecret %s, Secret %s", e.Name, e.Secret)
		if e.Message != "" {
			line("", "it said: %s", e.Message)
		}
	}
	switch s.Phase {
	case v1alpha1.DrillPending, v1alpha1.DrillRunning:
		line("End it", "strongkeep drill stop %s", args(d))
	}
	_ = t.Flush()
}

// saying is the message of the condition that matters now.
func saying(d *v1alpha1.Drill) string {
	kind := v1alpha1.ConditionRunning
	switch d.Status.Phase {
	case v1alpha1.DrillRefused:
		kind = v1alpha1.ConditionRefused
	case v1alpha1.DrillUndoing, v1alpha1.DrillRecovering, v1alpha1.DrillOver:
		kind = v1alpha1.ConditionUndone
	}
	if c := meta.FindStatusCondition(d.Status.Conditions, kind); c != nil {
		return c.Message
	}
	return ""
}

func pods(w io.Writer, list []v1alpha1.DrilledPod) {
	if len(list) == 0 {
		return
	}
	_, _ = fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "POD\tRESTARTS\tUNREADY\tREADY AGAIN\tNOTE")
	for i := range list {
		p := &list[i]
		var notes []string
		if !p.Before {
			notes = append(notes, "made during the drill")
		}
		if p.Gone != nil {
			notes = append(notes, "gone")
		}
		if p.Failing != "" {
			notes = append(notes, p.Failing)
		}
		_, _ = fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\n", p.Name, p.Restarts, clock(p.Unready), clock(p.ReadyAgain), session.First(strings.Join(notes, "; "), "-"))
	}
	_ = t.Flush()
}
