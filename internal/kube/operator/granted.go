package operator

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// granted reports whether the operator's role lets it list what list holds,
// wherever it works. A role of an earlier release does not know what this one can
// do besides: that part is then left out, and the rest goes on. Without this an
// informer would wait for a permission until the operator ends.
func (p parts) granted(ctx context.Context, list client.ObjectList, part string) (bool, error) {
	namespaces := p.cfg.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	for _, ns := range namespaces {
		err := p.mgr.GetAPIReader().List(ctx, list, client.InNamespace(ns), client.Limit(1))
		switch {
		case apierrors.IsForbidden(err):
			p.cfg.Log.Warn("left out: the operator's role lacks a permission; apply the roles of this release (strongkeep operator rbac) and start it again",
				"part", part, "error", err)
			return false, nil
		case err != nil:
			return false, errs.Newf(errs.Unavailable, "asking the API server what may be done for %s: %w", part, err)
		}
	}
	return true, nil
}
