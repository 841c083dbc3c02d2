package record

import (
	"maps"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/posture/identity"
	"github.com/strongkeep/strongkeep/internal/kube/posture/looks"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// named are the annotations that are kept as they are, since some check or search reads
// them: names, switches, times, addresses of other objects. Of a domain nothing else is,
// whatever it is for: somebody writes a password into a template of an injector.
var named = []string{
	"strongkeep.io/access-reviewed", "strongkeep.io/content", "strongkeep.io/reload", "strongkeep.io/versions",
	"reloader.stakater.com/auto", "reloader.stakater.com/search", "secret.reloader.stakater.com/auto", "secret.reloader.stakater.com/reload",
	"configmap.reloader.stakater.com/auto", "configmap.reloader.stakater.com/reload",
	"reflector.v1.k8s.emberstack.com/reflects", "reflector.v1.k8s.emberstack.com/reflection-allowed", "reflector.v1.k8s.emberstack.com/reflection-allowed-namespaces",
	"reflector.v1.k8s.emberstack.com/reflection-auto-enabled", "reflector.v1.k8s.emberstack.com/reflection-auto-namespaces",
	"replicator.v1.mittwald.de/replicate-from", "replicator.v1.mittwald.de/replicate-to", "replicator.v1.mittwald.de/replicated-from",
	"replicator.v1.mittwald.de/replication-allowed", "replicator.v1.mittwald.de/replication-allowed-namespaces",
	"kubed.appscode.com/sync", "kubed.appscode.com/origin.name", "clustersecret.io/created-by", "generate.kyverno.io/clone-source",
	"cert-manager.io/certificate-name", "cert-manager.io/issuer-name", "cert-manager.io/issuer-kind", "cert-manager.io/issuer-group", "cert-manager.io/next-private-key",
	"meta.helm.sh/release-name", "meta.helm.sh/release-namespace", "argocd.argoproj.io/tracking-id", "argocd.argoproj.io/instance",
	"kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name", "sealedsecrets.bitnami.com/sealed-secrets-key", "secrets-store.csi.k8s.io/managed",
	"reconcile.external-secrets.io/managed", "reconcile.external-secrets.io/created-by",
	"eks.amazonaws.com/role-arn", "iam.gke.io/gcp-service-account", "azure.workload.identity/client-id", "azure.workload.identity/tenant-id",
	"kubernetes.io/service-account.name", "kubernetes.io/service-account.uid", "kubernetes.io/enforce-mountable-secrets", "storageclass.kubernetes.io/is-default-class",
	"rbac.authorization.kubernetes.io/autoupdate",
}

// versions begins the names of annotations in which Strongkeep notes versions.
const versions = "versions.strongkeep.io/"

// present are the domains of annotations of which it matters that there is one, whatever
// it says: a token is shown to somebody elsewhere.
var present = identity.Domains()

// hash is where the External Secrets Operator keeps a hash of what it wrote, without a key:
// that it is there says who wrote, and what it says is not kept.
const hash = "reconcile.external-secrets.io/data-hash"

// maxKept bounds an annotation that is kept, in bytes. Those with meaning are short,
// but for the lists of versions and changes that Strongkeep writes.
const maxKept = 16 << 10

// Annotations are those of all that are kept: as they are if their meaning is known,
// and without their text if it matters that they are there.
func Annotations(all map[string]string) map[string]string {
	var out map[string]string
	keep := func(k, v string) {
		if out == nil {
			out = map[string]string{}
		}
		out[k] = v
	}
	for k, v := range all {
		switch {
		case kept(k, v):
			keep(k, v)
		case k == hash, within(k, present) && !looks.Key(k):
			keep(k, "")
		}
	}
	return out
}

// kept reports whether an annotation is kept as it is.
func kept(key, value string) bool {
	if len(value) > maxKept || !slices.Contains(named, key) && !strings.HasPrefix(key, versions) {
		return false
	}
	switch looks.Of("", []byte(value)) {
	case snapshot.LooksPrivateKey, snapshot.LooksToken, snapshot.LooksURL, snapshot.LooksRegistry:
		return false
	}
	return true
}

// within reports whether an annotation is of one of domains, or of one below it.
func within(key string, domains []string) bool {
	domain, _, ok := strings.Cut(key, "/")
	return ok && slices.ContainsFunc(domains, func(d string) bool {
		return domain == d || len(domain) > len(d) && strings.HasSuffix(domain, d) && domain[len(domain)-len(d)-1] == '.'
	})
}

// machines are annotations of what runs clusters, which change and hold no value:
// addresses, revisions, times, digests.
var machines = []string{
	"projectcalico.org", "cncf.io", "ovn.org", "cilium.io", "deployment.kubernetes.io", "endpoints.kubernetes.io", "control-plane.alpha.kubernetes.io",
	"pv.kubernetes.io", "volume.kubernetes.io", "volume.beta.kubernetes.io", "node.alpha.kubernetes.io", "batch.kubernetes.io", "checksum", "prometheus.io",
	"seccomp.security.alpha.kubernetes.io", "autoscaling.alpha.kubernetes.io", "leaderworkerset.sigs.k8s.io",
}

// tools are the domains of annotations by which tools are told what to do: their names
// say "secret" of what is the name of one, and their values are often digests.
var tools = []string{
	"strongkeep.io", "external-secrets.io", "cert-manager.io", "meta.helm.sh", "stakater.com", "reflector.v1.k8s.emberstack.com", "replicator.v1.mittwald.de",
	"kubed.appscode.com", "sealedsecrets.bitnami.com", "secrets.hashicorp.com", "vault.hashicorp.com", "argocd.argoproj.io", "fluxcd.io", "eks.amazonaws.com", "iam.gke.io",
	"azure.workload.identity", "secrets-store.csi.x-k8s.io", "helm.sh", "rbac.authorization.kubernetes.io", "config.kubernetes.io", "kustomize.config.k8s.io", "tekton.dev",
	"clustersecret.io", "service.beta.openshift.io", "kyverno.io",
}

// lastApplied is where kubectl apply keeps the whole object.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// field is where an annotation is.
func field(annotation string) string { return "metadata.annotations[" + shown(annotation) + "]" }

// annotations are the values in those that are not kept. inside, unless it is nil,
// looks into the last applied configuration, which has values encoded.
func (m *Maker) annotations(all map[string]string, inside func(raw []byte) []snapshot.Value) []snapshot.Value {
	if m.Key == nil {
		return nil
	}
	var out []snapshot.Value
	for _, k := range slices.Sorted(maps.Keys(all)) {
		switch v := all[k]; {
		case kept(k, v), within(k, machines), strings.HasSuffix(k, "/data-hash"), k == "kubectl.kubernetes.io/restartedAt":
		case k == lastApplied && inside != nil:
			out = telling(out, join(field(k), len(v), inside([]byte(v))))
		case within(k, tools):
			told := m.value(field(k), "", []byte(v))
			if told.Looks == snapshot.LooksRandom {
				told.Looks, told.Part = "", ""
			}
			out = telling(out, told)
		default:
			out = telling(out, m.value(field(k), k, []byte(v)))
		}
	}
	return out
}
