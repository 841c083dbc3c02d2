package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// pod is one that has not ended.
type pod struct {
	namespace, name string
	uid             types.UID
	stamp, before   Stamp
	ready, deleting bool
	// broken says why it does not run and will not by waiting a little; "" when it may.
	broken string
}

// pods reads the pods of w, by name, those being deleted too.
func pods(ctx context.Context, live client.Reader, w *workload) ([]pod, error) {
	var list corev1.PodList
	if err := live.List(ctx, &list, client.InNamespace(w.Namespace), client.MatchingLabelsSelector{Selector: w.selector}); err != nil {
		return nil, err
	}
	var out []pod
	for i := range list.Items {
		p := &list.Items[i]
		if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed || !owns(w, p) {
			continue
		}
		out = append(out, pod{
			namespace: p.Namespace, name: p.Name, uid: p.UID, stamp: ParseStamp(p.Annotations[AnnotationStamp]), before: ParseStamp(p.Annotations[AnnotationBefore]),
			ready: isReady(p), deleting: p.DeletionTimestamp != nil, broken: broken(p),
		})
	}
	slices.SortFunc(out, func(a, b pod) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// owns reports whether a pod that w selects is w's: what has ReplicaSets has no
// other pods, by the rule that selectors do not overlap.
func owns(w *workload, p *corev1.Pod) bool {
	owner := metav1.GetControllerOf(p)
	if owner == nil {
		return false
	}
	if w.kind.Kind == "Deployment" || w.kind.Kind == "Rollout" {
		return owner.Kind == "ReplicaSet"
	}
	return owner.UID == w.UID
}

func isReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// crashes is how often a container must have crashed before it is given up: the
// first time it may only have been early.
const crashes = 2

func broken(p *corev1.Pod) string {
	for _, list := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for _, c := range list {
			if c.State.Waiting == nil {
				continue
			}
			switch reason := c.State.Waiting.Reason; {
			case reason == "CrashLoopBackOff" && c.RestartCount >= crashes:
				return fmt.Sprintf("container %s: %s, %d restarts", c.Name, reason, c.RestartCount)
			case slices.Contains([]string{"ImagePullBackOff", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError"}, reason):
				return fmt.Sprintf("container %s: %s", c.Name, reason)
			}
		}
	}
	return ""
}
