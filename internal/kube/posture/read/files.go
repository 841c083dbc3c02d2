package read

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/read/document"
	"github.com/strongkeep/strongkeep/internal/kube/posture/record"
	"github.com/strongkeep/strongkeep/internal/kube/posture/record/custom"
	"github.com/strongkeep/strongkeep/internal/kube/posture/record/plane"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// maxWrong bounds the places that are noted.
const maxWrong = 1000

// Files gathers a snapshot from manifests and dumps. The zero Files is ready; it
// is for one goroutine.
type Files struct {
	// Namespace of objects that name none; "default" if empty.
	Namespace string
	// Key of the fingerprints; without one no values are looked at.
	Key *fingerprint.Key
	// Wrong are the places of what could not be read, with the reason, and of what is
	// no object of Kubernetes at all. The rest is in the snapshot.
	Wrong []string

	// objects is how many there were, of any kind.
	objects int
	// missed is how many places may have had objects that are not in the snapshot.
	missed int
	out    snapshot.Snapshot
	join   join
}

// fromFiles are the resources that files have, as far as they have them.
var fromFiles = append([]string{
	"roles", "clusterroles", "rolebindings", "clusterrolebindings", "secrets", "configmaps", "serviceaccounts", "namespaces", "workloads", "rollouts",
	"uses", "sources", "stores", "admissions", "validatingadmissionpolicies", "validatingwebhookconfigurations", "controllerrevisions",
}, workloadKinds...)

// Snapshot returns what Add gathered.
func (f *Files) Snapshot(now time.Time) *snapshot.Snapshot {
	s := f.out
	s.Taken, s.Wrong = now, f.Wrong
	s.RBAC.Aggregate = true
	s.Coverage = snapshot.Coverage{}
	gap := f.gap()
	for _, r := range fromFiles {
		s.Coverage[r] = gap
	}
	if f.Key != nil {
		s.Key, s.Coverage["secrets/values"] = f.Key.ID(), gap
	}
	s.Coverage["pods"] = snapshot.Gap{Reason: "files do not say what runs"}
	s.Coverage["resources"] = snapshot.Gap{Reason: "files do not say which kinds the cluster has"}
	s.Pods, s.Uses, s.Sources, s.Admissions = slices.Clone(s.Pods), slices.Clone(s.Uses), slices.Clone(s.Sources), slices.Clone(s.Admissions)
	s.Stores, s.Projects = slices.Clone(s.Stores), slices.Clone(s.Projects)
	f.join.finish(&s)
	f.wouldRun(&s)
	return &s
}

// wouldRun adds the pods of workloads of which no pod is in the files.
func (f *Files) wouldRun(s *snapshot.Snapshot) {
	runs := map[snapshot.Ref]bool{}
	for i := range s.Pods {
		runs[s.Pods[i].Workload] = true
	}
	for i := range s.Workloads {
		if !runs[refOf(&s.Workloads[i])] {
			s.Pods = append(s.Pods, record.PodOf(&s.Workloads[i]))
		}
	}
	order(s.Pods, func(o *snapshot.Pod) *snapshot.Meta { return &o.Meta })
}

// Add reads the documents of a file: YAML or JSON, Lists too, also packed by gzip.
// What is wrong is noted with its place, and the rest goes on; the error is one of
// reading.
func (f *Files) Add(file string, from io.Reader) error {
	if f.out.Source != "" {
		f.out.Source += ", "
	}
	f.out.Source += file
	if f.join.owners == nil {
		f.join = newJoin()
	}
	documents, err := document.NewReader(from)
	for n := 1; err == nil; n++ {
		var d document.Document
		if d, err = documents.Next(); err == nil {
			f.document(fmt.Sprintf("%s: document %d", file, n), d)
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errs.KindOf(err) == errs.Invalid:
		f.Miss(file, err.Error())
		return nil
	}
	return fmt.Errorf("reading %s: %w", file, err)
}

func (f *Files) document(place string, d document.Document) {
	all, wrong := document.Objects(d.Text)
	if d.Wrong != "" {
		wrong = d.Wrong
	}
	if wrong != "" {
		f.Miss(place, wrong)
	}
	for i, raw := range all {
		at := place
		if len(all) > 1 {
			at = fmt.Sprintf("%s, object %d", place, i+1)
		}
		f.object(at, raw, 0)
	}
}

// Miss notes a place that may have objects which are not in the snapshot, and why: then
// nothing counts as read whole.
func (f *Files) Miss(place, reason string) {
	f.missed++
	f.wrong(place, reason)
}

// wrong notes a place, and no more than a few of them: whoever makes a file chooses how
// many it has.
func (f *Files) wrong(place, reason string) {
	switch {
	case len(f.Wrong) < maxWrong:
		f.Wrong = append(f.Wrong, place+": "+reason)
	case len(f.Wrong) == maxWrong:
		f.Wrong = append(f.Wrong, "there are more of them, which are not listed")
	}
}

// Empty reports whether there was no object at all, nor a place that may have had one.
func (f *Files) Empty() bool { return f.objects == 0 && f.missed == 0 }

// gap is how far the files were read.
func (f *Files) gap() snapshot.Gap {
	switch f.missed {
	case 0:
		return snapshot.Gap{}
	case 1:
		return snapshot.Gap{Reason: "a place of the files could not be read"}
	}
	return snapshot.Gap{Reason: fmt.Sprintf("%d places of the files could not be read", f.missed)}
}

// header is what every object has.
type header struct {
	metav1.TypeMeta `json:",inline"`
	Items           []json.RawMessage `json:"items"`
	Sops            json.RawMessage   `json:"sops"`
}

// maxNesting bounds Lists in Lists.
const maxNesting = 4

// bare reports whether an object has nothing that one of Kubernetes begins with.
func (h *header) bare() bool { return h.Kind == "" && h.APIVersion == "" && h.Items == nil }

// nameless notes what does not say what it is. Of whole documents that is values of a
// chart, or a pipeline: it was read, and nothing in it becomes an object.
func (f *Files) nameless(place string, whole bool) {
	if !whole {
		f.missed++
	}
	f.wrong(place, "this is no Kubernetes object: it needs apiVersion and kind")
}

func (f *Files) object(place string, raw []byte, depth int) {
	var h header
	switch err := json.Unmarshal(raw, &h); {
	case err != nil || h.Kind == "" || h.APIVersion == "":
		f.nameless(place, err == nil && depth == 0 && h.bare())
		return
	case h.Items != nil:
		f.objects++ // of nothing, it may be: who made it has looked
		f.list(place, &h, depth)
		return
	case document.TooLarge(raw):
		f.Miss(place, "it is larger than any cluster takes: over 4 MiB, or of too many parts")
		return
	}
	f.objects++
	create, ok := kinds[h.GroupVersionKind().GroupKind().String()]
	if !ok {
		f.custom(place, h.Kind, raw)
		return
	}
	o, ok := decoded(create(), h.Kind, raw)
	if !ok {
		f.Miss(place, "this is no "+h.Kind+", a field has the wrong type")
		return
	}
	f.keep(place, o)
	if h.Kind == "Secret" && len(h.Sops) > 0 {
		f.sops(&f.out.Secrets[len(f.out.Secrets)-1])
	}
}

// decoded decodes raw into o, or into another Secret: the values of one that is encrypted,
// or a template, are no base64.
func decoded(o runtime.Object, kind string, raw []byte) (runtime.Object, bool) {
	if json.Unmarshal(raw, o) == nil {
		return o, true
	}
	if kind != "Secret" {
		return nil, false
	}
	secret := loose(raw)
	return secret, secret != nil
}

func (f *Files) list(place string, h *header, depth int) {
	if depth == maxNesting {
		f.Miss(place, "lists are nested too deep")
		return
	}
	for i, item := range h.Items {
		f.object(fmt.Sprintf("%s, item %d", place, i+1), typed(h.TypeMeta, item), depth+1)
	}
}

// sops notes that a Secret is decrypted by whoever applies the file.
func (f *Files) sops(s *snapshot.Secret) {
	f.out.Sources = append(f.out.Sources, snapshot.Source{
		Meta: snapshot.Meta{Namespace: s.Namespace, Name: s.Name, Place: s.Place}, Group: "sops", Kind: "SOPS",
		Makes: []snapshot.Ref{{Kind: "Secret", Namespace: s.Namespace, Name: s.Name}},
	})
}

// custom keeps what an object of another kind says.
func (f *Files) custom(place, kind string, raw []byte) {
	o := &unstructured.Unstructured{}
	if json.Unmarshal(raw, &o.Object) != nil || malformed(o) {
		f.Miss(place, "this is no "+kind+", a field has the wrong type")
		return
	}
	if o.GetNamespace() == "" && !custom.Global(o.GroupVersionKind().GroupKind()) {
		o.SetNamespace(f.namespace())
	}
	if o.GroupVersionKind().GroupKind() == grantKind {
		f.join.grants, f.join.granted = append(f.join.grants, o), true
		return
	}
	found := custom.Of(o, &record.Maker{Key: f.Key})
	found.Placed(place)
	f.join.add(&f.out, &found)
}

// grantKind lets Gateways of other namespaces refer to Secrets.
var grantKind = schema.GroupKind{Group: "gateway.networking.k8s.io", Kind: "ReferenceGrant"}

// malformed reports whether the metadata of o are not as those of every object.
func malformed(o *unstructured.Unstructured) bool {
	var m struct {
		metav1.ObjectMeta `json:"metadata"`
	}
	raw, err := json.Marshal(map[string]any{"metadata": o.Object["metadata"]})
	return err != nil || json.Unmarshal(raw, &m) != nil
}

// loose reads a Secret whose values are not encoded as they should be: each is
// taken as it stands. It is nil if it is no Secret either.
func loose(raw []byte) *corev1.Secret {
	var o struct {
		metav1.ObjectMeta `json:"metadata"`
		Type              string            `json:"type"`
		Data              map[string]string `json:"data"`
		StringData        map[string]string `json:"stringData"`
	}
	if json.Unmarshal(raw, &o) != nil {
		return nil
	}
	out := &corev1.Secret{ObjectMeta: o.ObjectMeta, Type: corev1.SecretType(o.Type), Data: map[string][]byte{}, StringData: o.StringData}
	for k, v := range o.Data {
		if plain, err := base64.StdEncoding.DecodeString(v); err == nil {
			out.Data[k] = plain
		} else {
			out.Data[k] = []byte(v)
		}
	}
	return out
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
	"Secret":                  func() runtime.Object { return &corev1.Secret{} },
	"ConfigMap":               func() runtime.Object { return &corev1.ConfigMap{} },
	"ServiceAccount":          func() runtime.Object { return &corev1.ServiceAccount{} },
	"Namespace":               func() runtime.Object { return &corev1.Namespace{} },
	"ReplicationController":   func() runtime.Object { return &corev1.ReplicationController{} },
	"Rollout.argoproj.io":     func() runtime.Object { return &unstructured.Unstructured{} },
	"Pod":                     func() runtime.Object { return &corev1.Pod{} },
	"Deployment.apps":         func() runtime.Object { return &appsv1.Deployment{} },
	"StatefulSet.apps":        func() runtime.Object { return &appsv1.StatefulSet{} },
	"DaemonSet.apps":          func() runtime.Object { return &appsv1.DaemonSet{} },
	"ControllerRevision.apps": func() runtime.Object { return &appsv1.ControllerRevision{} },
	"ReplicaSet.apps":         func() runtime.Object { return &appsv1.ReplicaSet{} },
	"Job.batch":               func() runtime.Object { return &batchv1.Job{} },
	"CronJob.batch":           func() runtime.Object { return &batchv1.CronJob{} },
}

func (f *Files) keep(place string, o runtime.Object) {
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
	case *corev1.Namespace:
		n := record.Namespace(o)
		n.Place = place
		s.Namespaces = append(s.Namespaces, n)
	case metav1.Object:
		if o.GetNamespace() == "" {
			o.SetNamespace(f.namespace())
		}
		f.keepNamespaced(place, o)
	}
}

// keepNamespaced keeps what lies in a namespace and is no RBAC.
func (f *Files) keepNamespaced(place string, o metav1.Object) {
	s, m := &f.out, record.Maker{Key: f.Key}
	switch o := o.(type) {
	case *corev1.Secret:
		r := m.Secret(o)
		r.Place = place
		s.Secrets = append(s.Secrets, r)
	case *corev1.ConfigMap:
		r := m.ConfigMap(o)
		r.Place = place
		s.ConfigMaps = append(s.ConfigMaps, r)
	case *corev1.ServiceAccount:
		r := record.Account(o)
		r.Place = place
		s.Accounts = append(s.Accounts, r)
	case *corev1.Pod:
		r := m.Pod(o)
		r.Place = place
		if ended(o) {
			f.join.over(&r)
			return
		}
		if found, ok := plane.Server(o); ok {
			addServer(s, found)
		}
		s.Pods = append(s.Pods, r)
	case *appsv1.ControllerRevision:
		r := m.Revision(o)
		r.Place = place
		f.join.before(r, controller(&r.Meta, refOf(&r)))
	default:
		f.keepWorkload(place, o)
	}
}

func (f *Files) keepWorkload(place string, o metav1.Object) {
	m := record.Maker{Key: f.Key}
	w, ok := m.Workload(o)
	if !ok {
		return
	}
	w.Place = place
	if by, ok := maker(&w); ok {
		f.join.made(&w, by)
		return
	}
	f.out.Workloads = append(f.out.Workloads, w)
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
