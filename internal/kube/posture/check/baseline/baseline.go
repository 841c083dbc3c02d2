package baseline

import (
	"path"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
)

// row is one controller: patterns of its namespace and ServiceAccount, and why it
// reads Secrets.
type row struct{ namespace, account, why string }

// rows are the controllers, as their charts and manifests name them.
var rows = []row{
	{"strongkeep-system", "strongkeep-operator", "writes the Secrets that ExternalSecrets ask for"},
	{"external-secrets", "external-secrets*", "writes the Secrets that ExternalSecrets ask for"},
	{"cert-manager", "cert-manager*", "keeps certificates and their keys in Secrets"},
	{"kube-system", "sealed-secrets*", "writes the Secrets that SealedSecrets hold"},
	{"sealed-secrets", "sealed-secrets*", "writes the Secrets that SealedSecrets hold"},
	{"vault-secrets-operator*", "vault-secrets-operator*", "writes the Secrets that its objects ask for"},
	{"kube-system", "secrets-store-csi-driver*", "keeps Secrets in step with what it mounts"},
	{"argocd", "argocd-application-controller", "applies whatever is in Git"},
	{"argocd", "argocd-server", "shows and changes what it applies"},
	{"flux-system", "kustomize-controller", "applies whatever is in Git"},
	{"flux-system", "helm-controller", "keeps Helm releases in Secrets"},
	{"flux-system", "source-controller", "logs in to repositories"},
	{"flux-system", "notification-controller", "logs in to where it sends"},
	{"ingress-nginx", "ingress-nginx*", "serves the certificates of Ingresses"},
	{"traefik*", "traefik*", "serves the certificates of Ingresses"},
	{"kube-system", "traefik*", "serves the certificates of Ingresses"},
	{"istio-system", "istiod*", "serves the certificates of Gateways"},
	{"envoy-gateway-system", "envoy-gateway*", "serves the certificates of Gateways"},
	{"contour*", "contour*", "serves the certificates of Ingresses"},
	{"velero", "velero*", "backs up every object"},
	{"kyverno", "kyverno-*", "judges and copies what is created"},
	{"gatekeeper-system", "gatekeeper-admin", "judges what is created"},
	{"reflector*", "reflector*", "copies Secrets between namespaces"},
	{"*", "replicator-kubernetes-replicator", "copies Secrets between namespaces"},
	{"kube-system", "*-controller", "is one of Kubernetes' own controllers"},
}

// Controller returns why who is known to read Secrets everywhere, and false if
// it is not among those that are known.
func Controller(who access.Subject) (why string, ok bool) {
	if who.Kind != rbacv1.ServiceAccountKind {
		return "", false
	}
	for _, r := range rows {
		if match(r.namespace, who.Namespace) && match(r.account, who.Name) {
			return r.why, true
		}
	}
	return "", false
}

func match(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}
