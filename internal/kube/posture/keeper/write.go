package keeper

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/history"
	"github.com/strongkeep/strongkeep/internal/kube/posture/report/policyreport"
)

// page is how many reports are in memory at a time, beside those wanted.
const page = 20

// writer makes the reports of a family be those wanted, by as few writes as it takes.
// What has another's labels is not touched.
type writer struct {
	objects dynamic.Interface
	family  policyreport.Family
	want    []*unstructured.Unstructured
}

// write returns what could not be done; the rest is.
func (w *writer) write(ctx context.Context) error {
	missing := map[string]*unstructured.Unstructured{}
	for _, o := range w.want {
		missing[key(o)] = o
	}
	var wrong []error
	for _, resource := range w.family.Resources() {
		err := w.existing(ctx, resource, func(is *unstructured.Unstructured) {
			want := missing[key(is)]
			delete(missing, key(is))
			wrong = append(wrong, w.settle(ctx, resource, is, want))
		})
		if err != nil {
			return errors.Join(append(wrong, explained("listing "+resource.Resource+" of "+resource.Group, err))...)
		}
	}
	for _, o := range w.want {
		if missing[key(o)] != nil {
			wrong = append(wrong, w.create(ctx, o))
		}
	}
	return errors.Join(wrong...)
}

func key(o *unstructured.Unstructured) string {
	return o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}

// existing calls f with each report that is ours, page by page.
func (w *writer) existing(ctx context.Context, resource schema.GroupVersionResource, f func(*unstructured.Unstructured)) error {
	o := metav1.ListOptions{LabelSelector: policyreport.Selector, Limit: page}
	for {
		list, err := w.objects.Resource(resource).List(ctx, o)
		if err != nil {
			return err
		}
		for i := range list.Items {
			f(&list.Items[i])
		}
		if o.Continue = list.GetContinue(); o.Continue == "" {
			return nil
		}
	}
}

// settle makes is be what is wanted; nil: nothing.
func (w *writer) settle(ctx context.Context, resource schema.GroupVersionResource, is, want *unstructured.Unstructured) error {
	objects := w.objects.Resource(resource).Namespace(is.GetNamespace())
	if want == nil {
		uid, version := is.GetUID(), is.GetResourceVersion()
		err := objects.Delete(ctx, is.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return explained("deleting "+key(is), err)
	}
	if policyreport.Same(is, want) {
		return nil
	}
	next := want.DeepCopy()
	metadata, _, _ := unstructured.NestedMap(is.Object, "metadata")
	next.Object["metadata"] = metadata
	labels := next.GetLabels()
	for name, value := range want.GetLabels() {
		labels[name] = value
	}
	next.SetLabels(labels)
	next.SetManagedFields(nil)
	_, err := objects.Update(ctx, next, metav1.UpdateOptions{})
	return explained("writing "+key(is), err)
}

// create makes o. A namespace that went while the cluster was looked at needs none.
func (w *writer) create(ctx context.Context, o *unstructured.Unstructured) error {
	resource := w.family.WithResource(w.family.Global.Resource)
	if o.GetNamespace() != "" {
		resource = w.family.WithResource(w.family.Local.Resource)
	}
	_, err := w.objects.Resource(resource).Namespace(o.GetNamespace()).Create(ctx, o, metav1.CreateOptions{})
	switch {
	case apierrors.IsNotFound(err) && o.GetNamespace() != "", apierrors.HasStatusCause(err, "NamespaceTerminating"):
		return nil
	case apierrors.IsAlreadyExists(err):
		return errs.Newf(errs.Exist, "writing %s: there is one that lacks Strongkeep's labels, and is left as it is: delete or rename it", key(o))
	}
	return explained("writing "+key(o), err)
}

// explained says what to do about an error of the API server about a report.
func explained(doing string, err error) error {
	if apierrors.IsNotFound(err) {
		return errs.Newf(errs.Unsupported, "%s: the cluster has the group, and not this version of it: %w; deploy/reports has definitions with it", doing, err)
	}
	return history.Explain(doing, err)
}
