package rewrite

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/meter"
)

// configuration identifies what the API server encrypts with; "" if it does not tell.
func (a *api) configuration(ctx context.Context) (string, error) {
	body, err := a.client.Get().AbsPath("/metrics").SetHeader("Accept", "text/plain").Stream(ctx)
	switch {
	case apierrors.IsForbidden(err), apierrors.IsNotFound(err):
		return "", nil
	case err != nil:
		return "", explain(err, "reading the API server's metrics")
	}
	defer func() { _ = body.Close() }()
	r, err := meter.Read(body)
	if err != nil {
		return "", errs.Newf(errs.KindOf(err), "reading the API server's metrics: %w", err)
	}
	return r.Configuration(), nil
}
