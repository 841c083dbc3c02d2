package atrest

import (
	"cmp"
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/test/bench/rig"
)

// readEvery is how often somebody else reads a Secret, however long the one before takes.
const readEvery = 10 * time.Millisecond

// load is what work made of the cluster.
type load struct {
	rate float64       // objects in a second
	p99  time.Duration // of somebody else who reads a Secret meanwhile
}

// under has somebody else read while work, which says how many objects it was and what
// its client ran, goes on. The times of processors are those of all the cluster does.
func (w *world) under(ctx context.Context, what string, work func(context.Context) (int, time.Duration, error)) (load, error) {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	o, err := w.others(inner)
	if err != nil {
		return load{}, err
	}
	server, all := rig.CPUTime(w.cluster.APIServerPID()), rig.FamilyTime()
	began := time.Now()
	n, client, err := work(ctx)
	took := time.Since(began)
	server, all = rig.CPUTime(w.cluster.APIServerPID())-server, rig.FamilyTime()-all
	stop()
	times, seen := o.end()
	if err != nil || seen != nil {
		return load{}, cmp.Or(err, seen)
	}
	l := load{rate: float64(n) / took.Seconds(), p99: times[len(times)*99/100]}
	w.Say("  %s: %.0f objects/s; others: %d reads, p50 %.1f, p90 %.1f, p99 %.1f ms", what, l.rate, len(times), ms(times[len(times)/2]), ms(times[len(times)*9/10]), ms(l.p99))
	share := func(d time.Duration) float64 { return 100 * d.Seconds() / took.Seconds() }
	w.Say("    cores, in percent: API server %.0f, etcd and controllers %.0f, client %.0f", share(server), share(all-server), share(client))
	if n > 0 {
		each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(n) }
		w.Say("    microseconds of processor for each object: API server %.0f, etcd and controllers %.0f, client %.0f", each(server), each(all-server), each(client))
	}
	return l, nil
}

// ownTime is how long this process has run.
func ownTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// observer is somebody else.
type observer struct {
	end func() ([]time.Duration, error) // once the context has ended

	mu   sync.Mutex
	took []time.Duration // guarded by mu
	err  error           // guarded by mu; the first one
}

// others reads a Secret again and again, by a connection of its own, until ctx ends.
// Each read counts from when it was due.
func (w *world) others(ctx context.Context) (*observer, error) {
	cfg := rest.CopyConfig(w.config)
	cfg.Dial = (&net.Dialer{}).DialContext // one with a dialer shares no connection
	kube, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "making a client of the cluster: %w", err)
	}
	o := &observer{}
	read := func(due time.Time) {
		_, err := kube.CoreV1().Secrets("others").Get(ctx, "read", metav1.GetOptions{})
		took := time.Since(due)
		o.mu.Lock()
		defer o.mu.Unlock()
		switch {
		case ctx.Err() != nil:
		case err != nil && o.err == nil:
			o.err = errs.Newf(errs.Unavailable, "reading a Secret: %w", err)
		default:
			o.took = append(o.took, took)
		}
	}
	if _, err := kube.CoreV1().Secrets("others").Get(ctx, "read", metav1.GetOptions{}); err != nil {
		return nil, errs.Newf(errs.Unavailable, "reading a Secret: %w", err)
	}
	var reads sync.WaitGroup
	reads.Go(func() {
		for due := time.Now(); ctx.Err() == nil; due = due.Add(readEvery) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Until(due)):
				reads.Go(func() { read(due) })
			}
		}
	})
	o.end = func() ([]time.Duration, error) {
		reads.Wait()
		if o.err == nil && len(o.took) == 0 {
			o.err = errs.New(errs.Internal, "nobody could read a Secret")
		}
		slices.Sort(o.took)
		return o.took, o.err
	}
	return o, nil
}
