package path

import (
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
)

// Kind is what a capability lets somebody do.
type Kind string

// What rights come down to. The words are stable: programs read them.
const (
	Read             Kind = "Read"            // the Secret itself
	CreatePods       Kind = "CreatePods"      // pods: they mount any Secret and run as any ServiceAccount of the namespace
	CreateWorkloads  Kind = "CreateWorkloads" // the same, by what makes pods of a template
	ChangePods       Kind = "ChangePods"      // another image in a running pod
	DebugPods        Kind = "DebugPods"       // an ephemeral container in a running pod
	ExecPods         Kind = "ExecPods"        // commands in a running pod
	CreateTokens     Kind = "CreateTokens"    // tokens of a ServiceAccount by TokenRequest
	CreateSecrets    Kind = "CreateSecrets"   // with Read: tokens by Secrets of type service-account-token
	ImpersonateUser  Kind = "ImpersonateUser"
	ImpersonateGroup Kind = "ImpersonateGroup"
	ImpersonateRobot Kind = "ImpersonateServiceAccount"
	BorrowUser       Kind = "BorrowUser" // constrained impersonation: a named verb at a time
	BorrowGroup      Kind = "BorrowGroup"
	BorrowRobot      Kind = "BorrowServiceAccount"
	BorrowNode       Kind = "BorrowNode"
	BorrowHost       Kind = "BorrowAssociatedNode" // the same, of the node that one's pod runs on
	MapUsers         Kind = "MapUsers"             // EKS: a ConfigMap says which groups people are in
	Bind             Kind = "Bind"                 // grant a role that one does not have
	Escalate         Kind = "Escalate"             // write more into a role than one has
	NodesProxy       Kind = "NodesProxy"           // the kubelet's API: commands in every pod of a node
	ApproveCSRs      Kind = "ApproveCSRs"          // a client certificate in any name
	WriteWebhooks    Kind = "WriteWebhooks"        // sees every Secret that is written from then on
	WritePolicies    Kind = "WritePolicies"        // changes every pod that is created from then on
	WriteAPIServices Kind = "WriteAPIServices"     // receives requests, with who makes them
	WriteStores      Kind = "WriteStores"          // the operator sends a Secret of the namespace to a server of one's choice
	PushSecrets      Kind = "PushSecrets"          // the operator writes a Secret of the namespace to a store
	ReadCopy         Kind = "ReadCopy"             // another object that holds the same value
	ApplyPods        Kind = "ApplyPods"            // pods of given names, by server-side apply
	ApplySecrets     Kind = "ApplySecrets"         // token Secrets of given names, by server-side apply
	DeputySends      Kind = "DeputySends"          // an operator sends a Secret of the namespace where its writer wants
	DeputyActs       Kind = "DeputyActs"           // an operator does what its own ServiceAccount may
	FetchSecrets     Kind = "FetchSecrets"         // ExternalSecrets: the operator fetches what a store has
	MirrorSecrets    Kind = "MirrorSecrets"        // Secrets that an operator fills with others that are offered
	LabelNamespaces  Kind = "LabelNamespaces"      // lifts Pod Security: a path for who creates pods there
	BreakOut         Kind = "BreakOut"             // a pod that is not confined: what its node has
)

// row is a line of the table: a request that, if a rule allows it, is a
// capability.
type row struct {
	kind                 Kind
	verbs                []string
	group, resource, sub string
	// nameless requests carry no name, so that a rule with resourceNames does not
	// allow them.
	nameless bool
	// cluster says that the object is in no namespace: only ClusterRoleBindings
	// allow it.
	cluster bool
	// applies is a creation by server-side apply, which carries a name: only rules
	// with resourceNames are it, the others are creations.
	applies bool
	// deputy is who acts for whoever writes the object.
	deputy *deputy
}

// authentication is the API group of who is borrowed by constrained impersonation.
const authentication = "authentication.k8s.io"

var (
	readers     = []string{"get", "list", "watch", "patch", "delete"}
	write       = []string{"create", "update", "patch"}
	change      = []string{"update", "patch"}
	enter       = []string{"create", "get"} // the API server takes a websocket by GET
	impersonate = []string{"impersonate"}
)

// workloads are what makes pods of a template, by group. What of it a cluster does
// not serve, nobody can write: Config.Serves says so.
var workloads = map[string][]string{
	"":                     {"replicationcontrollers", "podtemplates"},
	"apps":                 {"deployments", "daemonsets", "statefulsets", "replicasets"},
	"batch":                {"jobs", "cronjobs"},
	"argoproj.io":          {"rollouts", "workflows", "cronworkflows", "workflowtemplates"},
	"tekton.dev":           {"taskruns", "pipelineruns"},
	"serving.knative.dev":  {"services", "configurations"},
	"kubevirt.io":          {"virtualmachines"},
	"keda.sh":              {"scaledjobs"},
	"jobset.x-k8s.io":      {"jobsets"},
	"ray.io":               {"rayjobs", "rayclusters"},
	"sparkoperator.k8s.io": {"sparkapplications"},
	"kubeflow.org":         {"pytorchjobs", "tfjobs", "mpijobs"},
}

// table returns the rows, for a cluster that serves what serves says.
func table(serves func(group, resource string) bool) []row {
	rows := []row{
		// patch answers with the object, delete and deletecollection with what they
		// would delete if it is a dry run.
		{kind: Read, verbs: readers, resource: "secrets"},
		{kind: Read, verbs: []string{"deletecollection"}, resource: "secrets", nameless: true},
		{kind: CreatePods, verbs: []string{"create"}, resource: "pods", nameless: true},
		{kind: ChangePods, verbs: change, resource: "pods"},
		{kind: DebugPods, verbs: change, resource: "pods", sub: "ephemeralcontainers"},
		{kind: ExecPods, verbs: enter, resource: "pods", sub: "exec"},
		{kind: ExecPods, verbs: enter, resource: "pods", sub: "attach"},
		{kind: CreateTokens, verbs: []string{"create"}, resource: "serviceaccounts", sub: "token"},
		{kind: CreateSecrets, verbs: []string{"create"}, resource: "secrets", nameless: true},
		{kind: ApplyPods, verbs: []string{"create"}, resource: "pods", applies: true},
		{kind: ApplySecrets, verbs: []string{"create"}, resource: "secrets", applies: true},
		{kind: LabelNamespaces, verbs: change, resource: "namespaces"},
		{kind: ImpersonateUser, verbs: impersonate, resource: "users", cluster: true},
		{kind: ImpersonateGroup, verbs: impersonate, resource: "groups", cluster: true},
		{kind: ImpersonateRobot, verbs: impersonate, resource: "serviceaccounts"},
		{kind: BorrowUser, verbs: []string{"impersonate:user-info"}, group: authentication, resource: "users", cluster: true},
		{kind: BorrowGroup, verbs: []string{"impersonate:user-info"}, group: authentication, resource: "groups", cluster: true},
		{kind: BorrowRobot, verbs: []string{"impersonate:serviceaccount"}, group: authentication, resource: "serviceaccounts"},
		{kind: BorrowNode, verbs: []string{"impersonate:arbitrary-node"}, group: authentication, resource: "nodes", cluster: true},
		{kind: BorrowHost, verbs: []string{"impersonate:associated-node"}, group: authentication, resource: "nodes", cluster: true},
		{kind: Bind, verbs: []string{"bind"}, group: rbacv1.GroupName, resource: "clusterroles"},
		{kind: Bind, verbs: []string{"bind"}, group: rbacv1.GroupName, resource: "roles"},
		{kind: Escalate, verbs: []string{"escalate"}, group: rbacv1.GroupName, resource: "clusterroles", cluster: true},
		{kind: Escalate, verbs: []string{"escalate"}, group: rbacv1.GroupName, resource: "roles"},
		{kind: NodesProxy, verbs: enter, resource: "nodes", sub: "proxy", cluster: true},
		{kind: ApproveCSRs, verbs: change, group: "certificates.k8s.io", resource: "certificatesigningrequests", sub: "approval", cluster: true},
		{kind: WriteWebhooks, verbs: write, group: "admissionregistration.k8s.io", resource: "validatingwebhookconfigurations", cluster: true},
		{kind: WriteWebhooks, verbs: write, group: "admissionregistration.k8s.io", resource: "mutatingwebhookconfigurations", cluster: true},
		{kind: WritePolicies, verbs: write, group: "admissionregistration.k8s.io", resource: "mutatingadmissionpolicies", cluster: true},
		{kind: WriteAPIServices, verbs: write, group: "apiregistration.k8s.io", resource: "apiservices", cluster: true},
	}
	for _, group := range slices.Sorted(maps.Keys(workloads)) {
		for _, r := range workloads[group] {
			if group == "" || group == "apps" || group == "batch" || serves(group, r) {
				rows = append(rows, row{kind: CreateWorkloads, verbs: write, group: group, resource: r})
				rows = append(rows, copied(group, r)...)
			}
		}
	}
	rows = append(rows, row{kind: MapUsers, verbs: change, resource: "configmaps"}, row{kind: MapUsers, verbs: []string{"create"}, resource: "configmaps", nameless: true})
	rows = append(rows, copied("", "configmaps")...)
	rows = append(rows, copied("apps", "controllerrevisions")...)
	rows = append(rows, copied("", "pods")...)
	return append(rows, acting(serves)...)
}

// copied are the rows of reading what may hold a copy.
func copied(group, resource string) []row {
	return []row{
		{kind: ReadCopy, verbs: readers, group: group, resource: resource},
		{kind: ReadCopy, verbs: []string{"deletecollection"}, group: group, resource: resource, nameless: true},
	}
}

// Capability is one rule of one binding that lets its subjects do what Kind says:
// in Namespace, or everywhere if that is empty, to the objects in Names, or to all
// if that is nil.
type Capability struct {
	Kind      Kind
	Group     string // API group of Resource
	Resource  string // with its subresource, "pods/exec"
	Namespace string
	Names     []string
	Grant     access.Grant

	deputy *deputy
	// cluster says that no RoleBinding gives it.
	cluster bool
}

// reaches reports whether c is about name in namespace.
func (c *Capability) reaches(namespace, name string) bool {
	return (c.Namespace == "" || c.Namespace == namespace) && (c.Names == nil || slices.Contains(c.Names, name))
}

// Rule is the rule that c comes from.
func (c *Capability) Rule() *rbacv1.PolicyRule { return &c.Grant.Binding.Role.Rules[c.Grant.Rule] }

// allows reports whether rule allows a request of the row, and to which names.
func (r *row) allows(rule *rbacv1.PolicyRule) (names []string, ok bool) {
	open := *rule
	open.ResourceNames = nil
	if !access.AllowedBy([]rbacv1.PolicyRule{open}, access.Request{Group: r.group, Resource: r.resource, Subresource: r.sub}, r.verbs...) {
		return nil, false
	}
	if r.applies {
		return rule.ResourceNames, len(rule.ResourceNames) > 0
	}
	if len(rule.ResourceNames) == 0 {
		return nil, true
	}
	// A rule that names objects and gives create besides other verbs: those that
	// carry a name are left.
	return rule.ResourceNames, !r.nameless && !slices.Equal(access.Granted(rule, r.verbs), []string{"create"}) || r.sub != ""
}

// resource is the resource of a row with its subresource.
func (r *row) name() string {
	if r.sub == "" {
		return r.resource
	}
	return r.resource + "/" + r.sub
}

// rows are the table, and where in it a resource is.
type rows struct {
	all []row
	at  map[string][]int // by the resource with its subresource, ascending
}

func newRows(all []row) *rows {
	out := &rows{all: all, at: map[string][]int{}}
	for i := range all {
		name := all[i].name()
		out.at[name] = append(out.at[name], i)
	}
	return out
}

// about returns those rows that a rule may allow by the resources that it names, in
// the order of the table: all, if it names some by a star. room is where to put them.
func (t *rows) about(rule *rbacv1.PolicyRule, room []int) []int {
	room = room[:0]
	for _, name := range rule.Resources {
		if strings.HasPrefix(name, "*") {
			room = room[:0]
			for i := range t.all {
				room = append(room, i)
			}
			return room
		}
		room = append(room, t.at[name]...)
	}
	slices.Sort(room)
	return slices.Compact(room)
}

// capabilities returns what b gives.
func (t *rows) capabilities(b *access.Binding) []Capability {
	var out []Capability
	if b.Role == nil || len(b.Subjects) == 0 {
		return nil
	}
	var room []int
	for i := range b.Role.Rules {
		rule := &b.Role.Rules[i]
		room = t.about(rule, room)
		for _, j := range room {
			r := &t.all[j]
			if r.cluster && b.Namespace != "" {
				continue
			}
			if names, ok := r.allows(rule); ok {
				out = append(out, Capability{Kind: r.kind, Group: r.group, Resource: r.name(), Namespace: b.Namespace, Names: names, Grant: access.Grant{Binding: b, Rule: i}, deputy: r.deputy, cluster: r.cluster})
			}
		}
	}
	return out
}
