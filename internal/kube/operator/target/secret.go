package target

import (
	"bytes"
	"crypto/sha3"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/generator/record"
)

// Labels and annotations, as the External Secrets Operator has them.
const (
	LabelManaged     = "reconcile.external-secrets.io/managed"
	LabelManagedTrue = "true"
	LabelCreatedBy   = "reconcile.external-secrets.io/created-by"
	AnnotationMark   = "reconcile.external-secrets.io/data-hash"
	ManagerPrefix    = "externalsecrets.external-secrets.io/"

	lastApplied = "kubectl.kubernetes.io/last-applied-configuration"
)

// Secret is what is to be written: the whole Secret, or with Merge some keys.
type Secret struct {
	Namespace, Name string
	Manager         string
	Type            corev1.SecretType
	Immutable       bool
	Data            map[string][]byte
	Labels          map[string]string
	Annotations     map[string]string
	Finalizers      []string
	Owner           *metav1.OwnerReference // nil: none
	Merge           bool                   // only Data, into a Secret of somebody else
}

// Name returns the name of the Secret of es.
func Name(es *v1.ExternalSecret) string {
	if n := es.Spec.Target.Name; n != "" {
		return n
	}
	return es.Name
}

// Manager returns the field manager of an ExternalSecret. Names too long for
// the API server's 128 bytes are hashed.
func Manager(name string) string {
	if len(ManagerPrefix)+len(name) <= 128 {
		return ManagerPrefix + name
	}
	return ManagerPrefix + short(name)
}

// CreatedBy returns the value of LabelCreatedBy.
func CreatedBy(namespace, name string) string { return short(namespace + "/" + name) }

// short only makes names short; nothing secret goes in.
func short(s string) string {
	sum := sha3.Sum224([]byte(s))
	return hex.EncodeToString(sum[:])
}

// Policy returns the creation policy of es, Owner when it has none.
func Policy(es *v1.ExternalSecret) v1.CreationPolicy {
	if p := es.Spec.Target.CreationPolicy; p != "" {
		return p
	}
	return v1.CreateOwner
}

// Shared reports whether es writes only its keys into a Secret that nobody owns.
func Shared(es *v1.ExternalSecret) bool {
	return Policy(es) == v1.CreateMerge || Policy(es) == v1.CreateOrMerge
}

// New returns the Secret of es with data and no template's metadata.
func New(es *v1.ExternalSecret, data map[string][]byte) *Secret {
	s := &Secret{
		Namespace: es.Namespace, Name: Name(es), Manager: Manager(es.Name),
		Type: corev1.SecretTypeOpaque, Immutable: es.Spec.Target.Immutable, Data: data,
	}
	if Shared(es) {
		s.Merge, s.Type, s.Immutable = true, "", false
		return s
	}
	s.Labels = map[string]string{LabelManaged: LabelManagedTrue}
	s.Annotations = map[string]string{}
	if Policy(es) == v1.CreateOwner {
		s.Labels[LabelCreatedBy] = CreatedBy(es.Namespace, es.Name)
		yes := true
		s.Owner = &metav1.OwnerReference{
			APIVersion: v1.GroupVersion().String(), Kind: v1.KindExternalSecret, Name: es.Name, UID: es.UID,
			Controller: &yes, BlockOwnerDeletion: &yes,
		}
	}
	return s
}

// Again returns the Secret of es as live has it, to be written with other
// annotations. All of live must be known to be ours; it is not for Merge.
func Again(es *v1.ExternalSecret, live *corev1.Secret) *Secret {
	s := New(es, live.Data)
	owned := ownedMetadata(live.ManagedFields, s.Manager)
	s.Type = live.Type
	s.Labels, s.Annotations = pick(live.Labels, owned.labels), pick(live.Annotations, owned.annotations)
	if t := es.Spec.Target.Template; t != nil {
		s.Finalizers = t.Metadata.Finalizers
	}
	return s
}

// CopyMetadata gives s the labels and annotations of es, as it is without a
// template. What s has stays.
func (s *Secret) CopyMetadata(es *v1.ExternalSecret) {
	if s.Merge {
		return
	}
	s.AddMetadata(es.Labels, es.Annotations)
}

// AddMetadata adds labels and annotations. Those that s has stay: nobody may
// say who made a Secret but us.
func (s *Secret) AddMetadata(labels, annotations map[string]string) {
	if s.Labels == nil {
		s.Labels = map[string]string{}
	}
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	for k, v := range labels {
		if _, ok := s.Labels[k]; !ok && k != LabelManaged && k != LabelCreatedBy {
			s.Labels[k] = v
		}
	}
	for k, v := range annotations {
		if _, ok := s.Annotations[k]; !ok && !ours(k) {
			s.Annotations[k] = v
		}
	}
}

// ours reports whether nobody but us, or kubectl, may set an annotation.
func ours(key string) bool {
	return key == lastApplied || key == AnnotationMark || key == v1.AnnotationSpread || key == v1alpha1.AnnotationDrill || ourVersions(key) || ourChanges(key) || record.Ours(key)
}

// SetDrill makes s say which drill has made its values wrong; "" for none.
func (s *Secret) SetDrill(name string) {
	delete(s.Annotations, v1alpha1.AnnotationDrill)
	if name != "" {
		s.Annotations[v1alpha1.AnnotationDrill] = name
	}
}

// Ours reports whether the Secret that m describes was made by es: it says so
// in its label, es owns it, or es's field manager marked it, and did not only merge into
// one that somebody else made. A Secret that
// another object controls is not.
func Ours(es *v1.ExternalSecret, m *metav1.PartialObjectMetadata) bool {
	if c := metav1.GetControllerOf(m); c != nil {
		return c.UID == es.UID || c.Kind == v1.KindExternalSecret && c.Name == es.Name &&
			m.Labels[LabelCreatedBy] == CreatedBy(es.Namespace, es.Name)
	}
	if m.Labels[LabelCreatedBy] == CreatedBy(es.Namespace, es.Name) {
		return true
	}
	return m.Annotations[AnnotationMark] != "" && slices.ContainsFunc(m.ManagedFields, func(f metav1.ManagedFieldsEntry) bool {
		return f.Manager == Manager(es.Name) && makes(f)
	})
}

// makes reports whether who manages these fields made the Secret: it owns what nobody
// writes who merges into one. Once stripped, fields are only there if so.
func makes(f metav1.ManagedFieldsEntry) bool {
	if f.FieldsV1 == nil {
		return true
	}
	raw := f.FieldsV1.GetRawBytes()
	if !bytes.Contains(raw, []byte("f:"+AnnotationMark)) && !bytes.Contains(raw, []byte("f:"+LabelManaged)) {
		return false
	}
	set := ownedBy(f)
	_, marks := set.annotations["f:"+AnnotationMark]
	_, labels := set.labels["f:"+LabelManaged]
	return marks || labels
}

// Owned reports whether live, a Secret of es, has the owner reference that it is to have,
// or that of another controller, beside which there can be none.
func Owned(es *v1.ExternalSecret, live metav1.Object) bool {
	return Policy(es) != v1.CreateOwner || metav1.GetControllerOf(live) != nil
}

// Owner describes for a message whose Secret m is.
func Owner(m *metav1.PartialObjectMetadata) string {
	if c := metav1.GetControllerOf(m); c != nil {
		return "it belongs to " + c.Kind + ` "` + c.Name + `"`
	}
	if m.Labels[LabelCreatedBy] != "" {
		return "it belongs to another ExternalSecret"
	}
	return "it was not made by this ExternalSecret"
}

// StripMetadata takes out of a cached object's metadata what the operator never
// looks at: in a large cluster that is most of it. Of the managed fields it
// keeps which ExternalSecrets made what is there, where Ours asks: when nobody controls it.
func StripMetadata(m *metav1.ObjectMeta) {
	if metav1.GetControllerOfNoCopy(m) != nil {
		m.ManagedFields = nil
	}
	m.ManagedFields = slices.DeleteFunc(m.ManagedFields, func(f metav1.ManagedFieldsEntry) bool {
		return !strings.HasPrefix(f.Manager, ManagerPrefix) || !makes(f)
	})
	for i := range m.ManagedFields {
		m.ManagedFields[i] = metav1.ManagedFieldsEntry{Manager: m.ManagedFields[i].Manager}
	}
	maps.DeleteFunc(m.Annotations, func(k, _ string) bool { return k == lastApplied })
}
