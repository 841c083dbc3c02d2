package policy

import (
	"context"
	_ "embed"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

//go:embed default.yaml
var defaultYAML []byte

// Default returns the policy that is made if there is none.
func Default() (*v1alpha1.RotationPolicy, error) {
	var p v1alpha1.RotationPolicy
	if err := yaml.UnmarshalStrict(defaultYAML, &p); err != nil {
		return nil, errs.Newf(errs.Internal, "reading the default policy: %w", err)
	}
	return &p, nil
}

// Install makes the default policy if there is no RotationPolicy at all. It may
// be called by several operators at once.
func Install(ctx context.Context, c client.Client, live client.Reader) error {
	var have v1alpha1.RotationPolicyList
	if err := live.List(ctx, &have, client.Limit(1)); err != nil {
		return errs.Newf(errs.Unavailable, "listing RotationPolicies: %w", err)
	}
	if len(have.Items) > 0 {
		return nil
	}
	p, err := Default()
	if err != nil {
		return err
	}
	if err := c.Create(ctx, p); err != nil && !apierrors.IsAlreadyExists(err) {
		return errs.Newf(errs.Unavailable, "making the RotationPolicy %s: %w", p.Name, err)
	}
	return nil
}

// Reader answers for Rotations by what an API server, or a cache, holds.
type Reader struct{ client.Reader }

// Limit returns what policies say of a Rotation. Invalid: one that is about it
// cannot be meant; those about others do not matter. Namespaces are read only if
// a policy selects by them.
func (r Reader) Limit(ctx context.Context, rot *v1alpha1.Rotation) (Limit, error) {
	var list v1alpha1.RotationPolicyList
	if err := r.List(ctx, &list); err != nil {
		return Limit{}, errs.Newf(errs.Unavailable, "listing RotationPolicies: %w", err)
	}
	set, _ := Compile(list.Items) // what is wrong with those about others is theirs
	var of labels.Set
	if set.Scoped() {
		var ns corev1.Namespace
		if err := r.Get(ctx, client.ObjectKey{Name: rot.Namespace}, &ns); err != nil {
			return Limit{}, errs.Newf(errs.Unavailable, "reading the namespace %s: %w", rot.Namespace, err)
		}
		of = ns.Labels
	}
	c := Credential{Class: ClassOf(rot)}
	return set.Evaluate(of, c), set.Wrong(of, c)
}

// ClassOf returns the class of a Rotation: the one it names, else by its target.
func ClassOf(rot *v1alpha1.Rotation) string {
	t := &rot.Spec.Target
	switch {
	case rot.Spec.Class != "":
		return rot.Spec.Class
	case t.Database != nil:
		return "database"
	case t.Certificate != nil:
		return "tls"
	case t.AWSAccessKey != nil:
		return "cloud"
	}
	return "api-key"
}
