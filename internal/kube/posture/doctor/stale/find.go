package stale

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	external "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor/stuck"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
	"github.com/strongkeep/strongkeep/internal/kube/reload"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
)

// Symptom is what runs on an old credential.
func Symptom() doctor.Symptom { return doctor.Symptom{Name: "stale", Find: Find} }

// Find looks at every container that runs.
func Find(c *doctor.Case) []doctor.Diagnosis {
	var out []doctor.Diagnosis
	for i := range c.Pods {
		p := &c.Pods[i]
		if consumer.Ended(p) || p.DeletionTimestamp != nil {
			continue
		}
		x := &look{Case: c, pod: p, workload: c.WorkloadOf(p), told: map[string]bool{}}
		for _, u := range consumer.Uses(&p.Spec) {
			if d := x.use(u); d != nil {
				out = append(out, *d)
			}
		}
	}
	return out
}

// look is one pod.
type look struct {
	*doctor.Case
	pod      *corev1.Pod
	workload *doctor.Workload // nil if nothing known makes it
	told     map[string]bool
}

// use looks at one use of a Secret. nil: nothing is wrong with it.
func (x *look) use(u consumer.Use) *doctor.Diagnosis {
	held := x.Secret(x.pod.Namespace, u.Secret)
	if held == nil || held.Changed.IsZero() || u.Init || u.Container == "" {
		return nil
	}
	began := started(x.pod, u.Container)
	if began.IsZero() || !held.Changed.After(began) {
		return nil
	}
	static := u.Kind.Static()
	id := fmt.Sprint(u.Secret, "/", u.Container, "/", static)
	if x.told[id] || !static && !(x.Asked && slices.Contains(files, u.Kind)) {
		return nil
	}
	x.told[id] = true
	d := x.reason(u, static)
	d.Add(doctor.PodRef(x.pod), "status.containerStatuses["+u.Container+"].state.running.startedAt", "%s", began.UTC().Format(time.RFC3339))
	d.Add(snapshot.Ref{Kind: "Secret", Namespace: x.pod.Namespace, Name: u.Secret}, "metadata.managedFields", "its data was last written at %s", held.Changed.UTC().Format(time.RFC3339))
	x.leased(&d, u.Secret)
	x.remedy(&d, u.Secret)
	return &d
}

// files are the uses whose content changes in a running container.
var files = []consumer.UseKind{consumer.UseVolume, consumer.UseProjected}

func (x *look) reason(u consumer.Use, static bool) doctor.Diagnosis {
	if static {
		return x.OfPod(x.pod, "OldCredential", fmt.Sprintf("container %s has %s of Secret %s in %s, which a running container never gets anew, and the Secret changed after it started", u.Container, what(u), u.Secret, ways[u.Kind]), doctor.Likely)
	}
	return x.OfPod(x.pod, "NotReread", fmt.Sprintf("Secret %s changed after container %s started; its file at %s is new, and the application has to read it again", u.Secret, u.Container, u.Where), doctor.Possible)
}

// ways are the ways of Static uses in words.
var ways = map[consumer.UseKind]string{
	consumer.UseEnv: "a variable", consumer.UseEnvFrom: "variables", consumer.UseSubPath: "a file mounted by subPath", consumer.UseStorage: "a volume that the node has mounted with it",
}

func what(u consumer.Use) string {
	if u.Kind == consumer.UseEnv {
		return "a key (" + u.Where + ")"
	}
	return "content"
}

func started(p *corev1.Pod, container string) time.Time {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses, p.Status.EphemeralContainerStatuses) {
		if s.Name == container && s.State.Running != nil {
			return s.State.Running.StartedAt.Time
		}
	}
	return time.Time{}
}

// leased notes that what was there before is revoked.
func (x *look) leased(d *doctor.Diagnosis, secret string) {
	for i := range x.Externals {
		es := &x.Externals[i]
		if es.Namespace != x.pod.Namespace || target.Name(es) != secret {
			continue
		}
		d.About = append(d.About, stuck.Ref(es))
		if slices.ContainsFunc(es.Spec.DataFrom, func(f external.ExternalSecretDataFrom) bool {
			return f.SourceRef != nil && f.SourceRef.GeneratorRef != nil
		}) {
			d.Add(stuck.Ref(es), "spec.dataFrom", "a generator makes it: what was there before is revoked when its lease ends")
			d.Cause += "; what it has is revoked, or will be"
		}
	}
}

// remedy says why nothing has restarted the pod, and how to.
func (x *look) remedy(d *doctor.Diagnosis, secret string) {
	w := x.workload
	if w == nil {
		d.Add(doctor.PodRef(x.pod), "metadata.ownerReferences", "nothing makes it anew when it is deleted, as far as is known")
		d.Fix = check.Fix{Text: "delete the pod and make it anew"}
		return
	}
	restart := check.Command("kubectl -n %s rollout restart %s %s", w.Namespace, doctor.Argument(w), w.Name)
	if w.Kind == "Job" || w.Kind == "CronJob" || w.Kind == "ReplicaSet" {
		d.Fix = check.Fix{Command: check.Command("kubectl -n %s delete pod %s", x.pod.Namespace, x.pod.Name)}
		return
	}
	settings := reload.Read(w.Annotations, w.Template.Annotations)
	switch {
	case w.Paused:
		d.Add(w.Ref(), "spec.paused", "it is paused: no new pods are made")
		d.Fix = check.Fix{Command: check.Command("kubectl -n %s rollout resume %s %s", w.Namespace, doctor.Argument(w), w.Name)}
	case w.Stalled != "" || w.Updated < w.Replicas:
		d.Add(w.Ref(), "status", "a rollout is under way: %d of %d pods are new, %d are ready%s", w.Updated, w.Replicas, w.Ready, stalled(w))
		d.Cause += "; the rollout that would replace it has not come to it"
		d.Fix = check.Fix{Command: check.Command("strongkeep doctor %s %s/%s", strings.ToLower(w.Kind), w.Namespace, w.Name), Text: "see why its new pods do not get ready: " + restart + " does not help before"}
	case settings.Way == rollout.ReloadSignal:
		d.Add(w.Ref(), "metadata.annotations["+rollout.AnnotationReload+"]", "it is signal: its pods are told and not restarted")
		d.Fix = check.Fix{Command: restart}
	case settings.Way == rollout.ReloadRestart:
		d.Add(w.Ref(), "metadata.annotations", "they ask for restarts when Secrets change, and it was not restarted: does the operator run, with reloading on?")
		d.Fix = check.Fix{Command: restart}
	default:
		d.Add(w.Ref(), "metadata.annotations", "none asks for a restart when Secret %s changes", secret)
		d.Fix = check.Fix{Command: restart, Text: check.Command("and for the next time: kubectl -n %s annotate %s %s %s=restart", w.Namespace, doctor.Argument(w), w.Name, rollout.AnnotationReload)}
	}
	for _, p := range settings.Problems {
		d.Add(w.Ref(), "metadata.annotations", "%s", p)
	}
}

func stalled(w *doctor.Workload) string {
	if w.Stalled == "" {
		return ""
	}
	return ", and it has given up (" + w.Stalled + ")"
}
