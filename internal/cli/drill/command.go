package drill

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// commands make the subcommands, which share the session and the cluster's flags.
type commands struct {
	*session.Session
	flags cluster.Flags
	now   func() time.Time
}

// Command returns the drill command with what is below it.
func Command(s *session.Session) *cobra.Command {
	x := &commands{Session: s, now: time.Now}
	return session.Group("drill", "Break how secrets reach one workload, for a limited time, and see what it does",
		x.start(), x.status(), x.stop(), x.list())
}

// what names a Drill in a message.
func what(d client.Object) string { return fmt.Sprintf("Drill %q", client.ObjectKeyFromObject(d)) }

// args are the arguments that name d in a command that is proposed.
func args(d *v1alpha1.Drill) string { return "-n " + d.Namespace + " " + d.Name }

// get reads the Drill that a person names.
func (x *commands) get(ctx context.Context, given string) (*cluster.Cluster, *v1alpha1.Drill, error) {
	k, err := x.flags.Connect(x.Env)
	if err != nil {
		return nil, nil, err
	}
	name, err := k.Name(given)
	if err != nil {
		return nil, nil, err
	}
	d, err := read(ctx, k, name)
	if errs.Is(err, errs.NotExist) {
		return nil, nil, k.Absent(ctx, fmt.Sprintf("Drill %q", name), name.Namespace, &v1alpha1.DrillList{}, "strongkeep drill list -A")
	}
	return k, d, err
}

func read(ctx context.Context, k *cluster.Cluster, name types.NamespacedName) (*v1alpha1.Drill, error) {
	d := &v1alpha1.Drill{}
	if err := k.Get(ctx, name, d); err != nil {
		return nil, cluster.Explain(err, fmt.Sprintf("Drill %q", name))
	}
	return d, nil
}

// complete proposes names of Drills.
func (x *commands) complete(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	return x.flags.Complete(x.Env, given, &v1alpha1.DrillList{})
}

// until reads a Drill again and again, until f says that it is what was waited
// for. limit 0: for as long as it takes. It is false when the limit has passed.
func (x *commands) until(ctx context.Context, k *cluster.Cluster, name types.NamespacedName, limit time.Duration, f func(*v1alpha1.Drill) bool) (*v1alpha1.Drill, bool, error) {
	var over <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		over = timer.C
	}
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		d, err := read(ctx, k, name)
		if err != nil && !errs.Is(err, errs.Unavailable) {
			return nil, false, err
		}
		if err == nil && f(d) {
			return d, true, nil
		}
		select {
		case <-ctx.Done():
			named := "-n " + name.Namespace + " " + name.Name
			return d, false, session.Interrupted{Left: fmt.Sprintf("Drill %q is there, and goes on without you: see it with strongkeep drill status %s, end it with strongkeep drill stop %s", name, named, named)}
		case <-over:
			return d, false, nil
		case <-tick.C:
		}
	}
}

// request is what start was told.
type request struct {
	name     string
	failure  string
	duration time.Duration
	delay    time.Duration
	keys     []string
	wait     bool
}

func (x *commands) start() *cobra.Command {
	var q request
	c := &cobra.Command{
		Use: "start KIND/NAME", Short: "Begin a drill on a Deployment, StatefulSet or DaemonSet", Args: session.Args(1, 1),
		Long: `Begin a drill: for a limited time, and for one workload only, its
ExternalSecrets cannot reach their store (StoreAway), take longer (SlowSync), or
write values that no backend accepts (CredentialRefused). It ends by itself.

The operator must run with -drills, and the namespace must allow drills:
kubectl label namespace NAME ` + v1alpha1.LabelDrills + `=` + v1alpha1.DrillsAllowed + `. A drill that others would feel is refused.`,
		Example: "  strongkeep drill start -n shop deployment/web -failure=StoreAway -duration=10m",
		RunE: func(c *cobra.Command, given []string) error {
			k, err := x.flags.Connect(x.Env)
			if err != nil {
				return err
			}
			d, err := q.drill(k.Namespace, given[0])
			if err != nil {
				return err
			}
			if err := k.Create(c.Context(), d, client.FieldOwner("strongkeep-cli")); err != nil {
				return cluster.ExplainCreate(err, "a Drill", d.Namespace)
			}
			return x.begun(c.Context(), k, d, q.wait)
		},
	}
	f := c.Flags()
	x.flags.Add(f)
	f.StringVar(&q.failure, "failure", "", "StoreAway, SlowSync or CredentialRefused")
	f.DurationVar(&q.duration, "duration", 10*time.Minute, "how long; at most 1h")
	f.DurationVar(&q.delay, "delay", 0, "for SlowSync: how much longer each sync takes (default 10s)")
	f.StringSliceVar(&q.keys, "keys", nil, "for CredentialRefused: the secretKeys made wrong (default: those that look like credentials)")
	f.StringVar(&q.name, "name", "", "name of the Drill (default: made of the workload and the failure)")
	f.BoolVar(&q.wait, "wait", false, "wait until it is over, and show what was found")
	_ = c.RegisterFlagCompletionFunc("failure", cobra.FixedCompletions(failures(), cobra.ShellCompDirectiveNoFileComp))
	return c
}

func failures() []string {
	return []string{string(v1alpha1.DrillStoreAway), string(v1alpha1.DrillSlowSync), string(v1alpha1.DrillCredentialRefused)}
}

// drill returns the object that is asked for. What else must hold of it the API
// server says.
func (q *request) drill(namespace, workload string) (*v1alpha1.Drill, error) {
	kind, name, ok := strings.Cut(workload, "/")
	kind = map[string]string{
		"deployment": "Deployment", "deployments": "Deployment", "deploy": "Deployment",
		"statefulset": "StatefulSet", "statefulsets": "StatefulSet", "sts": "StatefulSet",
		"daemonset": "DaemonSet", "daemonsets": "DaemonSet", "ds": "DaemonSet",
	}[strings.ToLower(strings.TrimSuffix(kind, ".apps"))]
	if !ok || kind == "" || name == "" || strings.Contains(name, "/") {
		return nil, errs.Newf(errs.Invalid, "%q is no workload for a drill: use deployment/NAME, statefulset/NAME or daemonset/NAME", workload)
	}
	failure := ""
	for _, f := range failures() {
		if strings.EqualFold(f, strings.ReplaceAll(q.failure, "-", "")) {
			failure = f
		}
	}
	if failure == "" {
		return nil, errs.Newf(errs.Invalid, "-failure=%s: say what is to fail: one of %s", q.failure, strings.Join(failures(), ", "))
	}
	d := &v1alpha1.Drill{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: q.name},
		Spec: v1alpha1.DrillSpec{
			Workload: v1alpha1.DrillWorkload{Kind: kind, Name: name}, Failure: v1alpha1.DrillFailure(failure),
			Duration: metav1.Duration{Duration: q.duration}, Keys: q.keys,
		},
	}
	if q.name == "" {
		const most = 200
		d.GenerateName = name[:min(len(name), most)] + "-" + strings.ToLower(failure) + "-"
	}
	if q.delay != 0 {
		d.Spec.Delay = &metav1.Duration{Duration: q.delay}
	}
	return d, nil
}

// heard is how long an operator may take to answer.
const heard = 30 * time.Second

// begun waits until the operator has answered, and says what it did.
func (x *commands) begun(ctx context.Context, k *cluster.Cluster, d *v1alpha1.Drill, wait bool) error {
	name := client.ObjectKeyFromObject(d)
	d, ok, err := x.until(ctx, k, name, heard, func(d *v1alpha1.Drill) bool { return d.Status.Began != nil || d.Ends() })
	if err != nil {
		return err
	}
	if !ok {
		hint := "does the operator run with -drills, and work in this namespace?"
		if d != nil && d.Status.Phase == v1alpha1.DrillPending {
			hint = saying(d)
		}
		return errs.Newf(errs.Unavailable, "Drill %q has not begun: %s It does within ten minutes of its making or never; take it back with strongkeep drill stop -n %s %s", name, hint, name.Namespace, name.Name)
	}
	if d.Status.Phase == v1alpha1.DrillRefused {
		return errs.Newf(errs.Conflict, "%s was refused (%s): %s", what(d), d.Status.Reason, saying(d))
	}
	if err := x.Done("Drill %s/%s has begun: %s of %s %s until %s.\nSee it with: strongkeep drill status %s\nEnd it with: strongkeep drill stop %s", d.Namespace, d.Name, d.Spec.Failure,
		d.Spec.Workload.Kind, d.Spec.Workload.Name, d.Status.Until.UTC().Format(time.RFC3339), args(d), args(d)); err != nil || !wait {
		return err
	}
	if d, _, err = x.until(ctx, k, name, 0, (*v1alpha1.Drill).Ends); err != nil {
		return err
	}
	return x.show(d)
}

func (x *commands) stop() *cobra.Command {
	c := &cobra.Command{
		Use: "stop NAME", Short: "End a drill now, and wait until everything is as it was", Args: session.Args(1, 1), ValidArgsFunction: x.complete,
		Example: "  strongkeep drill stop -n shop web-storeaway-x7k2p",
		RunE: func(c *cobra.Command, given []string) error {
			k, d, err := x.get(c.Context(), given[0])
			if err != nil {
				return err
			}
			if d.Ends() {
				return x.Done("Drill %s/%s is over (%s) already.", d.Namespace, d.Name, d.Status.Reason)
			}
			before := d.DeepCopy()
			metav1.SetMetaDataAnnotation(&d.ObjectMeta, v1alpha1.AnnotationDrillStop, "strongkeep-cli")
			if err := k.Patch(c.Context(), d, client.MergeFrom(before), client.FieldOwner("strongkeep-cli")); err != nil {
				return cluster.Explain(err, what(d))
			}
			return x.ended(c.Context(), k, d)
		},
	}
	x.flags.Add(c.Flags())
	return c
}

// restored is how long the operator may take to put everything right.
const restored = 2 * time.Minute

func (x *commands) ended(ctx context.Context, k *cluster.Cluster, d *v1alpha1.Drill) error {
	name := client.ObjectKeyFromObject(d)
	d, ok, err := x.until(ctx, k, name, restored, func(d *v1alpha1.Drill) bool { return d.Status.Undone != nil || d.Ends() })
	switch {
	case apierrors.IsNotFound(err) || errs.Is(err, errs.NotExist):
		return x.Done("Drill %s was deleted, which ends it too.", name)
	case err != nil:
		return err
	case !ok && d != nil && d.Status.Began == nil:
		return x.Done("Drill %s has not begun, and will not.", name)
	case !ok:
		return errs.Newf(errs.Unavailable, "Drill %q is not undone yet: nothing is broken any more, but its Secrets are right only when the operator has read the store again: see strongkeep drill status -n %s %s",
			name, name.Namespace, name.Name)
	case d.Status.Began == nil:
		return x.Done("Drill %s/%s was stopped before it began.", d.Namespace, d.Name)
	}
	return x.Done("Drill %s/%s is over; everything is as it was. What was found: strongkeep drill status %s", d.Namespace, d.Name, args(d))
}
