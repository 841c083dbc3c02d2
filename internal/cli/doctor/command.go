package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor/denied"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor/look"
)

// exitFound is the exit code of a run that found something.
const exitFound = 10

// Command returns doctor, which looks for symptoms.
func Command(s *session.Session, symptoms []doctor.Symptom) *cobra.Command {
	x := &commands{Session: s, symptoms: symptoms, now: time.Now}
	c := x.examine()
	c.AddCommand(x.denied())
	return c
}

type commands struct {
	*session.Session
	symptoms []doctor.Symptom
	now      func() time.Time
}

// kinds that may be asked about, by what people call them.
var kinds = map[string]string{
	"pod": "Pod", "pods": "Pod", "po": "Pod", "deployment": "Deployment", "deployments": "Deployment", "deploy": "Deployment",
	"statefulset": "StatefulSet", "statefulsets": "StatefulSet", "sts": "StatefulSet", "daemonset": "DaemonSet", "daemonsets": "DaemonSet", "ds": "DaemonSet",
	"job": "Job", "jobs": "Job", "cronjob": "CronJob", "cronjobs": "CronJob", "cj": "CronJob", "replicaset": "ReplicaSet", "rs": "ReplicaSet",
	"externalsecret": "ExternalSecret", "externalsecrets": "ExternalSecret", "es": "ExternalSecret", "secret": "Secret", "secrets": "Secret",
}

func (x *commands) examine() *cobra.Command {
	var flags cluster.Flags
	c := &cobra.Command{
		Use: "doctor [KIND NAME]", Short: "Say why something about a secret does not work: pods, ExternalSecrets, injections", Args: session.Args(0, 2),
		Long: `Say why something about a secret does not work: the cause, what was seen, and the
next command. KIND is pod, deployment, statefulset, daemonset, job, cronjob,
externalsecret or secret; NAME is NAME or NAMESPACE/NAME. Without them a whole
namespace is looked at, with -A every one.

It only reads, with your own rights; what you may not read is said on standard
error. No Secret's content is read. The exit code is 10 if something was found.`,
		Example: "  strongkeep doctor pod shop/web-5d9c7\n  strongkeep doctor externalsecret shop/db\n  strongkeep doctor -n shop\n  strongkeep doctor denied 'secrets \"db\" is forbidden: User \"system:serviceaccount:shop:web\" cannot get resource \"secrets\" in API group \"\" in the namespace \"shop\"'",
		RunE:    func(c *cobra.Command, given []string) error { return x.run(c, &flags, given) },
	}
	flags.AddAll(c.Flags())
	return c
}

func (x *commands) run(c *cobra.Command, flags *cluster.Flags, given []string) error {
	config, namespace, err := flags.Rest(x.Env)
	if err != nil {
		return err
	}
	config.QPS = -1
	target, err := targetOf(given, session.First(flags.Namespace, namespace, "default"), flags.All)
	if err != nil {
		return err
	}
	found, err := look.Live(c.Context(), config, look.Scope{Namespace: target.Namespace}, x.now())
	if err != nil {
		return cluster.Explain(err, "looking at the cluster")
	}
	if err := exists(found, target); err != nil {
		return err
	}
	found.Asked = target.Name != ""
	x.missing(found, "pods", "events", "secrets", "configmaps", "replicasets", "deployments", "externalsecrets", "secretstores", "clustersecretstores", "mutatingwebhookconfigurations")
	return x.show(doctor.Examine(found, x.symptoms, target), subject(target))
}

func subject(t doctor.Target) string {
	switch {
	case t.Name != "":
		return t.Kind + " " + t.Namespace + "/" + t.Name
	case t.Namespace != "":
		return "namespace " + t.Namespace
	}
	return "any namespace"
}

func targetOf(given []string, namespace string, all bool) (doctor.Target, error) {
	if len(given) == 0 {
		if all {
			namespace = ""
		}
		return doctor.Target{Namespace: namespace}, nil
	}
	// kubectl's way, KIND/NAME, counts too.
	if kind, name, ok := strings.Cut(given[0], "/"); ok && len(given) == 1 && kinds[strings.ToLower(kind)] != "" {
		given = []string{kind, name}
	}
	kind, known := kinds[strings.ToLower(given[0])]
	if !known {
		return doctor.Target{}, errs.Newf(errs.Invalid, "%q is no kind that is known here: use pod, deployment, statefulset, daemonset, job, cronjob, externalsecret or secret", given[0])
	}
	if len(given) == 1 {
		return doctor.Target{}, errs.Newf(errs.Invalid, "which %s? Give NAME or NAMESPACE/NAME", kind)
	}
	ns, name, ok := strings.Cut(given[1], "/")
	if !ok {
		ns, name = namespace, given[1]
	}
	if ns == "" || name == "" || strings.Contains(name, "/") {
		return doctor.Target{}, errs.Newf(errs.Invalid, "%q is neither NAME nor NAMESPACE/NAME", given[1])
	}
	return doctor.Target{Kind: kind, Namespace: ns, Name: name}, nil
}

// exists refuses what is not there, so far as it was read. A Secret that is missing
// is a good question.
func exists(c *doctor.Case, t doctor.Target) error {
	if t.Kind == "" || t.Kind == "Secret" || !c.Knows(strings.ToLower(t.Kind)+"s", t.Namespace) {
		return nil
	}
	names := there(c, t)
	if slices.Contains(names, t.Name) {
		return nil
	}
	if near := doctor.Near(t.Name, names); len(near) > 0 {
		return errs.Newf(errs.NotExist, "%s %s/%s does not exist; there is %s", t.Kind, t.Namespace, t.Name, strings.Join(near, ", "))
	}
	return errs.Newf(errs.NotExist, "%s %s/%s does not exist", t.Kind, t.Namespace, t.Name)
}

// there are the names of t's kind in its namespace.
func there(c *doctor.Case, t doctor.Target) []string {
	var names []string
	switch t.Kind {
	case "Pod":
		for i := range c.Pods {
			names = append(names, c.Pods[i].Name)
		}
	case "ExternalSecret":
		for i := range c.Externals {
			if c.Externals[i].Namespace == t.Namespace {
				names = append(names, c.Externals[i].Name)
			}
		}
	default:
		for i := range c.Workloads {
			if c.Workloads[i].Kind == t.Kind {
				names = append(names, c.Workloads[i].Name)
			}
		}
	}
	return names
}

// missing says on standard error what of resources could not be read.
func (x *commands) missing(c *doctor.Case, resources ...string) {
	var out []string
	for _, m := range c.Coverage.Missing(resources...) {
		out = append(out, m+": there may be more than is shown")
	}
	x.Warn(out)
}

func (x *commands) denied() *cobra.Command {
	var flags cluster.Flags
	var ask denied.Ask
	var resource string
	c := &cobra.Command{
		Use: "denied [TEXT]", Short: "Say why the API server refuses somebody something, and which right is missing", Args: session.Args(0, 1),
		Long: `Say why the API server refuses somebody something: which binding or rule nearly
allows it, as whom the application runs, and the smallest Role that allows it.
TEXT is what the API server said, as it stands in an application's log; or say who
and what with -as, -verb, -resource, -name and -n.`,
		Example: "  strongkeep doctor denied 'User \"system:serviceaccount:shop:web\" cannot get resource \"secrets\" in API group \"\" in the namespace \"shop\"'\n  strongkeep doctor denied -as=system:serviceaccount:shop:web -verb=get -resource=secrets -name=db -n shop",
		RunE: func(c *cobra.Command, given []string) error {
			if err := asked(&ask, given, resource, &flags); err != nil {
				return err
			}
			return x.runDenied(c, &flags, ask)
		},
	}
	f := c.Flags()
	flags.AddAll(f)
	f.StringVar(&ask.User, "as", "", "who was refused: a user's name, or system:serviceaccount:NAMESPACE:NAME")
	f.StringVar(&ask.Verb, "verb", "get", "what they wanted to do")
	f.StringVar(&resource, "resource", "", "RESOURCE, RESOURCE.GROUP or RESOURCE/SUBRESOURCE that they wanted to do it to")
	f.StringVar(&ask.Name, "name", "", "name of the object")
	return c
}

// asked makes the question of what was given.
func asked(ask *denied.Ask, given []string, resource string, flags *cluster.Flags) error {
	if len(given) == 1 {
		parsed, err := denied.Parse(given[0])
		if err != nil {
			return err
		}
		if ask.Name != "" {
			parsed.Name = ask.Name
		}
		*ask = parsed
		return nil
	}
	if ask.User == "" || resource == "" {
		return errs.New(errs.Invalid, "give what the API server said, or who and what: -as=system:serviceaccount:shop:web -resource=secrets")
	}
	ask.Resource, ask.Subresource, _ = strings.Cut(resource, "/")
	ask.Resource, ask.Group, _ = strings.Cut(ask.Resource, ".")
	ask.Namespace = flags.Namespace
	if ask.Namespace == "" && !flags.All {
		ask.Namespace = ask.Subject().Namespace
	}
	return nil
}

func (x *commands) runDenied(c *cobra.Command, flags *cluster.Flags, ask denied.Ask) error {
	config, _, err := flags.Rest(x.Env)
	if err != nil {
		return err
	}
	config.QPS = -1
	found, err := look.Live(c.Context(), config, look.Scope{Namespace: ask.Subject().Namespace, RBAC: true}, x.now())
	if err != nil {
		return cluster.Explain(err, "looking at the cluster")
	}
	rbac := []string{"roles", "clusterroles", "rolebindings", "clusterrolebindings"}
	if missing := found.Coverage.Missing(rbac...); len(missing) > 0 && len(found.RBAC.RoleBindings)+len(found.RBAC.ClusterRoleBindings) == 0 {
		return errs.Newf(errs.Denied, "cannot tell: %s. It takes list on the four kinds of rbac.authorization.k8s.io", strings.Join(missing, "; "))
	}
	x.missing(found, append(rbac, "pods", "serviceaccounts")...)
	return x.show(denied.Explain(found, ask), fmt.Sprintf("%s, %s", ask.User, ask))
}
