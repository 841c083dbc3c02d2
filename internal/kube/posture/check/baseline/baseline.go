package baseline

import (
	"path"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
)

// row is one controller: patterns of its namespace and ServiceAccount, and why it
// reads Secrets.
type row struct{ namespace, account, why string }

// whole are those of rows that their makers ship with every right there is, or near it.
var whole = []row{
	{"argocd", "argocd-application-controller", "applies whatever is in Git"},
	{"argocd", "argocd-server", "shows and changes what it applies"},
	{"flux-system", "kustomize-controller", "applies whatever is in Git"},
	{"flux-system", "helm-controller", "keeps Helm releases in Secrets"},
	{"velero", "velero*", "backs up every object"},
}

// rows are the others, as their charts and manifests name them: they read Secrets, and
// neither act as others nor have all rights.
var rows = []row{
	{"strongkeep-system", "strongkeep-operator", "writes the Secrets that ExternalSecrets ask for"},
	{"external-secrets", "external-secrets*", "writes the Secrets that ExternalSecrets ask for"},
	{"cert-manager", "cert-manager*", "keeps certificates and their keys in Secrets"},
	{"kube-system", "sealed-secrets*", "writes the Secrets that SealedSecrets hold"},
	{"sealed-secrets", "sealed-secrets*", "writes the Secrets that SealedSecrets hold"},
	{"vault-secrets-operator*", "vault-secrets-operator*", "writes the Secrets that its objects ask for"},
	{"kube-system", "secrets-store-csi-driver*", "keeps Secrets in step with what it mounts"},
	{"flux-system", "source-controller", "logs in to repositories"},
	{"flux-system", "notification-controller", "logs in to where it sends"},
	{"ingress-nginx", "ingress-nginx*", "serves the certificates of Ingresses"},
	{"traefik*", "traefik*", "serves the certificates of Ingresses"},
	{"kube-system", "traefik*", "serves the certificates of Ingresses"},
	{"istio-system", "istiod*", "serves the certificates of Gateways"},
	{"envoy-gateway-system", "envoy-gateway*", "serves the certificates of Gateways"},
	{"contour*", "contour*", "serves the certificates of Ingresses"},
	{"kyverno", "kyverno-*", "judges and copies what is created"},
	{"gatekeeper-system", "gatekeeper-admin", "judges what is created"},
	{"reflector*", "reflector*", "copies Secrets between namespaces"},
	{"*", "replicator-kubernetes-replicator", "copies Secrets between namespaces"},
	{"kube-system", "*-controller", "is one of Kubernetes' own controllers"},
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
			return r.why, !slices.ContainsFunc(rules, beyond)
		}
	}
	return "", false
}

func (r *row) is(who access.Subject) bool {
	return match(r.namespace, who.Namespace) && match(r.account, who.Name)
}

// beyond reports whether a rule allows what no controller needs to read Secrets: everything,
// to act as others, or to give itself more.
func beyond(r rbacv1.PolicyRule) bool {
	return Everything(r) || slices.ContainsFunc(r.Verbs, func(v string) bool {
		return v == "escalate" || v == "bind" || v == "impersonate" || strings.HasPrefix(v, "impersonate:")
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
