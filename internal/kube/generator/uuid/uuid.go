package uuid

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	v1alpha1 "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Kind draws random UUIDs (RFC 9562, version 4): 122 bits that nobody can guess.
type Kind struct{}

var _ generator.Drawer = Kind{}

// Keys implements generator.Drawer.
func (Kind) Keys(json.RawMessage) ([]string, error) { return []string{"uuid"}, nil }

// Generate implements generator.Kind.
func (Kind) Generate(_ context.Context, cfg generator.Config) (generator.Made, error) {
	if err := generator.Decode(cfg.Spec, &v1alpha1.UUIDSpec{}); err != nil {
		return generator.Made{}, err
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return generator.Made{}, errs.Newf(errs.Internal, "drawing a UUID: %w", err)
	}
	return generator.Made{Data: map[string]redact.Secret{"uuid": redact.FromString(id.String())}}, nil
}
