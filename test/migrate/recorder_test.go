package migrate_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// fence is a Secret that the test writes, to know that the recorder has seen all
// that was written before.
const fence = "fence"

// touchedBy is in annotations of Secrets that the test writes.
const touchedBy = "test.strongkeep.io/touched"

// recorder sees every state of the Secrets of a namespace.
type recorder struct {
	testing.TB
	ns    string
	mu    sync.Mutex
	seen  sync.Cond // of mu
	last  map[string]*corev1.Secret
	wrote map[string]int      // since the last call of since
	what  map[string][]string // each of these writes, without values
	wrong []string            // what no Secret may ever meet
	fence int
	ended bool
}

// record begins with the Secrets as they are.
func record(t testing.TB, ns string) *recorder {
	t.Helper()
	r := &recorder{TB: t, ns: ns, last: map[string]*corev1.Secret{}, wrote: map[string]int{}, what: map[string][]string{}}
	r.seen.L = &r.mu
	var all corev1.SecretList
	if err := server.Client.List(t.Context(), &all, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	for i := range all.Items {
		r.last[all.Items[i].Name] = &all.Items[i]
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	w, err := server.Client.Watch(ctx, &corev1.SecretList{}, client.InNamespace(ns), &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: all.ResourceVersion}})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e := range w.ResultChan() {
			r.event(e)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ended = true
		r.seen.Broadcast()
	}()
	t.Cleanup(func() { cancel(); w.Stop(); <-done })
	return r
}

func (r *recorder) event(e watch.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.seen.Broadcast()
	s, ok := e.Object.(*corev1.Secret)
	if !ok {
		r.wrong = append(r.wrong, fmt.Sprintf("the watch met %s", e.Type))
		return
	}
	if s.Name == fence {
		r.fence, _ = strconv.Atoi(s.Annotations[touchedBy])
		return
	}
	was := r.last[s.Name]
	r.last[s.Name] = s
	if was == nil && e.Type == watch.Added {
		return
	}
	if e.Type != watch.Modified || was == nil || s.UID != was.UID {
		r.wrong = append(r.wrong, fmt.Sprintf("Secret %s was %s", s.Name, e.Type))
		return
	}
	if s.Annotations[touchedBy] != was.Annotations[touchedBy] {
		return // the test itself
	}
	r.wrote[s.Name]++
	r.what[s.Name] = append(r.what[s.Name], difference(was, s))
}

// difference says what is not equal, and shows no value.
func difference(was, is *corev1.Secret) string {
	var out []string
	for what, same := range map[string]bool{
		"data": maps.EqualFunc(was.Data, is.Data, bytes.Equal), "type": was.Type == is.Type,
		"labels":      maps.Equal(was.Labels, is.Labels),
		"annotations": maps.Equal(was.Annotations, is.Annotations),
		"owners":      equality.Semantic.DeepEqual(was.OwnerReferences, is.OwnerReferences),
		"finalizers":  slices.Equal(was.Finalizers, is.Finalizers),
	} {
		if !same {
			out = append(out, what)
		}
	}
	return "other " + strings.Join(out, ", ") + " by " + lastManager(is)
}

func lastManager(s *corev1.Secret) string {
	var last metav1.ManagedFieldsEntry
	for _, f := range s.ManagedFields {
		if f.Time != nil && (last.Time == nil || !f.Time.Before(last.Time)) {
			last = f
		}
	}
	return last.Manager + " " + string(last.Operation)
}

// since returns how often each Secret was written since it was called last, and
// forgets it. Data and type may have changed only of those named.
func (r *recorder) since(changed ...string) map[string]int {
	r.Helper()
	s := &corev1.Secret{}
	r.mu.Lock()
	n := r.fence + 1
	r.mu.Unlock()
	err := server.Client.Get(r.Context(), client.ObjectKey{Namespace: r.ns, Name: fence}, s)
	s.Namespace, s.Name, s.Annotations = r.ns, fence, map[string]string{touchedBy: strconv.Itoa(n)}
	switch {
	case client.IgnoreNotFound(err) != nil:
	case err != nil:
		err = server.Client.Create(r.Context(), s)
	default:
		err = server.Client.Update(r.Context(), s)
	}
	if err != nil {
		r.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.fence < n && !r.ended {
		r.seen.Wait()
	}
	if r.ended {
		r.Fatal("the watch of Secrets ended")
	}
	for _, w := range r.wrong {
		r.Error(w)
	}
	out := r.wrote
	for name, writes := range r.what {
		for _, w := range writes {
			r.Logf("Secret %s: %s", name, w)
			if strings.Contains(w, "type") || strings.Contains(w, "owners") || strings.Contains(w, "data") && !slices.Contains(changed, name) {
				r.Errorf("Secret %s: %s", name, w)
			}
		}
	}
	r.wrote, r.what, r.wrong = map[string]int{}, map[string][]string{}, nil
	return out
}

// quiet fails when anything was written.
func (r *recorder) quiet(when string) {
	r.Helper()
	if n := r.since(); len(n) > 0 {
		r.Errorf("%s: %v writes", when, n)
	}
}
