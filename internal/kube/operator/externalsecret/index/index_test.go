package index

import (
	"context"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

// cached finds by name and by byTarget, as a cache does.
type cached struct {
	client.Reader
	all []*v1.ExternalSecret
}

func (c cached) Get(_ context.Context, key client.ObjectKey, out client.Object, _ ...client.GetOption) error {
	for _, es := range c.all {
		if client.ObjectKeyFromObject(es) == key {
			*out.(*v1.ExternalSecret) = *es
			return nil
		}
	}
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

func (c cached) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	var o client.ListOptions
	o.ApplyOptions(opts)
	want, _ := o.FieldSelector.RequiresExactMatch(byTarget)
	for _, es := range c.all {
		if es.Namespace == o.Namespace && slices.Contains(Fields()[byTarget](es), want) {
			list.(*v1.ExternalSecretList).Items = append(list.(*v1.ExternalSecretList).Items, *es)
		}
	}
	return nil
}

// Whoever writes an object is found once, by whatever name it has.
func TestMakers(t *testing.T) {
	var c cached
	for name, target := range map[string]string{
		"app": "{}", "named": "{name: named}", "second": "{name: app}", "merges": "{name: app, creationPolicy: Merge}",
		"elsewhere": "{name: other}", "none": "{creationPolicy: None}", "nothing": "{name: app, creationPolicy: None}",
		"map": "{manifest: {apiVersion: v1, kind: ConfigMap}}", "maps": "{name: map, manifest: {apiVersion: v1, kind: ConfigMap}}",
		"deployment": "{manifest: {apiVersion: apps/v1, kind: Deployment}}",
	} {
		es := &v1.ExternalSecret{}
		es.Namespace, es.Name = "team", name
		if err := yaml.UnmarshalStrict([]byte(target), &es.Spec.Target); err != nil {
			t.Fatal(err)
		}
		c.all = append(c.all, es)
	}
	for entry, want := range map[string][]string{
		"app": {"app", "merges", "second"}, "named": {"named"}, "other": {"elsewhere"}, "elsewhere": nil, "none": nil, "stranger": nil,
		"map": nil, ConfigMap + "map": {"map", "maps"}, ConfigMap + "app": nil, "deployment": nil, ConfigMap + "deployment": nil,
	} {
		name := entry
		if len(entry) > len(ConfigMap) && entry[:len(ConfigMap)] == ConfigMap {
			name = entry[len(ConfigMap):]
		}
		found, err := MakersOf(t.Context(), c, types.NamespacedName{Namespace: "team", Name: name}, entry)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range found {
			got = append(got, found[i].Name)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s is written by %q, want %q", entry, got, want)
		}
	}
}
