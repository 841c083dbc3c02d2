package drill

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
)

// mostPods is how many pods are watched.
const mostPods = 50

// late is how long a pod may be unready before that is called failing.
const late = 2 * time.Minute

// notePods brings what is known of the workload's pods up to what is. Before the
// drill begins, that is how they are without it.
func notePods(status *v1alpha1.DrillStatus, pods []corev1.Pod, now metav1.Time) {
	beginning := status.Began == nil
	if beginning {
		status.Pods, status.ReadyBefore = nil, 0
	}
	there := map[string]bool{}
	for i := range pods {
		p := &pods[i]
		there[string(p.UID)] = true
		read, health := consumer.PodOf(p)
		if beginning && read.Ready && !read.Deleting {
			status.ReadyBefore++
		}
		if k := recordOf(status, p, read.Ready); k != nil {
			notePod(k, p, read.Ready, status.Began, now)
			k.Failing = health.At(now.Time, late)
		}
	}
	for i := range status.Pods {
		if k := &status.Pods[i]; !there[k.UID] && k.Gone == nil {
			k.Gone, k.Failing = &now, ""
		}
	}
	slices.SortStableFunc(status.Pods, hurtFirst)
}

func hurtFirst(a, b v1alpha1.DrilledPod) int {
	switch {
	case hurt(&a) && !hurt(&b):
		return -1
	case hurt(&b) && !hurt(&a):
		return 1
	}
	return strings.Compare(a.Name, b.Name)
}

// recordOf returns what is noted of p; nil when too many pods are watched already.
func recordOf(status *v1alpha1.DrillStatus, p *corev1.Pod, ready bool) *v1alpha1.DrilledPod {
	for i := range status.Pods {
		if status.Pods[i].UID == string(p.UID) {
			return &status.Pods[i]
		}
	}
	if len(status.Pods) >= mostPods {
		return nil
	}
	k := v1alpha1.DrilledPod{Name: p.Name, UID: string(p.UID)}
	if status.Began == nil {
		k.Before, k.ReadyBefore, k.RestartsBefore = true, ready, restartsOf(p)
	}
	status.Pods = append(status.Pods, k)
	return &status.Pods[len(status.Pods)-1]
}

func notePod(k *v1alpha1.DrilledPod, p *corev1.Pod, ready bool, began *metav1.Time, now metav1.Time) {
	k.Restarts = restartsOf(p) - k.RestartsBefore
	wasReady := k.ReadyAgain != nil || k.ReadyBefore && k.Unready == nil
	switch {
	case !ready && wasReady:
		if k.Unready == nil {
			k.Unready = &now
		}
		k.ReadyAgain = nil
	case ready && !wasReady:
		k.ReadyAgain = &now
	case ready && k.Unready == nil && began != nil:
		noteFlap(k, p, began.Time)
	}
}

// noteFlap notes that a pod was unready between two looks: its condition tells.
func noteFlap(k *v1alpha1.DrilledPod, p *corev1.Pod, began time.Time) {
	for _, c := range p.Status.Conditions {
		if at := c.LastTransitionTime; k.ReadyBefore && c.Type == corev1.PodReady && at.After(began) {
			k.Unready, k.ReadyAgain = &at, &at
		}
	}
}

func restartsOf(p *corev1.Pod) (n int32) {
	for _, list := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for i := range list {
			n += list[i].RestartCount
		}
	}
	return n
}

func hurt(k *v1alpha1.DrilledPod) bool { return k.Unready != nil || k.Restarts > 0 || k.Failing != "" }

// wellAgain reports whether as many pods are ready as before, and none fails that
// was ready before.
func wellAgain(status *v1alpha1.DrillStatus, pods []corev1.Pod) bool {
	var ready, all int32
	for i := range pods {
		if pods[i].DeletionTimestamp != nil {
			continue
		}
		all++
		if read, _ := consumer.PodOf(&pods[i]); read.Ready {
			ready++
		}
	}
	return ready >= status.ReadyBefore || ready == all && all > 0
}

// static is what a workload that takes its Secrets in when its pods are made does
// not see of wrong values.
const static = "it takes its Secrets in as its containers start, and no pod was made anew meanwhile: none saw the wrong values; " +
	"restart one during the next drill (kubectl rollout restart) to see what it does"

// findings says in words what was found. onlyAtStart: the workload's containers
// take their Secrets in when they start.
func findings(d *v1alpha1.Drill, status *v1alpha1.DrillStatus, onlyAtStart bool) []string {
	if status.Began == nil {
		return nil
	}
	var out []string
	for i := range status.ExternalSecrets {
		out = append(out, ofSecret(&status.ExternalSecrets[i], status, d.Spec.Failure))
	}
	pods, made := ofPods(status)
	out = append(out, pods...)
	switch {
	case made > 0:
		out = append(out, fmt.Sprintf("%d pods were made anew", made))
	case onlyAtStart && d.Spec.Failure == v1alpha1.DrillCredentialRefused:
		out = append(out, static)
	}
	if int(status.ReadyBefore) > mostPods || len(status.Pods) == mostPods {
		out = append(out, fmt.Sprintf("only %d pods were watched", mostPods))
	}
	return append(out, ending(status)...)
}

// ofPods is about the pods, and says how many were made since the drill began.
func ofPods(status *v1alpha1.DrillStatus) (out []string, made int) {
	quiet := true
	for i := range status.Pods {
		k := &status.Pods[i]
		if !k.Before {
			made++
		}
		if hurt(k) {
			out = append(out, ofPod(k, status.Began.Time))
			quiet = quiet && k.Unready == nil && k.Restarts == 0
		}
	}
	if quiet {
		out = append(out, "no pod became unready, and none restarted")
	}
	return out, made
}

// ofPod is about a pod that was hurt.
func ofPod(k *v1alpha1.DrilledPod, began time.Time) string {
	var parts []string
	if k.Unready != nil {
		parts = append(parts, "became unready after "+k.Unready.Sub(began).String())
		if k.ReadyAgain != nil {
			parts = append(parts, "was ready again after "+k.ReadyAgain.Sub(began).String())
		}
	}
	if k.Restarts > 0 {
		parts = append(parts, fmt.Sprintf("restarted %d times", k.Restarts))
	}
	if k.Failing != "" {
		parts = append(parts, k.Failing)
	}
	return "pod " + k.Name + " " + strings.Join(parts, ", ")
}

func ofSecret(s *v1alpha1.DrilledSecret, status *v1alpha1.DrillStatus, failure v1alpha1.DrillFailure) string {
	var parts []string
	if s.Failed != nil {
		parts = append(parts, fmt.Sprintf("was not ready after %s, and said so", s.Failed.Sub(status.Began.Time)))
	} else if failure == v1alpha1.DrillStoreAway {
		parts = append(parts, "was not yet seen to fail")
	}
	if s.Wrong != nil {
		parts = append(parts, fmt.Sprintf("wrote wrong values into Secret %s after %s", s.Secret, s.Wrong.Sub(status.Began.Time)))
	} else if failure == v1alpha1.DrillCredentialRefused {
		parts = append(parts, fmt.Sprintf("was not yet seen to write wrong values into Secret %s", s.Secret))
	}
	if failure == v1alpha1.DrillSlowSync {
		parts = append(parts, "took longer for each sync")
	}
	if s.Recovered != nil && status.Ended != nil {
		parts = append(parts, fmt.Sprintf("was right again %s after the end", s.Recovered.Sub(status.Ended.Time)))
	}
	return "ExternalSecret " + s.Name + " " + strings.Join(parts, "; ")
}

func ending(status *v1alpha1.DrillStatus) []string {
	switch {
	case status.Recovered != nil:
		return []string{fmt.Sprintf("the workload was as well as before %s after the end", status.Recovered.Sub(status.Ended.Time))}
	case status.Phase == v1alpha1.DrillOver:
		return []string{fmt.Sprintf("the workload was not as well as before within %s", recovery)}
	}
	return nil
}
