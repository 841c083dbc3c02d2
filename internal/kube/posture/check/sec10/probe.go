package sec10

import (
	"slices"
	"strings"

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
	// more says that the policy tells more apart than are asked about.
	more bool
}

// Groups that the API server puts users into by itself.
const (
	authenticated   = "system:authenticated"
	unauthenticated = "system:unauthenticated"
	accounts        = "system:serviceaccounts"
	nodes           = "system:nodes"
)

func newWorld(p *audit.Policy) *world {
	w := &world{namespaces: []string{"shop", "kube-system"}, names: []string{"db"}}
	for _, name := range []string{"jane@example.com", accountPrefix + "shop:default", nodePrefix + "node-1", "system:kube-controller-manager"} {
		w.meet(name)
	}
	w.meet("root", "system:masters")
	for i := range p.Rules {
		w.learn(&p.Rules[i])
	}
	return w
}

// learn takes in whom and what a rule names. A rule that names users and groups is
// about those users while they are in one of those groups.
func (w *world) learn(r *audit.PolicyRule) {
	for _, name := range r.Users {
		w.meet(name)
		for _, group := range r.UserGroups {
			if _, fixed := groupsOf(name); !fixed {
				w.meet(name, group)
			}
		}
	}
	for _, group := range r.UserGroups {
		w.member(group)
	}
	for _, n := range r.Namespaces {
		w.namespaces = w.put(w.namespaces, n)
	}
	for _, g := range r.Resources {
		for _, n := range g.ResourceNames {
			w.names = w.put(w.names, n)
		}
	}
}

// enough bounds each list of a hostile policy.
const enough = 64

func (w *world) put(list []string, one string) []string {
	switch {
	case one == "" || slices.Contains(list, one):
		return list
	case len(list) >= enough:
		w.more = true
		return list
	}
	return append(list, one)
}

const (
	accountPrefix = "system:serviceaccount:"
	nodePrefix    = "system:node:"
)

// groupsOf are the groups of a user by its name; fixed says that it has no others.
func groupsOf(name string) (groups []string, fixed bool) {
	if account, ok := strings.CutPrefix(name, accountPrefix); ok {
		namespace, _, _ := strings.Cut(account, ":")
		return []string{accounts, accounts + ":" + namespace, authenticated}, true
	}
	switch {
	case strings.HasPrefix(name, nodePrefix):
		return []string{nodes, authenticated}, true
	case name == "system:anonymous":
		return []string{unauthenticated}, true
	}
	return []string{authenticated}, false
}

// member meets somebody who is in a group.
func (w *world) member(group string) {
	namespace, account := strings.CutPrefix(group, accounts+":")
	switch {
	case account:
		w.meet(accountPrefix + namespace + ":default")
	case group == unauthenticated:
		w.meet("system:anonymous")
	case group != authenticated && group != accounts && group != nodes: // of these there is somebody
		w.meet("a member of "+group, group)
	}
}

// meet takes in a user, who may be in more groups than the API server knows by the name.
func (w *world) meet(name string, more ...string) {
	groups, _ := groupsOf(name)
	u := &user.DefaultInfo{Name: name, Groups: append(slices.DeleteFunc(more, func(g string) bool { return slices.Contains(groups, g) }), groups...)}
	if slices.ContainsFunc(w.askers, func(a asker) bool { return a.who.GetName() == u.Name && slices.Equal(a.who.GetGroups(), u.Groups) }) {
		return
	}
	if len(w.askers) >= enough {
		w.more = true
		return
	}
	w.askers = append(w.askers, asker{u, component(u)})
}

// component reports whether u is one of Kubernetes' own.
func component(u *user.DefaultInfo) bool {
	own := []string{"system:kube-proxy", "system:kube-controller-manager", "system:kube-scheduler", "system:apiserver"}
	return slices.Contains(own, u.Name) || slices.Contains(u.Groups, nodes)
}

// requests calls f with every request about t.
func (w *world) requests(t *target, f func(asker, authorizer.Attributes)) {
	for _, a := range w.askers {
		for _, verb := range t.verbs {
			for _, namespace := range w.namespaces {
				for _, name := range w.names {
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
