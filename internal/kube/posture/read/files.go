package read

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	parse "sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// largest bounds one document, in bytes; a dump of a cluster is one.
const largest = 256 << 20

// Files gathers a snapshot from manifests and dumps. The zero Files is ready; it
// is for one goroutine.
type Files struct {
	// Namespace of objects that name none; "default" if empty.
	Namespace string
	// Wrong are the places of what could not be read, with the reason. The rest
	// is in the snapshot.
	Wrong []string

	out snapshot.Snapshot
}

// Snapshot returns what Add gathered.
func (f *Files) Snapshot(now time.Time) *snapshot.Snapshot {
	s := f.out
	s.Taken = now
	s.RBAC.Aggregate = true
	s.Coverage = snapshot.Coverage{}
	for _, r := range []string{"roles", "clusterroles", "rolebindings", "clusterrolebindings", "secrets"} {
		s.Coverage[r] = snapshot.Gap{}
	}
	s.Coverage["pods"] = snapshot.Gap{Reason: "files do not say what runs"}
	s.Coverage["resources"] = snapshot.Gap{Reason: "files do not say which kinds the cluster has"}
	return &s
}

// Add reads the documents of a file: YAML or JSON, Lists too. What is wrong is
// noted with its place, and the rest goes on; the error is one of reading.
func (f *Files) Add(file string, from io.Reader) error {
	if f.out.Source != "" {
		f.out.Source += ", "
	}
	f.out.Source += file
	documents := yaml.NewYAMLReader(bufio.NewReader(from))
	for n := 1; ; n++ {
		text, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		place := fmt.Sprintf("%s: document %d", file, n)
		if err != nil {
			return fmt.Errorf("reading %s: %w", place, err)
		}
		if len(bytes.TrimSpace(text)) == 0 {
			n--
			continue
		}
		if len(text) > largest {
			f.wrong(place, fmt.Sprintf("it is over %d MiB", largest>>20))
			continue
		}
		raw, err := parse.YAMLToJSON(text)
		if err != nil {
			// The parser's own words may quote the document.
			f.wrong(place, "this is not YAML, or it was cut off")
			continue
		}
		if string(raw) != "null" {
			f.object(place, raw, 0)
		}
	}
}

func (f *Files) wrong(place, reason string) { f.Wrong = append(f.Wrong, place+": "+reason) }

// header is what every object has.
type header struct {
	metav1.TypeMeta `json:",inline"`
	Items           []json.RawMessage `json:"items"`
}

// maxNesting bounds Lists in Lists.
const maxNesting = 4

func (f *Files) object(place string, raw []byte, depth int) {
	var h header
	if json.Unmarshal(raw, &h) != nil || h.Kind == "" || h.APIVersion == "" {
		f.wrong(place, "this is no Kubernetes object: it needs apiVersion and kind")
		return
	}
	if h.Items != nil {
		if depth == maxNesting {
			f.wrong(place, "lists are nested too deep")
			return
		}
		for i, item := range h.Items {
			f.object(fmt.Sprintf("%s, item %d", place, i+1), typed(h.TypeMeta, item), depth+1)
		}
		return
	}
	create, ok := kinds[h.GroupVersionKind().GroupKind().String()]
	if !ok {
		return // a kind that nothing is asked of
	}
	o := create()
	if err := json.Unmarshal(raw, o); err != nil {
		f.wrong(place, "this is no "+h.Kind+", a field has the wrong type")
		return
	}
	f.keep(o)
}

// typed gives an item of a list such as a RoleList the kind that it need not
// have itself.
func typed(list metav1.TypeMeta, item []byte) []byte {
	var h metav1.TypeMeta
	kind, ok := bytes.CutSuffix([]byte(list.Kind), []byte("List"))
	if json.Unmarshal(item, &h) != nil || h.Kind != "" || !ok || len(kind) == 0 {
		return item
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(item, &fields) != nil || fields == nil {
		return item
	}
	fields["kind"], _ = json.Marshal(string(kind))
	fields["apiVersion"], _ = json.Marshal(list.APIVersion)
	out, err := json.Marshal(fields)
	if err != nil {
		return item
	}
	return out
}

// kinds are those that are looked at, by "Kind.group".
var kinds = map[string]func() runtime.Object{
	"Role.rbac.authorization.k8s.io":               func() runtime.Object { return &rbacv1.Role{} },
	"ClusterRole.rbac.authorization.k8s.io":        func() runtime.Object { return &rbacv1.ClusterRole{} },
	"RoleBinding.rbac.authorization.k8s.io":        func() runtime.Object { return &rbacv1.RoleBinding{} },
	"ClusterRoleBinding.rbac.authorization.k8s.io": func() runtime.Object { return &rbacv1.ClusterRoleBinding{} },
	"Secret":           func() runtime.Object { return &metav1.PartialObjectMetadata{} },
	"Pod":              func() runtime.Object { return &corev1.Pod{} },
	"Deployment.apps":  func() runtime.Object { return &appsv1.Deployment{} },
	"StatefulSet.apps": func() runtime.Object { return &appsv1.StatefulSet{} },
	"DaemonSet.apps":   func() runtime.Object { return &appsv1.DaemonSet{} },
	"ReplicaSet.apps":  func() runtime.Object { return &appsv1.ReplicaSet{} },
	"Job.batch":        func() runtime.Object { return &batchv1.Job{} },
	"CronJob.batch":    func() runtime.Object { return &batchv1.CronJob{} },
}

func (f *Files) keep(o runtime.Object) {
	s := &f.out
	switch o := o.(type) {
	case *rbacv1.Role:
		o.ObjectMeta = f.bare(&o.ObjectMeta)
		s.RBAC.Roles = append(s.RBAC.Roles, *o)
	case *rbacv1.ClusterRole:
		o.ObjectMeta = bare(&o.ObjectMeta)
		s.RBAC.ClusterRoles = append(s.RBAC.ClusterRoles, *o)
	case *rbacv1.RoleBinding:
		o.ObjectMeta = f.bare(&o.ObjectMeta)
		s.RBAC.RoleBindings = append(s.RBAC.RoleBindings, *o)
	case *rbacv1.ClusterRoleBinding:
		o.ObjectMeta = bare(&o.ObjectMeta)
		s.RBAC.ClusterRoleBindings = append(s.RBAC.ClusterRoleBindings, *o)
	case *metav1.PartialObjectMetadata:
		m := f.bare(&o.ObjectMeta)
		s.Secrets = append(s.Secrets, snapshot.Secret{Meta: snapshot.Meta{Namespace: m.Namespace, Name: m.Name}})
	case *corev1.Pod:
		m := f.bare(&o.ObjectMeta)
		s.Pods = append(s.Pods, pod(m.Namespace, m.Name, &o.Spec))
	case metav1.Object:
		if _, template, ok := consumer.WorkloadOf(o); ok && template != nil {
			namespace := o.GetNamespace()
			if namespace == "" {
				namespace = f.namespace()
			}
			s.Pods = append(s.Pods, pod(namespace, o.GetName(), &template.Spec))
		}
	}
}

func (f *Files) namespace() string {
	if f.Namespace != "" {
		return f.Namespace
	}
	return "default"
}

// bare is what is kept of the metadata of an object of a namespace.
func (f *Files) bare(m *metav1.ObjectMeta) metav1.ObjectMeta {
	out := bare(m)
	if out.Namespace == "" {
		out.Namespace = f.namespace()
	}
	return out
}
