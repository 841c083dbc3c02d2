package least

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Answer is what was used of a role.
type Answer struct {
	Role     *access.Role
	Bindings []*access.Binding
	// Subjects are those that the role is bound to; Idle those of them who made no
	// request that it allows.
	Subjects, Idle []access.Subject
	// Rules are the smallest that cover what was used; none if nothing was.
	Rules []rbacv1.PolicyRule
	// Requests is how many were made that the role allows.
	Requests int
	// Namespaces are those of the requests, "" for the whole cluster.
	Namespaces []string
	From, To   time.Time

	seen uses
}

// Of compares a role with what was done. Namespace "" is a ClusterRole. A request
// that other roles of its user allow too counts as a use of this one: which one the
// API server went by the log need not say.
func Of(p *access.Policy, namespace, name string, a *snapshot.Activity) (*Answer, error) {
	role := p.Role(namespace, name)
	if role == nil {
		kind := "ClusterRole " + name
		if namespace != "" {
			kind = "Role " + namespace + "/" + name
		}
		return nil, errs.New(errs.NotExist, "there is no "+kind+"; a Role is named NAMESPACE/NAME, a ClusterRole NAME")
	}
	seen := uses{}
	out := &Answer{Role: role, From: a.From, To: a.To, seen: seen}
	used := map[access.Subject]bool{}
	for _, b := range p.Bindings() {
		if b.Role != role {
			continue
		}
		out.Bindings = append(out.Bindings, b)
		for _, s := range b.Subjects {
			if !slices.Contains(out.Subjects, s) {
				out.Subjects = append(out.Subjects, s)
			}
		}
		for i := range a.Acts {
			out.take(seen, used, b, &a.Acts[i])
		}
	}
	for _, s := range out.Subjects {
		if !used[s] {
			out.Idle = append(out.Idle, s)
		}
	}
	slices.Sort(out.Namespaces)
	out.Requests = seen.count()
	out.Rules = seen.rules()
	return out, nil
}

// Who returns the subjects of b that made an act: a user, and the groups that it is in.
func Who(b *access.Binding, act *snapshot.Act) []access.Subject {
	user := access.User(act.User).Canonical()
	groups := act.Groups
	if len(groups) == 0 { // some clouds do not log them
		groups = user.Identity().Groups
	}
	var out []access.Subject
	for _, s := range b.Subjects {
		if s == user || s.Kind == rbacv1.GroupKind && slices.Contains(groups, s.Name) {
			out = append(out, s)
		}
	}
	return out
}

// Covers reports whether b, by one of its rules, allows an act.
func Covers(b *access.Binding, act *snapshot.Act) bool {
	if act.Count == 0 || b.Role == nil || b.Namespace != "" && act.Namespace != b.Namespace {
		return false
	}
	r := access.Request{Verb: act.Verb, Group: act.Group, Resource: act.Resource, Subresource: act.Subresource, Namespace: act.Namespace, Name: act.Name, Path: act.Path}
	for i := range b.Role.Rules {
		if access.Matches(&b.Role.Rules[i], &r) {
			return true
		}
	}
	names, _ := named(b.Role, act)
	return act.Name == "*" && len(names) > 0 // names that were too many to keep: some may be of the rule
}

func (a *Answer) take(seen uses, used map[access.Subject]bool, b *access.Binding, act *snapshot.Act) {
	who := Who(b, act)
	if len(who) == 0 || !Covers(b, act) {
		return
	}
	for _, s := range who {
		used[s] = true
	}
	if !slices.Contains(a.Namespaces, act.Namespace) {
		a.Namespaces = append(a.Namespaces, act.Namespace)
	}
	seen.add(b.Role, act)
}

// right is a verb on a resource, or on a path.
type right struct{ group, resource, verb, path string }

// use is how a right was used: of these names, or of all. wide says that the role
// allows it for all.
type use struct {
	names     map[string]bool
	all, wide bool
	acts      map[*snapshot.Act]bool
}

type uses map[right]*use

func (u uses) add(role *access.Role, act *snapshot.Act) {
	r := right{group: act.Group, resource: act.Resource, verb: act.Verb, path: act.Path}
	if act.Subresource != "" {
		r.resource += "/" + act.Subresource
	}
	got := u[r]
	if got == nil {
		got = &use{names: map[string]bool{}, acts: map[*snapshot.Act]bool{}}
		u[r] = got
	}
	got.acts[act] = true
	names, wide := named(role, act)
	got.wide = got.wide || wide
	switch {
	case wide && (act.Name == "" || act.Name == "*" || !nameable(act)):
		got.all = true
	case act.Name == "*": // whichever of those that the role names
		for _, n := range names {
			got.names[n] = true
		}
	default:
		got.names[act.Name] = true
	}
}

// named are the names for which role allows what act does; wide says that it does
// for all.
func named(role *access.Role, act *snapshot.Act) (names []string, wide bool) {
	r := access.Request{Verb: act.Verb, Group: act.Group, Resource: act.Resource, Subresource: act.Subresource, Path: act.Path}
	for i := range role.Rules {
		rule := role.Rules[i]
		of := rule.ResourceNames
		rule.ResourceNames = nil
		switch {
		case !access.Matches(&rule, &r):
		case len(of) == 0:
			wide = true
		default:
			names = append(names, of...)
		}
	}
	return names, wide
}

// count is how many requests there were; one that two bindings allow is one.
func (u uses) count() int {
	n := 0
	for _, one := range u {
		for act := range one.acts {
			n += act.Count
		}
	}
	return n
}

// generated are resources whose names are made by controllers, so that no name
// lasts; a role does not name them.
var generated = []string{"pods", "replicasets", "jobs", "events", "endpointslices", "controllerrevisions", "certificatesigningrequests", "tokenreviews", "subjectaccessreviews", "nodes", "namespaces", "persistentvolumes", "persistentvolumeclaims"}

// nameable reports whether a rule can be narrowed to the name of an act: the API
// server knows none when something is created, or many are deleted.
func nameable(act *snapshot.Act) bool {
	return act.Verb != "deletecollection" && (act.Verb != "create" || act.Subresource != "") && !slices.Contains(generated, act.Resource)
}

// maxNames is how many names a rule lists before it is one for all.
const maxNames = 20

// rules are the smallest that cover what was used: rights of the same names are one
// rule, then resources of the same verbs.
func (u uses) rules() []rbacv1.PolicyRule {
	verbs := map[[4]string][]string{} // group, resource, names, path
	for r, got := range u {
		k := [4]string{r.group, r.resource, got.list(), r.path}
		verbs[k] = append(verbs[k], r.verb)
	}
	merged := map[[3]string]*rbacv1.PolicyRule{} // group, names, verbs
	var out []*rbacv1.PolicyRule
	for _, k := range sortedKeys(verbs) {
		v := verbs[k]
		slices.Sort(v)
		same := [3]string{k[0], k[2], strings.Join(v, ",")}
		if k[3] != "" {
			same[0] = "/"
		}
		rule := merged[same]
		if rule == nil {
			rule = &rbacv1.PolicyRule{Verbs: v}
			if k[2] != "" {
				rule.ResourceNames = strings.Split(k[2], ",")
			}
			merged[same] = rule
			out = append(out, rule)
		}
		if k[3] != "" {
			rule.NonResourceURLs = append(rule.NonResourceURLs, k[3])
			continue
		}
		rule.APIGroups = []string{k[0]}
		rule.Resources = append(rule.Resources, k[1])
	}
	rules := make([]rbacv1.PolicyRule, len(out))
	for i := range out {
		rules[i] = *out[i]
	}
	return rules
}

// list are the names that a rule is narrowed to, with commas; "" is all.
func (u *use) list() string {
	if u.all || len(u.names) > maxNames && u.wide {
		return ""
	}
	return strings.Join(slices.Sorted(maps.Keys(u.names)), ",")
}

// Named are the objects of a resource that were asked for by verbs, each by its name, however
// many: Rules have no more than can be read. wide are those of the verbs that were asked of
// all, or of more objects than a log tells apart.
func (a *Answer) Named(group, resource string, verbs []string) (names, wide []string) {
	for r, got := range a.seen {
		if r.group != group || r.resource != resource || !slices.Contains(verbs, r.verb) {
			continue
		}
		if got.all {
			wide = append(wide, r.verb)
		}
		names = slices.AppendSeq(names, maps.Keys(got.names))
	}
	slices.Sort(names)
	slices.Sort(wide)
	return slices.Compact(names), wide
}

func sortedKeys(of map[[4]string][]string) [][4]string {
	return slices.SortedFunc(maps.Keys(of), func(a, b [4]string) int {
		return cmp.Or(cmp.Compare(a[3], b[3]), cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]), cmp.Compare(a[2], b[2]))
	})
}

// Days is how long the log is.
func (a *Answer) Days() int { return int(a.To.Sub(a.From).Hours() / 24) }

// Caution is what a log does not show, for people.
func (a *Answer) Caution(lost int) []string {
	out := []string{fmt.Sprintf("the log shows %d days, from %s to %s: what happens less often (a failover, an upgrade, the end of a quarter) is not in it", a.Days(), a.From.UTC().Format(time.RFC3339), a.To.UTC().Format(time.RFC3339))}
	if lost > 0 {
		out = append(out, fmt.Sprintf("%d lines of the log could not be read: rights that only they show are missing", lost))
	}
	if len(a.Idle) > 0 && len(a.Idle) < len(a.Subjects) {
		out = append(out, fmt.Sprintf("%d of %d subjects made no request that the role allows: %s", len(a.Idle), len(a.Subjects), some(a.Idle)))
	}
	for _, b := range a.Bindings {
		if b.Namespace == "" && len(a.Namespaces) > 0 && len(a.Namespaces) <= 3 && !slices.Contains(a.Namespaces, "") {
			out = append(out, fmt.Sprintf("ClusterRoleBinding %s grants it in the whole cluster, and it was used in %s only: RoleBindings there are enough", b.Name, strings.Join(a.Namespaces, ", ")))
		}
	}
	return out
}

func some(list []access.Subject) string {
	var out []string
	for _, s := range list[:min(5, len(list))] {
		out = append(out, s.String())
	}
	if len(list) > 5 {
		out = append(out, "…")
	}
	return strings.Join(out, ", ")
}
