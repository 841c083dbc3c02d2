package externalsecret

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/manifest"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// maxMessage bounds a condition's message, in bytes.
const maxMessage = 1024

// patchStatus writes what came of a refresh, in one patch, if that is news.
func (r *Reconciler) patchStatus(ctx context.Context, o observed, out outcome) error {
	es := o.es
	before := es.DeepCopy()
	es.Status = nextStatus(before, out, metav1.NewTime(o.now.Truncate(1e9)))
	if equality.Semantic.DeepEqual(before.Status, es.Status) {
		return nil
	}
	if out.err != nil {
		r.Event(es, corev1.EventTypeWarning, "UpdateFailed", v1.FindCondition(es.Status.Conditions, v1.ConditionReady).Message)
	}
	if err := r.Client.Status().Patch(ctx, es, client.MergeFrom(before)); err != nil {
		return client.IgnoreNotFound(err)
	}
	r.memories.change(client.ObjectKeyFromObject(es), func(e *entry) {
		e.status = target.Patch{Version: es.ResourceVersion, At: r.Clock.Now()}
	})
	return nil
}

// nextStatus is pure. The time of the refresh is news only when it changed
// something: a refresh, by an event or by time, that found everything as it was
// writes nothing.
func nextStatus(es *v1.ExternalSecret, out outcome, now metav1.Time) v1.ExternalSecretStatus {
	next := *es.Status.DeepCopy()
	next.Conditions = v1.SetCondition(next.Conditions, readyCondition(es, out), now)
	if out.err != nil {
		return next
	}
	version := syncedVersion(es)
	if out.changed || version != next.SyncedResourceVersion || !v1.IsReady(es.Status.Conditions) || next.RefreshTime.IsZero() {
		next.RefreshTime = now
	}
	next.SyncedResourceVersion = version
	next.Binding.Name = ""
	if keepsTarget(es) && !manifest.Asked(es) && out.reason != v1.ReasonSecretDeleted {
		next.Binding.Name = target.Name(es)
	}
	return next
}

func readyCondition(es *v1.ExternalSecret, out outcome) v1.Condition {
	c := v1.Condition{Type: v1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1.ReasonSecretSynced, Message: out.message}
	if out.err != nil {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1.ReasonSecretSyncedError, out.err.Error()
	}
	if out.reason != "" {
		c.Reason = out.reason
	}
	if manifest.Asked(es) {
		c.Reason = v1.ReasonOfResource(c.Reason)
	}
	if len(c.Message) > maxMessage {
		c.Message = strings.ToValidUTF8(c.Message[:maxMessage-4], "") + "…"
	}
	return c
}
