package stock

import (
	"slices"
	"unique"

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

// Entry is what is kept of a pod or a workload. It takes the place of the
// object in the informer's store, and is never changed.
type Entry struct {
	metav1.ObjectMeta // namespace, name, UID and resourceVersion, nothing else

	Owner   *Owner            // its controller; nil: none
	Classes map[string]string // volume → SecretProviderClass
	Mounts  map[string]string // volume of Classes → where it is mounted
	account string            // ServiceAccount of its pods

	Pod    *consumer.Pod      // nil for a workload, and for a pod that has ended
	Health *consumer.Health   // nil: it does well
	Work   *consumer.Workload // nil for a pod
	// Template is where the pod template is, when it is in another object.
	Template *consumer.Object
}

// Owner is what an ownerReference says.
type Owner struct {
	consumer.Object
	UID types.UID
}

// GetObjectKind makes an entry a runtime.Object, which informers want.
func (e *Entry) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject returns e itself, which nobody changes.
func (e *Entry) DeepCopyObject() runtime.Object { return e }

// Object names what e is kept of.
func (e *Entry) Object() consumer.Object {
	switch {
	case e.Pod != nil:
		return e.Pod.Object
	case e.Work != nil:
		return e.Work.Object
	}
	return consumer.Object{Kind: corev1.SchemeGroupVersion.WithKind("Pod"), NamespacedName: types.NamespacedName{Namespace: e.Namespace, Name: e.Name}}
}

// intern returns s, with the bytes that equal strings share: there are few names
// of namespaces, nodes, containers and Secrets, and many pods with them.
func intern(s string) string { return unique.Make(s).Value() }

// Uses returns every way in which it, or its template, uses Secrets.
func (e *Entry) Uses() []consumer.Use {
	if e.Pod != nil {
		return e.Pod.Uses
	}
	if e.Work != nil {
		return e.Work.Uses
	}
	return nil
}

// Secrets returns the names of the Secrets that it uses, each once.
func (e *Entry) Secrets() []string {
	var out []string
	for _, u := range e.Uses() {
		if !slices.Contains(out, u.Secret) {
			out = append(out, u.Secret)
		}
	}
	return out
}

// shrink makes an entry of an object. It is the transformation of informers,
// which may run it on its own result.
func shrink(o any) (any, error) {
	switch o := o.(type) {
	case *Entry:
		return o, nil
	case metav1.Object:
		return NewEntry(o)
	}
	return nil, errs.Newf(errs.Internal, "keeping a %T, which is no object", o)
}

// NewEntry returns what is kept of a pod, a workload, or an object of another
// kind that owns pods.
func NewEntry(o metav1.Object) (*Entry, error) {
	e := &Entry{ObjectMeta: metav1.ObjectMeta{
		Namespace: intern(o.GetNamespace()), Name: o.GetName(), UID: o.GetUID(), ResourceVersion: o.GetResourceVersion(),
	}}
	if c := metav1.GetControllerOfNoCopy(o); c != nil {
		of := consumer.OwnerOf(e.Namespace, c)
		of.Kind.Group, of.Kind.Version, of.Kind.Kind = intern(of.Kind.Group), intern(of.Kind.Version), intern(of.Kind.Kind)
		of.Name = intern(of.Name)
		e.Owner = &Owner{of, types.UID(intern(string(c.UID)))}
	}
	if p, ok := o.(*corev1.Pod); ok {
		e.keepPod(p)
		return e, nil
	}
	w, template, ok := consumer.WorkloadOf(o)
	if !ok {
		return nil, errs.Newf(errs.Internal, "keeping a %T, which owns no pods", o)
	}
	e.Work = &w
	if u, ok := o.(*unstructured.Unstructured); ok {
		if ref := consumer.WorkloadRef(u); ref.Name != "" {
			e.Template = &ref
		}
	}
	if template == nil {
		return e, nil
	}
	if link(e) || over(o) {
		e.Work.Uses = nil
		return e, nil
	}
	e.Work.Uses = shared(w.Uses)
	e.keepSpec(&template.Spec)
	return e, nil
}

func (e *Entry) keepPod(p *corev1.Pod) {
	if consumer.Ended(p) {
		return
	}
	pod, health := consumer.PodOf(p)
	pod.Namespace, pod.Name, pod.UID = e.Namespace, e.Name, e.UID
	pod.Node, pod.Stamp, pod.Uses = intern(pod.Node), intern(pod.Stamp), shared(pod.Uses)
	e.Pod = &pod
	if health != (consumer.Health{}) {
		e.Health = &health
	}
	e.keepSpec(&p.Spec)
}

// shared returns uses with strings that are shared, and no room for more.
func shared(uses []consumer.Use) []consumer.Use {
	uses = slices.Clip(uses)
	for i := range uses {
		u := &uses[i]
		u.Secret, u.Container, u.Where, u.Volume = intern(u.Secret), intern(u.Container), intern(u.Where), intern(u.Volume)
	}
	return slices.Clone(uses)
}

func (e *Entry) keepSpec(spec *corev1.PodSpec) {
	e.account = intern(spec.ServiceAccountName)
	if e.account == "" {
		e.account = "default"
	}
	e.Classes = consumer.Classes(spec)
	for i := range spec.Containers {
		for _, m := range spec.Containers[i].VolumeMounts {
			if _, ok := e.Classes[m.Name]; ok {
				if e.Mounts == nil {
					e.Mounts = map[string]string{}
				}
				e.Mounts[m.Name] = m.MountPath
			}
		}
	}
}

// link reports whether e only stands between pods and what restarts them: the
// ReplicaSets of a Deployment are many, and say nothing that it does not.
func link(e *Entry) bool {
	return e.Work.Kind.Kind == "ReplicaSet" && e.Owner != nil
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
	BySecret  = "secret"  // namespace/name of a Secret used
	ByClass   = "class"   // namespace/name of a SecretProviderClass used
	ByOwner   = "owner"   // namespace/kind/name of the controller
	ByAccount = "account" // namespace/name of the ServiceAccount, of workloads
)

func indexers() cache.Indexers {
	return cache.Indexers{
		BySecret: keys(func(e *Entry, add func(string)) {
			for _, u := range e.Uses() {
				add(u.Secret)
			}
		}),
		ByClass: keys(func(e *Entry, add func(string)) {
			for _, class := range e.Classes {
				add(class)
			}
		}),
		ByOwner: keys(func(e *Entry, add func(string)) {
			if e.Owner != nil {
				add(e.Owner.Kind.GroupKind().String() + "/" + e.Owner.Name)
			}
		}),
		ByAccount: keys(func(e *Entry, add func(string)) {
			if e.Work != nil && e.account != "" {
				add(e.account)
			}
		}),
	}
}

func keys(each func(e *Entry, add func(string))) cache.IndexFunc {
	return func(o any) ([]string, error) {
		e, ok := o.(*Entry)
		if !ok {
			return nil, nil
		}
		var out []string
		each(e, func(name string) {
			if name = intern(e.Namespace + "/" + name); len(out) == 0 || out[len(out)-1] != name {
				out = append(out, name)
			}
		})
		return out, nil
	}
}
