package shadow

import (
	"context"
	"errors"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Collector deletes what shadows were made of and is older than any rehearsal:
// what an operator left that was paused and is no longer leader.
type Collector struct {
	Client     client.Client // reads from the API server
	Namespaces []string      // all when empty
	Clock      clock.WithTicker
	Log        *slog.Logger
}

// old is older than any rehearsal: no shadow runs longer than lifetime.
const old = 2 * lifetime

// every is how often old ones are looked for.
const every = 5 * time.Minute

// Run collects at once and then from time to time, until ctx ends.
func (c Collector) Run(ctx context.Context) error {
	tick := c.Clock.NewTicker(every)
	defer tick.Stop()
	for {
		if err := c.Collect(ctx); err != nil && ctx.Err() == nil {
			c.Log.Warn("looking for shadows that were left", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
		}
	}
}

// Collect deletes what is old now.
func (c Collector) Collect(ctx context.Context) error {
	namespaces := c.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	var all []error
	for _, kind := range []string{"Pod", "Secret"} {
		for _, ns := range namespaces {
			list := &metav1.PartialObjectMetadataList{}
			list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind + "List"))
			if err := c.Client.List(ctx, list, client.InNamespace(ns), client.HasLabels{Label}); err != nil {
				all = append(all, err)
				continue
			}
			for i := range list.Items {
				m := &list.Items[i]
				m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
				all = append(all, c.collect(ctx, m))
			}
		}
	}
	return errors.Join(all...)
}

func (c Collector) collect(ctx context.Context, m *metav1.PartialObjectMetadata) error {
	owner := metav1.GetControllerOf(m)
	if owner == nil || owner.Kind != "Rotation" || string(owner.UID) != m.Labels[Label] || c.Clock.Since(m.CreationTimestamp.Time) < old {
		return nil
	}
	err := c.Client.Delete(ctx, m, client.Preconditions{UID: &m.UID})
	if err == nil {
		c.Log.Info("deleted what a rehearsal had left", "namespace", m.Namespace, "name", m.Name)
	}
	return client.IgnoreNotFound(err)
}
