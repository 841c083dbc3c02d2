package manifest

import (
	"context"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// Writer looks at and writes the objects of ExternalSecrets. All fields are
// required; a nil Writer is a switch that is off, and refuses everything. It is for
// concurrent use, for one ExternalSecret at a time.
type Writer struct {
	Client client.Client // writes; reads the metadata of ConfigMaps from a cache
	Live   client.Reader // reads from the API server
	Key    target.Key
	Kinds  Kinds
}

// Observe returns the metadata of the object of es, nil when there is none: of a
// ConfigMap from the cache, of others by a read. Errors say why es cannot be looked
// after: Unsupported and Invalid, Denied, Unavailable.
func (w *Writer) Observe(ctx context.Context, es *v1.ExternalSecret) (*metav1.PartialObjectMetadata, error) {
	if w == nil {
		return nil, Refused(es)
	}
	mapping, err := w.Kinds.Of(es)
	if err != nil {
		return nil, err
	}
	from := w.Live
	if IsConfigMap(es) {
		from = w.Client
	}
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(mapping.GroupVersionKind)
	err = from.Get(ctx, types.NamespacedName{Namespace: es.Namespace, Name: target.Name(es)}, m)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, object{es, mapping}.explain("reading", err)
	}
	return m, nil
}

// AsWritten reads the object of es, and reports whether it is as it was written,
// and which that is. It is not when it is gone.
func (w *Writer) AsWritten(ctx context.Context, es *v1.ExternalSecret) (target.Version, bool, error) {
	if w == nil {
		return target.Version{}, false, Refused(es)
	}
	mapping, err := w.Kinds.Of(es)
	if err != nil {
		return target.Version{}, false, err
	}
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(mapping.GroupVersionKind)
	err = w.Live.Get(ctx, types.NamespacedName{Namespace: es.Namespace, Name: target.Name(es)}, live)
	switch {
	case apierrors.IsNotFound(err):
		return target.Version{}, false, nil
	case err != nil:
		return target.Version{}, false, object{es, mapping}.explain("reading", err)
	}
	mark := target.ParseMark(live.GetAnnotations()[target.AnnotationMark])
	right := mark.Content != "" && mark.Content == owned(live, target.Manager(es.Name), IsConfigMap(es)).content(w.Key, live)
	return target.Version{UID: live.GetUID(), ResourceVersion: live.GetResourceVersion()}, right, nil
}

// Apply writes o over the object seen, or creates it when seen is nil, with a mark
// of which it sets the content, and returns both as they are now. Conflict means
// that the object is not the one seen: look again.
func (w *Writer) Apply(ctx context.Context, es *v1.ExternalSecret, o *Object, mark target.Mark, seen *target.Version) (target.Version, target.Mark, error) {
	if w == nil {
		return target.Version{}, mark, Refused(es)
	}
	mapping, err := w.Kinds.Of(es)
	if err != nil {
		return target.Version{}, mark, err
	}
	a := apply{Writer: w, object: object{es, mapping}, o: o, seen: seen}
	if !o.Meta.Merge {
		if mark.Content, err = a.content(ctx); err != nil {
			return target.Version{}, mark, err
		}
		o.Meta.Annotations[target.AnnotationMark] = mark.String()
	}
	live, err := a.send(ctx)
	if err != nil {
		return target.Version{}, mark, err
	}
	if o.ConfigMap && !o.Meta.Merge {
		if err := a.removeExtra(ctx, live); err != nil {
			return target.Version{}, mark, err
		}
	}
	return target.Version{UID: live.GetUID(), ResourceVersion: live.GetResourceVersion()}, mark, nil
}

// apply is one write.
type apply struct {
	*Writer
	object
	o    *Object
	seen *target.Version
}

// createOnly is a resourceVersion that no object has; see target.Writer.
const createOnly = "1"

// body returns the fields that are ours and no others.
func (a apply) body() map[string]any {
	m := a.o.Meta
	metadata := map[string]any{"name": m.Name, "namespace": m.Namespace}
	switch {
	case a.seen == nil:
		metadata["resourceVersion"] = createOnly
	case m.Merge: // others write it too; that it is still the same object is enough
		metadata["uid"] = string(a.seen.UID)
	default:
		metadata["uid"], metadata["resourceVersion"] = string(a.seen.UID), a.seen.ResourceVersion
	}
	for field, values := range map[string]map[string]string{"labels": m.Labels, "annotations": m.Annotations} {
		if len(values) == 0 {
			continue
		}
		object := make(map[string]any, len(values))
		for key, v := range values {
			object[key] = v
		}
		metadata[field] = object
	}
	if len(m.Finalizers) > 0 {
		metadata["finalizers"] = m.Finalizers
	}
	if m.Owner != nil {
		metadata["ownerReferences"] = []any{m.Owner}
	}
	body := map[string]any{"apiVersion": a.o.Kind.GroupVersion().String(), "kind": a.o.Kind.Kind, "metadata": metadata}
	for name, v := range a.o.Fields {
		body[name] = v
	}
	return body
}

// content returns the content of the mark: what will be ours once it is written. For
// kinds that the API server may complete or write in another way it is asked first;
// "" where it cannot tell, and then each refresh applies once more.
func (a apply) content(ctx context.Context) (string, error) {
	if a.o.ConfigMap {
		u := &unstructured.Unstructured{Object: a.body()}
		return ofConfigMap(u.Object).content(a.Key, u), nil
	}
	live, err := a.send(ctx, client.DryRunAll)
	switch {
	case errs.Is(err, errs.Unsupported): // by an admission webhook
		return "", nil
	case err != nil:
		return "", err
	}
	return owned(live, a.o.Meta.Manager, false).content(a.Key, live), nil
}

// send applies o and returns the object as it is then.
func (a apply) send(ctx context.Context, options ...client.PatchOption) (*unstructured.Unstructured, error) {
	raw, err := json.Marshal(a.body())
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding %s %q failed", a.o.Kind.Kind, a.o.Meta.Name) // the encoder may quote it
	}
	if !a.o.ConfigMap && len(raw) > largest { // a ConfigMap's size was looked at without JSON's escapes
		return nil, errs.Newf(errs.TooLarge, "%s %q would be %d bytes: the limit is %d", a.o.Kind.Kind, a.o.Meta.Name, len(raw), largest)
	}
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(a.o.Kind)
	live.SetNamespace(a.o.Meta.Namespace)
	live.SetName(a.o.Meta.Name)
	options = append(options, client.FieldOwner(a.o.Meta.Manager), client.ForceOwnership)
	if err := a.Client.Patch(ctx, live, client.RawPatch(types.ApplyPatchType, raw), options...); err != nil {
		return nil, a.explain("writing", err)
	}
	return live, nil
}

// largest is what the API server's store takes of one object, nearly, in bytes.
const largest = 3 << 19

// removeExtra deletes from a ConfigMap that is all ours the keys that somebody else
// put there, which an apply leaves alone.
func (a apply) removeExtra(ctx context.Context, live *unstructured.Unstructured) error {
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value,omitempty"`
	}
	patch := []operation{{"test", "/metadata/resourceVersion", live.GetResourceVersion()}}
	for _, field := range []string{"data", "binaryData"} {
		have, _ := live.Object[field].(map[string]any)
		want, _ := a.o.Fields[field].(map[string]any)
		for key := range have {
			if _, ok := want[key]; !ok {
				patch = append(patch, operation{Op: "remove", Path: "/" + field + "/" + key}) // keys need no escape
			}
		}
	}
	if len(patch) == 1 {
		return nil
	}
	raw, err := json.Marshal(patch)
	if err != nil {
		return errs.Newf(errs.Internal, "encoding a patch: %w", err)
	}
	if err := a.Client.Patch(ctx, live, client.RawPatch(types.JSONPatchType, raw), client.FieldOwner(a.o.Meta.Manager)); err != nil {
		return a.explain("writing", err)
	}
	return nil
}

// Delete deletes the object of es that was seen and no other. One that is gone is no
// error.
func (w *Writer) Delete(ctx context.Context, es *v1.ExternalSecret, seen types.UID) error {
	if w == nil {
		return Refused(es)
	}
	mapping, err := w.Kinds.Of(es)
	if err != nil {
		return err
	}
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(mapping.GroupVersionKind)
	u.SetNamespace(es.Namespace)
	u.SetName(target.Name(es))
	if err := w.Client.Delete(ctx, u, client.Preconditions{UID: &seen}); err != nil && !apierrors.IsNotFound(err) {
		return object{es, mapping}.explain("deleting", err)
	}
	return nil
}

// DeleteFormer deletes the ConfigMaps that es owns and no longer asks for, because
// its target has another name or kind. Which those are is in the cache. What es made
// of other kinds stays until es is deleted.
func (w *Writer) DeleteFormer(ctx context.Context, es *v1.ExternalSecret) error {
	if w == nil {
		return nil
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(KindConfigMap + "List"))
	err := w.Client.List(ctx, list, client.InNamespace(es.Namespace), client.MatchingLabels{target.LabelCreatedBy: target.CreatedBy(es.Namespace, es.Name)})
	if err != nil {
		return errs.Newf(errs.Internal, "listing ConfigMaps in the cache: %w", err)
	}
	return meta.EachListItem(list, func(o runtime.Object) error {
		m, ok := o.(*metav1.PartialObjectMetadata)
		if !ok || m.Name == target.Name(es) && IsConfigMap(es) || !metav1.IsControlledBy(m, es) || m.DeletionTimestamp != nil {
			return nil
		}
		c := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name}}
		if err := w.Client.Delete(ctx, c, client.Preconditions{UID: &m.UID}); err != nil && !apierrors.IsNotFound(err) {
			return errs.Newf(errs.Unavailable, "deleting the former ConfigMap %q: %w", m.Name, err)
		}
		return nil
	})
}
