package rotation

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	optarget "github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence/application"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence/backend"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence/file"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// prober implements controller.Prober.
type prober struct {
	live client.Reader
	apps *application.Prober
	// files is nil where nobody is on the nodes.
	files *file.Prober
}

// Nodes implements controller.Prober.
func (p prober) Nodes(ctx context.Context) bool { return p.files != nil && p.files.There(ctx) }

// Probe implements controller.Prober.
func (p prober) Probe(ctx context.Context, q controller.Question) map[types.UID]evidence.Found {
	out := map[types.UID]evidence.Found{}
	asked := application.Question{Rotation: q.Rotation, Version: q.Version, Fed: q.Graph.Secrets, Contents: p.contents(q)}
	for uid, word := range p.apps.Ask(ctx, asked, q.Graph.Pods) {
		f := out[uid]
		f.Application = word
		out[uid] = f
	}
	if p.files != nil {
		for uid, word := range p.files.Ask(ctx, file.Question{Fed: q.Graph.Secrets, Contents: p.contents(q)}, q.Graph.Pods) {
			f := out[uid]
			f.File = word
			out[uid] = f
		}
	}
	if q.Sessions == nil {
		return out
	}
	for uid, word := range backend.Match(q.Graph.Pods, *q.Sessions) {
		f := out[uid]
		f.Backend = word
		out[uid] = f
	}
	return out
}

// contents reads Secrets that hold the version that is being proven.
func (p prober) contents(q controller.Question) evidence.Contents {
	return func(ctx context.Context, o consumer.Object) (map[string]redact.Secret, error) {
		if o.Cluster != "" {
			return nil, errs.Newf(errs.Unsupported, "Secrets of cluster %q are not read for this", o.Cluster)
		}
		var s corev1.Secret
		if err := p.live.Get(ctx, o.NamespacedName, &s); err != nil {
			return nil, errs.Newf(errs.Unavailable, "reading Secret %q: %w", o.NamespacedName, err)
		}
		if v := optarget.Versions(s.Annotations)[q.Location]; v != q.Version {
			return nil, errs.Newf(errs.Conflict, "Secret %q holds version %q, not %q", o.NamespacedName, v, q.Version)
		}
		change := optarget.Changes(s.Annotations)[q.Location]
		known := change.Version == q.Version && !change.Unsure
		out := make(map[string]redact.Secret, len(s.Data))
		for name, value := range s.Data {
			if q.Anew || known && slices.Contains(change.Keys, name) {
				out[name] = redact.New(value)
			}
		}
		return out, nil
	}
}
