package rollouttest

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Annotations of pods that say what the node does with them. Without any, a
// pod is ready at once and gone at once when it is deleted.
const (
	// AnnotationCrash: its container crashes, in CrashLoopBackOff.
	AnnotationCrash = "test.strongkeep.io/crash"
	// AnnotationSlow: it never gets ready.
	AnnotationSlow = "test.strongkeep.io/slow"
	// AnnotationLinger: deleted, it stays until the annotation is taken off.
	AnnotationLinger = "test.strongkeep.io/linger"
)

const node = "played"

// Kubelet plays one node for all namespaces.
type Kubelet struct {
	c    client.WithWatch
	stop context.CancelFunc
	done chan struct{}
	once sync.Once

	mu  sync.Mutex
	err error // what it stumbled over last, until it got on
}

// Start makes a node and plays it until Close. c's scheme has core/v1.
func Start(ctx context.Context, c client.WithWatch) (*Kubelet, error) {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}
	if err := c.Create(ctx, n); err != nil && !apierrors.IsAlreadyExists(err) {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	k := &Kubelet{c: c, stop: stop, done: make(chan struct{})}
	go func() {
		defer stop()
		k.run(ctx)
	}()
	return k, nil
}

// Close stops the node and returns the error that it had in the end, nil for none.
func (k *Kubelet) Close() error {
	k.once.Do(k.stop)
	<-k.done
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.err
}

func (k *Kubelet) run(ctx context.Context) {
	defer close(k.done)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		k.note(ctx, k.follow(ctx))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (k *Kubelet) note(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = err
}

// beat is how often the node says that it is there.
const beat = 10 * time.Second

// follow plays every pod as it is and as it changes, until something fails or the
// watch ends.
func (k *Kubelet) follow(ctx context.Context) error { //nolint:cyclop // flat: a case after the other
	if err := k.beReady(ctx); err != nil {
		return err
	}
	w, err := k.c.Watch(ctx, &corev1.PodList{})
	if err != nil {
		return err
	}
	defer w.Stop()
	k.note(ctx, nil) // what it stumbled over is over
	heart := time.NewTicker(beat)
	defer heart.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-heart.C:
			if err := k.beReady(ctx); err != nil {
				return err
			}
		case e, ok := <-w.ResultChan():
			switch pod, is := e.Object.(*corev1.Pod); {
			case !ok:
				return nil
			case !is:
				return apierrors.FromObject(e.Object)
			case e.Type == watch.Deleted:
			default:
				// A pod that was meanwhile changed is heard of again.
				if err := k.play(ctx, pod); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
					return err
				}
			}
		}
	}
}

// beReady writes the node's heartbeat.
func (k *Kubelet) beReady(ctx context.Context) error {
	n := &corev1.Node{}
	if err := k.c.Get(ctx, client.ObjectKey{Name: node}, n); err != nil {
		return err
	}
	before := n.DeepCopy()
	if len(n.Spec.Taints) > 0 {
		n.Spec.Taints = nil
		if err := k.c.Patch(ctx, n, client.MergeFrom(before)); err != nil { // controllers write it too
			return err
		}
		before = n.DeepCopy()
	}
	now := metav1.Now()
	n.Status.Conditions = []corev1.NodeCondition{{
		Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "Played", LastHeartbeatTime: now, LastTransitionTime: now,
	}}
	room := corev1.ResourceList{"pods": resource.MustParse("5000"), "cpu": resource.MustParse("1000"), "memory": resource.MustParse("1000Gi")}
	n.Status.Capacity, n.Status.Allocatable = room, room
	return k.c.Status().Patch(ctx, n, client.MergeFrom(before))
}

func (k *Kubelet) play(ctx context.Context, p *corev1.Pod) error {
	switch {
	case p.DeletionTimestamp != nil:
		if _, linger := p.Annotations[AnnotationLinger]; linger {
			return nil
		}
		return k.c.Delete(ctx, p, client.GracePeriodSeconds(0), client.Preconditions{UID: &p.UID}) // not the next of its name
	case p.Spec.NodeName == "" || p.Status.Phase == corev1.PodRunning:
		return nil
	}
	now := metav1.Now()
	p.Status.Phase = corev1.PodRunning
	_, crash := p.Annotations[AnnotationCrash]
	_, slow := p.Annotations[AnnotationSlow]
	ready := corev1.ConditionTrue
	if crash || slow {
		ready = corev1.ConditionFalse
	}
	p.Status.Conditions = append(p.Status.Conditions,
		corev1.PodCondition{Type: corev1.PodReady, Status: ready, LastTransitionTime: now},
		corev1.PodCondition{Type: corev1.ContainersReady, Status: ready, LastTransitionTime: now})
	for _, c := range p.Spec.Containers {
		s := corev1.ContainerStatus{Name: c.Name, Ready: ready == corev1.ConditionTrue, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}}
		if crash {
			s.RestartCount = 3
			s.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
		}
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, s)
	}
	return k.c.Status().Update(ctx, p)
}
