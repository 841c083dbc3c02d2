package apiserver

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// Apply makes the objects of a YAML text, or changes them to be as it says, by
// server-side apply. Those whose kind has a namespace are in that given. It costs a
// hundredth of what starting kubectl does.
func Apply(ctx context.Context, c client.Client, namespace, text string) error {
	for _, doc := range strings.Split("\n"+text, "\n---") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &o.Object); err != nil {
			return fmt.Errorf("%w in:\n%s", err, doc)
		}
		if len(o.Object) == 0 {
			continue
		}
		if err := data(o); err != nil {
			return err
		}
		namespaced, err := c.IsObjectNamespaced(o)
		if err != nil {
			return err
		}
		if namespaced {
			o.SetNamespace(namespace)
		}
		if err := apply(ctx, c, o); err != nil {
			return fmt.Errorf("applying %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return nil
}

func apply(ctx context.Context, c client.Client, o *unstructured.Unstructured) error {
	return Patiently(func() error {
		return c.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("test"), client.ForceOwnership)
	})
}

// Patiently makes an object, and tries again for a minute while it is a pod whose namespace is so new that it
// has no ServiceAccount: for "default" the API server itself waits up to two seconds, and a busy machine may
// need longer. Any other error is returned at once.
func Patiently(create func() error) error {
	for until := time.Now().Add(time.Minute); ; {
		err := create()
		early := apierrors.IsForbidden(err) && strings.Contains(err.Error(), "error looking up service account")
		if !early || time.Now().After(until) {
			return err
		}
		<-time.After(100 * time.Millisecond)
	}
}

// data moves stringData to data: whoever applies the former owns none of the latter,
// and what nobody owns goes with what another owner takes away.
func data(o *unstructured.Unstructured) error {
	text, found, err := unstructured.NestedStringMap(o.Object, "stringData")
	if !found || err != nil || o.GetKind() != "Secret" {
		return err
	}
	for key, value := range text {
		if err := unstructured.SetNestedField(o.Object, base64.StdEncoding.EncodeToString([]byte(value)), "data", key); err != nil {
			return err
		}
	}
	unstructured.RemoveNestedField(o.Object, "stringData")
	return nil
}
