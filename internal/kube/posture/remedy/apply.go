package remedy

import (
	"context"
	"encoding/json"
	"maps"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Manager is the field manager of what is written.
const Manager = "strongkeep-fix"

// Apply does the steps of p one after the other, with dry only as far as the API
// server would take them. It stops at the first that fails: the error says which
// were done. An object that has changed since it was looked at is a Conflict.
func Apply(ctx context.Context, c client.Client, p *Plan, dry bool) error {
	for i := range p.Steps {
		if err := p.Steps[i].do(ctx, c, dry); err != nil {
			return explain(err, p, i)
		}
	}
	return nil
}

func (s *Step) do(ctx context.Context, c client.Client, dry bool) error {
	u, err := s.unstructured()
	if err != nil {
		return err
	}
	switch s.Verb {
	case Create:
		opts := []client.CreateOption{client.FieldOwner(Manager)}
		if dry {
			opts = append(opts, client.DryRunAll)
		}
		return c.Create(ctx, u, opts...)
	case Delete:
		opts := []client.DeleteOption{client.Preconditions{UID: &s.UID, ResourceVersion: &s.Version}}
		if dry {
			opts = append(opts, client.DryRunAll)
		}
		return c.Delete(ctx, u, opts...)
	case Patch:
		return s.patch(ctx, c, u, dry)
	}
	return errs.Newf(errs.Internal, "step of verb %q", s.Verb)
}

// unstructured is the object as JSON has it: what the API server answers with does
// not come into the plan.
func (s *Step) unstructured() (*unstructured.Unstructured, error) {
	text, err := json.Marshal(s.Object)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding %s: %w", s.Ref(), err)
	}
	u := &unstructured.Unstructured{}
	return u, json.Unmarshal(text, &u.Object)
}

// patch names the version that was looked at: the API server refuses the patch of
// another.
func (s *Step) patch(ctx context.Context, c client.Client, u *unstructured.Unstructured, dry bool) error {
	kind := types.StrategicMergePatchType
	if u.GroupVersionKind().Group == rbacv1.GroupName {
		kind = types.MergePatchType
	}
	body := maps.Clone(s.Object)
	body["metadata"] = map[string]any{"resourceVersion": s.Version, "uid": string(s.UID)}
	text, err := json.Marshal(body)
	if err != nil {
		return errs.Newf(errs.Internal, "encoding a patch: %w", err)
	}
	opts := []client.PatchOption{client.FieldOwner(Manager)}
	if dry {
		opts = append(opts, client.DryRunAll)
	}
	return c.Patch(ctx, u, client.RawPatch(kind, text), opts...)
}

// explain says what is done, and what is not.
func explain(err error, p *Plan, failed int) error {
	kind := errs.Unavailable
	switch {
	case apierrors.IsConflict(err):
		kind = errs.Conflict
	case apierrors.IsForbidden(err):
		kind = errs.Denied
	case apierrors.IsAlreadyExists(err):
		kind = errs.Exist
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		kind = errs.Invalid
	case apierrors.IsNotFound(err):
		kind = errs.NotExist
	}
	done := "nothing was done before"
	if failed > 0 {
		var names []string
		for i := range failed {
			names = append(names, string(p.Steps[i].Verb)+" "+p.Steps[i].Ref().String())
		}
		done = "done before: " + strings.Join(names, "; ")
	}
	return &Stopped{failed, errs.Newf(kind, "%s %s: %w; %s. Call this again to go on from what is there", p.Steps[failed].Verb, p.Steps[failed].Ref(), err, done)}
}

// Stopped is a plan that was not done to its end.
type Stopped struct {
	Done int // steps
	Err  error
}

func (s *Stopped) Error() string { return s.Err.Error() }

// Unwrap gives it the kind of what stopped it.
func (s *Stopped) Unwrap() error { return s.Err }
