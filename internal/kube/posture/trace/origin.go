package trace

import (
	"fmt"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// OriginKind says where an object's content comes from. The words are stable:
// programs read them.
type OriginKind string

// The origins, the most authoritative first.
const (
	FromVault      OriginKind = "Vault"      // it is the store itself
	FromStore      OriginKind = "Store"      // an ExternalSecret, a CSI class, a VaultStaticSecret takes it from a store
	FromGenerator  OriginKind = "Generator"  // drawn by a generator or another operator
	FromSealed     OriginKind = "Sealed"     // a SealedSecret or SopsSecret, encrypted in Git
	FromIssuer     OriginKind = "Issuer"     // a Certificate of cert-manager
	FromKubernetes OriginKind = "Kubernetes" // a token that Kubernetes makes
	FromOperator   OriginKind = "Operator"   // owned by another object
	FromGitOps     OriginKind = "GitOps"     // applied by Flux or Argo CD
	FromHelm       OriginKind = "Helm"
	FromMirror     OriginKind = "Mirror" // copied by a replicator
	ByHand         OriginKind = "Hand"   // kubectl, a console
	ByClient       OriginKind = "Client" // some other program
	InGit          OriginKind = "Git"    // a file
	Unknown        OriginKind = "Unknown"
)

var ranks = func() map[OriginKind]int {
	out := map[OriginKind]int{}
	for i, k := range []OriginKind{FromVault, FromStore, FromGenerator, FromSealed, FromIssuer, FromKubernetes, FromOperator, FromGitOps, FromHelm, ByHand, ByClient, FromMirror, Unknown, InGit} {
		out[k] = i
	}
	return out
}()

// Origin is where an object's content comes from.
type Origin struct {
	Kind OriginKind `json:"kind"`
	// By is the object that makes it.
	By snapshot.Ref `json:"by,omitzero"`
	// Store is the store that By reads, for people, and Remote what it is called there.
	Store  string            `json:"store,omitempty"`
	Remote []snapshot.Remote `json:"remote,omitempty"`
	// Ready and Reason are By's condition.
	Ready  string `json:"ready,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Gone says that By is not there any more.
	Gone bool `json:"gone,omitempty"`
}

// String is for people: "ExternalSecret shop/db (vault https://… secret: shop/db)".
func (o *Origin) String() string {
	switch {
	case o.By.Name == "":
		return words[o.Kind]
	case o.Store != "":
		return o.By.String() + ", " + o.Store
	}
	return o.By.String()
}

var words = map[OriginKind]string{
	FromVault: "the vault", FromStore: "a store", FromGenerator: "a generator", FromSealed: "sealed in Git", FromIssuer: "cert-manager", FromKubernetes: "Kubernetes", FromOperator: "an operator",
	FromGitOps: "GitOps", FromHelm: "Helm", FromMirror: "a replicator", ByHand: "by hand", ByClient: "a program", InGit: "in Git", Unknown: "not known",
}

// makes is the table of what makers are, by group. What is in none of them and
// makes a Secret is an Operator.
var makes = map[string]OriginKind{
	"external-secrets.io/ExternalSecret": FromStore, "external-secrets.io/ClusterExternalSecret": FromStore, "secrets-store.csi.x-k8s.io/SecretProviderClass": FromStore,
	"secrets.hashicorp.com/VaultStaticSecret": FromStore, "secrets.hashicorp.com/VaultDynamicSecret": FromStore, "secrets.hashicorp.com/VaultPKISecret": FromStore,
	"bitnami.com/SealedSecret": FromSealed, "isindir.github.com/SopsSecret": FromSealed, "cert-manager.io/Certificate": FromIssuer,
}

// origin finds it, by what is surest first.
func (h *holder) origin() Origin {
	switch {
	case h.ref.Kind == "Vault":
		return Origin{Kind: FromVault}
	case h.ref.Kind == "File":
		return Origin{Kind: InGit}
	}
	if makers := h.world.makers[h.ref]; len(makers) > 0 {
		return h.made(makers[0])
	}
	if h.secret != nil && h.secret.Type == "kubernetes.io/service-account-token" {
		return Origin{Kind: FromKubernetes, By: snapshot.Ref{Kind: "ServiceAccount", Namespace: h.ref.Namespace, Name: h.secret.Account}}
	}
	if at := slices.IndexFunc(h.meta.Owners, func(o snapshot.Owner) bool { return o.Controller }); at >= 0 {
		return h.owned(&h.meta.Owners[at])
	}
	return h.marked()
}

func (h *holder) made(s *snapshot.Source) Origin {
	o := Origin{Kind: makes[s.Group+"/"+s.Kind], By: snapshot.Ref{Group: s.Group, Kind: s.Kind, Namespace: s.Namespace, Name: s.Name}, Remote: s.Remote, Ready: s.Ready, Reason: s.Reason}
	switch {
	case s.Generator:
		o.Kind = FromGenerator
	case mirrors[s.Kind]:
		o.Kind = FromMirror
	case o.Kind == "":
		o.Kind = FromOperator
	}
	if st := h.world.store(s); st != nil {
		o.Store = strings.Join(strings.Fields(st.Provider+" "+st.Server+" "+st.Mount), " ")
	} else if s.Store.Name != "" {
		o.Store = s.Store.Kind + " " + s.Store.Name
	}
	return o
}

// mirrors are the kinds by which replicators are recorded as sources.
var mirrors = map[string]bool{"Reflector": true, "Replicator": true, "Kubed": true, "ClusterSecret": true}

// owned is the origin of what another object owns. That is gone if its kind was
// read and it is not there.
func (h *holder) owned(o *snapshot.Owner) Origin {
	out := Origin{Kind: makes[o.Group+"/"+o.Kind], By: o.Ref}
	if out.By.Namespace == "" {
		out.By.Namespace = h.ref.Namespace
	}
	if out.Kind == "" {
		out.Kind = FromOperator
	} else if h.world.Coverage.Whole("sources") && h.world.sources[out.By] == nil {
		out.Gone = true
	}
	return out
}

// marked finds the origin by labels, annotations and managers.
func (h *holder) marked() Origin {
	a, l := h.meta.Annotations, h.meta.Labels
	for _, m := range mirrored {
		if from := a[m]; from != "" {
			return h.mirror(from)
		}
	}
	if r := a["meta.helm.sh/release-name"]; r != "" {
		return h.released(path.Name{Namespace: a["meta.helm.sh/release-namespace"], Name: r})
	}
	for _, m := range applied {
		if l[m] != "" || a[m] != "" {
			return Origin{Kind: FromGitOps}
		}
	}
	if h.secret != nil && h.secret.Release != nil {
		return Origin{Kind: FromHelm}
	}
	return Origin{Kind: manager(h.writer())}
}

// mirror is the origin of what a replicator copies from a Secret, NAMESPACE/NAME.
func (h *holder) mirror(from string) Origin {
	ns, n, _ := strings.Cut(from, "/")
	by := snapshot.Ref{Kind: "Secret", Namespace: ns, Name: n}
	return Origin{Kind: FromMirror, By: by, Gone: n != "" && h.world.Coverage.Whole("secrets") && !h.world.secret[name(by)]}
}

// released is the origin of what a release of Helm made. Where no release is to be
// seen, they are kept elsewhere.
func (h *holder) released(r path.Name) Origin {
	gone := h.world.Coverage.Whole("secrets", "secrets/values") && len(h.world.releases) > 0 && !h.world.releases[r]
	return Origin{Kind: FromHelm, By: snapshot.Ref{Kind: "Release", Namespace: r.Namespace, Name: r.Name}, Gone: gone}
}

// What replicators and those who apply from Git leave on what they write.
var (
	mirrored = []string{"reflector.v1.k8s.emberstack.com/reflects", "replicator.v1.mittwald.de/replicate-from", "replicator.v1.mittwald.de/replicated-from"}
	applied  = []string{"kustomize.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/name", "argocd.argoproj.io/instance", "argocd.argoproj.io/tracking-id"}
)

// managers are beginnings of names in managedFields, and what writes so.
var managers = []struct {
	begins string
	kind   OriginKind
}{
	{"kubectl", ByHand}, {"k9s", ByHand}, {"Mozilla", ByHand}, {"dashboard", ByHand}, {"lens", ByHand}, {"kustomize-controller", FromGitOps}, {"argocd", FromGitOps},
	{"helm", FromHelm}, {"externalsecrets", FromStore}, {"external-secrets", FromStore}, {"strongkeep", FromStore}, {"cert-manager", FromIssuer}, {"sealed-secrets", FromSealed}, {"controller", FromSealed},
}

func manager(name string) OriginKind {
	if name == "" {
		return Unknown
	}
	for _, m := range managers {
		if strings.HasPrefix(strings.ToLower(name), strings.ToLower(m.begins)) && (m.begins != "controller" || name == "controller") {
			return m.kind
		}
	}
	return ByClient
}

// writer is who last wrote content.
func (h *holder) writer() string {
	if h.meta == nil {
		return ""
	}
	for _, w := range slices.Backward(h.meta.Writers) {
		if w.Content {
			return w.Manager
		}
	}
	return ""
}

func revision(r *snapshot.Release) string { return fmt.Sprintf("%s revision %d", r.Name, r.Revision) }
