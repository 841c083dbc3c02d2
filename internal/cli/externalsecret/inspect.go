package externalsecret

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/cli/cluster"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/generate"
	"github.com/strongkeep/strongkeep/internal/kube/operator/stores"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// inspection looks at what is around one ExternalSecret.
type inspection struct {
	ctx context.Context //nolint:containedctx // of one command, from its begin to its end
	k   *cluster.Cluster
	es  *v1.ExternalSecret
	out *explained
}

func (i *inspection) waits(format string, values ...any) {
	i.out.Waits = append(i.out.Waits, fmt.Sprintf(format, values...))
}

// unknown notes what could not be asked, in the words of the API server.
func (i *inspection) unknown(what string, err error) {
	reason := err.Error()
	if apierrors.IsForbidden(err) {
		reason = "you may not read them"
	}
	i.out.Unknown = append(i.out.Unknown, what+": "+reason)
}

func (i *inspection) stores() {
	for _, ref := range gather.Stores(&i.es.Spec) {
		if ref.Name == "" {
			continue
		}
		key := v1.KeyFor(ref, i.es.Namespace)
		s := source{Name: key.String()}
		store, err := stores.Lookup{Reader: i.k}.Store(i.ctx, i.es.Namespace, ref)
		if err != nil {
			s.Message = err.Error()
			i.waits("%v", err)
			i.out.Sources = append(i.out.Sources, s)
			continue
		}
		s.Class = store.StoreSpec().Controller
		if name, _, err := store.StoreSpec().Provider.One(); err == nil {
			s.Provider = name
		}
		c := v1.FindCondition(store.StoreStatus().Conditions, v1.ConditionReady)
		switch {
		case c == nil:
			s.Ready = "unknown"
			s.Message = "no operator has checked it"
			i.waits("%s was checked by no operator: does one run that answers for its class?", key)
		default:
			s.Ready = strings.ToLower(string(c.Status))
			if c.Status != metav1.ConditionTrue {
				s.Message = c.Reason + ": " + c.Message
				i.waits("%s is not ready: %s", key, c.Message)
			}
		}
		i.out.Sources = append(i.out.Sources, s)
	}
}

func (i *inspection) generators(cfg Config) {
	finder := generate.New(generate.Config{Reader: i.k, Kinds: cfg.Generators, ClusterWide: true})
	for _, ref := range generate.Refs(&i.es.Spec) {
		found, err := finder.Find(i.ctx, i.es.Namespace, ref)
		s := source{Name: fmt.Sprintf("%s %q", ref.Kind, ref.Name), Class: found.Class}
		if err != nil {
			s.Message = err.Error()
			i.waits("%v", err)
		}
		i.out.Sources = append(i.out.Sources, s)
	}
}

// target looks at the metadata of the Secret, which holds no value.
func (i *inspection) target() {
	s := &i.out.Secret
	if target.Policy(i.es) == v1.CreateNone {
		s.Says = "none is written"
		return
	}
	live := &metav1.PartialObjectMetadata{}
	live.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	err := i.k.Get(i.ctx, types.NamespacedName{Namespace: i.es.Namespace, Name: s.Name}, live)
	switch {
	case apierrors.IsNotFound(err):
		s.Says = "it does not exist"
		if target.Policy(i.es) == v1.CreateMerge {
			i.waits("Secret %q to be made by somebody: creationPolicy Merge needs it", s.Name)
		}
		return
	case err != nil:
		s.Says = "not known"
		i.unknown("Secrets", err)
		return
	}
	s.Exists = true
	switch {
	case target.Shared(i.es):
		s.Says = "it exists, and others may write it too"
	case target.Ours(i.es, live):
		s.Says = "it is this ExternalSecret's"
	default:
		s.Says = "it is not overwritten: " + target.Owner(live)
		i.waits("Secret %q to be free: %s; choose another spec.target.name, use creationPolicy Merge, or delete the Secret", s.Name, target.Owner(live))
	}
	s.Drift = drift(i.es, live)
}

// drift says what others have written into the data, by managedFields: who, which
// keys, when. A Secret that is all of one ExternalSecret has no other writer. The
// original writes by update, under the name that ours applies with.
func drift(es *v1.ExternalSecret, live *metav1.PartialObjectMetadata) []string {
	if target.Shared(es) {
		return nil
	}
	var out []string
	for _, f := range live.ManagedFields {
		if strings.HasPrefix(f.Manager, target.ManagerPrefix) || f.FieldsV1 == nil {
			continue
		}
		var set struct {
			Data map[string]json.RawMessage `json:"f:data"`
		}
		if json.Unmarshal(f.FieldsV1.GetRawBytes(), &set) != nil || len(set.Data) == 0 {
			continue
		}
		var keys []string
		for _, key := range slices.Sorted(maps.Keys(set.Data)) {
			if name, ok := strings.CutPrefix(key, "f:"); ok {
				keys = append(keys, name)
			}
		}
		text := fmt.Sprintf("%s wrote %s", f.Manager, strings.Join(keys, ", "))
		if f.Time != nil {
			text += " at " + f.Time.UTC().Format(time.RFC3339)
		}
		out = append(out, text+"; the operator puts it right")
	}
	return out
}

// rivals are other ExternalSecrets of the same Secret.
func (i *inspection) rivals() {
	if target.Policy(i.es) == v1.CreateNone {
		return
	}
	var list v1.ExternalSecretList
	if err := i.k.List(i.ctx, &list, client.InNamespace(i.es.Namespace)); err != nil {
		i.unknown("other ExternalSecrets", err)
		return
	}
	for n := range list.Items {
		o := &list.Items[n]
		if o.Name == i.es.Name || target.Policy(o) == v1.CreateNone || target.Name(o) != target.Name(i.es) {
			continue
		}
		text := fmt.Sprintf("ExternalSecret %s (creationPolicy %s)", o.Name, target.Policy(o))
		if !target.Shared(o) && !target.Shared(i.es) {
			text += ": only one of them can own it"
		}
		i.out.Secret.Rivals = append(i.out.Secret.Rivals, text)
	}
}

// mostPods bounds the pods that are named.
const mostPods = 20

func (i *inspection) pods() {
	var list corev1.PodList
	if err := i.k.List(i.ctx, &list, client.InNamespace(i.es.Namespace)); err != nil {
		i.unknown("pods", err)
		return
	}
	more := 0
	for n := range list.Items {
		pod := &list.Items[n]
		var ways []string
		for _, use := range consumer.Uses(&pod.Spec) {
			if use.Secret == i.out.Secret.Name {
				ways = append(ways, string(use.Kind))
			}
		}
		if len(ways) == 0 || consumer.Ended(pod) {
			continue
		}
		if len(i.out.Pods) == mostPods {
			more++
			continue
		}
		slices.Sort(ways)
		i.out.Pods = append(i.out.Pods, fmt.Sprintf("pod %s (%s)", pod.Name, strings.Join(slices.Compact(ways), ", ")))
	}
	if more > 0 {
		i.out.Pods = append(i.out.Pods, fmt.Sprintf("and %d more pods", more))
	}
}

// mostEvents bounds the events that are shown.
const mostEvents = 3

// events shows the last warnings: there the backend's own words stay for an hour.
func (i *inspection) events() {
	var list corev1.EventList
	if err := i.k.List(i.ctx, &list, client.InNamespace(i.es.Namespace)); err != nil {
		i.unknown("events", err)
		return
	}
	own := slices.DeleteFunc(list.Items, func(e corev1.Event) bool {
		return e.InvolvedObject.UID != i.es.UID || e.Type != corev1.EventTypeWarning
	})
	slices.SortFunc(own, func(a, b corev1.Event) int { return seen(b).Compare(seen(a)) })
	for n := range own[:min(len(own), mostEvents)] {
		i.out.Events = append(i.out.Events, fmt.Sprintf("%s %s: %s", seen(own[n]).UTC().Format(time.RFC3339), own[n].Reason, own[n].Message))
	}
}

func seen(e corev1.Event) time.Time {
	last := e.LastTimestamp.Time
	if e.EventTime.After(last) {
		last = e.EventTime.Time
	}
	if e.Series != nil && e.Series.LastObservedTime.After(last) {
		last = e.Series.LastObservedTime.Time
	}
	return last
}

// conclude says what it waits for where nothing has said it yet.
func (i *inspection) conclude() {
	switch {
	case i.out.Ready || len(i.out.Waits) > 0:
	case i.out.Reason == "":
		i.waits("an operator: none has looked at it yet")
	default:
		i.waits("%s", i.out.Message)
	}
}
