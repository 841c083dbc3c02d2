package preview

import (
	"context"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Get copies an object of the files into o, or asks what is behind them.
func (r *reader) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	kind := kindOf(o)
	found, ok := r.files.objects[name{kind, key.Namespace, key.Name}]
	if !ok {
		if r.behind != nil {
			return r.behind.Get(ctx, key, o, opts...)
		}
		return apierrors.NewNotFound(schema.GroupResource{Resource: kind}, key.Name)
	}
	found, _ = found.DeepCopyObject().(client.Object)
	if meta, ok := o.(*metav1.PartialObjectMetadata); ok {
		meta.Name, meta.Namespace = found.GetName(), found.GetNamespace()
		meta.Labels, meta.Annotations = found.GetLabels(), found.GetAnnotations()
		return nil
	}
	into, from := reflect.ValueOf(o).Elem(), reflect.ValueOf(found).Elem()
	if into.Type() != from.Type() {
		return errs.Newf(errs.Internal, "reading a %T as a %T", found, o)
	}
	into.Set(from)
	return nil
}

func kindOf(o client.Object) string {
	switch o.(type) {
	case *metav1.PartialObjectMetadata:
		return o.GetObjectKind().GroupVersionKind().Kind
	case *corev1.Secret:
		return "Secret"
	case *corev1.ConfigMap:
		return "ConfigMap"
	}
	return reflect.TypeOf(o).Elem().Name() // our own kinds are named as their types
}
