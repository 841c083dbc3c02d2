package drill

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/drill/fault"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// Reasons of refusals. A drill under way that meets one of them ends.
const (
	reasonNoWorkload    = "NoWorkload"
	reasonNothingFed    = "NothingFed"
	reasonNotReady      = "NotReady"
	reasonNotRestorable = "NotRestorable"
	reasonOtherDrill    = "OtherDrill"
	reasonRotation      = "Rotation"
	reasonShared        = "SharedSecret"
	reasonUnknown       = "ConsumersUnknown"
)

// patient is the workload that is to feel a drill.
type patient struct {
	object   client.Object
	workload consumer.Workload
	pods     labels.Selector
}

// find returns the workload; nil when there is none.
func (r *Reconciler) find(ctx context.Context, d *v1alpha1.Drill) (*patient, error) {
	list := map[string]client.ObjectList{
		"Deployment": &appsv1.DeploymentList{}, "StatefulSet": &appsv1.StatefulSetList{}, "DaemonSet": &appsv1.DaemonSetList{},
	}[d.Spec.Workload.Kind]
	if list == nil {
		return nil, errs.Newf(errs.Internal, "workloads of kind %q are not known", d.Spec.Workload.Kind)
	}
	err := r.Live.List(ctx, list, client.InNamespace(d.Namespace), client.MatchingFields{"metadata.name": d.Spec.Workload.Name})
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "looking for %s %q: %w", d.Spec.Workload.Kind, d.Spec.Workload.Name, err)
	}
	items, err := meta.ExtractList(list)
	if err != nil || len(items) == 0 {
		return nil, err
	}
	object, ok := items[0].(client.Object)
	if !ok || object.GetDeletionTimestamp() != nil {
		return nil, nil
	}
	workload, _, _ := consumer.WorkloadOf(object)
	selector, err := metav1.LabelSelectorAsSelector(selectorOf(object))
	return &patient{object, workload, selector}, err
}

func selectorOf(o client.Object) *metav1.LabelSelector {
	switch o := o.(type) {
	case *appsv1.Deployment:
		return o.Spec.Selector
	case *appsv1.StatefulSet:
		return o.Spec.Selector
	case *appsv1.DaemonSet:
		return o.Spec.Selector
	}
	return nil // selects nothing
}

// onlyAtStart reports whether the workload takes its Secrets in when its
// containers start, and never later.
func (p *patient) onlyAtStart(secrets []v1alpha1.DrilledSecret) bool {
	used := false
	for _, u := range p.workload.Uses {
		if slices.ContainsFunc(secrets, func(s v1alpha1.DrilledSecret) bool { return s.Secret == u.Secret }) {
			if !u.Kind.Static() {
				return false
			}
			used = true
		}
	}
	return used
}

// feeders returns the ExternalSecrets that write the Secrets which p uses.
func (r *Reconciler) feeders(ctx context.Context, p *patient) (feeders, others []v1.ExternalSecret, err error) {
	var list v1.ExternalSecretList
	if err := r.Live.List(ctx, &list, client.InNamespace(p.workload.Namespace)); err != nil {
		return nil, nil, errs.Newf(errs.Unavailable, "listing ExternalSecrets: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b v1.ExternalSecret) int { return strings.Compare(a.Name, b.Name) })
	for i := range list.Items {
		es := list.Items[i]
		used := slices.ContainsFunc(p.workload.Uses, func(u consumer.Use) bool { return u.Secret == target.Name(&es) })
		if used && es.DeletionTimestamp.IsZero() && target.Policy(&es) != v1.CreateNone && es.Spec.Target.Manifest == nil {
			feeders = append(feeders, es)
		} else {
			others = append(others, es)
		}
	}
	return feeders, others, nil
}

// survey is what a look at a drill's surroundings has shown.
type survey struct {
	patient *patient
	secrets []v1alpha1.DrilledSecret
	may     refusal
}

// look says whether d may break anything: the workload's ExternalSecrets, whose
// Secrets nobody else uses. Unavailable: that cannot be told now.
func (r *Reconciler) look(ctx context.Context, d *v1alpha1.Drill) (survey, error) {
	var s survey
	var err error
	if s.patient, err = r.find(ctx, d); err != nil {
		return s, err
	}
	if s.patient == nil {
		s.may = refusal{reasonNoWorkload, fmt.Sprintf("there is no %s %q in namespace %s: see kubectl get %ss -n %s",
			d.Spec.Workload.Kind, d.Spec.Workload.Name, d.Namespace, strings.ToLower(d.Spec.Workload.Kind), d.Namespace)}
		return s, nil
	}
	feeders, others, err := r.feeders(ctx, s.patient)
	if err != nil {
		return s, err
	}
	if len(feeders) == 0 {
		s.may = refusal{reasonNothingFed, fmt.Sprintf("no ExternalSecret writes a Secret that %s %s uses: a drill would break nothing; see kubectl get externalsecrets -n %s",
			d.Spec.Workload.Kind, d.Spec.Workload.Name, d.Namespace)}
		return s, nil
	}
	for i := range feeders {
		s.secrets = append(s.secrets, v1alpha1.DrilledSecret{Name: feeders[i].Name, Secret: target.Name(&feeders[i])})
	}
	for _, check := range []func() (refusal, error){
		func() (refusal, error) { return unfit(d, feeders), nil },
		func() (refusal, error) { return inTemplates(s.secrets, others), nil },
		func() (refusal, error) { return r.otherDrill(ctx, d, s.secrets) },
		func() (refusal, error) { return r.ofStores(ctx, d, s.secrets) },
		func() (refusal, error) { return r.turning(ctx, d, feeders) },
		func() (refusal, error) { return r.shared(ctx, d, s) },
	} {
		if s.may, err = check(); err != nil || s.may.reason != "" {
			return s, err
		}
	}
	return s, nil
}

// unfit refuses ExternalSecrets on which a drill shows nothing, or would not be undone.
func unfit(d *v1alpha1.Drill, feeders []v1.ExternalSecret) refusal {
	for i := range feeders {
		es := &feeders[i]
		if !v1.IsReady(es.Status.Conditions) && d.Status.Began == nil {
			return refusal{reasonNotReady, fmt.Sprintf("ExternalSecret %s is not ready without a drill: see kubectl describe externalsecret -n %s %s", es.Name, es.Namespace, es.Name)}
		}
		why := ""
		if es.Spec.RefreshPolicy == v1.RefreshCreatedOnce || d.Spec.Failure == v1alpha1.DrillCredentialRefused {
			why = fault.Restorable(es)
		}
		if why != "" {
			return refusal{reasonNotRestorable, fmt.Sprintf("ExternalSecret %s: %s, so that a drill of %s would not be felt or not be undone: change that, or choose StoreAway or SlowSync",
				es.Name, why, d.Spec.Failure)}
		}
	}
	return refusal{}
}

// inTemplates refuses Secrets that others are made from.
func inTemplates(secrets []v1alpha1.DrilledSecret, others []v1.ExternalSecret) refusal {
	for i := range others {
		es := &others[i]
		if es.Spec.Target.Template == nil {
			continue
		}
		for _, from := range es.Spec.Target.Template.TemplateFrom {
			if from.Secret != nil && drills(secrets, from.Secret.Name) {
				return refusal{reasonShared, fmt.Sprintf("ExternalSecret %s is made from Secret %s too: a drill breaks one workload only", es.Name, from.Secret.Name)}
			}
		}
	}
	return refusal{}
}

func drills(secrets []v1alpha1.DrilledSecret, name string) bool {
	return slices.ContainsFunc(secrets, func(s v1alpha1.DrilledSecret) bool { return s.Secret == name })
}

// otherDrill refuses what another drill has hold of.
func (r *Reconciler) otherDrill(ctx context.Context, d *v1alpha1.Drill, secrets []v1alpha1.DrilledSecret) (refusal, error) {
	var list v1alpha1.DrillList
	if err := r.Live.List(ctx, &list, client.InNamespace(d.Namespace)); err != nil {
		return refusal{}, errs.Newf(errs.Unavailable, "listing Drills: %w", err)
	}
	for i := range list.Items {
		o := &list.Items[i]
		if o.UID == d.UID || o.Status.Began == nil || o.Ends() || o.Status.Began.Equal(d.Status.Began) && o.Name > d.Name ||
			d.Status.Began != nil && d.Status.Began.Before(o.Status.Began) {
			continue
		}
		for _, s := range o.Status.ExternalSecrets {
			if drills(secrets, s.Secret) {
				return refusal{reasonOtherDrill, fmt.Sprintf("Drill %s has hold of Secret %s: wait, or end it with strongkeep drill stop -n %s %s", o.Name, s.Secret, o.Namespace, o.Name)}, nil
			}
		}
	}
	return refusal{}, nil
}

// ofStores refuses Secrets that stores log in with: everybody who uses such a
// store would feel it.
func (r *Reconciler) ofStores(ctx context.Context, d *v1alpha1.Drill, secrets []v1alpha1.DrilledSecret) (refusal, error) {
	all := []v1.Store{}
	var list v1.SecretStoreList
	if err := r.Live.List(ctx, &list, client.InNamespace(d.Namespace)); err != nil {
		return refusal{}, errs.Newf(errs.Unavailable, "listing SecretStores: %w", err)
	}
	for i := range list.Items {
		all = append(all, &list.Items[i])
	}
	if !r.NoClusterStores {
		var list v1.ClusterSecretStoreList
		if err := r.Live.List(ctx, &list); err != nil {
			return refusal{}, errs.Newf(errs.Unavailable, "listing ClusterSecretStores: %w", err)
		}
		for i := range list.Items {
			all = append(all, &list.Items[i])
		}
	}
	for _, store := range all {
		for _, s := range secrets {
			if names(store, s.Secret) {
				return refusal{reasonShared, fmt.Sprintf("%s may log in with Secret %s, which its settings name: a drill breaks one workload only; give each a Secret of its own", v1.KeyOf(store), s.Secret)}, nil
			}
		}
	}
	return refusal{}, nil
}

// names reports whether a store's settings have name as that of an object. What
// kind of object is the provider's to know: any counts.
func names(store v1.Store, name string) bool {
	raw, err := json.Marshal(store.StoreSpec().Provider)
	if err != nil {
		return true
	}
	var settings any
	return json.Unmarshal(raw, &settings) != nil || within(settings, name)
}

func within(v any, name string) bool {
	switch v := v.(type) {
	case map[string]any:
		for key, part := range v {
			if text, ok := part.(string); ok && key == "name" && text == name || within(part, name) {
				return true
			}
		}
	case []any:
		for _, part := range v {
			if within(part, name) {
				return true
			}
		}
	}
	return false
}

// turning refuses what a Rotation is turning.
func (r *Reconciler) turning(ctx context.Context, d *v1alpha1.Drill, feeders []v1.ExternalSecret) (refusal, error) {
	rotations, err := r.rotations(ctx)
	if err != nil || len(rotations) == 0 {
		return refusal{}, err
	}
	locations := map[string]bool{}
	for i := range feeders {
		es := &feeders[i]
		for _, w := range gather.Wants(&es.Spec) {
			at, err := r.Locate(ctx, es.Namespace, w)
			if err != nil && d.Status.Began == nil {
				return refusal{}, errs.Newf(errs.Unavailable, "ExternalSecret %s: what it reads: %w", es.Name, err)
			}
			locations[at] = err == nil && at != ""
		}
	}
	for i := range rotations {
		if rot := &rotations[i]; locations[rot.Status.Location] || concerns(rot, d, feeders) {
			return refusal{reasonRotation, fmt.Sprintf("Rotation %s/%s is in a turn (%s) that concerns %s %s: wait until it is done: strongkeep rotation watch -n %s %s",
				rot.Namespace, rot.Name, rot.Status.Phase, d.Spec.Workload.Kind, d.Spec.Workload.Name, rot.Namespace, rot.Name)}, nil
		}
	}
	return refusal{}, nil
}

// concerns reports whether a Rotation names what d breaks.
func concerns(rot *v1alpha1.Rotation, d *v1alpha1.Drill, feeders []v1.ExternalSecret) bool {
	if rot.Namespace != d.Namespace {
		return false
	}
	for _, w := range rot.Spec.Consumers.Workloads {
		if w.Kind == d.Spec.Workload.Kind && w.Name == d.Spec.Workload.Name {
			return true
		}
	}
	for _, s := range rot.Spec.Consumers.Secrets {
		if slices.ContainsFunc(feeders, func(es v1.ExternalSecret) bool { return target.Name(&es) == s.Name }) {
			return true
		}
	}
	return false
}

// rotations returns those in a turn, of every namespace worked in.
func (r *Reconciler) rotations(ctx context.Context) (out []v1alpha1.Rotation, err error) {
	namespaces := r.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	for _, ns := range namespaces {
		var list v1alpha1.RotationList
		if err := r.Live.List(ctx, &list, client.InNamespace(ns)); err != nil {
			if meta.IsNoMatchError(err) {
				return nil, nil
			}
			return nil, errs.Newf(errs.Unavailable, "listing Rotations: %w", err)
		}
		for i := range list.Items {
			switch list.Items[i].Status.Phase {
			case "", v1alpha1.PhaseIdle, v1alpha1.PhaseDone, v1alpha1.PhaseFailed:
			default:
				out = append(out, list.Items[i])
			}
		}
	}
	return out, nil
}

// shared refuses Secrets that others use, or may.
func (r *Reconciler) shared(ctx context.Context, d *v1alpha1.Drill, s survey) (refusal, error) {
	wanted := consumer.Wanted{Namespace: d.Namespace, Live: true} // copies by hand do not follow their Secret, and feel nothing
	for _, one := range s.secrets {
		wanted.Secrets = append(wanted.Secrets, types.NamespacedName{Namespace: d.Namespace, Name: one.Secret})
	}
	g, err := r.Finder.Find(ctx, wanted)
	if err != nil {
		return refusal{}, err
	}
	is := s.patient.workload.Object
	own := func(o consumer.Object) bool {
		return o.Kind.GroupKind() == is.Kind.GroupKind() && o.NamespacedName == is.NamespacedName
	}
	no := func(what, name string) (refusal, error) {
		return refusal{reasonShared, fmt.Sprintf("%s %s uses a Secret of %s %s too (%s): a drill breaks one workload only; give each a Secret of its own",
			what, name, is.Kind.Kind, is.Name, list(s.secrets))}, nil
	}
	for i := range g.Secrets {
		if f := &g.Secrets[i]; f.Mirror {
			return refusal{reasonShared, fmt.Sprintf("Secret %s is kept as a copy of Secret %s: a drill breaks one workload only; stop copying it meanwhile", f.NamespacedName, f.Source.Name)}, nil
		}
	}
	for i := range g.Workloads {
		if w := &g.Workloads[i]; !own(w.Object) {
			return no(w.Kind.Kind, w.Name)
		}
	}
	for i := range g.Pods {
		if p := &g.Pods[i]; !own(p.Workload) {
			return no("pod", p.Name)
		}
	}
	for _, o := range g.Others {
		return no(o.Kind.Kind, o.Name)
	}
	if len(g.Unknown) > 0 {
		return refusal{reasonUnknown, "who uses the Secrets cannot be known, and a drill breaks one workload only: " + strings.Join(g.Unknown, "; ")}, nil
	}
	return refusal{}, nil
}

func list(secrets []v1alpha1.DrilledSecret) string {
	out := make([]string, 0, len(secrets))
	for _, s := range secrets {
		out = append(out, s.Secret)
	}
	return strings.Join(out, ", ")
}

// allowed reports whether the namespace of d allows drills.
func (r *Reconciler) allowed(ctx context.Context, d *v1alpha1.Drill) (bool, error) {
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	if err := r.Live.Get(ctx, types.NamespacedName{Name: d.Namespace}, m); err != nil {
		return false, errs.Newf(errs.Unavailable, "reading Namespace %q: %w", d.Namespace, err)
	}
	return m.Labels[v1alpha1.LabelDrills] == v1alpha1.DrillsAllowed && m.DeletionTimestamp.IsZero(), nil
}
