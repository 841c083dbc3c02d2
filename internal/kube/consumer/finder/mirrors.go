package finder

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder/facts"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder/keeper"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/stock"
)

// AnnotationMirror with the value "ignore" says that a Secret or ConfigMap is
// no copy of a credential, whatever values they share.
const AnnotationMirror = v1alpha1.Group + "/mirror"

// mirrors adds the Secrets that a known tool copies from those in b, and from
// their copies.
func (s *search) mirrors(at site, b *book) {
	copies := map[types.NamespacedName][]types.NamespacedName{}
	for name, m := range b.all {
		if len(m.Annotations) == 0 && len(m.Labels) == 0 {
			continue
		}
		if _, source := keeper.SourceOf(&m.ObjectMeta); source.Name != "" {
			copies[source] = append(copies[source], name)
		}
	}
	for i := 0; i < len(b.order); i++ { // grows while it is walked
		source := b.order[i].NamespacedName
		for _, name := range copies[source] {
			if b.found[name] != nil {
				continue
			}
			fed := s.add(at, b, name)
			fed.Mirror, fed.Source = true, source
		}
	}
}

// copied is a Secret or ConfigMap that holds the values of another.
type copied struct {
	configMap bool
	name      types.NamespacedName
	uid       types.UID
	source    types.NamespacedName
	tool      string
	keys      []string
}

// copies remembers what scans have found, by location and cluster: once the
// credential has changed, a copy made by hand cannot be recognised any more. It
// is lost when the process ends. The zero copies is empty.
type copies struct {
	mu  sync.Mutex
	all map[[2]string][]copied
}

func (c *copies) of(location, cluster string) []copied {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[[2]string{location, cluster}]
}

// set replaces what is remembered.
func (c *copies) set(location, cluster string, list []copied) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[[2]string][]copied{}
	}
	c.all[[2]string{location, cluster}] = list
}

// addCopy adds what a scan has found.
func (s *search) addCopy(at site, b *book, c copied) {
	var fed *consumer.Fed
	if c.configMap {
		fed = &consumer.Fed{Object: secretObject(at.name, c.name), UID: c.uid}
		fed.Kind = corev1.SchemeGroupVersion.WithKind("ConfigMap")
		if slices.ContainsFunc(b.order, func(o *consumer.Fed) bool { return o.Object == fed.Object }) {
			return
		}
		b.order = append(b.order, fed)
	} else {
		if m := b.all[c.name]; m == nil || m.UID != c.uid || b.found[c.name] != nil {
			return // gone, or known otherwise
		}
		fed = s.add(at, b, c.name)
	}
	fed.Mirror, fed.Source = true, c.source
	fed.Problem, fed.Stuck = c.problem()
}

func (c copied) problem() (string, bool) {
	keys := strings.Join(c.keys, ", ")
	switch {
	case c.configMap:
		return fmt.Sprintf("a ConfigMap holds a secret value of Secret %q in %s: move it to a Secret, or annotate the ConfigMap with %s: ignore", c.source, keys, AnnotationMirror), true
	case c.tool != "":
		return "", false
	}
	return fmt.Sprintf("a copy of Secret %q by hand, in %s: nothing keeps it true: feed it by an ExternalSecret, name it in spec.consumers.secrets if another tool does, or annotate it with %s: ignore", c.source, keys, AnnotationMirror), true
}

// maxSources bounds the values that a scan compares with. All Secrets of one
// credential hold the same few; who has a scan look for more would try out guesses.
const maxSources = 32

// scan reads every Secret and ConfigMap of the cluster, page by page, and adds
// those that hold a secret value of what is in b: of Secrets that are known to hold
// the credential's version, not of those that a user names. Values are dropped with their page.
func (s *search) scan(ctx context.Context, at site, b *book) error {
	sources := s.sources // those of our cluster count in others too
	for _, fed := range b.order {
		if fed.Kind.Kind != kindSecret || fed.Mirror || fed.Version == "" {
			continue
		}
		known, err := s.facts.Of(ctx, at.live, fed, s.salt, s.wanted.Live)
		if err != nil {
			continue // said by read
		}
		for _, v := range known.Values {
			sources[v] = fed.Object
		}
	}
	if len(sources) > maxSources {
		s.unknown("%scopies of the credential: its Secrets hold %d different secret values, over %d: a template adds others; copies are not searched", prefix(at.name), len(sources), maxSources)
		return nil
	}
	var found []copied
	for _, ns := range at.namespaces {
		list, err := s.scanNamespace(ctx, at, ns, sources)
		if err != nil {
			return err
		}
		found = append(found, list...)
	}
	s.copies.set(s.wanted.Location, at.name, found)
	for _, c := range found {
		s.addCopy(at, b, c)
	}
	return nil
}

func (s *search) scanNamespace(ctx context.Context, at site, ns string, sources map[facts.Sum]consumer.Object) ([]copied, error) {
	var found []copied
	err := stock.Pages(ctx, at.live, &corev1.SecretList{}, ns, func(o runtime.Object) error {
		if secret, ok := o.(*corev1.Secret); ok {
			if c, ok := s.compare(at, &secret.ObjectMeta, secret.Data, sources); ok {
				found = append(found, c)
			}
		}
		return nil
	})
	if stock.Refused(err) {
		s.unknown("%scopies of the credential: %s", prefix(at.name), stock.Refusal("secrets", ns, "list"))
	} else if err != nil {
		return nil, stock.Unreachable("secrets", err)
	}
	err = stock.Pages(ctx, at.live, &corev1.ConfigMapList{}, ns, func(o runtime.Object) error {
		if m, ok := o.(*corev1.ConfigMap); ok {
			if c, ok := s.compare(at, &m.ObjectMeta, dataOf(m), sources); ok {
				c.configMap = true
				found = append(found, c)
			}
		}
		return nil
	})
	if stock.Refused(err) {
		s.unknown("%scopies of the credential: %s", prefix(at.name), stock.Refusal("configmaps", ns, "list"))
	} else if err != nil {
		return nil, stock.Unreachable("configmaps", err)
	}
	return found, nil
}

// compare reports whether an object holds one of the values.
func (s *search) compare(at site, m *metav1.ObjectMeta, data map[string][]byte, sources map[facts.Sum]consumer.Object) (copied, bool) {
	self := nameOf(m.Namespace, m.Name)
	c := copied{name: self, uid: m.UID}
	if m.Annotations[AnnotationMirror] == "ignore" {
		return c, false
	}
	for key, value := range data {
		if len(value) < facts.Least {
			continue
		}
		if source, ok := sources[facts.SumOf(value, s.salt)]; ok {
			if source.Cluster == at.name && source.NamespacedName == self {
				return c, false
			}
			c.source = source.NamespacedName
			c.keys = append(c.keys, key)
		}
	}
	slices.Sort(c.keys)
	c.tool, _ = keeper.SourceOf(m)
	return c, len(c.keys) > 0
}

func dataOf(m *corev1.ConfigMap) map[string][]byte {
	out := make(map[string][]byte, len(m.Data)+len(m.BinaryData))
	for k, v := range m.Data {
		out[k] = []byte(v)
	}
	for k, v := range m.BinaryData {
		out[k] = v
	}
	return out
}
