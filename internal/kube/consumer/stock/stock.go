package stock

import (
	"context"
	"reflect"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
)

// kind is a kind of object that is kept.
type kind struct {
	name, resource string // such as "Deployment", "deployments.apps"
	object         client.Object
	list           func() client.ObjectList
}

// kinds returns what is kept.
func kinds() []kind {
	return []kind{
		{"Pod", "pods", &corev1.Pod{}, func() client.ObjectList { return &corev1.PodList{} }},
		{"ReplicaSet", "replicasets.apps", &appsv1.ReplicaSet{}, func() client.ObjectList { return &appsv1.ReplicaSetList{} }},
		{"Deployment", "deployments.apps", &appsv1.Deployment{}, func() client.ObjectList { return &appsv1.DeploymentList{} }},
		{"StatefulSet", "statefulsets.apps", &appsv1.StatefulSet{}, func() client.ObjectList { return &appsv1.StatefulSetList{} }},
		{"DaemonSet", "daemonsets.apps", &appsv1.DaemonSet{}, func() client.ObjectList { return &appsv1.DaemonSetList{} }},
		{"Job", "jobs.batch", &batchv1.Job{}, func() client.ObjectList { return &batchv1.JobList{} }},
		{"CronJob", "cronjobs.batch", &batchv1.CronJob{}, func() client.ObjectList { return &batchv1.CronJobList{} }},
	}
}

// pageSize is how many objects are asked for at once.
const pageSize = 500

// Stock is the pods and workloads of a cluster, or of some namespaces of it.
type Stock struct {
	shelves map[string][]cache.Indexer // by kind
	// Unknown says what may not be read.
	Unknown []string
}

func newShelf() cache.Indexer { return cache.NewIndexer(cache.MetaNamespaceKeyFunc, indexers()) }

func newStock() *Stock { return &Stock{shelves: map[string][]cache.Indexer{}} }

// Get returns the entry of o, nil when there is none with that UID; any UID
// does when uid is empty.
func (s *Stock) Get(o consumer.Object, uid types.UID) *Entry {
	for _, shelf := range s.shelves[o.Kind.Kind] {
		found, ok, err := shelf.GetByKey(o.Namespace + "/" + o.Name)
		if e, is := found.(*Entry); err == nil && ok && is && (uid == "" || e.UID == uid) &&
			e.Object().Kind.Group == o.Kind.Group {
			return e
		}
	}
	return nil
}

// By returns the entries with key in index, of every kind, in no order.
func (s *Stock) By(index, key string) []*Entry {
	var out []*Entry
	for _, shelves := range s.shelves {
		for _, shelf := range shelves {
			found, err := shelf.ByIndex(index, key)
			if err != nil {
				continue // no such index: impossible, all have the same
			}
			for _, o := range found {
				if e, ok := o.(*Entry); ok {
					out = append(out, e)
				}
			}
		}
	}
	return out
}

// Read fills a stock from the API server. What may not be read is in Unknown; any
// other failure is an error.
func Read(ctx context.Context, live client.Reader, namespaces []string) (*Stock, error) {
	s := newStock()
	for _, k := range kinds() {
		shelf := newShelf()
		s.shelves[k.name] = append(s.shelves[k.name], shelf)
		for _, ns := range namespaces {
			err := Pages(ctx, live, k.list(), ns, func(o runtime.Object) error {
				object, ok := o.(metav1.Object)
				if !ok {
					return nil
				}
				e, err := NewEntry(object)
				if err != nil {
					return err
				}
				return shelf.Add(e)
			})
			switch {
			case Refused(err):
				s.Unknown = append(s.Unknown, Refusal(k.resource, ns, "list"))
			case err != nil:
				return nil, Unreachable(k.resource, err)
			}
		}
	}
	slices.Sort(s.Unknown)
	return s, nil
}

// Pages lists into list page by page and calls each with every object. An
// object is not kept after each returns.
func Pages(ctx context.Context, live client.Reader, list client.ObjectList, namespace string, each func(runtime.Object) error) error {
	opts := client.ListOptions{Namespace: namespace, Limit: pageSize}
	for {
		reset(list)
		if err := live.List(ctx, list, &opts); err != nil {
			return err
		}
		if err := meta.EachListItem(list, each); err != nil {
			return err
		}
		opts.Continue = list.GetContinue()
		if opts.Continue == "" {
			return nil
		}
	}
}

// reset empties list, so that no page is decoded over another.
func reset(list client.ObjectList) {
	gvk := list.GetObjectKind().GroupVersionKind()
	v := reflect.ValueOf(list).Elem()
	v.Set(reflect.Zero(v.Type()))
	list.GetObjectKind().SetGroupVersionKind(gvk)
}

// Refused reports whether the API server said that we may not.
func Refused(err error) bool { return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) }

// Refusal says what is missing.
func Refusal(resource, namespace string, verbs ...string) string {
	where := " in every namespace"
	if namespace != "" {
		where = " in namespace " + namespace
	}
	return resource + ": the operator may not " + strings.Join(verbs, " and ") + " them" + where +
		": add the permission to its role (docs/rotation/consumers.md, Permissions)"
}

// Unreachable is the error of an API server that cannot be asked.
func Unreachable(what string, err error) error {
	return errs.Newf(errs.Unavailable, "asking for %s: %w", what, err)
}
