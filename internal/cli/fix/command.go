package fix

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/read"
	"github.com/strongkeep/strongkeep/internal/kube/posture/remedy"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Command returns fix. checks are those that are run again.
func Command(s *session.Session, checks []check.Check) *cobra.Command {
	x := &command{Session: s, checks: checks, now: time.Now}
	c := &cobra.Command{
		Use: "fix CHECK NAME", Short: "Propose what mends a finding of check, and apply it with -apply", Args: session.Args(0, 2),
		Long: `Propose what mends a finding of check: patches and objects, to be committed where
GitOps has them, or with -apply done here, step by step; then the check is run again.
NAME is NAMESPACE/NAME, or KIND/NAMESPACE/NAME; NAME alone of a ClusterRoleBinding.

  SEC-03  a Role: names the Secrets that it may read (-secret, or those its pods use)
  SEC-04  a ClusterRoleBinding: RoleBindings in its place (-in, or where its accounts are)
  SEC-08  a workload: no token of its ServiceAccount in its pods
  SEC-09  a workload: files in place of variables (-file-env: it reads NAME_FILE)

Without -apply nothing is changed. What cannot be mended without guessing is refused.`,
		Example: "  strongkeep fix SEC-09 shop/web -file-env\n  strongkeep fix SEC-04 readers -in=shop,team -apply\n  strongkeep fix -report=report.json -finding=FINGERPRINT",
		RunE:    x.run,
	}
	f := c.Flags()
	x.flags.Add(f)
	f.BoolVar(&x.apply, "apply", false, "do it, and run the check again")
	f.BoolVar(&x.options.FileEnv, "file-env", false, "the application reads the file that NAME_FILE names in place of the variable NAME")
	f.BoolVar(&x.options.Anyway, "anyway", false, "also where it may break something that cannot be seen from here")
	f.StringSliceVar(&x.options.In, "in", nil, "namespaces in which a ClusterRoleBinding is used")
	f.StringSliceVar(&x.options.Secrets, "secret", nil, "names of Secrets that a Role is to read")
	f.StringVar(&x.report, "report", "", "a report of check -o json, for -finding")
	f.StringVar(&x.finding, "finding", "", "the fingerprint of a finding in the report")
	return c
}

type command struct {
	*session.Session
	checks  []check.Check
	now     func() time.Time
	flags   cluster.Flags
	options remedy.Options
	apply   bool
	report  string
	finding string
}

func (x *command) run(c *cobra.Command, given []string) error {
	config, namespace, err := x.flags.Rest(x.Env)
	if err != nil {
		return err
	}
	config.QPS = -1
	mend, target, err := x.asked(given, session.First(x.flags.Namespace, namespace, "default"))
	if err != nil {
		return err
	}
	k, err := connect(config)
	if err != nil {
		return err
	}
	l := &look{config: config, client: k, remedy: mend, target: target}
	plan, err := x.plan(c.Context(), l)
	if err != nil {
		return err
	}
	if !x.apply {
		return x.show(plan)
	}
	return x.do(c.Context(), l, plan)
}

// look is what is to be mended, and how it is reached.
type look struct {
	config *rest.Config
	client client.Client
	remedy *remedy.Remedy
	target remedy.Target
}

// plan looks at what there is, and has the API server say whether it would take the
// plan: what it refuses is refused before anything is done.
func (x *command) plan(ctx context.Context, l *look) (*remedy.Plan, error) {
	reach := remedy.Reach{Config: l.config, Client: l.client, Now: x.now()}
	w, err := reach.Look(ctx, l.remedy, l.target)
	if err != nil {
		return nil, cluster.Explain(err, "looking at the cluster")
	}
	plan, err := l.remedy.Plan(w, x.options)
	if err != nil {
		return nil, err
	}
	return plan, remedy.Apply(ctx, l.client, plan, true)
}

func connect(config *rest.Config) (client.Client, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, errs.Newf(errs.Internal, "registering kinds: %w", err)
		}
	}
	k, err := client.New(config, client.Options{Scheme: scheme})
	return k, cluster.Explain(err, "the API server at "+config.Host)
}

// asked says which remedy is to be taken, and of what.
func (x *command) asked(given []string, namespace string) (*remedy.Remedy, remedy.Target, error) {
	if x.finding != "" || x.report != "" {
		return x.reported(given)
	}
	if len(given) != 2 {
		return nil, remedy.Target{}, errs.New(errs.Invalid, "say which check and what: strongkeep fix SEC-09 shop/web; or -report and -finding")
	}
	mend, err := remedyOf(given[0], "")
	if err != nil {
		return nil, remedy.Target{}, err
	}
	t, err := targetOf(mend, given[1], namespace)
	return mend, t, err
}

// targetOf takes NAMESPACE/NAME, KIND/NAMESPACE/NAME, or NAME.
func targetOf(mend *remedy.Remedy, given, namespace string) (remedy.Target, error) {
	t := remedy.Target{Kind: mend.Kind}
	parts := strings.Split(given, "/")
	cluster := mend.Kind == "ClusterRoleBinding" // which lies in no namespace
	if len(parts) == 3 || len(parts) == 2 && cluster {
		t.Kind, parts = canonical(parts[0]), parts[1:]
	}
	switch {
	case slices.Contains(parts, "") || len(parts) > 2:
		return t, errs.Newf(errs.Invalid, "%q is neither NAMESPACE/NAME nor KIND/NAMESPACE/NAME", given)
	case len(parts) == 2:
		t.Namespace, t.Name = parts[0], parts[1]
	case cluster:
		t.Name = parts[0]
	default:
		t.Namespace, t.Name = namespace, parts[0]
	}
	return t, nil
}

// canonical is a kind as objects spell it.
func canonical(kind string) string {
	for _, k := range []string{"Deployment", "StatefulSet", "DaemonSet", "CronJob", "Role", "ClusterRoleBinding"} {
		if strings.EqualFold(k, kind) {
			return k
		}
	}
	return kind
}

// remedyOf returns the remedy of a check; of a rule, where one is named.
func remedyOf(id, rule string) (*remedy.Remedy, error) {
	var known []string
	list := remedy.List()
	for i := range list {
		r := &list[i]
		if strings.EqualFold(r.Check, id) && (rule == "" || slices.Contains(r.Rules, rule)) {
			return r, nil
		}
		known = append(known, r.Check+" "+strings.Join(r.Rules, ", "))
	}
	return nil, errs.Newf(errs.Unsupported, "%s is not mended from here; what is: %s. The finding itself says what to do", strings.TrimSpace(id+" "+rule), strings.Join(known, "; "))
}

// reported takes a finding of a report.
func (x *command) reported(given []string) (*remedy.Remedy, remedy.Target, error) {
	var t remedy.Target
	if len(given) > 0 || x.finding == "" || x.report == "" {
		return nil, t, errs.New(errs.Invalid, "-finding and -report go together, without CHECK and NAME")
	}
	f, err := os.Open(x.report)
	if err != nil {
		return nil, t, errs.Newf(errs.Invalid, "reading the report: %w", err)
	}
	defer func() { _ = f.Close() }()
	report, err := check.ReadReport(x.report, f)
	if err != nil {
		return nil, t, err
	}
	for i := range report.Results {
		for j := range report.Results[i].Findings {
			m := &report.Results[i].Findings[j]
			if m.Fingerprint != x.finding {
				continue
			}
			mend, err := remedyOf(m.Check, m.Rule)
			return mend, remedy.Target{Kind: m.Object.Kind, Namespace: m.Object.Namespace, Name: m.Object.Name}, err
		}
	}
	return nil, t, errs.Newf(errs.NotExist, "%s has no finding %s", x.report, x.finding)
}

// show prints a plan: for eyes with what to look at before, as YAML to be committed.
func (x *command) show(p *remedy.Plan) error {
	if x.Format == "json" {
		return x.Print(p, nil, nil)
	}
	text, err := p.YAML()
	if err != nil {
		return err
	}
	if x.Format == "table" {
		head := "# " + p.Does + "\n"
		for _, r := range p.Risks {
			head += "# Look at this before: " + r + "\n"
		}
		text = head + "#\n" + text + "# Nothing is changed yet: commit this, or add -apply.\n"
	}
	_, err = fmt.Fprint(x.Env.Stdout, text)
	return err
}

// do applies a plan and runs its check again.
func (x *command) do(ctx context.Context, l *look, p *remedy.Plan) error {
	before, err := x.findings(ctx, l.config, p)
	if err != nil {
		return err
	}
	if err := x.applied(ctx, l, p); err != nil {
		return err
	}
	after, err := x.findings(ctx, l.config, p)
	if err != nil {
		return errs.Newf(errs.KindOf(err), "it is done, and running %s again failed: %w", p.Check, err)
	}
	var left, fresh []string
	for print, f := range after {
		if concerns(p, &f) {
			left = append(left, f.Rule+" of "+f.Object.String()+" "+f.Field)
		} else if _, old := before[print]; !old {
			fresh = append(fresh, f.Rule+" of "+f.Object.String()+" "+f.Field)
		}
	}
	slices.Sort(left)
	slices.Sort(fresh)
	out := done{p, left, fresh}
	if err := x.Print(out, session.Row{"Step", "Object"}, out.rows()); err != nil {
		return err
	}
	if len(left)+len(fresh) > 0 {
		return session.Exit(exitLeft)
	}
	return nil
}

// again is how often a plan is made anew because an object has changed that the plan
// does not mind: a status that a controller writes, say.
const again = 10

// applied applies p, which was made before: what is there is looked at once more, and
// is to give the same plan.
func (x *command) applied(ctx context.Context, l *look, p *remedy.Plan) error {
	want, err := p.YAML()
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		fresh, err := x.plan(ctx, l)
		if errs.Is(err, errs.Conflict) && n < again {
			continue
		}
		if err != nil {
			return err
		}
		if got, err := fresh.YAML(); err != nil || got != want {
			return errs.Newf(errs.Conflict, "%s changed meanwhile, and nothing was done: look at the plan again", p.Object)
		}
		var stopped *remedy.Stopped
		err = remedy.Apply(ctx, l.client, fresh, false)
		if !errs.Is(err, errs.Conflict) || !errors.As(err, &stopped) || stopped.Done > 0 || n >= again {
			return err
		}
	}
}

// exitLeft is the exit code where the check, run again, still finds something.
const exitLeft = 10

// done is what -apply prints as JSON.
type done struct {
	*remedy.Plan
	// Left is what the check still finds of the object, New what it did not before.
	Left []string `json:"left,omitempty"`
	New  []string `json:"new,omitempty"`
}

func (d *done) rows() []session.Row {
	var rows []session.Row
	for i := range d.Steps {
		rows = append(rows, session.Row{string(d.Steps[i].Verb), d.Steps[i].Ref().String()})
	}
	for _, l := range d.Left {
		rows = append(rows, session.Row{"still found", l})
	}
	for _, l := range d.New {
		rows = append(rows, session.Row{"found now", l})
	}
	if len(d.Left)+len(d.New) == 0 {
		rows = append(rows, session.Row{"checked again", d.Check + " finds nothing more of " + d.Object.String()})
	}
	return rows
}

func concerns(p *remedy.Plan, f *check.Marked) bool {
	same := f.Object.Kind == p.Object.Kind && f.Object.Namespace == p.Object.Namespace && f.Object.Name == p.Object.Name
	return same && slices.Contains(p.Rules, f.Rule)
}

// findings runs the check of a plan.
func (x *command) findings(ctx context.Context, config *rest.Config, p *remedy.Plan) (map[string]check.Marked, error) {
	i := slices.IndexFunc(x.checks, func(c check.Check) bool { return c.ID == p.Check })
	if i < 0 {
		return nil, errs.Newf(errs.Internal, "there is no check %s", p.Check)
	}
	seen, err := x.read(ctx, config, p.Object.Namespace)
	if err != nil {
		return nil, err
	}
	out := map[string]check.Marked{}
	report := check.Run(x.checks[i:i+1], check.NewInput(seen, x.now(), check.Settings{}), nil, nil)
	for _, f := range report.Results[0].Findings {
		out[f.Fingerprint] = f
	}
	return out, nil
}

// read makes a snapshot without anything of values.
func (x *command) read(ctx context.Context, config *rest.Config, namespace string) (*snapshot.Snapshot, error) {
	var namespaces []string
	if namespace != "" {
		namespaces = []string{namespace}
	}
	seen, err := read.Live(ctx, config, read.Options{Now: x.now(), Whole: true, Namespaces: namespaces})
	return seen, cluster.Explain(err, "looking at the cluster")
}
