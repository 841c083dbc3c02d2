package sec10

import (
	"slices"

	"k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit/policy"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// target is a resource that is asked about, and what its requests mean.
type target struct {
	group, resource, sub string
	verbs                []string
	// content says that bodies hold values: a level above Metadata writes them down.
	content bool
	// access says that whoever makes such requests gets at Secrets, so that they
	// have to be logged; direct that they are of Secrets themselves.
	access, direct bool
}

// name is as policies write it.
func (t *target) name() string {
	if t.sub == "" {
		return t.resource
	}
	return t.resource + "/" + t.sub
}

// all are the verbs of requests of objects.
var all = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}

const rbac = "rbac.authorization.k8s.io"

// targets are what is asked about, a line each.
var targets = []target{
	{resource: "secrets", verbs: all, content: true, access: true, direct: true},
	{resource: "configmaps", verbs: all, content: true},
	{resource: "serviceaccounts", sub: "token", verbs: []string{"create"}, content: true, access: true},
	{group: "authentication.k8s.io", resource: "tokenreviews", verbs: []string{"create"}, content: true},
	{resource: "pods", sub: "exec", verbs: []string{"create", "get"}, access: true},
	{resource: "pods", sub: "attach", verbs: []string{"create", "get"}, access: true},
	{resource: "pods", sub: "ephemeralcontainers", verbs: []string{"update", "patch"}, access: true},
	{resource: "nodes", sub: "proxy", verbs: []string{"create", "get"}, access: true},
	{group: rbac, resource: "roles", verbs: []string{"create", "update", "patch"}, access: true},
	{group: rbac, resource: "clusterroles", verbs: []string{"create", "update", "patch"}, access: true},
	{group: rbac, resource: "rolebindings", verbs: []string{"create", "update", "patch"}, access: true},
	{group: rbac, resource: "clusterrolebindings", verbs: []string{"create", "update", "patch"}, access: true},
}

// ruling is what a policy says of one request. rule is the index of the first rule
// that matches, -1 if none does.
type ruling struct {
	rule   int
	level  audit.Level
	logged bool // some stage of it is written
}

// evaluator asks Kubernetes' own, of the whole policy and of each rule alone.
type evaluator struct {
	whole func(authorizer.Attributes) (audit.Level, []audit.Stage)
	rules []func(authorizer.Attributes) bool
}

func newEvaluator(p *audit.Policy) *evaluator {
	e := &evaluator{}
	for i := range p.Rules {
		one := p.Rules[i].DeepCopy()
		one.Level = audit.LevelMetadata
		alone := policy.NewPolicyRuleEvaluator(&audit.Policy{Rules: []audit.PolicyRule{*one}})
		e.rules = append(e.rules, func(a authorizer.Attributes) bool { return alone.EvaluatePolicyRule(a).Level == audit.LevelMetadata })
	}
	whole := policy.NewPolicyRuleEvaluator(p.DeepCopy())
	e.whole = func(a authorizer.Attributes) (audit.Level, []audit.Stage) {
		c := whole.EvaluatePolicyRule(a)
		return c.Level, c.OmitStages
	}
	return e
}

func (e *evaluator) ask(a authorizer.Attributes) ruling {
	level, omitted := e.whole(a)
	r := ruling{rule: -1, level: level}
	for i, matches := range e.rules {
		if matches(a) {
			r.rule = i
			break
		}
	}
	// Watches and connections write ResponseStarted too; one of the others is enough.
	r.logged = level != audit.LevelNone && (!slices.Contains(omitted, audit.StageResponseComplete) || !slices.Contains(omitted, audit.StageRequestReceived))
	return r
}

// asker is somebody whom requests are by.
type asker struct {
	who user.Info
	// builtin: Kubernetes' own component.
	builtin bool
}

// world is everything that a policy tells apart: whom, where, by which name.
type world struct {
	askers     []asker
	namespaces []string
	names      []string
}

const authenticated = "system:authenticated"

func newWorld(p *audit.Policy) *world {
	w := &world{
		namespaces: []string{"shop", "kube-system"}, names: []string{"db"},
		askers: []asker{
			{&user.DefaultInfo{Name: "jane@example.com", Groups: []string{authenticated}}, false},
			{&user.DefaultInfo{Name: "root", Groups: []string{"system:masters", authenticated}}, false},
			{&user.DefaultInfo{Name: "system:serviceaccount:shop:default", Groups: []string{"system:serviceaccounts", "system:serviceaccounts:shop", authenticated}}, false},
			{&user.DefaultInfo{Name: "system:node:node-1", Groups: []string{"system:nodes", authenticated}}, true},
			{&user.DefaultInfo{Name: "system:kube-controller-manager", Groups: []string{authenticated}}, true},
		},
	}
	for i := range p.Rules {
		w.learn(&p.Rules[i])
	}
	return w
}

// learn takes in whom and what a rule names.
func (w *world) learn(r *audit.PolicyRule) {
	for _, name := range r.Users {
		w.meet(&user.DefaultInfo{Name: name, Groups: []string{authenticated}})
	}
	for _, group := range r.UserGroups {
		if group != authenticated {
			w.meet(&user.DefaultInfo{Name: "a member of " + group, Groups: []string{group, authenticated}})
		}
	}
	for _, n := range r.Namespaces {
		if n != "" && !slices.Contains(w.namespaces, n) {
			w.namespaces = append(w.namespaces, n)
		}
	}
	for _, g := range r.Resources {
		for _, n := range g.ResourceNames {
			if n != "" && !slices.Contains(w.names, n) {
				w.names = append(w.names, n)
			}
		}
	}
}

// enough bounds each list of a hostile policy.
const enough = 64

func (w *world) meet(u *user.DefaultInfo) {
	if len(w.askers) >= enough || slices.ContainsFunc(w.askers, func(a asker) bool { return a.who.GetName() == u.Name }) {
		return
	}
	w.askers = append(w.askers, asker{u, component(u)})
}

// component reports whether u is one of Kubernetes' own.
func component(u *user.DefaultInfo) bool {
	own := []string{"system:kube-proxy", "system:kube-controller-manager", "system:kube-scheduler", "system:apiserver"}
	return slices.Contains(own, u.Name) || slices.Contains(u.Groups, "system:nodes")
}

// requests calls f with every request about t.
func (w *world) requests(t *target, f func(asker, authorizer.Attributes)) {
	for _, a := range w.askers {
		for _, verb := range t.verbs {
			for _, namespace := range w.namespaces[:min(enough, len(w.namespaces))] {
				for _, name := range w.names[:min(enough, len(w.names))] {
					f(a, request(a, t, verb, namespace, name))
				}
			}
		}
	}
}

func request(a asker, t *target, verb, namespace, name string) authorizer.Attributes {
	switch t.resource {
	case "nodes", "tokenreviews", "clusterroles", "clusterrolebindings":
		namespace = ""
	}
	if verb == "deletecollection" || verb == "create" && t.sub == "" {
		name = "" // a body names it, the request does not
	}
	return authorizer.AttributesRecord{
		User: a.who, Verb: verb, Namespace: namespace, APIGroup: t.group, APIVersion: "v1",
		Resource: t.resource, Subresource: t.sub, Name: name, ResourceRequest: true,
	}
}
