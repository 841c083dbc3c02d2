package baseline

import (
	"path"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
)

// row is one controller: patterns of its namespace and ServiceAccount, why it reads
// Secrets, and what else its makers let it do.
type row struct {
	namespace, account, why string
	may                     may
}

// may is what a controller needs besides reading Secrets.
type may struct {
	// writes Secrets; makes or changes pods, or what makes them; asks for tokens of ServiceAccounts.
	writes, pods, tokens bool
}

// whole are those of rows that their makers ship with every right there is, or near it.
var whole = []row{
	{namespace: "argocd", account: "argocd-application-controller", why: "applies whatever is in Git"},
	{namespace: "argocd", account: "argocd-server", why: "shows and changes what it applies"},
	{namespace: "flux-system", account: "kustomize-controller", why: "applies whatever is in Git"},
	{namespace: "flux-system", account: "helm-controller", why: "keeps Helm releases in Secrets"},
	{namespace: "velero", account: "velero*", why: "backs up every object"},
}

var (
	reads   = may{}
	keeps   = may{writes: true}
	fetches = may{writes: true, tokens: true}
	runs    = may{writes: true, pods: true, tokens: true}
)

// rows are the others, as their charts and manifests name them: they read Secrets, and
// neither act as others nor have all rights.
var rows = []row{
	{"strongkeep-system", "strongkeep-operator", "writes the Secrets that ExternalSecrets ask for", runs}, // restarts workloads
	{"external-secrets", "external-secrets*", "writes the Secrets that ExternalSecrets ask for", fetches},
	{"cert-manager", "cert-manager*", "keeps certificates and their keys in Secrets", runs}, // answers challenges with pods
	{"kube-system", "sealed-secrets*", "writes the Secrets that SealedSecrets hold", keeps},
	{"sealed-secrets", "sealed-secrets*", "writes the Secrets that SealedSecrets hold", keeps},
	{"vault-secrets-operator*", "vault-secrets-operator*", "writes the Secrets that its objects ask for", runs}, // restarts workloads
	{"kube-system", "secrets-store-csi-driver*", "keeps Secrets in step with what it mounts", fetches},
	{"flux-system", "source-controller", "logs in to repositories", fetches},
	{"flux-system", "notification-controller", "logs in to where it sends", fetches},
	{"ingress-nginx", "ingress-nginx*", "serves the certificates of Ingresses", reads},
	{"traefik*", "traefik*", "serves the certificates of Ingresses", reads},
	{"kube-system", "traefik*", "serves the certificates of Ingresses", reads},
	{"istio-system", "istiod*", "serves the certificates of Gateways", runs}, // makes gateways
	{"envoy-gateway-system", "envoy-gateway*", "serves the certificates of Gateways", runs},
	{"contour*", "contour*", "serves the certificates of Ingresses", runs},
	{"kyverno", "kyverno-*", "judges and copies what is created", keeps},
	{"gatekeeper-system", "gatekeeper-admin", "judges what is created", keeps},
	{"reflector*", "reflector*", "copies Secrets between namespaces", keeps},
	{"*", "replicator-kubernetes-replicator", "copies Secrets between namespaces", keeps},
	{"kube-system", "*-controller", "is one of Kubernetes' own controllers", runs},
}

// Controller returns why who is known to read Secrets everywhere, and false if it is
// not among those that are known, or has more by rules than its makers give it.
func Controller(who access.Subject, rules []rbacv1.PolicyRule) (why string, ok bool) {
	if who.Kind != rbacv1.ServiceAccountKind {
		return "", false
	}
	for _, r := range whole {
		if r.is(who) {
			return r.why, true
		}
	}
	for _, r := range rows {
		if r.is(who) {
			return r.why, !slices.ContainsFunc(rules, r.may.beyond)
		}
	}
	return "", false
}

func (r *row) is(who access.Subject) bool {
	return match(r.namespace, who.Namespace) && match(r.account, who.Name)
}

// beyond reports whether a rule allows more than a controller needs: everything, to act
// as others, to give itself more, to run commands in pods, or what may does not say.
func (m may) beyond(r rbacv1.PolicyRule) bool {
	switch {
	case Everything(r), lifts(&r), enters(&r):
		return true
	case !m.writes && allows(&r, "secrets", "create", "update", "patch", "delete", "deletecollection"):
		return true
	case !m.tokens && allows(&r, "serviceaccounts/token", "create"):
		return true
	case !m.pods && allows(&r, "pods", "create", "update", "patch"):
		return true
	}
	return !m.pods && slices.ContainsFunc(workloads, func(w string) bool { return allows(&r, w, "create", "update", "patch") })
}

// lifts reports whether a rule gives more than it says: other rights, or those of others.
// A star for a verb does, on what these verbs are about.
func lifts(r *rbacv1.PolicyRule) bool {
	return slices.ContainsFunc(r.Verbs, func(verb string) bool {
		return verb == "escalate" || verb == "bind" || verb == "impersonate" || strings.HasPrefix(verb, "impersonate:")
	}) || slices.Contains(r.Verbs, "*") && slices.ContainsFunc(lifting, func(what string) bool { return allows(r, what, "*") })
}

// lifting are the resources, each with its group, on which those verbs mean something.
var lifting = []string{
	"rbac.authorization.k8s.io:roles", "rbac.authorization.k8s.io:clusterroles", "users", "groups", "serviceaccounts",
	"authentication.k8s.io:users", "authentication.k8s.io:groups", "authentication.k8s.io:serviceaccounts", "authentication.k8s.io:nodes",
}

// enters reports whether a rule allows to run commands in pods, or to get at what they
// listen on. The API server takes a WebSocket by GET. To get them by a star for all
// resources, as who reads everything does, does not count.
func enters(r *rbacv1.PolicyRule) bool {
	if allows(r, "pods/ephemeralcontainers", "update", "patch") {
		return true
	}
	named := *r
	named.Resources = slices.DeleteFunc(slices.Clone(r.Resources), func(name string) bool { return name == "*" })
	return slices.ContainsFunc(entries, func(what string) bool { return allows(r, what, "create") || allows(&named, what, "get") })
}

// entries lead into pods.
var entries = []string{"pods/exec", "pods/attach", "pods/portforward", "nodes/proxy"}

// workloads are what makes pods, with its group.
var workloads = []string{"apps:deployments", "apps:daemonsets", "apps:statefulsets", "apps:replicasets", "batch:jobs", "batch:cronjobs", "replicationcontrollers"}

// allows reports whether a rule allows one of verbs on GROUP:RESOURCE/SUBRESOURCE,
// whichever its names: a rule that names objects allows it on those.
func allows(r *rbacv1.PolicyRule, what string, verbs ...string) bool {
	group, name, named := strings.Cut(what, ":")
	if !named {
		group, name = "", what
	}
	resource, sub, _ := strings.Cut(name, "/")
	open := *r
	open.ResourceNames = nil
	return slices.ContainsFunc(verbs, func(v string) bool {
		return access.Matches(&open, &access.Request{Verb: v, Group: group, Resource: resource, Subresource: sub, Namespace: "x"})
	})
}

// Everything reports whether a rule allows everything.
func Everything(r rbacv1.PolicyRule) bool {
	return slices.Contains(r.Verbs, "*") && slices.Contains(r.Resources, "*") && (slices.Contains(r.APIGroups, "*") || slices.Contains(r.APIGroups, ""))
}

func match(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}
