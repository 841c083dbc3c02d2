package fake

import (
	"context"

	v1alpha1 "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Kind gives spec.data.
type Kind struct{}

var _ generator.Kind = Kind{}

// Generate implements generator.Kind.
func (Kind) Generate(_ context.Context, cfg generator.Config) (generator.Made, error) {
	var spec v1alpha1.FakeSpec
	if err := generator.Decode(cfg.Spec, &spec); err != nil {
		return generator.Made{}, err
	}
	made := generator.Made{Data: map[string]redact.Secret{}}
	for key, value := range spec.Data {
		made.Data[key] = redact.FromString(value)
	}
	return made, nil
}
