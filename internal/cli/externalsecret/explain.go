package externalsecret

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/kube/operator/externalsecret/timing"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/printable"
)

// explained is what is known of an ExternalSecret. It holds no value.
type explained struct {
	Namespace   string       `json:"namespace"`
	Name        string       `json:"name"`
	Ready       bool         `json:"ready"`
	Reason      string       `json:"reason,omitempty"`
	Message     string       `json:"message,omitempty"`
	Since       *metav1.Time `json:"since,omitempty"`
	RefreshTime *metav1.Time `json:"refreshTime,omitempty"` // of the last refresh that brought something new
	NextRefresh *metav1.Time `json:"nextRefresh,omitempty"`
	Next        string       `json:"next,omitempty"`
	Sources     []source     `json:"sources,omitempty"`
	Secret      secret       `json:"secret"`
	Pods        []string     `json:"pods,omitempty"`
	Events      []string     `json:"events,omitempty"`
	// Waits says what it waits for, or what is wrong, the most telling first.
	Waits []string `json:"waitsFor,omitempty"`
	// Unknown is what could not be asked.
	Unknown []string `json:"unknown,omitempty"`
}

// source is a store or a generator.
type source struct {
	Name     string `json:"name"`
	Provider string `json:"provider,omitempty"`
	Class    string `json:"class,omitempty"`
	Ready    string `json:"ready,omitempty"`
	Message  string `json:"message,omitempty"`
}

// secret is the target as its metadata has it.
type secret struct {
	Name   string   `json:"name"`
	Policy string   `json:"creationPolicy"`
	Exists bool     `json:"exists"`
	Says   string   `json:"says,omitempty"`
	Drift  []string `json:"drift,omitempty"`
	Rivals []string `json:"rivals,omitempty"`
}

func (x *commands) explain() *cobra.Command {
	c := session.Group("explain", "Say why something is as it is", x.explainOne())
	return c
}

func (x *commands) explainOne() *cobra.Command {
	c := &cobra.Command{
		Use: "externalsecret NAME", Aliases: []string{"es", "externalsecrets"}, Short: "Say what an ExternalSecret waits for, what its store says, whose its Secret is, when it is refreshed",
		Args: session.Args(1, 1), ValidArgsFunction: x.complete,
		Long: `Say what an ExternalSecret waits for, the last error of its store, when it was and will
be refreshed, whose its Secret is, what others wrote into that, and which pods use it.
It reads, with your own rights, and shows no value; what you may not see is named.
The exit code is 0 when it is ready, 10 when it is not.`,
		Example: "  strongkeep explain externalsecret shop/db",
		RunE: func(c *cobra.Command, given []string) error {
			k, err := x.flags.Connect(x.Env)
			if err != nil {
				return err
			}
			es, err := x.get(c.Context(), k, given[0])
			if err != nil {
				return err
			}
			e := x.inspect(c.Context(), k, es)
			if err := c.Context().Err(); err != nil {
				return err
			}
			return x.showExplained(e)
		},
	}
	x.flags.Add(c.Flags())
	return c
}

// inspect gathers what is known of es.
func (x *commands) inspect(ctx context.Context, k *cluster.Cluster, es *v1.ExternalSecret) *explained {
	now := x.now()
	e := &explained{Namespace: es.Namespace, Name: es.Name, Ready: v1.IsReady(es.Status.Conditions)}
	if c := v1.FindCondition(es.Status.Conditions, v1.ConditionReady); c != nil {
		e.Reason, e.Message, e.Since = c.Reason, c.Message, &c.LastTransitionTime
	}
	if !es.Status.RefreshTime.IsZero() {
		e.RefreshTime = &es.Status.RefreshTime
	}
	at, says := timing.Next(es, now)
	e.Next = says
	if !at.IsZero() {
		e.NextRefresh = &metav1.Time{Time: at}
	}
	e.Secret = secret{Name: target.Name(es), Policy: string(target.Policy(es))}
	i := inspection{ctx: ctx, k: k, es: es, out: e}
	if err := gather.OnlySecret(&es.Spec); err != nil {
		i.waits("its spec cannot be: %v", err)
	}
	i.stores()
	i.generators(x.cfg)
	i.target()
	i.rivals()
	i.pods()
	i.events()
	i.conclude()
	return e
}

func (x *commands) showExplained(e *explained) error {
	if x.Format != "table" || x.Field != "" {
		if err := x.Print(e, nil, nil); err != nil {
			return err
		}
	} else if err := x.table(e); err != nil {
		return err
	}
	if !e.Ready {
		return session.Exit(exitNotReady)
	}
	return nil
}

func (x *commands) table(e *explained) error {
	w := bufio.NewWriter(x.Env.Stdout)
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	line := func(name, format string, values ...any) {
		_, _ = fmt.Fprintf(t, "%s\t%s\n", name, printable.Line(fmt.Sprintf(format, values...)))
	}
	many := func(name string, texts []string) {
		for _, text := range texts {
			line(name, "%s", strings.ReplaceAll(text, "\n", " "))
			name = ""
		}
	}
	line("ExternalSecret", "%s/%s", e.Namespace, e.Name)
	ready := "no condition yet"
	if e.Reason != "" {
		ready = fmt.Sprintf("%s, for %s", e.Reason, x.ago(e.Since))
	}
	if !e.Ready {
		ready = "no: " + ready
	} else {
		ready = "yes: " + ready
	}
	line("Ready", "%s", ready)
	if e.Message != "" {
		line("Says", "%s", strings.ReplaceAll(e.Message, "\n", " "))
	}
	many("Waits for", e.Waits)
	if e.RefreshTime != nil {
		line("Last change", "%s (%s ago)", e.RefreshTime.UTC().Format(time.RFC3339), x.ago(e.RefreshTime))
	} else {
		line("Last change", "never: it was not synced yet")
	}
	next := e.Next
	if e.NextRefresh != nil {
		next = fmt.Sprintf("%s (in %s), %s", e.NextRefresh.UTC().Format(time.RFC3339), e.NextRefresh.Sub(x.now()).Round(time.Second), e.Next)
	}
	line("Next refresh", "%s", next)
	for _, s := range e.Sources {
		line("Reads", "%s", s.String())
	}
	line("Secret", "%s (creationPolicy %s): %s", e.Secret.Name, e.Secret.Policy, e.Secret.Says)
	many("Also written by", e.Secret.Rivals)
	many("Drift", e.Secret.Drift)
	many("Used by", e.Pods)
	many("Events", e.Events)
	many("Not known", e.Unknown)
	_ = t.Flush()
	return w.Flush()
}

func (s source) String() string {
	text := s.Name
	if s.Provider != "" {
		text += " (" + s.Provider + ")"
	}
	if s.Class != "" {
		text += ", class " + s.Class
	}
	if s.Ready != "" {
		text += ": ready " + s.Ready
	}
	if s.Message != "" {
		text += ": " + s.Message
	}
	return strings.ReplaceAll(text, "\n", " ")
}

func (x *commands) ago(t *metav1.Time) string {
	if t == nil {
		return "ever"
	}
	return x.now().Sub(t.Time).Round(time.Second).String()
}
