package copies

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder/facts"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder/keeper"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/stock"
)

// Annotation is what whoever may write a Secret or ConfigMap says of it: Ignore, it is
// no copy of a credential, whatever values they share; Follow, Rotations of other
// namespaces may know that it is one, and restart those who use it.
const (
	Annotation = v1alpha1.Group + "/mirror"
	Ignore     = "ignore"
	Follow     = "follow"
)

// Values are digests of secret values, with the Secret that each is of.
type Values map[facts.Sum]consumer.Object

// place is a Secret or ConfigMap.
type place struct {
	consumer.Object
	uid         types.UID
	tool, wants string // wants: the value of Annotation
}

// holding is that a place holds a value.
type holding struct {
	at  *place
	key string
}

// Site is a cluster to be read.
type Site struct {
	Cluster    string // empty: our own
	Live       client.Reader
	Namespaces []string // "" is all
	Salt       []byte   // of digests
}

// Census is what all Secrets and ConfigMaps of a site held at one time. It is never
// changed.
type Census struct {
	taken time.Time
	// Unknown says what may not be read.
	Unknown []string
	held    map[facts.Sum][]holding
}

// Take reads every Secret and ConfigMap. What may not be read is in Unknown; any
// other failure is an error of kind Unavailable.
func Take(ctx context.Context, site Site, now time.Time) (*Census, error) {
	c := &Census{taken: now, held: map[facts.Sum][]holding{}}
	for _, ns := range site.Namespaces {
		err := stock.Pages(ctx, site.Live, &corev1.SecretList{}, ns, func(o runtime.Object) error {
			if s, ok := o.(*corev1.Secret); ok {
				c.note(site, "Secret", &s.ObjectMeta, s.Data)
			}
			return nil
		})
		if err := c.refused("secrets", ns, err); err != nil {
			return nil, err
		}
		err = stock.Pages(ctx, site.Live, &corev1.ConfigMapList{}, ns, func(o runtime.Object) error {
			if m, ok := o.(*corev1.ConfigMap); ok {
				c.note(site, "ConfigMap", &m.ObjectMeta, dataOf(m))
			}
			return nil
		})
		if err := c.refused("configmaps", ns, err); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *Census) refused(resource, namespace string, err error) error {
	switch {
	case stock.Refused(err):
		c.Unknown = append(c.Unknown, stock.Refusal(resource, namespace, "list"))
	case err != nil:
		return stock.Unreachable(resource, err)
	}
	return nil
}

func (c *Census) note(site Site, kind string, m *metav1.ObjectMeta, data map[string][]byte) {
	at := &place{uid: m.UID, wants: m.Annotations[Annotation]}
	at.Cluster, at.Kind = site.Cluster, corev1.SchemeGroupVersion.WithKind(kind)
	at.Namespace, at.Name = m.Namespace, m.Name
	at.tool, _ = keeper.SourceOf(m)
	for key, value := range data {
		if len(value) < facts.Least || bytes.HasPrefix(value, []byte("-----BEGIN CERTIFICATE-----")) {
			continue // which no source counts
		}
		sum := facts.SumOf(value, site.Salt)
		c.held[sum] = append(c.held[sum], holding{at, key})
	}
}

func dataOf(m *corev1.ConfigMap) map[string][]byte {
	out := make(map[string][]byte, len(m.Data)+len(m.BinaryData))
	for k, v := range m.Data {
		out[k] = []byte(v)
	}
	maps.Copy(out, m.BinaryData)
	return out
}

// sees reports whether each of values is where it is said to be: a census that is
// older than a Secret it is to be compared with knows nothing of that one's copies.
func (c *Census) sees(values Values) bool {
	for sum, source := range values {
		if !slices.ContainsFunc(c.held[sum], func(h holding) bool { return h.at.Object == source }) {
			return false
		}
	}
	return true
}

// Found is a copy, and whether somebody who may write it says that others may know.
type Found struct {
	consumer.Copy
	Shown bool
}

// maxKeys bounds the keys that are named of one copy.
const maxKeys = 16

// Find returns what holds one of values and is not where they are from, by namespace and name.
func (c *Census) Find(values Values) []Found {
	all := map[*place]*Found{}
	for sum, source := range values {
		for _, h := range c.held[sum] {
			if h.at.wants == Ignore || h.at.Object == source || isSource(values, h.at.Object) {
				continue
			}
			f := all[h.at]
			if f == nil {
				f = &Found{Copy: consumer.Copy{Object: h.at.Object, UID: h.at.uid, Source: source.NamespacedName, Tool: h.at.tool}, Shown: h.at.wants == Follow}
				all[h.at] = f
			}
			f.Keys = append(f.Keys, h.key)
			if text := source.String(); text < f.Source.String() { // the same one each time
				f.Source = source.NamespacedName
			}
		}
	}
	out := make([]Found, 0, len(all))
	for _, f := range all {
		slices.Sort(f.Keys)
		f.Keys = slices.Compact(f.Keys)
		f.Keys = f.Keys[:min(len(f.Keys), maxKeys)]
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b Found) int { return strings.Compare(a.Kind.Kind+a.String(), b.Kind.Kind+b.String()) })
	return out
}

func isSource(values Values, o consumer.Object) bool {
	for _, source := range values {
		if source == o {
			return true
		}
	}
	return false
}
