package origin

import "strings"

// Types of Secrets that say where they come from.
const (
	tokenType     = "kubernetes.io/service-account-token"
	bootstrapType = "bootstrap.kubernetes.io/token"
	releaseType   = "helm.sh/release.v1"
)

// groups is a line for each API group whose objects make Secrets. A * as a kind is
// any other; read says that snapshots have all objects of the kind, so that one which is
// not there is gone.
var groups = []struct {
	group, kind string
	is          Kind
	read        bool
}{
	{"external-secrets.io", "ExternalSecret", Store, true},
	{"external-secrets.io", "*", Store, false},
	{"generators.external-secrets.io", "*", Generator, false},
	{"strongkeep.io", "*", Store, false},
	{"secrets.hashicorp.com", "VaultStaticSecret", Store, true},
	{"secrets.hashicorp.com", "VaultDynamicSecret", Generator, true},
	{"secrets.hashicorp.com", "VaultPKISecret", Generator, true},
	{"secrets.hashicorp.com", "*", Store, false},
	{"secrets-store.csi.x-k8s.io", "SecretProviderClass", Store, true},
	{"secrets-store.csi.x-k8s.io", "*", Store, false},
	{"secrets.infisical.com", "InfisicalSecret", Store, true},
	{"secrets.infisical.com", "*", Store, false},
	{"onepassword.com", "OnePasswordItem", Store, true},
	{"onepassword.com", "*", Store, false},
	{"secrets.doppler.com", "DopplerSecret", Store, true},
	{"secrets.doppler.com", "*", Store, false},
	{"akeyless.io", "*", Store, false},
	{"ricoberger.de", "VaultSecret", Store, false},
	{"keyvault.azure.spv.no", "*", Store, false},
	{"spv.no", "AzureKeyVaultSecret", Store, false},
	{"kubernetes-client.io", "ExternalSecret", Store, false},
	{"cert-manager.io", "Certificate", Issuer, true},
	{"cert-manager.io", "*", Issuer, false},
	{"acme.cert-manager.io", "*", Issuer, false},
	{"bitnami.com", "SealedSecret", Sealed, true},
	{"isindir.github.com", "SopsSecret", Sealed, true},
}

// makes is what objects of a kind are where they make Secrets. Those of kinds that are
// not in the table make them up.
func makes(group, kind string) Kind {
	for i := range groups {
		if g := &groups[i]; g.group == group && (g.kind == "*" || g.kind == kind) {
			return g.is
		}
	}
	return Operator
}

func read(group, kind string) bool {
	for i := range groups {
		if g := &groups[i]; g.group == group && g.kind == kind {
			return g.read
		}
	}
	return false
}

// naming is what the value of a mark names.
type naming int

const (
	nothing naming = iota
	aSource
	aRelease
)

// byExternalSecret is whose marks are on nothing but what an ExternalSecret made.
const byExternalSecret = "an ExternalSecret"

// marks are labels and annotations that a tool leaves on what it makes. Those of tools
// that have the value come before those of tools that copy labels along; of Flux' and
// Helm's both on one object, Helm's names what can be looked up.
var marks = []struct {
	key   string
	is    Kind
	tool  string
	names naming
}{
	{"reconcile.external-secrets.io/managed", Store, byExternalSecret, nothing},
	{"reconcile.external-secrets.io/created-by", Store, byExternalSecret, nothing},
	{"reconcile.external-secrets.io/data-hash", Store, byExternalSecret, nothing},
	{"strongkeep.io/content", Store, "Strongkeep", nothing},
	{"secrets-store.csi.k8s.io/managed", Store, "the Secrets Store CSI driver", nothing},
	{"cert-manager.io/certificate-name", Issuer, "cert-manager", nothing},
	{"cert-manager.io/next-private-key", Issuer, "cert-manager", nothing},
	{"sealedsecrets.bitnami.com/sealed-secrets-key", Operator, "Sealed Secrets, as its own key", nothing},
	{"replicator.v1.mittwald.de/replicated-from", Mirror, "kubernetes-replicator", aSource},
	{"replicator.v1.mittwald.de/replicate-from", Mirror, "kubernetes-replicator", aSource},
	{"reflector.v1.k8s.emberstack.com/reflects", Mirror, "Reflector", aSource},
	{"kubed.appscode.com/origin.name", Mirror, "config-syncer", nothing},
	{"generate.kyverno.io/clone-source", Mirror, "Kyverno", nothing},
	{"clustersecret.io/created-by", Mirror, "ClusterSecret", nothing},
	{"meta.helm.sh/release-name", Helm, "a chart", aRelease},
	{"kustomize.toolkit.fluxcd.io/name", GitOps, "Flux, from Git", nothing},
	{"helm.toolkit.fluxcd.io/name", GitOps, "Flux, from a chart", nothing},
	{"argocd.argoproj.io/tracking-id", GitOps, "Argo CD, from Git", nothing},
	{"argocd.argoproj.io/instance", GitOps, "Argo CD, from Git", nothing},
}

// replicators are the tools that copy, by the domain of their annotations.
var replicators = map[string]string{
	"replicator.v1.mittwald.de": "kubernetes-replicator", "reflector.v1.k8s.emberstack.com": "Reflector", "kubed.appscode.com": "config-syncer",
}

// writers are managers in managedFields, in small letters; * is any end. A manager called
// "controller" may be anybody's: programs are called so by their makers' templates.
var writers = []struct {
	pattern string
	is      Kind
}{
	{"external-secrets*", Store}, {"externalsecrets*", Store}, {"strongkeep*", Store}, {"vault-secrets-operator*", Store}, {"secrets-store*", Store},
	{"sealed-secrets*", Sealed},
	{"cert-manager*", Issuer},
	{"argocd*", GitOps}, {"kustomize-controller", GitOps}, {"helm*", Helm}, {"terraform*", Manifest}, {"pulumi*", Manifest},
	{"kubectl*", Hand}, {"mozilla*", Hand}, {"dashboard*", Hand}, {"k9s*", Hand}, {"lens*", Hand}, {"node-fetch*", Hand}, {"oc", Hand}, {"curl*", Hand}, {"rancher*", Hand},
}

// writer is what a program is that wrote content; false of one that is not known.
func writer(manager string) (Kind, bool) {
	manager = strings.ToLower(manager)
	for _, w := range writers {
		if begin, any := strings.CutSuffix(w.pattern, "*"); begin == manager || any && strings.HasPrefix(manager, begin) {
			return w.is, true
		}
	}
	return "", false
}
