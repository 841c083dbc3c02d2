package kubesync

import (
	"context"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/rig"
)

// boundFirst is when the first Secret must have a new value, in seconds.
const boundFirst = 1.0

// Change measures a value of the vault that a thousand Secrets are made of: from
// before it is written until the first Secret has it, and until all have.
func Change(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	w, err := newWorld(ctx, b)
	if err != nil {
		return nil, err
	}
	defer w.close()
	if err := w.prepare(ctx, few); err != nil {
		return nil, err
	}
	before, err := w.bare(ctx, few)
	if err != nil {
		return nil, err
	}
	if err := w.settle(ctx, few, 0); err != nil {
		return nil, err
	}
	first, all, err := w.change(ctx, few)
	if err != nil {
		return nil, err
	}
	w.stopOperator()
	after, err := w.bare(ctx, few)
	if err != nil {
		return nil, err
	}
	return []figure.Figure{
		figure.AtMost(boundFew, "change-1000", all.Seconds(), "s", before.plus(after).update.Seconds()),
		figure.Within(boundFirst, "change-1000-first", first.Seconds(), "s"),
	}, nil
}

// settle makes n ExternalSecrets that want the same value, with this interval, and
// starts the operator. When all are Ready it does what is left of the start.
func (w *world) settle(ctx context.Context, n int, interval time.Duration) error {
	if err := w.put(ctx, shared, value("first")); err != nil {
		return err
	}
	object := func(i int) client.Object { return externalSecret("app-"+strconv.Itoa(i), shared, interval) }
	if err := w.create(ctx, n, object); err != nil {
		return err
	}
	took, err := w.sync(ctx, "app-", n, w.startOperator)
	if err != nil {
		return err
	}
	w.rig.Say("  %d ExternalSecrets that want one value Ready after %.2f s", n, took.Seconds())
	return w.calm(ctx)
}

func (w *world) change(ctx context.Context, n int) (first, all time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	second := value("second")
	var began time.Time
	one, last, err := w.follow(ctx, following{
		list: &corev1.SecretList{}, prefix: "app-", n: n,
		done: func(o client.Object) bool {
			s, ok := o.(*corev1.Secret)
			return ok && string(s.Data["password"]) == second
		},
		begun: func() error {
			began = time.Now()
			return w.put(ctx, shared, second)
		},
	})
	if err != nil {
		return 0, 0, err
	}
	w.rig.Say("  a value changed: the first Secret had it after %.3f s, %d after %.2f s", one.Sub(began).Seconds(), n, last.Sub(began).Seconds())
	return one.Sub(began), last.Sub(began), nil
}
