package shadow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/rehearse"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Label is on everything that is made here, with the UID of the Rotation. The
// annotation says whose shadow a pod is.
const (
	Label        = v1alpha1.Group + "/rehearsal"
	annotationOf = v1alpha1.Group + "/shadow-of"
	control      = v1alpha1.Group + "/shadow-control" // it runs on the present Secrets
)

// lifetime is how long a shadow runs at most, whoever forgets it.
const lifetime = 10 * time.Minute

// most is how many workloads get a shadow.
const most = 20

// Render returns what the ExternalSecret es would write if location held staged.
type Render func(ctx context.Context, es types.NamespacedName, location string, staged redact.Secret) (map[string][]byte, error)

// Crew implements rehearse.Shadows. It keeps nothing: what there is is found by
// its label.
type Crew struct {
	// Client reads from the API server and never from a cache.
	Client client.Client
	Render Render
}

var _ rehearse.Shadows = Crew{}

// Start implements rehearse.Shadows.
func (c Crew) Start(ctx context.Context, q rehearse.Cast) ([]rehearse.Absent, error) {
	if why, err := c.counted(ctx, q.Rotation); err != nil {
		return nil, err
	} else if why != "" {
		return []rehearse.Absent{{Why: why}}, nil
	}
	renamed, absent, err := c.secrets(ctx, q)
	if err != nil {
		return absent, err
	}
	n := 0
	for i := range q.Graph.Workloads {
		w := &q.Graph.Workloads[i]
		if !uses(w, renamed) {
			continue
		}
		why := ""
		if n++; n > most {
			why = fmt.Sprintf("no more than %d shadows run", most)
		} else if why, err = c.start(ctx, q.Rotation, w.Object, renamed); err != nil {
			return absent, err
		}
		if why != "" {
			absent = append(absent, rehearse.Absent{Of: w.Object, Why: why})
		}
	}
	return absent, nil
}

// Control implements rehearse.Shadows.
func (c Crew) Control(ctx context.Context, rot *v1alpha1.Rotation, of consumer.Object) error {
	_, err := c.start(ctx, rot, of, nil)
	return err
}

func uses(w *consumer.Workload, renamed map[string]string) bool {
	for _, u := range w.Uses {
		if renamed[u.Secret] != "" && u.Kind != consumer.UseImagePull {
			return true
		}
	}
	return false
}

// counted says which PodDisruptionBudget counts every pod of the namespace: a
// shadow would be one of them, and a pod that serves could go for it.
func (c Crew) counted(ctx context.Context, rot *v1alpha1.Rotation) (string, error) {
	var list policyv1.PodDisruptionBudgetList
	if err := c.Client.List(ctx, &list, client.InNamespace(rot.Namespace)); err != nil {
		return "", unavailable("listing PodDisruptionBudgets", err)
	}
	for i := range list.Items {
		s, err := metav1.LabelSelectorAsSelector(list.Items[i].Spec.Selector)
		if err == nil && list.Items[i].Spec.Selector != nil && s.Matches(labels.Set(ours(rot))) {
			return fmt.Sprintf("PodDisruptionBudget %s counts every pod of the namespace, and would count shadows", list.Items[i].Name), nil
		}
	}
	return "", nil
}

func ours(rot *v1alpha1.Rotation) map[string]string { return map[string]string{Label: string(rot.UID)} }

// meta is that of an object that is made for rot. Its controller is the Rotation:
// no other controller adopts it, and it goes with the Rotation.
func meta(rot *v1alpha1.Rotation, parts ...string) metav1.ObjectMeta {
	sum := sha256.Sum256([]byte(strings.Join(append(parts, string(rot.UID), fmt.Sprint(rot.Status.Rehearsal.Turn)), "\n")))
	yes := true
	return metav1.ObjectMeta{
		Namespace: rot.Namespace, Name: "strongkeep-rehearsal-" + hex.EncodeToString(sum[:8]), Labels: ours(rot),
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: v1alpha1.GroupVersion().String(), Kind: "Rotation", Name: rot.Name, UID: rot.UID, Controller: &yes,
		}},
	}
}

// secrets makes the Secrets of the shadows, and returns their names by those that
// pods name.
func (c Crew) secrets(ctx context.Context, q rehearse.Cast) (map[string]string, []rehearse.Absent, error) {
	renamed := map[string]string{}
	var absent []rehearse.Absent
	for i := range q.Graph.Secrets {
		fed := &q.Graph.Secrets[i]
		if fed.Cluster != "" || fed.Namespace != q.Rotation.Namespace || fed.Feeder.Name == "" || fed.Kind.Kind != "Secret" {
			absent = append(absent, rehearse.Absent{Of: fed.Object, Why: "it is not of this namespace, or no ExternalSecret feeds it: who uses it has no shadow"})
			continue
		}
		var live corev1.Secret
		if err := c.Client.Get(ctx, fed.NamespacedName, &live); err != nil {
			return nil, absent, unavailable("reading Secret "+fed.Name, err)
		}
		fresh, err := c.Render(ctx, fed.Feeder, q.Location, q.Staged)
		if errs.Is(err, errs.Unsupported) {
			absent = append(absent, rehearse.Absent{Of: fed.Object, Why: err.Error() + ": who uses it has no shadow"})
			continue
		}
		if err != nil {
			return nil, absent, errs.Newf(errs.KindOf(err), "making what ExternalSecret %s would write: %w", fed.Feeder, err)
		}
		made := &corev1.Secret{ObjectMeta: meta(q.Rotation, "Secret", fed.Name), Type: live.Type, Data: maps.Clone(live.Data)}
		if made.Data == nil {
			made.Data = map[string][]byte{}
		}
		maps.Copy(made.Data, fresh)
		if err := c.create(ctx, made); err != nil {
			return nil, absent, err
		}
		renamed[fed.Name] = made.Name
	}
	return renamed, absent, nil
}

func (c Crew) create(ctx context.Context, o client.Object) error {
	err := c.Client.Create(ctx, o)
	switch {
	case err == nil || apierrors.IsAlreadyExists(err):
		return nil
	case apierrors.IsForbidden(err) || apierrors.IsInvalid(err):
		return errs.Newf(errs.Denied, "making %T %s: %w", o, o.GetName(), err)
	}
	return unavailable("making "+o.GetName(), err)
}

// start makes a shadow, or says why there is none. renamed is nil for a control.
func (c Crew) start(ctx context.Context, rot *v1alpha1.Rotation, of consumer.Object, renamed map[string]string) (why string, _ error) {
	owner := map[string]client.Object{
		"Deployment": &appsv1.Deployment{}, "StatefulSet": &appsv1.StatefulSet{}, "DaemonSet": &appsv1.DaemonSet{}, "ReplicaSet": &appsv1.ReplicaSet{},
	}[of.Kind.Kind]
	switch {
	case owner == nil || of.Kind.Group != "apps":
		return "a " + of.Kind.Kind + " has no shadow: its work would be done twice, or its template is not known", nil
	case of.Cluster != "" || of.Namespace != rot.Namespace:
		return "it is not of the Rotation's namespace", nil
	}
	if err := c.Client.Get(ctx, of.NamespacedName, owner); err != nil {
		if apierrors.IsNotFound(err) {
			return "it is gone", nil
		}
		return "", unavailable("reading "+text(of), err)
	}
	_, template, _ := consumer.WorkloadOf(owner)
	spec, why := Copy(template, renamed)
	if why != "" {
		return why, nil
	}
	role := "shadow"
	if renamed == nil {
		role = "control"
	}
	pod := &corev1.Pod{ObjectMeta: meta(rot, role, of.Kind.Kind, of.Name), Spec: *spec}
	pod.Annotations = annotationsOf(template, of)
	if renamed == nil {
		pod.Annotations[control] = "true"
	}
	err := c.create(ctx, pod)
	if errs.Is(err, errs.Denied) { // by a quota, or another admission
		return err.Error(), nil
	}
	return "", err
}

// annotationsOf are those of a workload's template without ours, and what the
// shadow is of.
func annotationsOf(template *corev1.PodTemplateSpec, of consumer.Object) map[string]string {
	all := map[string]string{annotationOf: of.Kind.Kind + "/" + of.Name}
	for key, value := range template.Annotations {
		if !strings.HasPrefix(key, v1alpha1.Group+"/") {
			all[key] = value
		}
	}
	return all
}

// Look implements rehearse.Shadows.
func (c Crew) Look(ctx context.Context, rot *v1alpha1.Rotation) ([]rehearse.Shadow, error) {
	pods, err := c.pods(ctx, rot)
	if err != nil {
		return nil, err
	}
	out := make([]rehearse.Shadow, 0, len(pods))
	for i := range pods {
		p := &pods[i]
		seen, health := consumer.PodOf(p)
		kind, name, _ := strings.Cut(p.Annotations[annotationOf], "/")
		s := rehearse.Shadow{Control: p.Annotations[control] != "", Ready: seen.Ready, Waits: health.Late}
		s.Of.Kind = appsv1.SchemeGroupVersion.WithKind(kind)
		s.Of.NamespacedName = types.NamespacedName{Namespace: p.Namespace, Name: name}
		if restarts, started := lives(p); health.Failing != "" && (restarts > 0 || !started) {
			s.Failing = health.Failing
		}
		if p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded {
			s.Failing = "it ended: " + string(p.Status.Phase)
			if p.Status.Reason != "" {
				s.Failing += ", " + p.Status.Reason
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// lives counts how often containers of p were started again; started: one was.
// The first failure may only be that of one who came early.
func lives(p *corev1.Pod) (restarts int32, started bool) {
	for i := range p.Status.ContainerStatuses {
		s := &p.Status.ContainerStatuses[i]
		restarts += s.RestartCount
		started = started || s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil
	}
	return restarts, started
}

func (c Crew) pods(ctx context.Context, rot *v1alpha1.Rotation) ([]corev1.Pod, error) {
	var list corev1.PodList
	if err := c.Client.List(ctx, &list, client.InNamespace(rot.Namespace), client.MatchingLabels(ours(rot))); err != nil {
		return nil, unavailable("listing shadow pods", err)
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return !isOurs(rot, &p) }), nil
}

// isOurs reports whether o was made for rot, and not only labelled so by somebody.
func isOurs(rot *v1alpha1.Rotation, o client.Object) bool {
	owner := metav1.GetControllerOf(o)
	return owner != nil && owner.UID == rot.UID
}

// Remove implements rehearse.Shadows. Pods go first, then what they read.
func (c Crew) Remove(ctx context.Context, rot *v1alpha1.Rotation) error {
	pods, err := c.pods(ctx, rot)
	if err != nil {
		return err
	}
	for i := range pods {
		if err := c.remove(ctx, rot, &pods[i]); err != nil {
			return err
		}
	}
	if len(pods) > 0 {
		return errs.Newf(errs.Unavailable, "%d shadow pods are ending", len(pods))
	}
	secrets := &metav1.PartialObjectMetadataList{}
	secrets.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	if err := c.Client.List(ctx, secrets, client.InNamespace(rot.Namespace), client.MatchingLabels(ours(rot))); err != nil {
		return unavailable("listing Secrets of shadows", err)
	}
	for i := range secrets.Items {
		m := &secrets.Items[i]
		m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
		if err := c.remove(ctx, rot, m); err != nil {
			return err
		}
	}
	return nil
}

func (c Crew) remove(ctx context.Context, rot *v1alpha1.Rotation, o client.Object) error {
	if !isOurs(rot, o) {
		return nil
	}
	uid := o.GetUID()
	err := c.Client.Delete(ctx, o, client.Preconditions{UID: &uid})
	if client.IgnoreNotFound(err) != nil && !apierrors.IsConflict(err) {
		return unavailable("deleting "+o.GetName(), err)
	}
	return nil
}

func text(o consumer.Object) string { return o.Kind.Kind + " " + o.NamespacedName.String() }

func unavailable(doing string, err error) error {
	return errs.Newf(errs.Unavailable, "%s: %w", doing, err)
}
