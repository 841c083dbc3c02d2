package least

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/cli/evidence"
	"github.com/strongkeep/strongkeep/internal/cli/look"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/least"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Command returns least.
func Command(s *session.Session) *cobra.Command {
	x := &command{Session: s, now: time.Now}
	c := &cobra.Command{
		Use: "least NAMESPACE/ROLE | CLUSTERROLE", Short: "Show the smallest role that covers what was used of one", Args: session.Args(1, 1),
		Long: `Show which rights of a Role (NAMESPACE/NAME) or ClusterRole (NAME) were used, as an
audit log shows, and the smallest role that covers them, as YAML. Nothing is ever
added: what the new role allows, the old one does. Names are given (resourceNames)
where the API server knows them and they last.

A log shows only its own span. What happens less often is not in it: it is said how
long it is, and nothing is changed.`,
		Example: "  strongkeep least shop/app -from-audit=/var/log/kubernetes/audit.log\n  strongkeep least deployer -from-audit=audit.log,audit.log.1.gz -diff\n  kubectl get -A -o yaml roles,rolebindings,clusterroles,clusterrolebindings | strongkeep least shop/app -from-audit=audit.log -f -",
		RunE:    func(c *cobra.Command, given []string) error { return x.run(c, given[0]) },
	}
	f := c.Flags()
	x.from.Add(f)
	f.StringSliceVar(&x.logs, "from-audit", nil, "audit logs of the API server, also compressed; as EKS, AKS and GKE export them; - is standard input")
	f.BoolVar(&x.diff, "diff", false, "print what would change, as a diff")
	return c
}

type command struct {
	*session.Session
	now  func() time.Time
	from look.Flags
	logs []string
	diff bool
}

// answer is what is printed as JSON. Fields are only ever added.
type answer struct {
	Role       string   `json:"role"` // Kind namespace/name
	From       string   `json:"from"`
	To         string   `json:"to"`
	Requests   int      `json:"requests"`
	Bindings   []string `json:"bindings"`
	Idle       []string `json:"idleSubjects,omitempty"`
	Namespaces []string `json:"namespaces,omitempty"`
	Warnings   []string `json:"warnings"`
	// Before and After are the role as it is, and the smallest one.
	Before any    `json:"before"`
	After  any    `json:"after"`
	Diff   string `json:"diff,omitempty"`
}

func (x *command) run(c *cobra.Command, name string) error {
	if len(x.logs) == 0 {
		return errs.New(errs.Invalid, "say -from-audit=FILE: without an audit log nobody can tell what is used")
	}
	namespace, role, ok := strings.Cut(name, "/")
	if !ok {
		namespace, role = "", name
	}
	if role == "" || ok && namespace == "" || strings.Contains(role, "/") {
		return errs.Newf(errs.Invalid, "%q is neither NAMESPACE/ROLE nor the name of a ClusterRole", name)
	}
	s, err := x.rbac(c)
	if err != nil {
		return err
	}
	if err := aggregated(s, namespace, role); err != nil {
		return err
	}
	log, err := evidence.Activity(x.logs, x.Env.Stdin)
	if err != nil {
		return err
	}
	got, err := least.Of(access.New(s.RBAC), namespace, role, log)
	if err != nil {
		return err
	}
	return x.print(got, log.Lost)
}

// rbac reads the roles and bindings.
func (x *command) rbac(c *cobra.Command) (*snapshot.Snapshot, error) {
	seen, err := x.from.Read(c.Context(), x.Session, x.now())
	if err != nil {
		return nil, err
	}
	if missing := seen.Coverage.Missing("roles", "clusterroles", "rolebindings", "clusterrolebindings"); len(missing) > 0 {
		return nil, errs.New(errs.Denied, "cannot tell: "+strings.Join(missing, "; ")+". It takes get and list on the four kinds of rbac.authorization.k8s.io")
	}
	return seen.Snapshot, nil
}

// aggregated refuses a ClusterRole whose rules are those of others.
func aggregated(s *snapshot.Snapshot, namespace, name string) error {
	for i := range s.RBAC.ClusterRoles {
		if r := &s.RBAC.ClusterRoles[i]; namespace == "" && r.Name == name && r.AggregationRule != nil {
			return errs.New(errs.Unsupported, "ClusterRole "+name+" is put together of others by their labels (aggregationRule): ask about those, or bind a role of its own")
		}
	}
	return nil
}

func (x *command) print(got *least.Answer, lost int) error {
	before, after := object(got.Role, got.Role.Rules), object(got.Role, got.Rules)
	old, err := yaml.Marshal(before)
	if err != nil {
		return errs.Newf(errs.Internal, "writing YAML: %w", err)
	}
	text, err := yaml.Marshal(after)
	if err != nil {
		return errs.Newf(errs.Internal, "writing YAML: %w", err)
	}
	warnings := got.Caution(lost)
	if got.Role.Own() {
		warnings = append(warnings, "Kubernetes ships this role and restores it: bind a role of your own instead of changing it")
	}
	if got.Requests == 0 {
		warnings = append(warnings, "nothing that this role allows was asked for: the role, or its bindings, may not be needed")
	}
	change := string(diff.Diff("as it is", old, "as it was used", text))
	if x.Format != "table" {
		return x.Print(shape(got, warnings, before, after, change), nil, nil)
	}
	x.Warn(warnings)
	out := string(text)
	if x.diff {
		out = change
	}
	_, err = io.WriteString(x.Env.Stdout, out)
	return err
}

func shape(got *least.Answer, warnings []string, before, after any, change string) *answer {
	a := &answer{
		Role: got.Role.Kind() + " " + strings.TrimPrefix(got.Role.Namespace+"/"+got.Role.Name, "/"), From: got.From.UTC().Format(time.RFC3339), To: got.To.UTC().Format(time.RFC3339),
		Requests: got.Requests, Namespaces: got.Namespaces, Warnings: warnings, Before: before, After: after, Diff: change, Bindings: []string{},
	}
	for _, b := range got.Bindings {
		a.Bindings = append(a.Bindings, fmt.Sprintf("%s %s", b.Kind(), strings.TrimPrefix(b.Namespace+"/"+b.Name, "/")))
	}
	for _, s := range got.Idle {
		a.Idle = append(a.Idle, s.String())
	}
	return a
}

// object is a role with rules, to be applied. Rules are never null: a role
// without them grants nothing.
func object(r *access.Role, rules []rbacv1.PolicyRule) any {
	if rules == nil {
		rules = []rbacv1.PolicyRule{}
	}
	head := metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: r.Kind()}
	meta := map[string]any{"name": r.Name}
	if r.Namespace != "" {
		meta["namespace"] = r.Namespace
	}
	if len(r.Labels) > 0 {
		meta["labels"] = r.Labels
	}
	return struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        map[string]any      `json:"metadata"`
		Rules           []rbacv1.PolicyRule `json:"rules"`
	}{head, meta, rules}
}
