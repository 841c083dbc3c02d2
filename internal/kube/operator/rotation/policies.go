package rotation

import (
	"context"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/policy"
)

// policies implements controller.Policies.
type policies struct {
	reader client.Reader
	none   bool // this operator looks at nothing that is in no namespace
}

func (p policies) MaxAge(ctx context.Context, rot *v1alpha1.Rotation) (age, before time.Duration, err error) {
	if p.none {
		return 0, 0, nil
	}
	limit, err := policy.Reader{Reader: byMetadata{p.reader}}.Limit(ctx, rot)
	return limit.MaxAge, limit.Before, err
}

// byMetadata reads Namespaces from a cache that has their metadata only.
type byMetadata struct{ client.Reader }

func (r byMetadata) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	ns, ok := o.(*corev1.Namespace)
	if !ok {
		return r.Reader.Get(ctx, key, o, opts...)
	}
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := r.Reader.Get(ctx, key, m, opts...); err != nil {
		return err
	}
	ns.ObjectMeta = m.ObjectMeta
	return nil
}

// install makes the default policy where there is none. It is tried at every start.
func install(c client.Client, live client.Reader, log *slog.Logger) leader {
	return func(ctx context.Context) error {
		if err := policy.Install(ctx, c, live); err != nil {
			log.Warn("no default RotationPolicy is made", "error", err)
		}
		return nil
	}
}
