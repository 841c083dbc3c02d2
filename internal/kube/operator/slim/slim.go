package slim

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// Cache makes objects slim that come from the API server. Its zero value is ready, and
// safe for concurrent use.
type Cache struct{ words words }

// Object is a transformation of caches: it runs before anybody else sees o, and may run
// again.
func (c *Cache) Object(o any) (any, error) {
	switch o := o.(type) {
	case *metav1.PartialObjectMetadata:
		target.StripMetadata(&o.ObjectMeta)
		c.meta(&o.ObjectMeta)
	case *v1.ExternalSecret:
		o.ManagedFields = nil
		c.meta(&o.ObjectMeta)
		c.externalSecret(o)
	case client.Object:
		o.SetManagedFields(nil)
	}
	return o, nil
}

func (c *Cache) meta(m *metav1.ObjectMeta) {
	c.share(&m.Namespace)
	for _, words := range []map[string]string{m.Labels, m.Annotations} {
		for key, value := range words {
			words[c.words.one(key)] = value // the key is replaced by an equal one
		}
	}
	for key, value := range m.Labels {
		if len(value) <= shortLabel {
			m.Labels[key] = c.words.one(value)
		}
	}
	for i := range m.OwnerReferences {
		ref := &m.OwnerReferences[i]
		c.share(&ref.APIVersion)
		c.share(&ref.Kind)
		if ref.Name == m.Name { // as of most Secrets of ExternalSecrets
			ref.Name = m.Name
		}
	}
}

// shortLabel is how long the values of labels are, at most, that are taken for words:
// longer ones are digests, of which every object has another.
const shortLabel = 32

func (c *Cache) externalSecret(es *v1.ExternalSecret) {
	c.share(&es.APIVersion)
	c.share(&es.Kind)
	c.share(&es.Spec.SecretStoreRef.Name)
	c.share(&es.Spec.SecretStoreRef.Kind)
	share(c, &es.Spec.RefreshPolicy)
	share(c, &es.Spec.Target.CreationPolicy)
	share(c, &es.Spec.Target.DeletionPolicy)
	for i := range es.Spec.Data {
		ref := &es.Spec.Data[i].RemoteRef
		c.share(&es.Spec.Data[i].SecretKey)
		c.share(&ref.Property)
		share(c, &ref.ConversionStrategy)
		share(c, &ref.DecodingStrategy)
		share(c, &ref.MetadataPolicy)
	}
	for i := range es.Status.Conditions {
		one := &es.Status.Conditions[i]
		share(c, &one.Type)
		share(c, &one.Status)
		c.share(&one.Reason)
		if one.Status == metav1.ConditionTrue { // what is wrong is told of each in other words
			c.share(&one.Message)
		}
	}
	if es.Status.Binding.Name == es.Name {
		es.Status.Binding.Name = es.Name
	}
}

func (c *Cache) share(s *string) { *s = c.words.one(*s) }

func share[T ~string](c *Cache, s *T) { *s = T(c.words.one(string(*s))) }

// words holds one copy of each word, of no more than mostWords: those that come after
// them are not shared.
type words struct {
	mu  sync.RWMutex
	all map[string]string
}

const (
	mostWords   = 4096
	longestWord = 256 // bytes
)

// one returns a string that is equal to s, the same for all that are.
func (w *words) one(s string) string {
	if s == "" || len(s) > longestWord {
		return s
	}
	w.mu.RLock()
	known, ok := w.all[s]
	w.mu.RUnlock()
	if ok {
		return known
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if known, ok := w.all[s]; ok {
		return known
	}
	if len(w.all) >= mostWords {
		return s
	}
	if w.all == nil {
		w.all = map[string]string{}
	}
	w.all[s] = s
	return s
}
