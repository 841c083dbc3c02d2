package operator

import (
	corev1 "k8s.io/api/core/v1"
	recorder "k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// events writes Kubernetes events, no more of the good ones than people read: a
// thousand new Secrets need not be a thousand more writes.
type events struct {
	to     recorder.EventRecorder
	normal flowcontrol.PassiveRateLimiter
}

func newEvents(to recorder.EventRecorder, c clock.PassiveClock) *events {
	return &events{to, flowcontrol.NewTokenBucketPassiveRateLimiterWithClock(5, 50, c)}
}

// event does not block. Warnings are always written; the API is told of
// repetitions as one.
func (e *events) event(about client.Object, eventType, reason, message string) {
	if eventType == corev1.EventTypeNormal && !e.normal.TryAccept() {
		return
	}
	const limit = 1000 // the API's is 1024
	if len(message) > limit {
		message = message[:limit]
	}
	e.to.Eventf(about, nil, eventType, reason, "Sync", "%s", message)
}
