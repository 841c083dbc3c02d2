package whocan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/cli/look"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
	"github.com/strongkeep/strongkeep/internal/kube/posture/trace"
)

// Commands returns who-can and what-can.
func Commands(s *session.Session) []*cobra.Command {
	x := &commands{Session: s, now: time.Now}
	return []*cobra.Command{x.whoCan(), x.whatCan()}
}

// commands make the commands, which share the session and flags.
type commands struct {
	*session.Session
	now func() time.Time
}

// needed are the resources without which the answer is not whole.
var needed = []string{"roles", "clusterroles", "rolebindings", "clusterrolebindings"}

// warnMissing says what the answer is missing. Without RBAC there is none.
func (x *commands) warnMissing(s *snapshot.Snapshot) error {
	if missing := s.Coverage.Missing(needed...); len(missing) > 0 && len(s.RBAC.ClusterRoleBindings)+len(s.RBAC.RoleBindings) == 0 {
		return errs.Newf(errs.Denied, "cannot tell: %s. It takes get and list on the four kinds of rbac.authorization.k8s.io", strings.Join(missing, "; "))
	}
	var out []string
	for _, m := range s.Coverage.Missing(append(slices.Clone(needed), "pods", "resources", "namespaces")...) {
		out = append(out, m+": there may be more than is shown")
	}
	for _, r := range extra {
		if _, asked := s.Coverage[r]; asked && !s.Coverage.Whole(r) {
			out = append(out, s.Coverage.Missing(r)[0]+": there may be more than is shown")
		}
	}
	if !s.Live && len(s.Namespaces) == 0 && slices.ContainsFunc(s.Pods, func(p snapshot.Pod) bool { return p.Node != "" }) {
		out = append(out, "no namespaces are in the files, whose labels say who may make privileged pods: there may be more than is shown")
	}
	if !s.Coverage.Whole("secrets") {
		out = append(out, s.Coverage.Missing("secrets")[0]+": which of them a replicator hands out (MirrorSecrets) is not known")
	}
	if s.Key == "" {
		out = append(out, uncopied)
	}
	x.Warn(out)
	return nil
}

// uncopied is said of what has no fingerprints of values.
const uncopied = "copies of values (ReadCopy: in ConfigMaps, pods, workloads, releases) are not looked for, which takes values: save them as fingerprints by `strongkeep inventory -key-file=KEY -save=FILE`, and ask with -snapshot=FILE"

// extra are the resources of operators that act for others, which are read if the
// cluster has them.
var extra = []string{"externalsecrets.external-secrets.io", "pushsecrets.external-secrets.io", "clustersecretstores.external-secrets.io", "secretstores.external-secrets.io", "appprojects.argoproj.io"}

func (x *commands) whoCan() *cobra.Command {
	var from look.Flags
	var builtin, all bool
	var without []string
	c := &cobra.Command{
		Use: "who-can NAME | NAMESPACE/NAME | NAMESPACE/ | -all", Short: "Show who gets at a Secret: by which right, and by which detours", Args: session.Args(0, 1),
		Long: `Show who gets at the content of a Secret: who may read it, and who may create
pods, run commands in one, make tokens, impersonate, or grant themselves more, so
that they do in the end. Each with the shortest chain, and the bindings in it.

RBAC is decided as Kubernetes does. What is needed to ask: get and list on roles,
clusterroles, rolebindings, clusterrolebindings, and list on pods and the names of
Secrets; what may not be read is said. No Secret's content is read.`,
		Example: "  strongkeep who-can shop/db\n  strongkeep who-can shop/\n  strongkeep who-can shop/db -without=rolebinding/shop/deployers\n  kubectl get -A -o yaml roles,rolebindings,clusterroles,clusterrolebindings,pods | strongkeep who-can shop/db -f -",
		RunE: func(c *cobra.Command, given []string) error {
			if all == (len(given) == 1) {
				return errs.New(errs.Invalid, "say NAME, NAMESPACE/NAME, NAMESPACE/ or -all: one of them")
			}
			seen, err := from.Read(c.Context(), x.Session, x.now())
			if err != nil {
				return err
			}
			s := seen.Snapshot
			if err := x.warnMissing(s); err != nil {
				return err
			}
			if all || strings.HasSuffix(given[0], "/") {
				return x.survey(s, given, without, builtin)
			}
			secret, err := named(given[0], seen.Namespace)
			if err != nil {
				return err
			}
			return x.answer(s, secret, without, builtin)
		},
	}
	f := c.Flags()
	from.Add(f)
	f.BoolVar(&all, "all", false, "add up who gets at how many Secrets of the cluster")
	f.BoolVar(&builtin, "builtin", false, "list Kubernetes' own controllers, nodes and superusers too")
	f.StringSliceVar(&without, "without", nil, "what if this binding were not there: rolebinding/NAMESPACE/NAME or clusterrolebinding/NAME")
	return c
}

// named takes NAME or NAMESPACE/NAME.
func named(given, namespace string) (path.Name, error) {
	ns, name, ok := strings.Cut(given, "/")
	if !ok {
		ns, name = namespace, given
	}
	if ns == "" || name == "" || strings.Contains(name, "/") {
		return path.Name{}, errs.Newf(errs.Invalid, "%q is neither NAME nor NAMESPACE/NAME of a Secret", given)
	}
	return path.Name{Namespace: ns, Name: name}, nil
}

// leaveOut returns o without the bindings that are named.
func leaveOut(o access.Objects, names []string) (access.Objects, error) {
	for _, n := range names {
		kind, rest, _ := strings.Cut(n, "/")
		before := len(o.RoleBindings) + len(o.ClusterRoleBindings)
		switch strings.ToLower(kind) {
		case "rolebinding":
			o.RoleBindings = slices.DeleteFunc(slices.Clone(o.RoleBindings), func(b rbacv1.RoleBinding) bool { return b.Namespace+"/"+b.Name == rest })
		case "clusterrolebinding":
			o.ClusterRoleBindings = slices.DeleteFunc(slices.Clone(o.ClusterRoleBindings), func(b rbacv1.ClusterRoleBinding) bool { return b.Name == rest })
		default:
			return o, errs.Newf(errs.Invalid, "-without=%q names no binding: say rolebinding/NAMESPACE/NAME or clusterrolebinding/NAME", n)
		}
		if before == len(o.RoleBindings)+len(o.ClusterRoleBindings) {
			return o, errs.Newf(errs.NotExist, "-without=%q: there is no such binding", n)
		}
	}
	return o, nil
}

// copying is the Finder of s, which follows copies if s has fingerprints of values,
// as a snapshot has that was saved by a command which makes them.
func copying(s *snapshot.Snapshot) (*path.Finder, error) {
	config := s.Paths()
	if s.Key != "" {
		g, err := trace.New(trace.Config{Clusters: []trace.Cluster{{Snapshot: s}}})
		if err != nil {
			return nil, err
		}
		config.Copies = g.Copies("")
	}
	return path.New(config), nil
}

// answer prints who gets at a Secret.
func (x *commands) answer(s *snapshot.Snapshot, secret path.Name, without []string, builtin bool) error {
	if s.Coverage.Whole("secrets") && s.Live && !slices.Contains(s.Names(), secret) {
		x.Warn([]string{fmt.Sprintf("there is no Secret %s; this is who would get at it", secret)})
	}
	f, err := copying(s)
	if err != nil {
		return err
	}
	before := f.Readers(secret)
	readers := before
	if len(without) > 0 {
		rbac, err := leaveOut(s.RBAC, without)
		if err != nil {
			return err
		}
		rest := *s
		rest.RBAC = rbac
		after, err := copying(&rest)
		if err != nil {
			return err
		}
		readers = after.Readers(secret)
	}
	a := shape(secret, readers, builtin)
	if len(without) > 0 {
		a.Gone = gone(before, readers)
	}
	header, rows := a.rows()
	return x.Print(a, header, rows)
}
