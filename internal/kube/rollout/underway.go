package rollout

import (
	"context"
	"fmt"
	"math"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// started is a restart that was written, or is being written.
type started struct {
	cluster    string // its id
	generation int64
	at         time.Time
}

// sighting is since when a workload is seen under way at a generation.
type sighting struct {
	cluster    string
	generation int64
	at         time.Time
}

const (
	// unseen is how long a restart counts that the cache does not show, and one by
	// eviction that its owner does not look after.
	unseen = 2 * time.Minute
	// forget is how long a workload counts as under way that does not get on, such
	// as a DaemonSet with a node that is gone for good. Nothing else would ever be
	// restarted.
	forget = time.Hour
)

// reserve takes one of the cluster's slots for v. release must be called when
// the restart is written, or was not. Without a slot v says that it waits.
func (p *pass) reserve(ctx context.Context, c access, v *view) (release func(generation int64, written bool), ok bool) {
	none := func(int64, bool) {}
	if w := v.live; w.midway() || w.wanted == 0 || w.kind.Kind == "CronJob" {
		return none, true
	}
	counting := p.countingOf(c.id)
	select {
	case counting <- struct{}{}:
		defer func() { <-counting }()
	case <-ctx.Done():
		v.failed("counting what is under way before", ctx.Err())
		return none, false
	}
	seen, err := observe(ctx, c)
	if err != nil {
		v.failed("counting what is under way before", err)
		return none, false
	}
	now := p.cfg.Clock.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.count(c.id, seen, now); n >= p.cfg.ClusterMax {
		v.queues(fmt.Sprintf("waits for its turn: %d workloads of the cluster are under way, %d may be", n, p.cfg.ClusterMax))
		return none, false
	}
	uid := uidAt(c.id, v.live.UID)
	p.started[uid] = started{c.id, math.MaxInt64, now}
	return func(generation int64, written bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if written {
			p.started[uid] = started{c.id, generation, now}
			return
		}
		delete(p.started, uid)
	}, true
}

// rolling is what a list shows of a workload that has been stamped by us.
type rolling struct {
	generation int64
	under      bool
}

// countingOf returns the lock of who counts in a cluster.
func (r *Roller) countingOf(cluster string) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counting[cluster] == nil {
		r.counting[cluster] = make(chan struct{}, 1)
	}
	return r.counting[cluster]
}

// uidAt is what a workload is known by: no cluster speaks of another's.
func uidAt(cluster string, uid types.UID) types.UID { return types.UID(cluster) + uid }

// observe lists what has been stamped in a cluster.
func observe(ctx context.Context, c access) (map[types.UID]rolling, error) {
	seen := map[types.UID]rolling{}
	add := func(w *workload) {
		under := w.failed == "" && w.paused == "" && (w.midway() || w.available < w.wanted)
		seen[uidAt(c.id, w.UID)] = rolling{w.Generation, under}
	}
	var deployments appsv1.DeploymentList
	var sets appsv1.StatefulSetList
	var daemons appsv1.DaemonSetList
	for _, list := range []client.ObjectList{&deployments, &sets, &daemons} {
		if err := c.lists.List(ctx, list); err != nil {
			return nil, err
		}
	}
	for i := range deployments.Items {
		if o := &deployments.Items[i]; stamped(&o.ObjectMeta, &o.Spec.Template) {
			add(deployment(o))
		}
	}
	for i := range sets.Items {
		if o := &sets.Items[i]; stamped(&o.ObjectMeta, &o.Spec.Template) {
			add(statefulSet(o))
		}
	}
	for i := range daemons.Items {
		if o := &daemons.Items[i]; stamped(&o.ObjectMeta, &o.Spec.Template) {
			add(daemonSet(o))
		}
	}
	return seen, nil
}

// count returns how many are under way in a cluster: those seen, and those written
// that the list does not show yet. r.mu is held.
func (r *Roller) count(cluster string, seen map[types.UID]rolling, now time.Time) int {
	n := r.unlisted(cluster, seen, now)
	for uid, s := range r.stuck {
		if s.cluster == cluster && !seen[uid].under {
			delete(r.stuck, uid)
		}
	}
	for uid, w := range seen {
		if w.under && now.Sub(r.sighted(cluster, uid, w.generation, now)) < forget {
			n++
		}
	}
	return n
}

// unlisted returns how many were written to in a cluster that the list does not
// show yet, and forgets those that it does. r.mu is held.
func (r *Roller) unlisted(cluster string, seen map[types.UID]rolling, now time.Time) int {
	n := 0
	for uid, s := range r.started {
		if s.cluster != cluster {
			continue
		}
		w, listed := seen[uid]
		switch {
		case listed && w.generation >= s.generation || now.Sub(s.at) > unseen:
			delete(r.started, uid)
		case !w.under:
			n++ // else it is counted as seen
		}
	}
	return n
}

// sighted returns since when a workload is seen under way at a generation. r.mu
// is held.
func (r *Roller) sighted(cluster string, uid types.UID, generation int64, now time.Time) time.Time {
	s := r.stuck[uid]
	if s.generation != generation || s.at.IsZero() {
		s = sighting{cluster, generation, now}
		r.stuck[uid] = s
	}
	return s.at
}

func stamped(m *metav1.ObjectMeta, t *corev1.PodTemplateSpec) bool {
	return m.Annotations[AnnotationStamp] != "" || t.Annotations[AnnotationStamp] != ""
}
