package stores

import (
	"context"
	"regexp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Lookup finds stores. It is safe for concurrent use.
type Lookup struct {
	// Reader has SecretStores, ClusterSecretStores and the metadata of Namespaces.
	Reader client.Reader
	// Class is whose stores are answered for, beside those of no class; with Only
	// those of no class are another operator's.
	Class string
	Only  bool
}

// Answers reports whether store is this operator's.
func (l Lookup) Answers(store v1.Store) bool {
	c := store.StoreSpec().Controller
	return c == l.Class || c == "" && !l.Only
}

// Store returns the store that ref names from namespace. Unavailable: there is
// none, or the API server is away. Denied: namespace may not use it.
func (l Lookup) Store(ctx context.Context, namespace string, ref v1.SecretStoreRef) (v1.Store, error) {
	key := v1.KeyFor(ref, namespace)
	var store v1.Store = &v1.SecretStore{}
	if key.Kind == v1.KindClusterSecretStore {
		store = &v1.ClusterSecretStore{}
	}
	if err := l.Reader.Get(ctx, key.NamespacedName(), store); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, errs.Newf(errs.Unavailable, "%s does not exist: create it, or correct the reference", key)
		}
		return nil, errs.Newf(errs.Unavailable, "getting %s: %w", key, err)
	}
	if key.Kind == v1.KindClusterSecretStore {
		ok, err := l.admits(ctx, store.StoreSpec().Conditions, namespace)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, errs.Newf(errs.Denied, "%s does not admit namespace %q: see its spec.conditions", key, namespace)
		}
	}
	return store, nil
}

// admits reports whether any condition admits namespace. No conditions admit all.
func (l Lookup) admits(ctx context.Context, conditions []v1.ClusterSecretStoreCondition, namespace string) (bool, error) {
	if len(conditions) == 0 {
		return true, nil
	}
	for _, c := range conditions {
		if slices.Contains(c.Namespaces, namespace) {
			return true, nil
		}
		for _, expression := range c.NamespaceRegexes {
			re, err := regexp.Compile(expression)
			if err != nil {
				return false, errs.Newf(errs.Invalid, "spec.conditions: %q is not a regular expression", expression)
			}
			if re.MatchString(namespace) {
				return true, nil
			}
		}
		if c.NamespaceSelector == nil {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(c.NamespaceSelector)
		if err != nil {
			return false, errs.Newf(errs.Invalid, "spec.conditions: namespaceSelector: %w", err)
		}
		matches, err := l.matches(ctx, namespace, selector)
		if err != nil || matches {
			return matches, err
		}
	}
	return false, nil
}

func (l Lookup) matches(ctx context.Context, namespace string, selector labels.Selector) (bool, error) {
	m, err := l.namespace(ctx, namespace)
	if err != nil {
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return false, errs.Newf(errs.Unavailable, "getting Namespace %q: %w", namespace, err)
	}
	return selector.Matches(labels.Set(m.Labels)), nil
}

func (l Lookup) namespace(ctx context.Context, name string) (*metav1.PartialObjectMetadata, error) {
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	return m, l.Reader.Get(ctx, types.NamespacedName{Name: name}, m)
}

// Ending returns a namespace that is being deleted; nil: it is not, or whoever serves
// no ClusterSecretStores, and sees no namespaces, cannot tell.
func (l Lookup) Ending(ctx context.Context, namespace string) *metav1.PartialObjectMetadata {
	if m, err := l.namespace(ctx, namespace); err == nil && !m.DeletionTimestamp.IsZero() {
		return m
	}
	return nil
}
