package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/push"
)

// Metadata is the spec of a PushSecret's metadata.
type Metadata struct {
	// SourceMergePolicy says what becomes of the labels and annotations of the
	// PushSecret's template: Merge (default) adds Labels and Annotations to them,
	// Replace puts these in their place.
	SourceMergePolicy string `json:"sourceMergePolicy,omitempty"`
	// TargetMergePolicy says what becomes of those of the Secret that is there: Merge
	// (default) adds to them, Replace puts others in their place, Ignore leaves them.
	TargetMergePolicy string            `json:"targetMergePolicy,omitempty"`
	Labels            map[string]string `json:"labels,omitempty"`
	Annotations       map[string]string `json:"annotations,omitempty"`
	// RemoteNamespace in place of the store's, which it must be here.
	RemoteNamespace string `json:"remoteNamespace,omitempty"`
}

const (
	policyMerge   = "Merge"
	policyReplace = "Replace"
	policyIgnore  = "Ignore"
)

// wish is what a write asks for beside its value.
type wish struct {
	labels, annotations map[string]string
	target              string // how they meet those that are there
	kind                corev1.SecretType
}

// wishOf reads what w says.
func (s *store) wishOf(w provider.Write) (wish, error) {
	var m Metadata
	if err := push.Metadata(w.Metadata, &m); err != nil {
		return wish{}, err
	}
	out := wish{labels: map[string]string{}, annotations: map[string]string{}, target: m.TargetMergePolicy, kind: corev1.SecretType(w.Source.Type)}
	switch m.SourceMergePolicy {
	case "", policyMerge:
		maps.Copy(out.labels, w.Source.Labels)
		maps.Copy(out.annotations, w.Source.Annotations)
	case policyReplace:
	default:
		return wish{}, errs.Newf(errs.Invalid, "metadata of the PushSecret: sourceMergePolicy is %.40q: it must be Merge or Replace", m.SourceMergePolicy)
	}
	switch m.TargetMergePolicy {
	case "", policyMerge, policyReplace, policyIgnore:
	default:
		return wish{}, errs.Newf(errs.Invalid, "metadata of the PushSecret: targetMergePolicy is %.40q: it must be Merge, Replace or Ignore", m.TargetMergePolicy)
	}
	if m.RemoteNamespace != "" && m.RemoteNamespace != s.namespace {
		return wish{}, errs.Newf(errs.Unsupported, "metadata of the PushSecret: remoteNamespace is %.80q, and the store's is %q: use a store of that namespace", m.RemoteNamespace, s.namespace)
	}
	maps.Copy(out.labels, m.Labels)
	maps.Copy(out.annotations, m.Annotations)
	if _, err := push.Tags(out.labels); err != nil {
		return wish{}, err
	}
	return out, nil
}

// apply gives a Secret the labels and annotations.
func (w wish) apply(secret *corev1.Secret, fresh bool) {
	have := func(m map[string]string) map[string]string {
		if m == nil || w.target == policyReplace {
			return map[string]string{}
		}
		return m
	}
	if fresh || w.target != policyIgnore {
		secret.Labels, secret.Annotations = have(secret.Labels), have(secret.Annotations)
		maps.Copy(secret.Labels, w.labels)
		maps.Copy(secret.Annotations, w.annotations)
	}
	if secret.Labels == nil {
		secret.Labels = map[string]string{}
	}
	secret.Labels[push.TagManaged] = push.Manager
}

// Write stores w in one Secret: its parts with a property, or all of them from the JSON
// object that the value is without.
func (s *store) Write(ctx context.Context, w provider.Write) error {
	wish, err := s.wishOf(w)
	if err != nil {
		return err
	}
	parts, err := partsOf(w)
	if err != nil {
		return err
	}
	old, err := s.get(ctx, w.Key)
	switch {
	case errs.Is(err, errs.NotExist):
		return s.create(ctx, w.Key, parts, wish)
	case err != nil:
		return err
	case !push.Managed(old.Labels):
		return push.Foreign(w.Key)
	}
	changed := old.DeepCopy()
	if w.Property == "" || changed.Data == nil {
		changed.Data = map[string][]byte{}
	}
	maps.Copy(changed.Data, parts)
	wish.apply(changed, false)
	return s.update(ctx, old, changed)
}

// partsOf returns the parts of a Secret that w writes.
func partsOf(w provider.Write) (map[string][]byte, error) {
	parts := map[string][]byte{}
	if w.Property != "" {
		parts[w.Property] = w.Value.Reveal()
	} else {
		object, err := provider.Value{Data: w.Value}.Map()
		if err != nil {
			return nil, errs.Newf(errs.Invalid, "the value for Secret %q is no JSON object, and a Secret has parts: name one by remoteRef.property, or push the whole Secret without secretKey", w.Key)
		}
		for key, part := range object {
			parts[key] = part.Reveal()
		}
	}
	for key := range parts {
		if problems := validation.IsConfigMapKey(key); len(problems) > 0 {
			return nil, errs.Newf(errs.Invalid, "%.260q cannot be a key of a Secret: it has letters, digits, '-', '_' and '.' only", key)
		}
	}
	return parts, nil
}

func (s *store) create(ctx context.Context, name string, parts map[string][]byte, w wish) error {
	secret := &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name}, Data: parts, Type: typeOf(w.kind, parts),
	}
	w.apply(secret, true)
	return s.send(ctx, s.call("creating", name), s.secrets(s.rest.Post()), secret)
}

// typeOf returns kind, if a Secret with these parts can be of it, and else Opaque. What
// is a credential of the API server that it came from is none of another.
func typeOf(kind corev1.SecretType, parts map[string][]byte) corev1.SecretType {
	needs := map[corev1.SecretType][]string{
		corev1.SecretTypeTLS:              {corev1.TLSCertKey, corev1.TLSPrivateKeyKey},
		corev1.SecretTypeDockerConfigJson: {corev1.DockerConfigJsonKey},
		corev1.SecretTypeDockercfg:        {corev1.DockerConfigKey},
		corev1.SecretTypeSSHAuth:          {corev1.SSHAuthPrivateKey},
	}
	_, user := parts[corev1.BasicAuthUsernameKey]
	_, password := parts[corev1.BasicAuthPasswordKey]
	switch {
	case kind == "", kind == corev1.SecretTypeServiceAccountToken, kind == corev1.SecretTypeBootstrapToken, kind == corev1.SecretTypeBasicAuth && !user && !password:
		return corev1.SecretTypeOpaque
	}
	for _, key := range needs[kind] {
		if _, ok := parts[key]; !ok {
			return corev1.SecretTypeOpaque
		}
	}
	return kind
}

// update writes what differs. It is on condition that nobody else did.
func (s *store) update(ctx context.Context, old, changed *corev1.Secret) error {
	if same(old.Data, changed.Data) && maps.Equal(old.Labels, changed.Labels) && maps.Equal(old.Annotations, changed.Annotations) {
		return nil
	}
	if old.Immutable != nil && *old.Immutable && !same(old.Data, changed.Data) {
		return errs.Newf(errs.Invalid, "Secret %q is immutable and has other values: delete it there, or push to another", old.Name)
	}
	changed.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}
	changed.ManagedFields = nil
	err := s.send(ctx, s.call("writing", old.Name), s.secrets(s.rest.Put()).Name(old.Name), changed)
	if errs.Is(err, errs.NotExist) {
		return errs.As(errs.Conflict, err) // it is made anew by the next try
	}
	return err
}

func same(a, b map[string][]byte) bool { return maps.EqualFunc(a, b, bytes.Equal) }

// call describes a call that sends values.
func (s *store) call(doing, name string) call {
	return call{doing: fmt.Sprintf("%s Secret %q of namespace %q at %s", doing, name, s.namespace, s.where), name: name}
}

func (s *store) secrets(req *rest.Request) *rest.Request {
	return req.Namespace(s.namespace).Resource("secrets")
}

// send makes a call with a body.
func (s *store) send(ctx context.Context, c call, req *rest.Request, o any) error {
	body, err := json.Marshal(o)
	if err != nil {
		return errs.Newf(errs.Internal, "%s: it cannot be encoded", c.doing)
	}
	_, err = s.do(ctx, c, req.Body(body))
	return err
}

// Delete removes what Write stored: a property, and with the last one the Secret.
func (s *store) Delete(ctx context.Context, at provider.Place) error {
	old, err := s.get(ctx, at.Key)
	switch {
	case errs.Is(err, errs.NotExist):
		return nil
	case err != nil:
		return err
	case !push.Managed(old.Labels):
		return nil
	}
	if at.Property != "" {
		changed := old.DeepCopy()
		delete(changed.Data, at.Property)
		if len(changed.Data) > 0 {
			return s.update(ctx, old, changed)
		}
	}
	o := metav1.DeleteOptions{
		TypeMeta:      metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"},
		Preconditions: &metav1.Preconditions{UID: &old.UID, ResourceVersion: &old.ResourceVersion},
	}
	err = s.send(ctx, s.call("deleting", at.Key), s.secrets(s.rest.Delete()).Name(at.Key), o)
	if errs.Is(err, errs.NotExist) {
		return nil
	}
	return err
}

// Exists reports whether there is a Secret, or a part of one.
func (s *store) Exists(ctx context.Context, at provider.Place) (bool, error) {
	secret, err := s.get(ctx, at.Key)
	switch {
	case errs.Is(err, errs.NotExist):
		return false, nil
	case err != nil:
		return false, err
	case at.Property == "":
		return true, nil
	}
	_, ok := secret.Data[at.Property]
	return ok, nil
}
