package origin

import (
	"path"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	posture "github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Kind is where content comes from. The words are stable: programs read them.
type Kind string

// The origins.
const (
	External    Kind = "ExternalManager" // a store outside: the object only holds a copy
	Certificate Kind = "CertManager"     // an issuer, by cert-manager
	Sealed      Kind = "Sealed"          // encrypted in Git, by a key of this cluster
	Cluster     Kind = "Kubernetes"      // Kubernetes' own: tokens
	Helm        Kind = "HelmRelease"     // Helm's record of a release
	Copy        Kind = "Copy"            // another Secret, by a tool that copies
	Operator    Kind = "Operator"        // a controller that makes it up
	Plain       Kind = "Plain"           // a manifest or chart that holds the value
	Hand        Kind = "Hand"            // somebody with kubectl or a dashboard
	Unknown     Kind = "Unknown"         // nothing says
)

// Origin is where the content of one Secret comes from.
type Origin struct {
	Kind Kind
	// By is the object, the tool or the writer that says so.
	By string
	// Of is, of a Copy, the Secret it is one of, if that is said.
	Of posture.Name
}

// Of says where the content of s comes from.
func Of(x *check.Index, s *snapshot.Secret) Origin {
	for _, ask := range []func(*check.Index, *snapshot.Secret) (Origin, bool){byMaker, byType, byOwner, byMark, byWriter} {
		if o, ok := ask(x, s); ok {
			return o
		}
	}
	if s.Place != "" {
		return Origin{Kind: Plain, By: s.Place}
	}
	return Origin{Kind: Unknown}
}

// group is a line for each API group whose objects make Secrets. A * as a kind is any.
var groups = []struct {
	group, kind string
	is          Kind
}{
	{"external-secrets.io", "*", External},
	{"generators.external-secrets.io", "*", External},
	{"strongkeep.io", "*", External},
	{"secrets.hashicorp.com", "*", External},
	{"secrets-store.csi.x-k8s.io", "*", External},
	{"secrets.infisical.com", "*", External},
	{"onepassword.com", "*", External},
	{"secrets.doppler.com", "*", External},
	{"akeyless.io", "*", External},
	{"ricoberger.de", "VaultSecret", External},
	{"keyvault.azure.spv.no", "*", External},
	{"spv.no", "AzureKeyVaultSecret", External},
	{"kubernetes-client.io", "ExternalSecret", External},
	{"cert-manager.io", "*", Certificate},
	{"acme.cert-manager.io", "*", Certificate},
	{"bitnami.com", "SealedSecret", Sealed},
	{"isindir.github.com", "SopsSecret", Sealed},
}

func byGroup(r snapshot.Ref) (Kind, bool) {
	for _, g := range groups {
		if g.group == r.Group && (g.kind == "*" || g.kind == r.Kind) {
			return g.is, true
		}
	}
	return "", false
}

func byMaker(x *check.Index, s *snapshot.Secret) (Origin, bool) {
	makers := x.Makers[posture.Name{Namespace: s.Namespace, Name: s.Name}]
	if len(makers) == 0 {
		return Origin{}, false
	}
	m := makers[0]
	return by(snapshot.Ref{Group: m.Group, Kind: m.Kind, Namespace: m.Namespace, Name: m.Name}), true
}

// by is what an object makes.
func by(r snapshot.Ref) Origin {
	kind, ok := byGroup(r)
	if !ok {
		kind = Operator
	}
	return Origin{Kind: kind, By: r.String()}
}

func byType(_ *check.Index, s *snapshot.Secret) (Origin, bool) {
	switch {
	case s.Type == "kubernetes.io/service-account-token" || s.Type == "bootstrap.kubernetes.io/token":
		return Origin{Kind: Cluster, By: s.Type}, true
	case s.Release != nil || s.Type == "helm.sh/release.v1":
		return Origin{Kind: Helm, By: "Helm"}, true
	}
	return Origin{}, false
}

func byOwner(_ *check.Index, s *snapshot.Secret) (Origin, bool) {
	if len(s.Owners) == 0 {
		return Origin{}, false
	}
	return by(s.Owners[0].Ref), true
}

// marks are labels and annotations that a tool leaves on what it makes. of says
// that its value names the Secret copied from.
var marks = []struct {
	key string
	is  Kind
	by  string
	of  bool
}{
	{"reconcile.external-secrets.io/managed", External, "an ExternalSecret", false},
	{"reconcile.external-secrets.io/created-by", External, "an ExternalSecret", false},
	{"reconcile.external-secrets.io/data-hash", External, "an ExternalSecret", false},
	{"strongkeep.io/content", External, "Strongkeep", false},
	{"secrets-store.csi.k8s.io/managed", External, "the Secrets Store CSI driver", false},
	{"cert-manager.io/certificate-name", Certificate, "cert-manager", false},
	{"cert-manager.io/next-private-key", Certificate, "cert-manager", false},
	{"sealedsecrets.bitnami.com/sealed-secrets-key", Operator, "Sealed Secrets, as its own key", false},
	{"replicator.v1.mittwald.de/replicated-from", Copy, "kubernetes-replicator", true},
	{"replicator.v1.mittwald.de/replicate-from", Copy, "kubernetes-replicator", true},
	{"reflector.v1.k8s.emberstack.com/reflects", Copy, "Reflector", true},
	{"kubed.appscode.com/origin.name", Copy, "config-syncer", false},
	{"generate.kyverno.io/clone-source", Copy, "Kyverno", false},
	{"clustersecret.clustersecret.com", Copy, "ClusterSecret", false},
	{"kustomize.toolkit.fluxcd.io/name", Plain, "Flux, from Git", false},
	{"helm.toolkit.fluxcd.io/name", Plain, "Flux, from a chart", false},
	{"argocd.argoproj.io/tracking-id", Plain, "Argo CD, from Git", false},
	{"argocd.argoproj.io/instance", Plain, "Argo CD, from Git", false},
	{"meta.helm.sh/release-name", Plain, "a Helm chart", false},
}

func byMark(_ *check.Index, s *snapshot.Secret) (Origin, bool) {
	for _, m := range marks {
		value, ok := s.Annotations[m.key]
		if !ok {
			value, ok = s.Labels[m.key]
		}
		if !ok {
			continue
		}
		o := Origin{Kind: m.is, By: m.by}
		if m.of {
			if ns, name, cut := strings.Cut(value, "/"); cut {
				o.Of = posture.Name{Namespace: ns, Name: name}
			} else {
				o.Of = posture.Name{Namespace: s.Namespace, Name: value}
			}
		}
		return o, true
	}
	return Origin{}, false
}

// writers are patterns of managers in managedFields. The newest who wrote data counts.
var writers = []struct {
	pattern string
	is      Kind
}{
	{"external-secrets*", External}, {"externalsecrets*", External}, {"strongkeep*", External}, {"vault-secrets-operator*", External}, {"secrets-store*", External},
	{"sealed-secrets*", Sealed},
	{"cert-manager*", Certificate},
	{"argocd-controller", Plain}, {"argocd*", Plain}, {"kustomize-controller", Plain}, {"helm-controller", Plain}, {"helm", Plain}, {"Helm", Plain}, {"terraform*", Plain}, {"Terraform*", Plain}, {"pulumi*", Plain},
	{"kubectl*", Hand}, {"Mozilla*", Hand}, {"dashboard*", Hand}, {"k9s*", Hand}, {"lens*", Hand}, {"node-fetch*", Hand}, {"oc", Hand}, {"curl*", Hand}, {"rancher*", Hand},
}

func byWriter(_ *check.Index, s *snapshot.Secret) (Origin, bool) {
	for i := len(s.Writers) - 1; i >= 0; i-- {
		w := &s.Writers[i]
		if !w.Content {
			continue
		}
		for _, row := range writers {
			if ok, err := path.Match(row.pattern, w.Manager); err == nil && ok {
				return Origin{Kind: row.is, By: w.Manager}, true
			}
		}
		return Origin{Kind: Operator, By: w.Manager}, true
	}
	return Origin{}, false
}

// Managed reports whether the content of s comes from outside the cluster and
// follows it there: from a manager of secrets, an issuer, or by a copy of such.
func Managed(x *check.Index, s *snapshot.Secret) bool {
	for range 5 { // a copy of a copy of a copy
		o := Of(x, s)
		if o.Kind != Copy {
			return o.Kind == External || o.Kind == Certificate
		}
		if s = x.Secrets[o.Of]; s == nil {
			return false
		}
	}
	return false
}

// Credential reports whether s may hold a credential of somebody's: neither
// Kubernetes' own tokens nor Helm's records, and not only what is public.
func Credential(s *snapshot.Secret) bool {
	if s.Release != nil || s.Type == "helm.sh/release.v1" || s.Type == "kubernetes.io/service-account-token" || s.Type == "bootstrap.kubernetes.io/token" {
		return false
	}
	if !s.Read || len(s.Keys) == 0 {
		return !s.Read
	}
	if len(s.Values) < len(s.Keys) {
		return true
	}
	for i := range s.Values {
		if v := &s.Values[i]; !strings.HasPrefix(v.Field, "metadata") && v.Looks != snapshot.LooksCert && v.Looks != snapshot.LooksReference {
			return true
		}
	}
	return false
}

// Ref names s.
func Ref(s *snapshot.Secret) snapshot.Ref {
	return snapshot.Ref{Kind: "Secret", Namespace: s.Namespace, Name: s.Name}
}

// Store is the kind and name of a store that namespace may use, the first there is,
// for a patch to begin with.
func Store(in *check.Input, namespace string) (kind, name string) {
	for i := range in.Stores {
		if s := &in.Stores[i]; s.Namespace == namespace || s.Kind == "ClusterSecretStore" && len(s.Namespaces) == 0 {
			return s.Kind, s.Name
		}
	}
	return "ClusterSecretStore", "name-of-a-store"
}
