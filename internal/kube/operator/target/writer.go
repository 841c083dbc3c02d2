package target

import (
	"context"
	"encoding/json"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Writer writes Secrets.
type Writer struct{ Client client.Client }

// Version says which Secret was written, or seen.
type Version struct {
	UID             types.UID
	ResourceVersion string
}

// createOnly is a resourceVersion that no object has: etcd's first revision is
// taken before any Secret exists. An apply with it conflicts with an object of
// that name and creates one where there is none.
const createOnly = "1"

// applied is the body of an apply: the fields that are ours and no others.
type applied struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   appliedMetadata   `json:"metadata"`
	Type       corev1.SecretType `json:"type,omitempty"`
	Immutable  bool              `json:"immutable,omitempty"`
	Data       map[string][]byte `json:"data,omitzero"`
}

type appliedMetadata struct {
	Name            string                  `json:"name"`
	Namespace       string                  `json:"namespace"`
	UID             types.UID               `json:"uid,omitempty"`
	ResourceVersion string                  `json:"resourceVersion,omitempty"`
	Labels          map[string]string       `json:"labels,omitempty"`
	Annotations     map[string]string       `json:"annotations,omitempty"`
	Finalizers      []string                `json:"finalizers,omitempty"`
	OwnerReferences []metav1.OwnerReference `json:"ownerReferences,omitempty"`
}

// Apply writes s over the Secret seen, or creates it when seen is nil. Conflict
// means that the Secret is not the one seen: look again.
func (w Writer) Apply(ctx context.Context, s *Secret, seen *Version) (Version, error) {
	a := applied{
		APIVersion: "v1", Kind: "Secret", Type: s.Type, Immutable: s.Immutable, Data: dataOf(s),
		Metadata: appliedMetadata{
			Name: s.Name, Namespace: s.Namespace, ResourceVersion: createOnly,
			Labels: s.Labels, Annotations: s.Annotations, Finalizers: s.Finalizers,
		},
	}
	if s.Owner != nil {
		a.Metadata.OwnerReferences = []metav1.OwnerReference{*s.Owner}
	}
	switch {
	case seen != nil && s.Merge: // others write it too; that it is still the same object is enough
		a.Metadata.UID, a.Metadata.ResourceVersion = seen.UID, ""
	case seen != nil:
		a.Metadata.UID, a.Metadata.ResourceVersion = seen.UID, seen.ResourceVersion
	}
	body, err := json.Marshal(a)
	if err != nil {
		return Version{}, errs.Newf(errs.Internal, "encoding Secret %q: %w", s.Name, err)
	}
	live := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.Name}}
	err = w.Client.Patch(ctx, live, client.RawPatch(types.ApplyPatchType, body), client.FieldOwner(s.Manager), client.ForceOwnership)
	if err != nil {
		return Version{}, classify(err, s)
	}
	if err := w.removeExtra(ctx, s, live); err != nil {
		return Version{}, err
	}
	return Version{live.UID, live.ResourceVersion}, nil
}

// dataOf is what an apply says of the data. To say nothing of it, where we wrote keys
// before, would take with them those that nobody owns: keys that somebody wrote as
// stringData by an apply.
func dataOf(s *Secret) map[string][]byte {
	switch {
	case len(s.Data) > 0:
		return s.Data
	case s.Merge:
		return map[string][]byte{}
	}
	return nil
}

// removeExtra deletes from a Secret that is all ours the keys that somebody
// else put there (apply leaves them alone), and from a shared one the keys that
// we once wrote by another way than apply, as older operators did.
func (w Writer) removeExtra(ctx context.Context, s *Secret, live *corev1.Secret) error {
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value,omitempty"`
	}
	patch := []operation{{"test", "/metadata/resourceVersion", live.ResourceVersion}}
	updated := UpdatedKeys(live.ManagedFields, s.Manager)
	for key := range live.Data {
		if _, ok := s.Data[key]; ok || s.Merge && !updated[key] {
			continue
		}
		patch = append(patch, operation{Op: "remove", Path: "/data/" + key}) // keys of a Secret need no escape
	}
	if len(patch) == 1 {
		return nil
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return errs.Newf(errs.Internal, "encoding a patch: %w", err)
	}
	return classify(w.Client.Patch(ctx, live, client.RawPatch(types.JSONPatchType, body), client.FieldOwner(s.Manager)), s)
}

// UpdatedKeys returns the data keys that manager owns by another operation than apply,
// which is how other operators write.
func UpdatedKeys(fields []metav1.ManagedFieldsEntry, manager string) map[string]bool {
	out := map[string]bool{}
	for _, f := range fields {
		if f.Manager != manager || f.Operation == metav1.ManagedFieldsOperationApply || f.FieldsV1 == nil {
			continue
		}
		var set struct {
			Data map[string]json.RawMessage `json:"f:data"`
		}
		if json.Unmarshal(f.FieldsV1.GetRawBytes(), &set) != nil {
			continue
		}
		for key := range set.Data {
			out[strings.TrimPrefix(key, "f:")] = true
		}
	}
	return out
}

// Delete deletes the Secret seen and no other. One that is gone is no error.
func (w Writer) Delete(ctx context.Context, namespace, name string, seen Version) error {
	err := w.Client.Delete(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}},
		client.Preconditions{UID: &seen.UID})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return classify(err, &Secret{Namespace: namespace, Name: name})
}

// classify gives an answer of the API server its kind, and says what to do.
func classify(err error, s *Secret) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return errs.Newf(errs.Conflict, "Secret %q changed under us", s.Name)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return errs.Newf(errs.Denied, "writing Secret %q: namespace %q is being deleted, and nothing is made in it any more", s.Name, s.Namespace)
	case apierrors.IsForbidden(err):
		return errs.Newf(errs.Denied, "writing Secret %q: %w; the operator's role lacks this (docs/operator.md, Permissions)", s.Name, err)
	case apierrors.IsInvalid(err) && strings.Contains(err.Error(), "immutable"):
		return errs.Newf(errs.Invalid, "writing Secret %q: %w; delete it and it is made anew", s.Name, err)
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return errs.Newf(errs.Invalid, "writing Secret %q: %w", s.Name, err)
	case apierrors.IsRequestEntityTooLargeError(err):
		return errs.Newf(errs.TooLarge, "writing Secret %q: it is over 1 MiB", s.Name)
	case apierrors.IsNotFound(err):
		return errs.Newf(errs.Conflict, "Secret %q or its namespace is gone", s.Name)
	}
	return errs.Newf(errs.Unavailable, "writing Secret %q: %w", s.Name, err)
}
