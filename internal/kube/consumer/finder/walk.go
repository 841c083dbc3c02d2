package finder

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/stock"
)

// addPod adds a pod with those of its uses that matter, and its workload.
func (s *search) addPod(ctx context.Context, at site, e *stock.Entry, more []consumer.Use) error {
	pod := *e.Pod
	pod.Cluster, pod.UID = at.name, at.uid(pod.UID)
	pod.Uses = append(s.only(pod.Namespace, at, pod.Uses), more...)
	if e.Health != nil {
		pod.Failing = e.Health.At(s.now, s.cfg.Patience)
	}
	w, err := s.restarter(ctx, at, e)
	if err != nil {
		return err
	}
	pod.Workload = w
	if w.Kind.Kind == "Node" {
		return nil // a static pod, which can use no Secret of the API
	}
	s.out.Pods = append(s.out.Pods, pod)
	return nil
}

// addWorkload adds a workload by its template. A ReplicaSet or Job that another
// known workload makes is that one's; it appears by its pods where it must.
func (s *search) addWorkload(ctx context.Context, at site, e *stock.Entry, more []consumer.Use) error {
	if e.Work.Kind.Kind == "Job" && e.Owner != nil && e.Owner.Kind.Kind == "CronJob" {
		return nil
	}
	o, err := s.restarter(ctx, at, e)
	if err != nil {
		return err
	}
	w := s.works[o]
	if own := e.Object(); w == nil || o.NamespacedName != own.NamespacedName || o.Kind != own.Kind {
		return nil
	}
	w.Uses = append(w.Uses, more...)
	return nil
}

// deepest bounds a chain of owners, which could be a ring.
const deepest = 8

// restarter returns what restarts the pods of e, and notes it as a workload:
// the highest owner that has a way of its own, else the highest there is.
func (s *search) restarter(ctx context.Context, at site, e *stock.Entry) (consumer.Object, error) {
	if o, ok := s.owners[e.UID]; ok && e.Pod == nil {
		return o, nil
	}
	best, current := e, e
	for range deepest {
		if current.Owner == nil || settled(current) {
			break
		}
		if o, ok := s.owners[current.Owner.UID]; ok {
			return o, nil
		}
		next, err := s.owner(ctx, at, *current.Owner)
		if err != nil {
			return consumer.Object{}, err
		}
		if next == nil {
			return s.noteUnseen(at, *current.Owner), nil
		}
		best, current = next, next
		if next.Template != nil {
			if d := at.stock.Get(*next.Template, ""); d != nil {
				best, current = d, d
			}
		}
	}
	return s.note(at, best), nil
}

// settled reports whether e is what restarts its pods, whoever owns it.
func settled(e *stock.Entry) bool {
	return e.Work != nil && (e.Work.Manner == consumer.MannerTemplate || e.Work.Manner == consumer.MannerWait || e.Work.Manner == consumer.MannerNext ||
		e.Work.Kind.Group == "apps" && e.Work.Kind.Kind != "ReplicaSet")
}

// owner returns the entry of an owner: from the stock, or by asking. nil: it is
// not known, which is noted.
func (s *search) owner(ctx context.Context, at site, o stock.Owner) (*stock.Entry, error) {
	if e := at.stock.Get(o.Object, o.UID); e != nil {
		return e, nil
	}
	if e, ok := s.asked[o]; ok {
		return e, nil
	}
	e, err := s.ask(ctx, at, o)
	if err == nil {
		s.asked[o] = e
	}
	return e, err
}

func (s *search) ask(ctx context.Context, at site, o stock.Owner) (*stock.Entry, error) {
	if o.Kind.Kind == "Node" || known(o.Kind.Group) {
		return nil, nil // gone, or not seen yet
	}
	kind := stock.Kind{Cluster: at.name, Kind: o.Kind.GroupKind()}
	if x, lately := s.absent.Lately(kind, s.now); lately {
		s.unreadable(at, o, x.Refused)
		return nil, nil
	}
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(o.Kind)
	err := at.live.Get(ctx, o.NamespacedName, u)
	switch {
	case err == nil && (o.UID == "" || u.GetUID() == o.UID):
		return stock.NewEntry(u)
	case err == nil || apierrors.IsNotFound(err):
		return nil, nil // deleted with its pods, which follow
	case stock.Refused(err) || meta.IsNoMatchError(err):
		s.absent.Note(kind, stock.Refused(err), s.now)
		s.unreadable(at, o, stock.Refused(err))
		return nil, nil
	}
	return nil, stock.Unreachable(o.Kind.GroupKind().String(), err)
}

// unreadable says why nothing is known of an owner, or of what the user names,
// which has no UID.
func (s *search) unreadable(at site, o stock.Owner, refused bool) {
	s.missed[o] = true
	what := fmt.Sprintf("%s%s %q", prefix(at.name), o.Kind.Kind, o.NamespacedName)
	owns := "owns pods"
	if o.UID == "" {
		owns = "is named as a consumer"
	}
	switch {
	case refused:
		s.unknown("%s %s and may not be read: add get on %s to the operator's role", what, owns, o.Kind.GroupKind())
	case o.UID == "":
		s.unknown("%s is named as a consumer, and the API server knows no kind %s in %s: correct apiVersion and kind in spec.consumers.workloads, or install its definition", what, o.Kind.Kind, o.Kind.GroupVersion())
	default:
		s.unknown("%s owns pods, and the API server knows no kind %s in %s: install its definition, or take the owner reference away", what, o.Kind.Kind, o.Kind.GroupVersion())
	}
}

// known reports whether everything of an API group that owns pods is kept.
func known(group string) bool { return group == "apps" || group == "batch" }

// note adds the workload that e is, once.
func (s *search) note(at site, e *stock.Entry) consumer.Object {
	var w consumer.Workload
	if e.Pod != nil {
		w = consumer.BarePod(e.Pod)
	} else {
		w = *e.Work
	}
	w.Cluster, w.UID = at.name, at.uid(w.UID)
	if w.Owner.Name != "" {
		w.Owner.Cluster = at.name
	}
	s.owners[e.UID] = w.Object
	if s.works[w.Object] == nil {
		w.Uses = s.only(w.Namespace, at, w.Uses)
		s.works[w.Object] = &w
	}
	return w.Object
}

func (s *search) noteUnseen(at site, o stock.Owner) consumer.Object {
	o.Cluster = at.name
	s.owners[o.UID] = o.Object
	if o.Kind.Kind != "Node" && s.works[o.Object] == nil {
		w := consumer.Unseen(o.Object)
		w.UID = at.uid(o.UID)
		s.works[o.Object] = &w
	}
	return o.Object
}

// named adds the workloads that the user names, with all their pods.
func (s *search) named(ctx context.Context, at site) error {
	for _, o := range s.wanted.Workloads {
		if o.Cluster != at.name {
			continue
		}
		if o.Namespace == "" {
			o.Namespace = s.wanted.Namespace
		}
		e, err := s.owner(ctx, at, stock.Owner{Object: o})
		if err != nil {
			return err
		}
		if e == nil && s.missed[stock.Owner{Object: o}] {
			continue
		}
		if e == nil {
			s.unknown("%s%s %q is named as a consumer and was not found: correct spec.consumers.workloads", prefix(at.name), o.Kind.Kind, o.NamespacedName)
			continue
		}
		if err := s.addNamed(ctx, at, e, s.note(at, e)); err != nil {
			return err
		}
	}
	return nil
}

// addNamed adds the pods below e, as being used by name where nothing else is
// known.
func (s *search) addNamed(ctx context.Context, at site, e *stock.Entry, o consumer.Object) error {
	use := consumer.Use{Kind: consumer.UseNamed}
	if w := s.works[o]; len(w.Uses) == 0 {
		w.Uses = []consumer.Use{use}
	}
	have := map[types.UID]bool{}
	for _, p := range s.out.Pods {
		have[p.UID] = true
	}
	level := []*stock.Entry{e}
	for range deepest {
		var below []*stock.Entry
		for _, parent := range level {
			if uid := at.uid(parent.UID); parent.Pod != nil && !have[uid] {
				have[uid] = true
				if err := s.addPod(ctx, at, parent, []consumer.Use{use}); err != nil {
					return err
				}
			}
			key := parent.Namespace + "/" + parent.Object().Kind.GroupKind().String() + "/" + parent.Name
			for _, child := range at.stock.By(stock.ByOwner, key) {
				if child.Owner != nil && child.Owner.UID == parent.UID {
					below = append(below, child)
				}
			}
		}
		level = below
	}
	return nil
}
