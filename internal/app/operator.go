package app

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/kube/operator"
)

// RunOperator runs the operator, with every provider there is, until ctx ends.
func RunOperator(ctx context.Context, cfg operator.Config) error {
	cfg.Providers, cfg.Targets = providers(), targets()
	return operator.Run(ctx, cfg)
}
