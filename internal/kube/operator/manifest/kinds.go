package manifest

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// Flag is the operator's switch.
const Flag = "--unsafe-allow-generic-targets"

// KindConfigMap is the kind whose metadata the operator watches anyway.
const KindConfigMap = "ConfigMap"

// Asked reports whether es is to make something else than a Secret.
func Asked(es *v1.ExternalSecret) bool { return es.Spec.Target.Manifest != nil }

// Noun names the kind of the target of es for messages.
func Noun(es *v1.ExternalSecret) string {
	if m := es.Spec.Target.Manifest; m != nil {
		return m.Kind
	}
	return "Secret"
}

// IsConfigMap reports whether es is to make a ConfigMap.
func IsConfigMap(es *v1.ExternalSecret) bool {
	m := es.Spec.Target.Manifest
	return m != nil && m.Kind == KindConfigMap && m.APIVersion == "v1"
}

// Refused says that the switch is off, and what it takes to turn it on.
func Refused(es *v1.ExternalSecret) error {
	rights := "the roles that strongkeep operator rbac " + Flag + " prints"
	if !IsConfigMap(es) {
		rights = "a role that you write, with get, create, patch and delete on that kind"
	}
	return errs.Newf(errs.Unsupported, "spec.target.manifest: this operator makes only Secrets: it makes a %s when it runs with %s and has %s. "+
		"Whoever may read ConfigMaps, or objects of that kind, can then read the values: make a Secret if they are secret", Noun(es), Flag, rights)
}

// systemConfigMap is in every namespace; pods take from it whom they believe to
// be the API server.
const systemConfigMap = "kube-root-ca.crt"

// Kinds says which kinds may be written. It is for concurrent use if its mapper is.
type Kinds struct{ Mapper meta.RESTMapper }

// Of returns the kind that es is to make. Errors: Invalid where there is no such
// kind, Denied where none of it may be made, Unavailable.
func (k Kinds) Of(es *v1.ExternalSecret) (*meta.RESTMapping, error) {
	m := es.Spec.Target.Manifest
	group, err := schema.ParseGroupVersion(m.APIVersion)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "spec.target.manifest.apiVersion %q is no group and version, such as apps.example/v1", m.APIVersion)
	}
	if why := forbidden(schema.GroupKind{Group: group.Group, Kind: m.Kind}); why != "" {
		return nil, errs.Newf(errs.Denied, "spec.target.manifest: %s %s is not written, whatever the operator's role allows: %s", m.APIVersion, m.Kind, why)
	}
	mapping, err := k.Mapper.RESTMapping(schema.GroupKind{Group: group.Group, Kind: m.Kind}, group.Version)
	switch {
	case meta.IsNoMatchError(err):
		return nil, errs.Newf(errs.Invalid, "spec.target.manifest: the API server knows no kind %s in %s: correct it, or install its definition", m.Kind, m.APIVersion)
	case err != nil:
		return nil, errs.Newf(errs.Unavailable, "asking the API server for kind %s in %s: %w", m.Kind, m.APIVersion, err)
	case mapping.Scope.Name() != meta.RESTScopeNameNamespace:
		return nil, errs.Newf(errs.Denied, "spec.target.manifest: %s is not in a namespace, and an ExternalSecret makes nothing outside its own", m.Kind)
	case IsConfigMap(es) && target.Name(es) == systemConfigMap:
		return nil, errs.Newf(errs.Denied, "spec.target.name: ConfigMap %q says whom the namespace's pods believe to be the API server, and is not written: choose another name", systemConfigMap)
	}
	return mapping, nil
}

// Why a kind is never written. Each of these gives whoever may write an
// ExternalSecret more than that.
const (
	whySecret   = "leave spec.target.manifest out, and a Secret is made"
	whyPods     = "whoever makes pods can use every ServiceAccount and Secret of the namespace"
	whyRights   = "it gives rights"
	whyAccounts = "it stands for an identity in the cluster, and its annotations often for one in a cloud"
	whyOurs     = "the operator acts on it with its own rights"
	whyServer   = "the API server itself acts on it"
	whyElection = "controllers are elected by it"
)

// forbidden returns why objects of a kind are never written, or "".
func forbidden(gk schema.GroupKind) string {
	switch gk.Group {
	case "":
		return map[string]string{
			"Secret": whySecret, "ServiceAccount": whyAccounts, "Pod": whyPods, "PodTemplate": whyPods, "ReplicationController": whyPods,
			"Binding": whyPods,
		}[gk.Kind]
	case "apps", "batch", "extensions":
		return whyPods
	case "rbac.authorization.k8s.io", "authorization.k8s.io", "authentication.k8s.io", "certificates.k8s.io",
		"authorization.openshift.io", "security.openshift.io", "oauth.openshift.io", "user.openshift.io":
		return whyRights
	case "apps.openshift.io", "build.openshift.io":
		return whyPods
	case "admissionregistration.k8s.io", "apiregistration.k8s.io", "apiextensions.k8s.io", "flowcontrol.apiserver.k8s.io":
		return whyServer
	case "coordination.k8s.io":
		return whyElection
	}
	for _, ours := range []string{v1.Group, "strongkeep.io"} { // generators.external-secrets.io too
		if gk.Group == ours || strings.HasSuffix(gk.Group, "."+ours) {
			return whyOurs
		}
	}
	return ""
}
