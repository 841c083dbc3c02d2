package remedy

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor/look"
	"github.com/strongkeep/strongkeep/internal/kube/posture/remedy/scope"
)

// Reach is how a cluster is reached. Client knows apps and batch.
type Reach struct {
	Config *rest.Config
	Client client.Client
	Now    time.Time
}

// Look reads what a remedy for target needs.
func (at Reach) Look(ctx context.Context, r *Remedy, target Target, o Options) (*World, error) {
	found, err := look.Live(ctx, at.Config, look.Scope{Namespace: target.Namespace, RBAC: true}, at.Now)
	if err != nil {
		return nil, err
	}
	c := at.Client
	w := &World{Case: found, Target: target, Namespaced: scope.Namespaced(ctx, at.Config)}
	if r.Workload {
		w.Workload, err = workload(ctx, c, target)
	}
	if r.Copies && err == nil {
		err = w.hold(ctx, c, r, o)
	}
	return w, err
}

// workload gets the one that target names. Without a kind, it is the first there
// is of Deployment, StatefulSet, DaemonSet, CronJob.
func workload(ctx context.Context, c client.Client, t Target) (*doctor.Workload, error) {
	key := client.ObjectKey{Namespace: t.Namespace, Name: t.Name}
	var d appsv1.Deployment
	var s appsv1.StatefulSet
	var e appsv1.DaemonSet
	var j batchv1.CronJob
	for _, one := range []struct {
		group, kind string
		object      client.Object
		template    func() corev1.PodTemplateSpec
	}{
		{"apps", "Deployment", &d, func() corev1.PodTemplateSpec { return d.Spec.Template }},
		{"apps", "StatefulSet", &s, func() corev1.PodTemplateSpec { return s.Spec.Template }},
		{"apps", "DaemonSet", &e, func() corev1.PodTemplateSpec { return e.Spec.Template }},
		{"batch", "CronJob", &j, func() corev1.PodTemplateSpec { return j.Spec.JobTemplate.Spec.Template }},
	} {
		if t.Kind != "" && t.Kind != one.kind {
			continue
		}
		err := c.Get(ctx, key, one.object)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return &doctor.Workload{
			ObjectMeta: metav1.ObjectMeta{Namespace: t.Namespace, Name: t.Name, UID: one.object.GetUID(), ResourceVersion: one.object.GetResourceVersion()},
			Group:      one.group, Kind: one.kind, Template: one.template(),
		}, nil
	}
	kind := t.Kind
	if kind == "" {
		kind = "Deployment, StatefulSet, DaemonSet or CronJob"
	}
	return nil, errs.Newf(errs.NotExist, "there is no %s %s/%s that can be mended", kind, t.Namespace, t.Name)
}
