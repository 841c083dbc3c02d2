package probe

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Live returns a Config.Contents that reads from reader, which must not be a
// cache. A Secret is what the graph saw if its resourceVersion is that: so what is
// compared is of the version that the graph confirmed, and of no other.
func Live(reader client.Reader) func(Question) evidence.Contents {
	return func(q Question) evidence.Contents {
		return func(ctx context.Context, o consumer.Object) (map[string]redact.Secret, error) {
			fed := find(q.Graph, o)
			switch {
			case o.Cluster != "" || fed == nil:
				return nil, errs.Newf(errs.NotExist, "Secret %s is none that is read here", o.NamespacedName)
			case fed.Version != q.Version:
				return nil, errs.Newf(errs.Conflict, "Secret %s does not hold version %s", o.NamespacedName, q.Version)
			}
			var s corev1.Secret
			if err := reader.Get(ctx, o.NamespacedName, &s); err != nil {
				return nil, errs.Newf(errs.Unavailable, "reading Secret %s: %w", o.NamespacedName, err)
			}
			if s.ResourceVersion != fed.ResourceVersion {
				return nil, errs.Newf(errs.Conflict, "Secret %s has changed since it was confirmed", o.NamespacedName)
			}
			out := make(map[string]redact.Secret, len(s.Data))
			for key, value := range s.Data {
				out[key] = redact.New(value)
			}
			return out, nil
		}
	}
}

func find(g *consumer.Graph, o consumer.Object) *consumer.Fed {
	for i := range g.Secrets {
		if f := &g.Secrets[i]; f.Cluster == o.Cluster && f.NamespacedName == o.NamespacedName {
			return f
		}
	}
	return nil
}
