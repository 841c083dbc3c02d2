package kubesync

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/test/bench/rig"
)

// shared is the secret that many want where all want the same.
const shared = "bench/shared"

// value is 1 KiB that tells what it was made for.
func value(of string) string { return of + strings.Repeat("-mN3xR8vQ2pL5kT7w", 64)[:1024-len(of)] }

func secretPath(i int) string { return "bench/" + strconv.Itoa(i) }

// store writes n secrets into the vault.
func (w *world) store(ctx context.Context, n int) error {
	return rig.Each(ctx, n, func(ctx context.Context, i int) error { return w.put(ctx, secretPath(i), value(strconv.Itoa(i))) })
}

func (w *world) put(ctx context.Context, path, value string) error {
	_, err := w.server.Client.KVv2(rig.Mounted).Put(ctx, path, map[string]any{"password": value})
	return err
}

// externalSecret wants one property of a secret; without an interval the default's.
func externalSecret(name, key string, interval time.Duration) *v1.ExternalSecret {
	es := &v1.ExternalSecret{
		ObjectMeta: meta(name),
		Spec: v1.ExternalSecretSpec{
			SecretStoreRef: v1.SecretStoreRef{Name: "vault"},
			Data:           []v1.ExternalSecretData{{SecretKey: "password", RemoteRef: v1.RemoteRef{Key: key, Property: "password"}}},
		},
	}
	if interval > 0 {
		es.Spec.RefreshInterval = &metav1.Duration{Duration: interval}
	}
	return es
}

// many is n ExternalSecrets of one name and a number, each with a secret of its own.
func many(name string) func(i int) client.Object {
	return func(i int) client.Object { return externalSecret(name+strconv.Itoa(i), secretPath(i), 0) }
}

// create writes n objects, several at once.
func (w *world) create(ctx context.Context, n int, object func(i int) client.Object) error {
	return inParallel(ctx, n, func(ctx context.Context, i int) error { return w.createAll(ctx, object(i)) })
}

// inParallel calls f for 0 up to n from as many goroutines as there are writers.
func inParallel(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range writers {
		g.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := f(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// follow watches the objects of a list until done holds for n whose names begin
// with prefix, and returns when it first held for one, and for all. From the
// call of begun on, every change is seen.
func (w *world) follow(ctx context.Context, f following) (first, last time.Time, err error) {
	seen := map[string]bool{}
	for len(seen) < f.n {
		if err := w.followOnce(ctx, &f, seen, &first); err != nil {
			return first, last, w.operator.Explain(errs.Newf(errs.Unavailable, "%d of %d are as awaited: %w", len(seen), f.n, err))
		}
	}
	return first, time.Now(), nil
}

type following struct {
	list   client.ObjectList
	prefix string
	n      int
	done   func(client.Object) bool
	begun  func() error
}

// followOnce ends when the watch does, which the API server may do at any time. A
// new watch begins with the state as it is.
func (w *world) followOnce(ctx context.Context, f *following, seen map[string]bool, first *time.Time) error {
	watching, err := w.kube.Watch(ctx, f.list, client.InNamespace(namespace))
	if err != nil {
		return err
	}
	defer watching.Stop()
	if begun := f.begun; begun != nil {
		f.begun = nil
		if err := begun(); err != nil {
			return err
		}
	}
	for len(seen) < f.n {
		select {
		case e, open := <-watching.ResultChan():
			if !open {
				return nil
			}
			if f.holds(e) {
				seen[e.Object.(client.Object).GetName()] = true
				if len(seen) == 1 {
					*first = time.Now()
				}
			}
		case <-w.operator.Done():
			return errs.New(errs.Unavailable, "the operator has ended")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (f *following) holds(e watch.Event) bool {
	o, ok := e.Object.(client.Object)
	return ok && strings.HasPrefix(o.GetName(), f.prefix) && f.done(o)
}

func isReady(o client.Object) bool {
	es, ok := o.(*v1.ExternalSecret)
	return ok && v1.IsReady(es.Status.Conditions)
}

// sync measures from before begin until n ExternalSecrets are Ready.
func (w *world) sync(ctx context.Context, prefix string, n int, begin func() error) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var began time.Time
	_, last, err := w.follow(ctx, following{list: &v1.ExternalSecretList{}, prefix: prefix, n: n, done: isReady, begun: func() error {
		began = time.Now()
		return begin()
	}})
	return last.Sub(began), err
}

// verify checks every Secret's value against what the vault has.
func (w *world) verify(ctx context.Context, prefix string, n int, want func(i int) string) error {
	return inParallel(ctx, n, func(ctx context.Context, i int) error {
		var s corev1.Secret
		name := prefix + strconv.Itoa(i)
		if err := w.kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, &s); err != nil {
			return errs.Newf(errs.Internal, "an ExternalSecret is Ready, and its Secret: %w", err)
		}
		if string(s.Data["password"]) != want(i) {
			return errs.Newf(errs.Internal, "Secret %s does not have the value that the vault has", name)
		}
		return nil
	})
}

// stored is what prepare put into the vault.
func stored(i int) string { return value(fmt.Sprint(i)) }
