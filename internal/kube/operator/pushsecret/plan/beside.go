package plan

import (
	"context"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/render"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Beside is a key of a ConfigMap or Secret in a PushSecret's namespace, of which a store
// takes the text besides the value; the zero Beside is none.
type Beside struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Key  string `json:"key"`
}

// BesideOf returns what metadata names: the policy of a secret in AWS. What else is in
// it, or wrong with it, the store says.
func BesideOf(metadata *apiextensions.JSON) Beside {
	if metadata == nil {
		return Beside{}
	}
	var m struct {
		Spec struct {
			ResourcePolicy struct {
				Source Beside `json:"policySourceRef"`
			} `json:"resourcePolicy"`
		} `json:"spec"`
	}
	if json.Unmarshal(metadata.Raw, &m) != nil {
		return Beside{}
	}
	return m.Spec.ResourcePolicy.Source
}

// Refs returns the objects beside the Secret that a push depends on: those that hold
// templates, and what metadata names.
func Refs(spec *v1alpha1.PushSecretSpec) []render.Ref {
	out := render.Refs(spec.Template)
	for _, b := range AllBeside(spec) {
		if b.Kind == "ConfigMap" || b.Kind == "Secret" {
			out = append(out, render.Ref{Kind: b.Kind, Name: b.Name})
		}
	}
	return out
}

// RefNames returns "KIND/NAME" of what Refs does.
func RefNames(spec *v1alpha1.PushSecretSpec) (names []string) {
	for _, r := range Refs(spec) {
		names = append(names, r.Kind+"/"+r.Name)
	}
	return names
}

// AllBeside returns what a PushSecret's metadata names.
func AllBeside(spec *v1alpha1.PushSecretSpec) (out []Beside) {
	add := func(metadata *apiextensions.JSON) {
		if b := BesideOf(metadata); b != (Beside{}) {
			out = append(out, b)
		}
	}
	for i := range spec.Data {
		add(spec.Data[i].Metadata)
	}
	for i := range spec.DataTo {
		add(spec.DataTo[i].Metadata)
	}
	return out
}

// ReadBeside reads what the metadata of entries names, in the PushSecret's own namespace:
// there is no other that it could say. It is no credential of a store, so no session
// reads it. What is not there is the entry's failure, and nothing is written.
func ReadBeside(ctx context.Context, live client.Reader, namespace string, entries []Entry) {
	type read struct {
		text redact.Secret
		err  error
	}
	known := map[Beside]read{}
	for i := range entries {
		e := &entries[i]
		b := BesideOf(e.Data.Metadata)
		if e.Err != nil || b == (Beside{}) {
			continue
		}
		got, ok := known[b]
		if !ok {
			got.text, got.err = readBeside(ctx, live, namespace, b)
			known[b] = got
		}
		if e.Document = got.text; got.err != nil {
			e.Err = errs.Newf(errs.KindOf(got.err), "metadata for %q: resourcePolicy.policySourceRef: %w", PlaceName(e.Data), got.err)
		}
	}
}

func readBeside(ctx context.Context, live client.Reader, namespace string, b Beside) (redact.Secret, error) {
	if b.Name == "" || b.Key == "" {
		return redact.Secret{}, errs.New(errs.Invalid, "kind, name and key are needed")
	}
	at := types.NamespacedName{Namespace: namespace, Name: b.Name}
	var found []byte
	var err error
	switch b.Kind {
	case "ConfigMap":
		var c corev1.ConfigMap
		if err = live.Get(ctx, at, &c); err == nil {
			found = []byte(c.Data[b.Key])
		}
	case "Secret":
		var s corev1.Secret
		if err = live.Get(ctx, at, &s); err == nil {
			found = s.Data[b.Key]
		}
	default:
		return redact.Secret{}, errs.Newf(errs.Invalid, "kind is %q: it must be ConfigMap or Secret", b.Kind)
	}
	switch {
	case apierrors.IsNotFound(err):
		return redact.Secret{}, errs.Newf(errs.Unavailable, "%s %q does not exist: create it, or correct the name", b.Kind, b.Name)
	case err != nil:
		return redact.Secret{}, errs.Newf(errs.Unavailable, "reading %s %q: %w", b.Kind, b.Name, err)
	case len(found) == 0:
		return redact.Secret{}, errs.Newf(errs.Unavailable, "%s %q has no key %q: add it, or correct the reference", b.Kind, b.Name, b.Key)
	}
	return redact.New(found), nil
}
