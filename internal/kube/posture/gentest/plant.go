package gentest

import (
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// spec is where the pod of a Deployment is.
const spec = "spec.template.spec."

func secretRef(ns, name string) snapshot.Ref {
	return snapshot.Ref{Kind: "Secret", Namespace: ns, Name: name}
}

func account(ns, name string) snapshot.Ref {
	return snapshot.Ref{Kind: "ServiceAccount", Namespace: ns, Name: name}
}

func user(name string) snapshot.Ref {
	return snapshot.Ref{Group: rbacv1.GroupName, Kind: "User", Name: name}
}

func clusterBinding(name string) snapshot.Ref {
	return snapshot.Ref{Group: rbacv1.GroupName, Kind: "ClusterRoleBinding", Name: name}
}

func roleBinding(ns, name string) snapshot.Ref {
	return snapshot.Ref{Group: rbacv1.GroupName, Kind: "RoleBinding", Namespace: ns, Name: name}
}

// everywhere binds a ClusterRole of rules to somebody.
func (g *Cluster) everywhere(name string, who access.Subject, rules ...rbacv1.PolicyRule) {
	g.role("", name, who, rules...)
}

// last is the Secret that was added last. It is good until another is.
func (g *Cluster) last() *snapshot.Secret { return &g.Secrets[len(g.Secrets)-1] }

// fresh adds a Secret of which nothing says where it comes from, nor how old it is.
func (g *Cluster) fresh(ns, name string) {
	g.secret(&Service{Name: name, Namespace: ns}, name)
	s := g.last()
	s.Writers, s.Changed = nil, time.Time{}
}

// found adds a Secret that manager wrote, or nobody, which SEC-05 finds by a rule.
func (g *Cluster) found(ns, name, manager, by string) snapshot.Ref {
	g.fresh(ns, name)
	s := g.last()
	if manager != "" {
		s.Changed = Now().Add(-10 * day)
		s.Writers = []snapshot.Writer{{Manager: manager, Operation: "Update", Time: s.Changed, Content: true}}
	}
	ref := secretRef(ns, name)
	g.fault("SEC-05", by, ref, "")
	return ref
}

// byHand adds one that somebody wrote by hand, age ago, which SEC-12 finds by a rule.
func (g *Cluster) byHand(ns, name, manager, by string, age time.Duration) {
	ref := g.found(ns, name, manager, "MadeByHand")
	s := g.last()
	s.Changed = Now().Add(-age)
	s.Writers[0].Time = s.Changed
	g.fault("SEC-12", by, ref, "")
	if age > 90*day {
		g.fault("SEC-06", "OldCredential", ref, "")
	} else {
		g.fault("SEC-06", "NothingRotates", ref, "")
	}
}

// external adds a Secret that is rotated, of an ExternalSecret that is changed.
func (g *Cluster) external(ns, name, by, field string, change func(*snapshot.Source)) {
	g.fresh(ns, name)
	g.manage(g.last())
	s := &g.Sources[len(g.Sources)-2]
	change(s)
	g.fault("SEC-06", by, snapshot.Ref{Group: s.Group, Kind: s.Kind, Namespace: ns, Name: name}, field)
}

// rotation adds a Secret that is rotated by a Rotation that is changed.
func (g *Cluster) rotation(ns, name, by string, change func(*snapshot.Source)) {
	g.fresh(ns, name)
	g.manage(g.last())
	s := &g.Sources[len(g.Sources)-1]
	change(s)
	g.fault("SEC-06", by, snapshot.Ref{Group: s.Group, Kind: s.Kind, Namespace: ns, Name: name}, "")
}

// bare adds a certificate that nobody renews, and of which nobody says where it comes
// from.
func (g *Cluster) bare(ns, name string, left time.Duration, by string) {
	ref := g.issued(ns, name, left, false)
	s := g.last()
	s.Annotations, s.Writers, s.Changed = nil, nil, time.Time{}
	g.fault("SEC-07", by, ref, "")
	g.fault("SEC-05", "NobodySays", ref, "")
}

// token adds a token that does not end.
func (g *Cluster) token(ns, name, by string, labels map[string]string) {
	g.Secrets = append(g.Secrets, snapshot.Secret{
		Meta: snapshot.Meta{Namespace: ns, Name: name, Labels: labels}, Type: "kubernetes.io/service-account-token", Account: "default", Read: true,
		Keys: []string{"token"}, Values: []snapshot.Value{g.Value("data.token", g.word(60), snapshot.LooksToken)},
	})
	g.fault("SEC-08", by, secretRef(ns, name), "")
}

// workload adds a Deployment that needs no token.
func (g *Cluster) workload(ns, name string, change func(*snapshot.Template)) snapshot.Ref {
	no := false
	t := snapshot.Template{Account: "default", Automount: &no, Containers: []snapshot.Container{{Name: "app", Image: "registry.example/" + name + ":1"}}}
	change(&t)
	g.Workloads = append(g.Workloads, snapshot.Workload{Meta: snapshot.Meta{Namespace: ns, Name: name}, Group: "apps", Kind: "Deployment", Template: t})
	return snapshot.Ref{Group: "apps", Kind: "Deployment", Namespace: ns, Name: name}
}

// used adds a workload that has a Secret which is rotated as variables, and that nothing
// restarts for.
func (g *Cluster) used(ns, name string, whole bool) {
	g.fresh(ns, name)
	g.manage(g.last())
	use, by, field := consumer.Use{Kind: consumer.UseEnv, Secret: name, Container: "app", Where: "DB_PASSWORD", Key: "password"}, "EnvVariable", "env[DB_PASSWORD]"
	if whole {
		use, by, field = consumer.Use{Kind: consumer.UseEnvFrom, Secret: name, Container: "app"}, "EnvFrom", "envFrom["+name+"]"
	}
	ref := g.workload(ns, name, func(t *snapshot.Template) { t.Secrets = []consumer.Use{use} })
	g.fault("SEC-09", by, ref, spec+"containers[app]."+field)
	g.fault("SEC-06", "DoesNotReload", ref, spec+"containers[app]."+string(use.Kind)+"["+name+"]")
}

// literal adds a workload with a token in its own template.
func (g *Cluster) literal(ns, name, by, field string) {
	ref := g.workload(ns, name, func(t *snapshot.Template) {
		t.Values = []snapshot.Value{g.Value("spec."+field, g.word(40), snapshot.LooksToken)}
	})
	g.fault("SEC-09", by, ref, spec+field)
}

// pipeline adds one with a step that brings a secret into its log.
func (g *Cluster) pipeline(name, problem string) {
	file := ".github/workflows/" + name + ".yaml"
	g.Repos[0].Pipelines = append(g.Repos[0].Pipelines, snapshot.Pipeline{File: file, Kind: "github", Secrets: 1, Steps: []snapshot.Step{{Line: 12, Job: "build", Name: "run", Problem: problem}}})
	g.fault("SEC-11", problem, snapshot.Ref{Group: "github", Kind: "Pipeline", Name: file}, "build/run")
}

// leak adds a value in a file of the repository.
func (g *Cluster) leak(name, by string, v snapshot.Value) {
	file := "deploy/" + name + ".env"
	g.Repos[0].Leaks = append(g.Repos[0].Leaks, snapshot.Leak{Commit: "0123456789abcdef0123456789abcdef01234567", File: file, Line: 3, Present: true, Value: v})
	g.fault("SEC-13", by, snapshot.Ref{Group: "git", Kind: "File", Name: "platform:" + file}, v.Field)
}
