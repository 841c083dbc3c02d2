package operator

import (
	"context"
	"crypto/rand"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rbac"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// kube implements provider.Cluster by reads of the API server. Nothing of a
// Secret's content is ever cached.
type kube struct {
	live   client.Reader
	client client.Client
	// watch is told of each Secret that is read, where Secrets are watched by name; nil
	// where all are.
	watch func(namespace, name string)
	// bound refuses tokens without audiences.
	bound bool
}

// Objects reads what stores and generators refer to, for who is no operator: with
// the rights of live and c, which asks for tokens.
func Objects(live client.Reader, c client.Client) provider.Cluster {
	return kube{live: live, client: c}
}

// tokenSeconds is how long an asked-for ServiceAccount token lives: the least
// the API server gives. It is used once, at a login.
const tokenSeconds = 600

func (k kube) SecretKey(ctx context.Context, ref provider.Ref, key string) (redact.Secret, error) {
	s, err := k.secret(ctx, ref)
	if err != nil {
		return redact.Secret{}, err
	}
	v, ok := s.Data[key]
	if !ok {
		return redact.Secret{}, provider.Reference(errs.Newf(errs.Unavailable, "Secret %q has no key %q: add it, or correct the reference", ref, key))
	}
	return redact.New(v), nil
}

func (k kube) secret(ctx context.Context, ref provider.Ref) (*corev1.Secret, error) {
	if k.watch != nil {
		k.watch(ref.Namespace(), ref.Name())
	}
	var s corev1.Secret
	if err := k.live.Get(ctx, types.NamespacedName{Namespace: ref.Namespace(), Name: ref.Name()}, &s); err != nil {
		return nil, unreadable("Secret", ref, err)
	}
	return &s, nil
}

// LabelledSecret implements provider.Labelled.
func (k kube) LabelledSecret(ctx context.Context, ref provider.Ref, label, value string) (map[string]redact.Secret, error) {
	s, err := k.secret(ctx, ref)
	if err != nil {
		return nil, err
	}
	if s.Labels[label] != value {
		return nil, errs.Newf(errs.Denied, "Secret %q is not to be sent elsewhere: label it %s=%s if it is", ref, label, value)
	}
	out := make(map[string]redact.Secret, len(s.Data))
	for key, v := range s.Data {
		out[key] = redact.New(v)
	}
	return out, nil
}

func (k kube) ConfigMapKey(ctx context.Context, ref provider.Ref, key string) (string, error) {
	var c corev1.ConfigMap
	if err := k.live.Get(ctx, types.NamespacedName{Namespace: ref.Namespace(), Name: ref.Name()}, &c); err != nil {
		return "", unreadable("ConfigMap", ref, err)
	}
	if v, ok := c.Data[key]; ok {
		return v, nil
	}
	if v, ok := c.BinaryData[key]; ok {
		return string(v), nil
	}
	return "", provider.Reference(errs.Newf(errs.Unavailable, "ConfigMap %q has no key %q: add it, or correct the reference", ref, key))
}

func (k kube) ServiceAccountToken(ctx context.Context, ref provider.Ref, audiences []string) (redact.Secret, error) {
	if k.bound && len(audiences) == 0 {
		return redact.Secret{}, provider.Reference(errs.Newf(errs.Denied, "ServiceAccount %q is named without audiences, so that its token would be good at this cluster's API server too, which this operator does not send (require-audiences): name the audience that the store's server takes, such as audiences: [vault]", ref))
	}
	seconds := int64(tokenSeconds)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ref.Namespace(), Name: ref.Name()}}
	req := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences, ExpirationSeconds: &seconds}}
	if err := k.client.SubResource("token").Create(ctx, account, req); err != nil {
		return redact.Secret{}, unreadable("ServiceAccount", ref, err)
	}
	return redact.FromString(req.Status.Token), nil
}

func (k kube) ServiceAccountAnnotations(ctx context.Context, ref provider.Ref) (map[string]string, error) {
	var account corev1.ServiceAccount
	if err := k.live.Get(ctx, types.NamespacedName{Namespace: ref.Namespace(), Name: ref.Name()}, &account); err != nil {
		return nil, unreadable("ServiceAccount", ref, err)
	}
	return account.Annotations, nil
}

// unreadable says what to do about an object that a store refers to. It is
// never NotExist, which is for secrets of the external store, and always a
// provider.ErrReference, which no outage of the store is.
func unreadable(kind string, ref provider.Ref, err error) error {
	switch {
	case apierrors.IsNotFound(err):
		err = errs.Newf(errs.Unavailable, "%s %q does not exist: create it, or correct the reference", kind, ref)
	case apierrors.IsForbidden(err):
		err = errs.Newf(errs.Denied, "the operator may not use %s %q: its role lacks this (docs/operator.md, Permissions): %w", kind, ref, err)
	default:
		err = errs.Newf(errs.Unavailable, "reading %s %q: %w", kind, ref, err)
	}
	return provider.Reference(err)
}

// The Secret in the operator's own namespace that holds the key of marks.
const (
	KeySecret     = rbac.KeySecret
	keySecretData = rbac.KeyData
)

// markKey reads the key for marks, or makes one at the first start. Of several
// operators starting at once, one makes it.
func markKey(ctx context.Context, live client.Reader, c client.Client, namespace string) (target.Key, error) {
	name := types.NamespacedName{Namespace: namespace, Name: KeySecret}
	for {
		var s corev1.Secret
		err := live.Get(ctx, name, &s)
		if err == nil {
			key, err := target.NewKey(s.Data[keySecretData])
			if err != nil {
				return key, errs.Newf(errs.Invalid, "Secret %q: %w; delete it and a new one is made", name, err)
			}
			return key, nil
		}
		if !apierrors.IsNotFound(err) {
			return target.Key{}, errs.Newf(errs.Unavailable, "reading Secret %q: %w", name, err)
		}
		b := make([]byte, target.KeySize)
		rand.Read(b)
		made := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: KeySecret},
			Data:       map[string][]byte{keySecretData: b},
		}
		if err := c.Create(ctx, made); err != nil && !apierrors.IsAlreadyExists(err) {
			return target.Key{}, errs.Newf(errs.Unavailable, "creating Secret %q: %w", name, err)
		}
	}
}
