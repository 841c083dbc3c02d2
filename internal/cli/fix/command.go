package fix

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/evidence"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/read"
	"github.com/strongkeep/strongkeep/internal/kube/posture/remedy"
	"github.com/strongkeep/strongkeep/internal/kube/posture/remedy/adoption"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/printable"
)

// Config is what the command is made of.
type Config struct {
	// Checks are those that are run again.
	Checks []check.Check
	// Providers and Generators make what a store would give.
	Providers  map[string]provider.Provider
	Generators map[string]generator.Kind
}

// Command returns fix.
func Command(s *session.Session, cfg Config) *cobra.Command {
	x := &command{Session: s, Config: cfg, now: time.Now}
	c := &cobra.Command{
		Use: "fix CHECK NAME", Short: "Propose what mends a finding of check, and apply it with -apply", Args: session.Args(0, 2),
		Long: `Propose what mends a finding of check: patches and objects, to be committed where
GitOps has them, or with -apply done here, step by step; then the check is run again.
NAME is NAMESPACE/NAME, or KIND/NAMESPACE/NAME; NAME alone of a ClusterRoleBinding.

  SEC-03  a Role: names the Secrets that it may read (-secret, -audit-log, or with
          -anyway those its pods use)
  SEC-04  a ClusterRoleBinding: RoleBindings in its place (-in, or where its accounts
          are, if -audit-log shows that they use it nowhere else, or with -anyway)
  SEC-05  a Secret: its values go into the vault (-path), and an ExternalSecret (-store)
          fills it from there; with -copies also all others with the same credential
          a ConfigMap (configmap/NAMESPACE/NAME): its users take what Secret -secret holds
          too from there, and then, called again, the keys go
  SEC-08  a workload: no token of its ServiceAccount in its pods
          a ServiceAccount (serviceaccount/NAMESPACE/NAME): one for each workload
  SEC-09  a workload: files in place of variables (-file-env: it reads NAME_FILE); with
          -secret literals become what Secret -secret holds the same value of

Without -apply nothing is changed. What cannot be mended without guessing is refused.`,
		Example: "  strongkeep fix SEC-09 shop/web -file-env\n  strongkeep fix SEC-04 readers -in=shop,team -apply\n  strongkeep fix SEC-05 shop/db -path=secret/shop/db -store=ClusterSecretStore/vault -copies -apply\n  strongkeep fix SEC-08 serviceaccount/shop/app\n  strongkeep fix SEC-09 shop/web -secret=db\n  strongkeep fix SEC-05 configmap/shop/app -secret=db\n  strongkeep fix -report=report.json -finding=FINGERPRINT",
		RunE:    x.run,
	}
	f := c.Flags()
	x.flags.Add(f)
	f.BoolVar(&x.apply, "apply", false, "do it, and run the check again")
	f.BoolVar(&x.options.FileEnv, "file-env", false, "the application reads the file that NAME_FILE names in place of the variable NAME")
	f.BoolVar(&x.options.Anyway, "anyway", false, "also where it may break something that cannot be seen from here")
	f.StringSliceVar(&x.options.In, "in", nil, "namespaces in which a ClusterRoleBinding is used, or copies are looked for")
	f.StringSliceVar(&x.options.Secrets, "secret", nil, "names of Secrets that a Role is to read, or that copies are to come from")
	f.StringSliceVar(&x.logs, "audit-log", nil, "audit logs of the API server, of 90 days, that show which Secrets a Role is used for, or where a ClusterRoleBinding is; - is standard input")
	f.StringVar(&x.adopt.Path, "path", "", "where in the vault a Secret's values are to lie, such as secret/shop/db")
	f.StringVar(&x.adopt.Store, "store", "", "SecretStore, or ClusterSecretStore/NAME, by which they are read from there")
	f.BoolVar(&x.adopt.Copies, "copies", false, "adopt also the other Secrets that hold the same credential")
	f.DurationVar(&x.wait, "wait", 2*time.Minute, "how long an operator may take to fill what was adopted")
	f.StringVar(&x.report, "report", "", "a report of check -o json, for -finding")
	f.StringVar(&x.finding, "finding", "", "the fingerprint of a finding in the report")
	return c
}

type command struct {
	*session.Session
	Config
	now     func() time.Time
	flags   cluster.Flags
	options remedy.Options
	adopt   adoption.Options
	logs    []string
	wait    time.Duration
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
	if mend.Plan == nil {
		return x.adoptSecret(c.Context(), config, target)
	}
	if len(x.logs) > 0 {
		if x.options.Activity, err = evidence.Activity(x.logs, x.Env.Stdin); err != nil {
			return err
		}
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
	return x.do(c.Context(), config, plan, func() error { return x.applied(c.Context(), l, plan) })
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
	w, err := reach.Look(ctx, l.remedy, l.target, x.options)
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
		head := "# " + printable.Line(p.Does) + "\n"
		for _, r := range p.Risks {
			head += "# Look at this before: " + printable.Line(r) + "\n"
		}
		text = head + "#\n" + text + "# Nothing is changed yet: commit this, or add -apply.\n"
	}
	_, err = fmt.Fprint(x.Env.Stdout, text)
	return err
}

// do has a plan applied, after what to look at before, and runs its check again.
func (x *command) do(ctx context.Context, config *rest.Config, p *remedy.Plan, apply func() error) error {
	before, err := x.findings(ctx, config, p)
	if err != nil {
		return err
	}
	for _, r := range p.Risks {
		x.Warn([]string{"look at this: " + r})
	}
	if err := apply(); err != nil {
		return err
	}
	after, err := x.findings(ctx, config, p)
	if err != nil {
		return errs.Newf(errs.KindOf(err), "it is done, and running %s again failed: %w", p.Check, err)
	}
	var left, fresh []string
	for print, f := range after.found {
		if concerns(p, &f) {
			left = append(left, f.Rule+" of "+f.Object.String()+" "+f.Field)
		} else if _, old := before.found[print]; !old {
			fresh = append(fresh, f.Rule+" of "+f.Object.String()+" "+f.Field)
		}
	}
	slices.Sort(left)
	slices.Sort(fresh)
	out := done{p, left, fresh, after.unread}
	if err := x.Print(out, session.Row{"Step", "Object"}, out.rows()); err != nil {
		return err
	}
	switch {
	case len(left)+len(fresh) > 0:
		return session.Exit(exitLeft)
	case len(after.unread) > 0:
		return session.Exit(exitUnknown)
	}
	return nil
}

// again is how often a plan is made anew because an object has changed that the plan
// does not mind: a status that a controller writes, say.
const again = 10

// applied applies p, which was made before: what is there is looked at once more, and
// is to give the same plan; once something is done, the rest of it.
func (x *command) applied(ctx context.Context, l *look, p *remedy.Plan) error {
	rest := *p
	for n := 0; ; n++ {
		fresh, err := x.plan(ctx, l)
		if errs.Is(err, errs.Conflict) && n < again {
			continue
		}
		if err != nil {
			return err
		}
		if !same(fresh, &rest) {
			return errs.Newf(errs.Conflict, "%s changed meanwhile, and %d of %d steps were done: look at the plan again", p.Object, len(p.Steps)-len(rest.Steps), len(p.Steps))
		}
		var stopped *remedy.Stopped
		err = remedy.Apply(ctx, l.client, fresh, false)
		if !errs.Is(err, errs.Conflict) || !errors.As(err, &stopped) || n >= again {
			return err
		}
		rest.Steps = rest.Steps[stopped.Done:]
	}
}

func same(a, b *remedy.Plan) bool {
	x, errX := a.YAML()
	y, errY := b.YAML()
	return errX == nil && errY == nil && x == y
}

// exitLeft is the exit code where the check, run again, still finds something.
const exitLeft = 10

// exitUnknown is the exit code where the check, run again, could not see what it needs:
// it is done, and whether it helped is not known.
const exitUnknown = 11

// done is what -apply prints as JSON.
type done struct {
	*remedy.Plan
	// Left is what the check still finds of the object, New what it did not before.
	Left []string `json:"left,omitempty"`
	New  []string `json:"new,omitempty"`
	// Unread is what the check needs and could not read: then nothing found proves nothing.
	Unread []string `json:"unread,omitempty"`
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
	for _, m := range d.Unread {
		rows = append(rows, session.Row{"cannot tell", "whether " + d.Check + " finds more: " + m})
	}
	if len(d.Left)+len(d.New)+len(d.Unread) == 0 {
		rows = append(rows, session.Row{"checked again", d.Check + " finds nothing more of " + d.Object.String()})
	}
	return rows
}

func concerns(p *remedy.Plan, f *check.Marked) bool {
	is := func(r snapshot.Ref) bool {
		return f.Object.Kind == r.Kind && f.Object.Namespace == r.Namespace && f.Object.Name == r.Name
	}
	return (is(p.Object) || slices.ContainsFunc(p.Also, is)) && slices.Contains(p.Rules, f.Rule) && (p.Field == "" || p.Field == f.Field)
}

// result is what the check of a plan found, by fingerprint, and what it needs and could
// not read where the plan is about.
type result struct {
	found  map[string]check.Marked
	unread []string
}

// findings runs the check of a plan.
func (x *command) findings(ctx context.Context, config *rest.Config, p *remedy.Plan) (_ *result, err error) {
	i := slices.IndexFunc(x.Checks, func(c check.Check) bool { return c.ID == p.Check })
	if i < 0 {
		return nil, errs.Newf(errs.Internal, "there is no check %s", p.Check)
	}
	namespaces := []string{p.Object.Namespace}
	for _, r := range p.Also {
		namespaces = append(namespaces, r.Namespace)
	}
	var key *fingerprint.Key
	if p.Values {
		secret := make([]byte, fingerprint.KeySize)
		_, _ = rand.Read(secret) // it never fails
		if key, err = fingerprint.NewKey(secret); err != nil {
			return nil, err
		}
	}
	seen, err := x.readWith(ctx, config, key, namespaces...)
	if err != nil {
		return nil, err
	}
	out := &result{found: map[string]check.Marked{}, unread: unread(seen.Coverage, x.Checks[i].Needs, namespaces)}
	report := check.Run(x.Checks[i:i+1], check.NewInput(seen, x.now(), check.Settings{}), nil, nil)
	for _, f := range report.Results[0].Findings {
		out.found[f.Fingerprint] = f
	}
	return out, nil
}

// unread are those of needs that were not read in all of namespaces. Values of Secrets are
// not needed: what remedies of copies are about is in workloads and ConfigMaps.
func unread(c snapshot.Coverage, needs, namespaces []string) []string {
	var out []string
	for _, n := range needs {
		gap, asked := c[n]
		elsewhere := gap.Namespaces != nil && !slices.ContainsFunc(gap.Namespaces, func(ns string) bool { return slices.Contains(namespaces, ns) })
		if n != "secrets/values" && (!asked || gap.Reason != "" && !elsewhere) {
			out = append(out, c.Missing(n)...)
		}
	}
	return out
}

// read makes a snapshot without anything of values.
func (x *command) read(ctx context.Context, config *rest.Config, namespaces ...string) (*snapshot.Snapshot, error) {
	return x.readWith(ctx, config, nil, namespaces...)
}

// readWith makes one with fingerprints, if there is a key, so that it has what values look
// like.
func (x *command) readWith(ctx context.Context, config *rest.Config, key *fingerprint.Key, namespaces ...string) (*snapshot.Snapshot, error) {
	namespaces = slices.DeleteFunc(slices.Clone(namespaces), func(ns string) bool { return ns == "" })
	slices.Sort(namespaces)
	seen, err := read.Live(ctx, config, read.Options{Now: x.now(), Whole: true, Key: key, Namespaces: slices.Compact(namespaces)})
	return seen, cluster.Explain(err, "looking at the cluster")
}
