package finder

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
)

// entry is what is kept of a pod or a workload. It takes the place of the
// object in the informer's store, and is never changed.
type entry struct {
	metav1.ObjectMeta // namespace, name, UID and resourceVersion, nothing else

	object  consumer.Object
	owner   owner             // its controller; zero: none
	account string            // ServiceAccount of its pods
	classes map[string]string // volume → SecretProviderClass
	mounts  map[string]string // volume of classes → where it is mounted first

	pod    *consumer.Pod
	health consumer.Health
	work   *consumer.Workload
	// template is where the pod template is, when it is in another object.
	template consumer.Object
}

// owner is what an ownerReference says.
type owner struct {
	consumer.Object
	uid types.UID
}

// GetObjectKind makes an entry a runtime.Object, which informers want.
func (e *entry) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject returns e itself, which nobody changes.
func (e *entry) DeepCopyObject() runtime.Object { return e }

func (e *entry) uses() []consumer.Use {
	if e.pod != nil {
		return e.pod.Uses
	}
	if e.work != nil {
		return e.work.Uses
	}
	return nil
}

// shrink makes an entry of an object. It is the transformation of informers,
// which may run it on its own result.
func shrink(o any) (any, error) {
	switch o := o.(type) {
	case *entry:
		return o, nil
	case metav1.Object:
		return newEntry(o)
	}
	return nil, errs.Newf(errs.Internal, "keeping a %T, which is no object", o)
}

func newEntry(o metav1.Object) (*entry, error) {
	e := &entry{ObjectMeta: metav1.ObjectMeta{
		Namespace: o.GetNamespace(), Name: o.GetName(), UID: o.GetUID(), ResourceVersion: o.GetResourceVersion(),
	}}
	if c := metav1.GetControllerOfNoCopy(o); c != nil {
		e.owner = owner{consumer.OwnerOf(o.GetNamespace(), c), c.UID}
	}
	if p, ok := o.(*corev1.Pod); ok {
		e.keepPod(p)
		return e, nil
	}
	w, template, ok := consumer.WorkloadOf(o)
	if !ok {
		return nil, errs.Newf(errs.Internal, "keeping a %T, which owns no pods", o)
	}
	e.object, e.work = w.Object, &w
	if u, ok := o.(*unstructured.Unstructured); ok {
		e.template = consumer.WorkloadRef(u)
	}
	if template == nil {
		return e, nil
	}
	if link(e) || over(o) {
		e.work.Uses = nil
		return e, nil
	}
	e.keepSpec(&template.Spec)
	return e, nil
}

func (e *entry) keepPod(p *corev1.Pod) {
	pod, health := consumer.PodOf(p)
	e.object = pod.Object
	if consumer.Ended(p) {
		return
	}
	e.pod, e.health = &pod, health
	e.keepSpec(&p.Spec)
}

func (e *entry) keepSpec(spec *corev1.PodSpec) {
	e.account = spec.ServiceAccountName
	if e.account == "" {
		e.account = "default"
	}
	e.classes = consumer.Classes(spec)
	for i := range spec.Containers {
		for _, m := range spec.Containers[i].VolumeMounts {
			if _, ok := e.classes[m.Name]; ok {
				if e.mounts == nil {
					e.mounts = map[string]string{}
				}
				e.mounts[m.Name] = m.MountPath
			}
		}
	}
}

// link reports whether e only stands between pods and what restarts them: the
// ReplicaSets of a Deployment are many, and say nothing that it does not.
func link(e *entry) bool {
	return e.work.Kind.Kind == "ReplicaSet" && e.owner.Name != ""
}

// over reports whether a Job has ended.
func over(o metav1.Object) bool {
	j, ok := o.(*batchv1.Job)
	if !ok {
		return false
	}
	for _, c := range j.Status.Conditions {
		if (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

// The indexes. Keys begin with the namespace.
const (
	bySecret  = "secret"  // namespace/name of a Secret used
	byClass   = "class"   // namespace/name of a SecretProviderClass used
	byOwner   = "owner"   // namespace/kind/name of the controller
	byAccount = "account" // namespace/name of the ServiceAccount, of workloads
)

func indexers() cache.Indexers {
	return cache.Indexers{
		bySecret: keys(func(e *entry, add func(string)) {
			for _, u := range e.uses() {
				add(u.Secret)
			}
		}),
		byClass: keys(func(e *entry, add func(string)) {
			for _, class := range e.classes {
				add(class)
			}
		}),
		byOwner: keys(func(e *entry, add func(string)) {
			if e.owner.Name != "" {
				add(e.owner.Kind.GroupKind().String() + "/" + e.owner.Name)
			}
		}),
		byAccount: keys(func(e *entry, add func(string)) {
			if e.work != nil && e.account != "" {
				add(e.account)
			}
		}),
	}
}

func keys(each func(e *entry, add func(string))) cache.IndexFunc {
	return func(o any) ([]string, error) {
		e, ok := o.(*entry)
		if !ok {
			return nil, nil
		}
		var out []string
		each(e, func(name string) {
			if name = e.Namespace + "/" + name; len(out) == 0 || out[len(out)-1] != name {
				out = append(out, name)
			}
		})
		return out, nil
	}
}
