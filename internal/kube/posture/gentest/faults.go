package gentest

import (
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Fault is one that was planted, as a check finds it.
type Fault struct {
	Check, Rule string
	Object      snapshot.Ref
	Field       string
}

// Faults plants n of each fault that objects can have, into a cluster that is sound
// without them.
func Faults(n int) Plant {
	return func(g *Cluster) {
		for i := range n {
			for j, one := range faults {
				name := strings.ToLower(planted(one.name, i))
				one.plant(g, g.Namespaces[(i*7+j)%len(g.Namespaces)].Name, name)
			}
			g.unreviewed(i)
		}
	}
}

// fault notes one.
func (g *Cluster) fault(check, rule string, object snapshot.Ref, field string) {
	g.Truth.Faults = append(g.Truth.Faults, Fault{check, rule, object, field})
}

// faults is a line for each that is planted by itself.
var faults = []struct {
	name  string
	plant func(g *Cluster, ns, name string)
}{
	// Who reads Secrets: SEC-03, SEC-04, SEC-14.
	{"lister", func(g *Cluster, ns, name string) {
		who := access.ServiceAccount(ns, name)
		g.everywhere(name, who, rule("list", "", "secrets"))
		g.act(who, "list", "", "")
		g.fault("SEC-03", "ReadsEverySecret", account(ns, name), "")
		g.fault("SEC-04", "SecretsEverywhere", clusterBinding(name), "subjects["+who.String()+"]")
	}},
	{"person", func(g *Cluster, _, name string) {
		g.everywhere(name, access.User(name), rule("get", "", "secrets"))
		g.act(access.User(name), "get", "shop", "*")
		g.fault("SEC-03", "ReadsEverySecret", user(name), "")
		g.fault("SEC-14", "PartlyUnused", clusterBinding(name), "roleRef") // one namespace of all
	}},
	{"deployer", func(g *Cluster, _, name string) {
		g.everywhere(name, access.User(name), rule("create", "", "pods"))
		g.fault("SEC-03", "DetourToEverySecret", user(name), "")
	}},
	{"hooks", func(g *Cluster, _, name string) {
		g.everywhere(name, access.User(name), rule("update", "admissionregistration.k8s.io", "mutatingwebhookconfigurations"))
		g.fault("SEC-03", "WillRead", user(name), "")
	}},
	{"namespace", func(g *Cluster, ns, name string) {
		who := access.ServiceAccount(ns, name)
		g.role(ns, name, who, rule("get", "", "secrets"))
		g.act(who, "get", ns, "shared")
		g.fault("SEC-03", "ReadsNamespace", account(ns, name), "namespace "+ns)
		g.fault("SEC-14", "PartlyUnused", roleBinding(ns, name), "roleRef") // one of all
	}},
	{"admin", func(g *Cluster, ns, name string) {
		who := access.ServiceAccount(ns, name)
		g.everywhere(name, who, rbacv1.PolicyRule{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}})
		for _, verb := range []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"} {
			g.act(who, verb, ns, "shared")
		}
		g.fault("SEC-03", "ReadsEverySecret", account(ns, name), "")
		g.fault("SEC-04", "EverythingEverywhere", clusterBinding(name), "subjects["+who.String()+"]")
		g.fault("SEC-14", "PartlyUnused", clusterBinding(name), "roleRef") // one namespace of all
	}},
	{"watcher", func(g *Cluster, ns, name string) {
		who := access.ServiceAccount(ns, name)
		g.everywhere(name, who, rule("list", "apps", "deployments"))
		g.fault("SEC-04", "RightsEverywhere", clusterBinding(name), "subjects["+who.String()+"]")
	}},
	{"accounts", func(g *Cluster, _, name string) {
		who := access.Group(access.ServiceAccounts)
		g.everywhere(name, who, rule("list", "", "services"))
		g.fault("SEC-04", "AllServiceAccounts", clusterBinding(name), "subjects["+who.String()+"]")
	}},
	{"everybody", func(g *Cluster, ns, name string) {
		who := access.Group(access.Authenticated)
		g.role(ns, name, who, rule("get", "", "secrets"))
		g.act(who, "get", ns, "shared")
		g.fault("SEC-03", "EverybodyReadsNamespace", snapshot.Ref{Group: rbacv1.GroupName, Kind: who.Kind, Name: who.Name}, "namespace "+ns)
		g.fault("SEC-14", "PartlyUnused", roleBinding(ns, name), "roleRef") // one of all
	}},
	{"known", func(g *Cluster, _, name string) {
		who := access.ServiceAccount("external-secrets", "external-secrets-"+name)
		g.everywhere(name, who, rule("get", "", "secrets"))
		g.act(who, "get", "shop", "*")
		g.fault("SEC-03", "KnownController", account(who.Namespace, who.Name), "")
		g.fault("SEC-14", "PartlyUnused", clusterBinding(name), "roleRef") // one namespace of all
		g.fault("SEC-04", "KnownController", clusterBinding(name), "subjects["+who.String()+"]")
	}},
	{"idle", func(g *Cluster, ns, name string) {
		g.role(ns, name, access.User(name), rule("get", "", "secrets", "shared"))
		g.fault("SEC-14", "Unused", roleBinding(ns, name), "roleRef")
	}},
	{"partly", func(g *Cluster, ns, name string) {
		r := rule("get", "", "secrets", "shared")
		r.Verbs = append(r.Verbs, "update")
		g.role(ns, name, access.User(name), r)
		g.act(access.User(name), "get", ns, "shared")
		g.fault("SEC-14", "PartlyUnused", roleBinding(ns, name), "roleRef")
	}},
	// Where Secrets come from, and how old they are: SEC-05, SEC-06, SEC-12.
	{"created", func(g *Cluster, ns, name string) { g.byHand(ns, name, "kubectl-create", "KubectlCreate", 10*day) }},
	{"applied", func(g *Cluster, ns, name string) {
		g.byHand(ns, name, "kubectl-client-side-apply", "KubectlApply", 10*day)
	}},
	{"edited", func(g *Cluster, ns, name string) { g.byHand(ns, name, "kubectl-edit", "KubectlEdit", 10*day) }},
	{"browser", func(g *Cluster, ns, name string) { g.byHand(ns, name, "Mozilla", "WrittenByHand", 10*day) }},
	{"old", func(g *Cluster, ns, name string) { g.byHand(ns, name, "kubectl-create", "KubectlCreate", 200*day) }},
	{"gitops", func(g *Cluster, ns, name string) {
		ref := g.found(ns, name, "argocd-controller", "InManifest")
		g.fault("SEC-06", "NothingRotates", ref, "")
	}},
	{"terraform", func(g *Cluster, ns, name string) {
		ref := g.found(ns, name, "Terraform", "InManifest")
		g.fault("SEC-06", "NothingRotates", ref, "")
	}},
	{"nobody", func(g *Cluster, ns, name string) {
		g.found(ns, name, "", "NobodySays") // of which nobody knows the age either
	}},
	{"sealed", func(g *Cluster, ns, name string) {
		ref := g.found(ns, name, "controller", "SealedInGit")
		g.Sources = append(g.Sources, snapshot.Source{Meta: snapshot.Meta{Namespace: ns, Name: name}, Group: "bitnami.com", Kind: "SealedSecret", Makes: []snapshot.Ref{ref}})
		g.fault("SEC-06", "NothingRotates", ref, "")
	}},
	{"copied", func(g *Cluster, ns, name string) {
		g.byHand(ns, name+"-from", "kubectl-create", "KubectlCreate", 10*day)
		ref := g.found(ns, name, "Reflector", "CopyOfUnmanaged")
		g.last().Annotations = map[string]string{"reflector.v1.k8s.emberstack.com/reflects": ns + "/" + name + "-from"}
		g.fault("SEC-06", "NothingRotates", ref, "")
	}},
	{"map", func(g *Cluster, ns, name string) {
		g.ConfigMaps = append(g.ConfigMaps, snapshot.ConfigMap{Meta: snapshot.Meta{Namespace: ns, Name: name}, Keys: []string{"DB_PASSWORD"}, Values: []snapshot.Value{g.Value("data.DB_PASSWORD", g.word(20), snapshot.LooksNamed)}})
		g.fault("SEC-05", "InConfigMap", snapshot.Ref{Kind: "ConfigMap", Namespace: ns, Name: name}, "data.DB_PASSWORD")
	}},
	{"unturned", func(g *Cluster, ns, name string) {
		g.fresh(ns, name)
		g.sourced(g.last())
		g.last().Changed = Now().Add(-200 * day)
		g.fault("SEC-06", "OldInStore", secretRef(ns, name), "")
	}},
	{"never", func(g *Cluster, ns, name string) {
		g.external(ns, name, "NeverRefreshed", "spec.refreshInterval", func(s *snapshot.Source) { s.Interval = 0 })
	}},
	{"seldom", func(g *Cluster, ns, name string) {
		g.external(ns, name, "SeldomRefreshed", "spec.refreshInterval", func(s *snapshot.Source) { s.Interval = 365 * day })
	}},
	{"unsynced", func(g *Cluster, ns, name string) {
		g.external(ns, name, "NotSynced", "", func(s *snapshot.Source) { s.Ready, s.Reason = "False", "SecretSyncedError" })
	}},
	{"stopped", func(g *Cluster, ns, name string) {
		g.rotation(ns, name, "RotationFails", func(s *snapshot.Source) { s.Ready, s.Reason = "False", "Stuck" })
	}},
	{"overdue", func(g *Cluster, ns, name string) {
		g.rotation(ns, name, "RotationOverdue", func(s *snapshot.Source) { s.Synced = Now().Add(-50 * day) })
	}},
	// Certificates: SEC-07.
	{"expired", func(g *Cluster, ns, name string) { g.fault("SEC-07", "Expired", g.issued(ns, name, -day, true), "") }},
	{"renewal", func(g *Cluster, ns, name string) {
		g.fault("SEC-07", "RenewalOverdue", g.issued(ns, name, 10*day, true), "")
	}},
	{"early", func(g *Cluster, ns, name string) {
		g.fault("SEC-07", "NotYetValid", g.issued(ns, name, 95*day, true), "")
	}},
	{"orphan", func(g *Cluster, ns, name string) {
		g.fault("SEC-07", "Orphaned", g.issued(ns, name, 60*day, false), "")
	}},
	{"unissued", func(g *Cluster, ns, name string) {
		g.issued(ns, name, 60*day, true)
		s := &g.Sources[len(g.Sources)-1]
		s.Ready, s.Reason = "False", "Failed"
		g.fault("SEC-07", "NotIssued", snapshot.Ref{Group: s.Group, Kind: s.Kind, Namespace: ns, Name: s.Name}, "")
	}},
	{"unmanaged", func(g *Cluster, ns, name string) { g.bare(ns, name, 60*day, "NotManaged") }},
	{"ending", func(g *Cluster, ns, name string) { g.bare(ns, name, 20*day, "EndsSoon") }},
	// Tokens: SEC-08.
	{"token", func(g *Cluster, ns, name string) { g.token(ns, name, "EndlessToken", nil) }},
	{"token-used", func(g *Cluster, ns, name string) {
		g.token(ns, name, "EndlessTokenInUse", map[string]string{"kubernetes.io/legacy-token-last-used": Now().Add(-5 * day).Format(time.DateOnly)})
	}},
	{"token-invalid", func(g *Cluster, ns, name string) {
		g.token(ns, name, "InvalidToken", map[string]string{"kubernetes.io/legacy-token-invalid-since": "2026-10-01"})
	}},
	{"token-long", func(g *Cluster, ns, name string) {
		ref := g.workload(ns, name, func(t *snapshot.Template) {
			t.Tokens = []snapshot.Token{{Audience: "vault", Seconds: int64(7 * day / time.Second)}}
		})
		g.fault("SEC-08", "LongToken", ref, spec+"volumes.projected.serviceAccountToken[0].expirationSeconds")
	}},
	{"token-needless", func(g *Cluster, ns, name string) {
		ref := g.workload(ns, name, func(t *snapshot.Template) { t.Automount = nil })
		g.fault("SEC-08", "NeedlessToken", ref, spec+"automountServiceAccountToken")
	}},
	// How workloads have Secrets: SEC-09, and whether they see changes: SEC-06.
	{"variable", func(g *Cluster, ns, name string) { g.used(ns, name, false) }},
	{"variables", func(g *Cluster, ns, name string) { g.used(ns, name, true) }},
	{"literal", func(g *Cluster, ns, name string) {
		g.literal(ns, name, "LiteralVariable", "containers[app].env[API_TOKEN]")
	}},
	{"argument", func(g *Cluster, ns, name string) {
		g.literal(ns, name, "LiteralArgument", "containers[app].args[1]")
	}},
	// Pipelines and Git: SEC-11, SEC-13.
	{"echoes", func(g *Cluster, _, name string) { g.pipeline(name, "EchoesSecret") }},
	{"traces", func(g *Cluster, _, name string) { g.pipeline(name, "TracesCommands") }},
	{"dumps", func(g *Cluster, _, name string) { g.pipeline(name, "DumpsEnvironment") }},
	{"unmasked", func(g *Cluster, _, name string) { g.pipeline(name, "NotMasked") }},
	{"inline", func(g *Cluster, _, name string) { g.pipeline(name, "Literal") }},
	{"groovy", func(g *Cluster, _, name string) { g.pipeline(name, "Interpolated") }},
	{"live", func(g *Cluster, ns, name string) {
		g.fresh(ns, name)
		g.manage(g.last())
		g.leak(name, "LiveValue", snapshot.Value{Field: "password", Looks: snapshot.LooksNamed, Prints: g.last().Values[0].Prints})
	}},
	{"manifest", func(g *Cluster, _, name string) {
		g.leak(name, "Manifest", snapshot.Value{Field: "data.password", Looks: snapshot.LooksNamed, Prints: g.alone()})
	}},
	{"key", func(g *Cluster, _, name string) {
		g.leak(name, "PrivateKey", snapshot.Value{Field: "key", Looks: snapshot.LooksPrivateKey, Prints: g.alone()})
	}},
	{"issued", func(g *Cluster, _, name string) {
		g.leak(name, "Token", snapshot.Value{Field: "token", Looks: snapshot.LooksToken, Prints: g.alone()})
	}},
	{"value", func(g *Cluster, _, name string) {
		g.leak(name, "Value", snapshot.Value{Field: "value", Looks: snapshot.LooksRandom, Prints: g.alone()})
	}},
	{"url", func(g *Cluster, _, name string) {
		g.leak(name, "PasswordURL", snapshot.Value{Field: "url", Looks: snapshot.LooksURL, Prints: g.alone()})
	}},
}

// unreviewed takes the review away from one namespace, and makes that of another old.
func (g *Cluster) unreviewed(i int) {
	if 2*i+1 >= len(g.Namespaces) {
		return
	}
	none, long := &g.Namespaces[2*i], &g.Namespaces[2*i+1]
	none.Annotations = nil
	long.Annotations = map[string]string{reviewedBy: Now().Add(-200*day).Format(time.RFC3339) + " by jane@example.com"}
	field := "metadata.annotations[" + reviewedBy + "]"
	g.fault("SEC-14", "NotReviewed", snapshot.Ref{Kind: "Namespace", Name: none.Name}, field)
	g.fault("SEC-14", "ReviewedLongAgo", snapshot.Ref{Kind: "Namespace", Name: long.Name}, field)
}
