package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Store is what a SecretStore and a ClusterSecretStore have in common.
//
// +kubebuilder:object:generate=false
type Store interface {
	client.Object
	StoreKind() string
	StoreSpec() *SecretStoreSpec
	StoreStatus() *SecretStoreStatus
}

// StoreKind returns KindSecretStore.
func (*SecretStore) StoreKind() string { return KindSecretStore }

// StoreSpec returns the spec itself.
func (s *SecretStore) StoreSpec() *SecretStoreSpec { return &s.Spec }

// StoreStatus returns the status itself.
func (s *SecretStore) StoreStatus() *SecretStoreStatus { return &s.Status }

// StoreKind returns KindClusterSecretStore.
func (*ClusterSecretStore) StoreKind() string { return KindClusterSecretStore }

// StoreSpec returns the spec itself.
func (s *ClusterSecretStore) StoreSpec() *SecretStoreSpec { return &s.Spec }

// StoreStatus returns the status itself.
func (s *ClusterSecretStore) StoreStatus() *SecretStoreStatus { return &s.Status }

// StoreKey identifies a store. Namespace is empty for a ClusterSecretStore.
//
// +kubebuilder:object:generate=false
type StoreKey struct{ Kind, Namespace, Name string }

// AnnotationChanges on a store says who tells of its changes at once: a queue of its
// cloud, or whoever signs with the key of a Secret.
//
//	sqs:https://sqs.REGION.amazonaws.com/ACCOUNT/QUEUE
//	pubsub:projects/PROJECT/subscriptions/SUBSCRIPTION
//	azure-queue:https://ACCOUNT.queue.core.windows.net/QUEUE
//	webhook:SECRET/KEY             of a SecretStore, in its own namespace
//	webhook:NAMESPACE/SECRET/KEY   of a ClusterSecretStore
const AnnotationChanges = "strongkeep.io/changes"

// KeyOf returns the key of s.
func KeyOf(s Store) StoreKey {
	return StoreKey{Kind: s.StoreKind(), Namespace: s.GetNamespace(), Name: s.GetName()}
}

// KeyFor returns the key of the store that ref names from within namespace.
func KeyFor(ref SecretStoreRef, namespace string) StoreKey {
	if ref.Kind == KindClusterSecretStore {
		return StoreKey{Kind: KindClusterSecretStore, Name: ref.Name}
	}
	return StoreKey{Kind: KindSecretStore, Namespace: namespace, Name: ref.Name}
}

// NamespacedName returns the name to get the store by.
func (k StoreKey) NamespacedName() types.NamespacedName {
	return types.NamespacedName{Namespace: k.Namespace, Name: k.Name}
}

// String returns such as `SecretStore "team/vault"`.
func (k StoreKey) String() string {
	if k.Namespace == "" {
		return k.Kind + ` "` + k.Name + `"`
	}
	return k.Kind + ` "` + k.Namespace + "/" + k.Name + `"`
}

// FindCondition returns the condition of type t, or nil.
func FindCondition(list []Condition, t ConditionType) *Condition {
	for i := range list {
		if list[i].Type == t {
			return &list[i]
		}
	}
	return nil
}

// SetCondition returns list with c in it. The transition time of a condition
// whose status stays is kept; list itself is not changed.
func SetCondition(list []Condition, c Condition, now metav1.Time) []Condition {
	out := make([]Condition, 0, len(list)+1)
	c.LastTransitionTime = now
	for _, old := range list {
		if old.Type != c.Type {
			out = append(out, old)
			continue
		}
		if old.Status == c.Status {
			c.LastTransitionTime = old.LastTransitionTime
		}
	}
	return append(out, c)
}

// IsReady reports whether the Ready condition in list is True.
func IsReady(list []Condition) bool {
	c := FindCondition(list, ConditionReady)
	return c != nil && c.Status == metav1.ConditionTrue
}
