package spread

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
)

// Kind is a kind of object that is spread: ExternalSecrets or PushSecrets.
type Kind struct {
	name, child string // kinds
	version     string // apiVersion of the child
	metric      string // prefix of series

	object    func() client.Object
	list      func() client.ObjectList
	newChild  func() client.Object
	childList func() client.ObjectList

	read   func(client.Object) wanted
	spec   func(child client.Object) any
	report func(client.Object, report)
}

// wanted is what an object asks for.
type wanted struct {
	name                string // of the children
	labels, annotations map[string]string
	selectors           []*metav1.LabelSelector
	namespaces          []string
	every               time.Duration // 0: when something changes
	spec                any
}

// report is what came of it.
type report struct {
	name        string
	provisioned []string
	failed      []v1.NamespaceFailure
	condition   v1.Condition
	now         metav1.Time
}

// AnnotationForce is set on the children when it is set on the object.
const AnnotationForce = "external-secrets.io/force-sync"

// ExternalSecrets is the Kind of ClusterExternalSecret.
func ExternalSecrets() Kind {
	return Kind{
		name: v1.KindClusterExternalSecret, child: v1.KindExternalSecret, version: v1.GroupVersion().String(), metric: "clusterexternalsecret",
		object:    func() client.Object { return &v1.ClusterExternalSecret{} },
		list:      func() client.ObjectList { return &v1.ClusterExternalSecretList{} },
		newChild:  func() client.Object { return &v1.ExternalSecret{} },
		childList: func() client.ObjectList { return &v1.ExternalSecretList{} },
		read:      readExternalSecrets,
		spec: func(o client.Object) any {
			if es, ok := o.(*v1.ExternalSecret); ok {
				return &es.Spec
			}
			return nil
		},
		report: func(o client.Object, r report) {
			if c, ok := o.(*v1.ClusterExternalSecret); ok {
				c.Status.ExternalSecretName, c.Status.ProvisionedNamespaces, c.Status.FailedNamespaces = r.name, r.provisioned, r.failed
				c.Status.Conditions = v1.SetCondition(c.Status.Conditions, r.condition, r.now)
			}
		},
	}
}

func readExternalSecrets(o client.Object) wanted {
	c, ok := o.(*v1.ClusterExternalSecret)
	if !ok {
		return wanted{}
	}
	w := wanted{
		name: c.Spec.ExternalSecretName, selectors: c.Spec.NamespaceSelectors, namespaces: c.Spec.Namespaces, spec: &c.Spec.ExternalSecretSpec,
	}
	if c.Spec.NamespaceSelector != nil {
		w.selectors = append([]*metav1.LabelSelector{c.Spec.NamespaceSelector}, w.selectors...)
	}
	return w.with(c, c.Spec.ExternalSecretMetadata, c.Spec.RefreshInterval)
}

// PushSecrets is the Kind of ClusterPushSecret.
func PushSecrets() Kind {
	return Kind{
		name: "ClusterPushSecret", child: v1alpha1.KindPushSecret, version: v1alpha1.GroupVersion().String(), metric: "clusterpushsecret",
		object:    func() client.Object { return &v1alpha1.ClusterPushSecret{} },
		list:      func() client.ObjectList { return &v1alpha1.ClusterPushSecretList{} },
		newChild:  func() client.Object { return &v1alpha1.PushSecret{} },
		childList: func() client.ObjectList { return &v1alpha1.PushSecretList{} },
		read: func(o client.Object) wanted {
			c, ok := o.(*v1alpha1.ClusterPushSecret)
			if !ok {
				return wanted{}
			}
			w := wanted{name: c.Spec.PushSecretName, selectors: c.Spec.NamespaceSelectors, spec: &c.Spec.PushSecretSpec}
			return w.with(c, c.Spec.PushSecretMetadata, c.Spec.RefreshInterval)
		},
		spec: func(o client.Object) any {
			if ps, ok := o.(*v1alpha1.PushSecret); ok {
				return &ps.Spec
			}
			return nil
		},
		report: func(o client.Object, r report) {
			if c, ok := o.(*v1alpha1.ClusterPushSecret); ok {
				c.Status.PushSecretName, c.Status.ProvisionedNamespaces, c.Status.FailedNamespaces = r.name, r.provisioned, r.failed
				c.Status.Conditions = v1.SetCondition(c.Status.Conditions, r.condition, r.now)
			}
		},
	}
}

func (w wanted) with(o client.Object, meta v1.ExternalSecretMetadata, every *metav1.Duration) wanted {
	if w.name == "" {
		w.name = o.GetName()
	}
	w.labels, w.annotations = maps.Clone(meta.Labels), maps.Clone(meta.Annotations)
	if w.annotations == nil {
		w.annotations = map[string]string{}
	}
	if force, ok := o.GetAnnotations()[AnnotationForce]; ok {
		w.annotations[AnnotationForce] = force
	}
	w.annotations[v1.AnnotationSpread] = w.fingerprint()
	if every != nil && every.Duration > 0 {
		w.every = every.Duration
	}
	return w
}

// fingerprint tells labels and annotations apart that were given at one time and are
// no longer. Nothing of them is secret.
func (w wanted) fingerprint() string {
	raw, err := json.Marshal([]any{w.labels, w.annotations})
	if err != nil {
		return "" // texts always encode
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8])
}
