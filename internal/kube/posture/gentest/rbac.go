package gentest

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
)

// rule is one of one verb on one resource.
func rule(verb, group, resource string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: []string{verb}, APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: names}
}

// role makes a Role, and a RoleBinding of the same name; for namespace "" a
// ClusterRole and its binding.
func (g *Cluster) role(namespace, name string, who access.Subject, rules ...rbacv1.PolicyRule) {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name}
	if namespace == "" {
		g.RBAC.ClusterRoles = append(g.RBAC.ClusterRoles, rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules})
	} else {
		g.RBAC.Roles = append(g.RBAC.Roles, rbacv1.Role{ObjectMeta: meta, Rules: rules})
	}
	g.bind(namespace, name, name, who)
}

// bind binds the role of the same place to somebody.
func (g *Cluster) bind(namespace, name, role string, who access.Subject) {
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name}
	subjects := []rbacv1.Subject{{Kind: who.Kind, Namespace: who.Namespace, Name: who.Name}}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role}
	if namespace == "" {
		ref.Kind = "ClusterRole"
		g.RBAC.ClusterRoleBindings = append(g.RBAC.ClusterRoleBindings, rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects})
		return
	}
	g.RBAC.RoleBindings = append(g.RBAC.RoleBindings, rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects})
}

// People plants those who get at Secrets directly and by detours: one agent that
// lists all of the cluster; in each second namespace a group that runs commands in
// pods, in each third one that creates pods, in each fifth somebody who makes tokens
// of a service. Nothing keeps pods of the first namespace from their nodes, so that who
// creates pods there gets at all that runs.
func People(g *Cluster) {
	agent := access.ServiceAccount("monitoring", "agent")
	g.role("", "secret-lister", agent, rule("list", "", "secrets"))
	g.role("", "node-viewer", access.Group("operators"), rule("list", "", "nodes"))
	for i := range g.Secrets {
		g.reads(path.Name{Namespace: g.Secrets[i].Namespace, Name: g.Secrets[i].Name}, agent)
	}
	for i := range g.Namespaces {
		ns := g.Namespaces[i].Name
		if i%2 == 0 {
			who := access.Group("oncall-" + ns)
			g.role(ns, "oncall", who, rule("create", "", "pods/exec"))
			g.inPods(ns, who)
		}
		if i%3 == 0 {
			who := access.User("deployer-" + ns)
			g.role(ns, "deployer", who, rule("create", "apps", "deployments"))
			g.all(ns, who)
			if i == 0 {
				delete(g.Namespaces[i].Labels, podSecurity)
				g.running(who)
			}
		}
		if i%5 == 0 {
			g.impostor(ns)
		}
	}
}

// inPods writes down that who runs commands in the pods of ns, and so is every
// service there.
func (g *Cluster) inPods(ns string, who access.Subject) {
	for i := range g.Services {
		if s := &g.Services[i]; s.Namespace == ns {
			g.inService(s, who)
		}
	}
}

// inService writes down that who is a service, if it runs.
func (g *Cluster) inService(s *Service, who access.Subject) {
	if len(s.Nodes) == 0 {
		return
	}
	for _, name := range s.Secrets {
		g.reads(path.Name{Namespace: s.Namespace, Name: name}, who)
	}
}

// running writes down that who is any node, and so every service that runs.
func (g *Cluster) running(who access.Subject) {
	for i := range g.Services {
		g.inService(&g.Services[i], who)
	}
}

// all writes down that who gets at every Secret of ns.
func (g *Cluster) all(ns string, who access.Subject) {
	for i := range g.Secrets {
		if g.Secrets[i].Namespace == ns {
			g.reads(path.Name{Namespace: ns, Name: g.Secrets[i].Name}, who)
		}
	}
}

// impostor plants somebody who makes tokens of the first service of ns.
func (g *Cluster) impostor(ns string) {
	for i := range g.Services {
		s := &g.Services[i]
		if s.Namespace != ns {
			continue
		}
		who := access.User("impostor-" + ns)
		g.role(ns, "impostor", who, rule("create", "", "serviceaccounts/token", s.Name))
		for _, name := range s.Secrets {
			g.reads(path.Name{Namespace: ns, Name: name}, who)
		}
		return
	}
}
