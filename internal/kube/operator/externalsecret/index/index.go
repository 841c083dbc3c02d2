package index

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/generate"
	"github.com/strongkeep/strongkeep/internal/kube/operator/manifest"
	"github.com/strongkeep/strongkeep/internal/kube/operator/render"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// Indexes of ExternalSecrets in the cache.
const (
	ByStore     = "strongkeep.store"
	ByTemplate  = "strongkeep.template"
	ByGenerator = "strongkeep.generator"

	byTarget = "strongkeep.target" // of those that have another name than their target
)

// Fields are all indexes, for a cache.
func Fields() map[string]client.IndexerFunc {
	out := map[string]client.IndexerFunc{}
	for name, f := range map[string]func(*v1.ExternalSecret) []string{ByStore: stores, byTarget: targets, ByTemplate: templates, ByGenerator: generators} {
		out[name] = func(o client.Object) []string {
			if es, ok := o.(*v1.ExternalSecret); ok {
				return f(es)
			}
			return nil
		}
	}
	return out
}

func stores(es *v1.ExternalSecret) (out []string) {
	for _, ref := range gather.Stores(&es.Spec) {
		if k := v1.KeyFor(ref, es.Namespace).String(); !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

func generators(es *v1.ExternalSecret) (out []string) {
	for _, ref := range generate.Refs(&es.Spec) {
		if k := ref.Kind + "/" + ref.Name; !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

func templates(es *v1.ExternalSecret) []string { return render.Names(es.Spec.Target.Template) }

// targets leaves out who has the name of its target, as nearly all do: it is found by
// that, and sets for each would be most of the index.
func targets(es *v1.ExternalSecret) []string {
	if target.Name(es) == es.Name || writes(es) == "" {
		return nil
	}
	return []string{writes(es)}
}

// writes is the Entry of what es writes; "" when that is nothing whose changes are heard of.
func writes(es *v1.ExternalSecret) string {
	if target.Policy(es) == v1.CreateNone || !Watched(es) {
		return ""
	}
	return Entry(es)
}

// Watched reports whether changes of the target are heard of.
func Watched(es *v1.ExternalSecret) bool { return !manifest.Asked(es) || manifest.IsConfigMap(es) }

// ConfigMap stands before the name of a ConfigMap in an Entry; no Secret has a slash in
// its name.
const ConfigMap = "ConfigMap/"

// Entry names the target of es among Secrets and ConfigMaps.
func Entry(es *v1.ExternalSecret) string {
	if manifest.IsConfigMap(es) {
		return ConfigMap + target.Name(es)
	}
	return target.Name(es)
}

// Makers returns the ExternalSecrets that write a Secret, from the cache, which
// has the indexes. They are not to be changed.
func Makers(ctx context.Context, cached client.Reader, secret types.NamespacedName) ([]v1.ExternalSecret, error) {
	return MakersOf(ctx, cached, secret, secret.Name)
}

// MakersOf is Makers of a Secret or a ConfigMap, by its entry.
func MakersOf(ctx context.Context, cached client.Reader, object types.NamespacedName, entry string) ([]v1.ExternalSecret, error) {
	var found v1.ExternalSecretList
	if err := cached.List(ctx, &found, client.InNamespace(object.Namespace), client.MatchingFields{byTarget: entry}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	var namesake v1.ExternalSecret
	if err := cached.Get(ctx, object, &namesake, client.UnsafeDisableDeepCopy); err != nil {
		return found.Items, client.IgnoreNotFound(err)
	}
	if writes(&namesake) == entry {
		found.Items = append(found.Items, namesake)
	}
	return found.Items, nil
}
