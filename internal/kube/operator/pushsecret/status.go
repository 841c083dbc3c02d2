package pushsecret

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
)

// maxMessage bounds a condition's message, in bytes.
const maxMessage = 1024

// nextStatus is pure. A push that found everything as it was writes nothing.
func nextStatus(ps *v1alpha1.PushSecret, out outcome, o observed) v1alpha1.PushSecretStatus {
	next := *ps.Status.DeepCopy()
	now := metav1.NewTime(o.now.Truncate(1e9))
	c := v1.Condition{Type: v1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSynced, Message: message(ps)}
	if out.err != nil {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1alpha1.ReasonErrored, out.err.Error()
	}
	if out.reason != "" {
		c.Reason = out.reason
	}
	if len(c.Message) > maxMessage {
		c.Message = strings.ToValidUTF8(c.Message[:maxMessage-4], "") + "…"
	}
	next.Conditions = v1.SetCondition(next.Conditions, c, now)
	next.SyncedPushSecrets = out.synced
	if len(out.synced) == 0 {
		next.SyncedPushSecrets = nil
	}
	if out.err != nil {
		return next
	}
	if out.changed || next.RefreshTime.IsZero() {
		next.RefreshTime = now
	}
	next.SyncedResourceVersion = out.version
	return next
}

func message(ps *v1alpha1.PushSecret) string {
	text := "PushSecret synced successfully"
	if ps.Spec.UpdatePolicy == v1alpha1.UpdateIfNotExists {
		text += ". Existing secrets in providers unchanged."
	}
	return text
}
