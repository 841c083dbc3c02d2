package remedy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/remedy/relocation"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// hold reads what a remedy of copies compares: the Secrets that the user names, and the
// ConfigMap; and says how a workload is read whole.
func (w *World) hold(ctx context.Context, c client.Client, r *Remedy, o Options) error {
	for _, name := range o.Secrets {
		s := corev1.Secret{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: w.Target.Namespace, Name: name}, &s); err != nil {
			return err
		}
		w.Secrets = append(w.Secrets, s)
	}
	if r.Kind == "ConfigMap" {
		w.Map = &corev1.ConfigMap{}
		if err := c.Get(ctx, client.ObjectKey{Namespace: w.Target.Namespace, Name: w.Target.Name}, w.Map); err != nil {
			return err
		}
	}
	w.Whole = func(of snapshot.Ref) (*doctor.Workload, error) {
		return workload(ctx, c, Target{Kind: of.Kind, Namespace: of.Namespace, Name: of.Name})
	}
	return nil
}

// templates are the kinds whose template can be changed.
var templates = []string{"Deployment", "StatefulSet", "DaemonSet", "CronJob"}

// unmap takes copies out of a ConfigMap: those who use the keys get the same from the Secret,
// at the same places; when no pod has them any more, the keys go.
func unmap(w *World, o Options) (*Plan, error) {
	m, err := w.moving(o)
	if err != nil {
		return nil, err
	}
	for _, resource := range []string{"pods", "deployments", "statefulsets", "daemonsets", "replicasets", "jobs", "cronjobs"} {
		if !w.Knows(resource, w.Map.Namespace) {
			return nil, errs.Newf(errs.Denied, "%s of namespace %s could not be read: who uses the ConfigMap is not known", resource, w.Map.Namespace)
		}
	}
	keys := slices.Sorted(maps.Keys(m.To))
	p := &Plan{
		Check: "SEC-05", Rules: []string{"InConfigMap"}, Object: snapshot.Ref{Kind: "ConfigMap", Namespace: w.Map.Namespace, Name: w.Map.Name}, Values: true,
		Risks: []string{known, "who reads the ConfigMap by the API, or is made by a ReplicationController or a kind that is not of Kubernetes itself and runs no pod now, cannot be seen"},
	}
	if p.Steps, err = w.users(m); err != nil {
		return nil, err
	}
	if len(p.Steps) > 0 {
		p.Does = fmt.Sprintf("has %d workloads take %s of ConfigMap %s from a Secret that holds the same, at the same places; the ConfigMap keeps it until this is called again", len(p.Steps), list(keys), w.Map.Name)
		p.Risks = append(p.Risks, "the pods are restarted by the change of their template; only when none has the old one any more is the key taken out, by calling this again")
		return p, nil
	}
	if err := w.idle(m); err != nil {
		return nil, errs.Newf(errs.KindOf(err), "no workload has %s of ConfigMap %s/%s in its template any more, and %w. Call this again when that is over", list(keys), w.Map.Namespace, w.Map.Name, err)
	}
	p.Does = fmt.Sprintf("takes %s out of ConfigMap %s, which no workload and no pod has any more", list(keys), w.Map.Name)
	gone := func(has func(string) bool) map[string]any {
		out := map[string]any{}
		for _, key := range keys {
			if has(key) {
				out[key] = nil
			}
		}
		return out
	}
	body := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(w.Map.Namespace, w.Map.Name)}
	if data := gone(func(k string) bool { _, ok := w.Map.Data[k]; return ok }); len(data) > 0 {
		body["data"] = data
	}
	if data := gone(func(k string) bool { _, ok := w.Map.BinaryData[k]; return ok }); len(data) > 0 {
		body["binaryData"] = data
	}
	p.Steps = []Step{{Verb: Patch, Object: body, Version: w.Map.ResourceVersion, UID: w.Map.UID, Why: "nobody takes it from there"}}
	return p, nil
}

// moving are the keys of the ConfigMap that are copies, and where they are to come from.
func (w *World) moving(o Options) (*relocation.Relocation, error) {
	if err := w.named(o); err != nil {
		return nil, err
	}
	name := w.Map.Namespace + "/" + w.Map.Name
	if owner := metav1.GetControllerOf(w.Map); owner != nil {
		return nil, errs.Newf(errs.Conflict, "ConfigMap %s is written by %s %s, which would write the key again: change what it is made of", name, owner.Kind, owner.Name)
	}
	if w.Map.Immutable != nil && *w.Map.Immutable {
		return nil, errs.Newf(errs.Unsupported, "ConfigMap %s is immutable: make another without the value, and have its users take that", name)
	}
	m := &relocation.Relocation{From: w.Map.Name, To: map[string]*corev1.SecretKeySelector{}}
	note := func(key string, value []byte) error {
		to, err := w.source(key, value)
		if to != nil {
			m.To[key] = to
		}
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(w.Map.Data)) {
		if err := note(key, []byte(w.Map.Data[key])); err != nil {
			return nil, err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(w.Map.BinaryData)) {
		if err := note(key, w.Map.BinaryData[key]); err != nil {
			return nil, err
		}
	}
	if len(m.To) == 0 {
		return nil, nothing("no key of ConfigMap %s has the whole value of a key of Secret %s: what stands inside a longer text is not replaced", name, strings.Join(o.Secrets, ", "))
	}
	return m, nil
}

// users are the steps for the workloads that use keys of the ConfigMap. What cannot be
// changed, and runs or may run again, is refused.
func (w *World) users(m *relocation.Relocation) ([]Step, error) {
	var out []Step
	for i := range w.Workloads {
		one := &w.Workloads[i]
		if one.Namespace != w.Map.Namespace || !m.Uses(&one.Template.Spec) {
			continue
		}
		step, err := w.relocate(one, m)
		if err != nil {
			return nil, err
		}
		if step != nil {
			out = append(out, *step)
		}
	}
	return out, nil
}

// relocate is the step for a workload that uses a key; nil if it follows its owner, is of the past, or has
// been changed already.
func (w *World) relocate(one *doctor.Workload, m *relocation.Relocation) (*Step, error) {
	if !slices.Contains(templates, one.Kind) || metav1.GetControllerOf(one) != nil {
		return nil, fixed(one)
	}
	whole, err := w.Whole(one.Ref())
	if err != nil {
		return nil, err
	}
	body, err := m.Body(&whole.Template.Spec)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "%s: %w", one.Ref(), err)
	}
	if body == nil {
		return nil, nil
	}
	return new(patchOf(whole, map[string]any{"spec": body}, "the Secret in place of the ConfigMap")), nil
}

// fixed refuses a workload that has a key and cannot be changed; nil if it follows its owner, or
// is of the past. Jobs of a CronJob are made of its template at their time: those that have not
// ended keep the key where it is (idle), and not the template.
func fixed(one *doctor.Workload) error {
	made := metav1.GetControllerOf(one)
	switch {
	case made != nil && slices.Contains(templates, made.Kind):
		return nil
	case made != nil:
		return errs.Newf(errs.Conflict, "%s has the key, and %s %s makes it: change that to take it from the Secret, and call this again when this one is gone", one.Ref(), made.Kind, made.Name)
	case one.Kind == "Job" && one.Ended:
		return nil
	case one.Kind == "Job": // whether it runs again is not known: it may be suspended, or between two tries
		return errs.Newf(errs.Conflict, "%s has the key, and may run again with it: when it has ended, or is deleted, call this again", one.Ref())
	}
	return errs.Newf(errs.Conflict, "%s has the key, and its template cannot be changed: make it anew with the Secret, and call this again", one.Ref())
}

// idle says what may need the keys still where no template has them.
func (w *World) idle(m *relocation.Relocation) error {
	if one := w.rolling(); one != "" {
		return errs.Newf(errs.Conflict, "the roll-out of %s is not over: a pod that is made anew could have its old template", one)
	}
	if jobs := w.unended(m); len(jobs) > 0 {
		return errs.Newf(errs.Conflict, "Jobs that were made before have not ended: %s (suspend their CronJob if it may have made more before it was changed)", list(jobs))
	}
	if pods := w.having(m); len(pods) > 0 {
		return errs.Newf(errs.Conflict, "pods that were made before run with it: %s", list(pods))
	}
	return nil
}

// unended are the Jobs that use the keys and may run, now or later: one that is suspended, or
// between two tries, has no pod.
func (w *World) unended(m *relocation.Relocation) []string {
	var out []string
	for i := range w.Workloads {
		if one := &w.Workloads[i]; one.Namespace == w.Map.Namespace && one.Kind == "Job" && !one.Ended && m.Uses(&one.Template.Spec) {
			out = append(out, one.Ref().String())
		}
	}
	return out
}

// rolling names a workload in the ConfigMap's namespace of which not all pods are of its template;
// "" if there is none.
func (w *World) rolling() string {
	for i := range w.Workloads {
		one := &w.Workloads[i]
		if one.Namespace == w.Map.Namespace && slices.Contains(templates, one.Kind) && one.Kind != "CronJob" && one.Updated < one.Replicas {
			return one.Ref().String()
		}
	}
	return ""
}

// having are the pods that use the keys now.
func (w *World) having(m *relocation.Relocation) []string {
	var out []string
	for i := range w.Pods {
		p := &w.Pods[i]
		if p.Namespace == w.Map.Namespace && p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed && m.Uses(&p.Spec) {
			out = append(out, p.Name)
		}
	}
	return out
}
