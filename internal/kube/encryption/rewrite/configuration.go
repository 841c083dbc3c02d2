package rewrite

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/meter"
)

// agreed identifies what the API servers encrypt with. Where they were named, each has to
// tell and they have to have the same; else it is what one of them tells, and "" if that
// tells nothing. Kinds beside those of asking: Conflict.
func (r *run) agreed(ctx context.Context) (string, error) {
	if len(r.Servers) == 0 {
		return r.api.configuration(ctx)
	}
	var first string
	for i, url := range r.Servers {
		told, err := meter.Ask(ctx, r.REST, url)
		if err != nil {
			return "", err
		}
		has := told.Configuration()
		if i == 0 {
			first = has
		}
		switch {
		case !meter.Whole(has):
			return "", errs.Newf(errs.Conflict, "the API server %s tells no hash of its EncryptionConfiguration, so that it is not known whether it has the same as the others: has it --encryption-provider-config and --encryption-provider-config-automatic-reload=true?", url)
		case has != first:
			return "", errs.Newf(errs.Conflict, "the API servers %s and %s encrypt with different configurations or keys (%s; %s): wait until all have the same, or see strongkeep encryption status", r.Servers[0], url, first, has)
		}
	}
	return first, nil
}

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
