package secretstore

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/session"
)

// sessions answer every check with one error, and are those of one store, which reads
// whatever there is.
type sessions struct {
	err     error
	dropped int
}

func (s *sessions) Check(context.Context, v1.Store) error          { return s.err }
func (*sessions) Writable(context.Context, v1.Store) (bool, error) { return false, nil }
func (s *sessions) Drop(v1.StoreKey)                               { s.dropped++ }
func (*sessions) Users(o session.Object) []v1.StoreKey {
	return []v1.StoreKey{{Kind: v1.KindSecretStore, Namespace: o.Namespace, Name: "vault"}}
}

// A session goes when its credentials do; with its namespace it is kept, for what was
// pushed is to be deleted yet.
func TestCredentialsDeleted(t *testing.T) {
	since := metav1.Now()
	cache := fake.NewClientBuilder().WithObjects(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "stays"}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "goes", DeletionTimestamp: &since, Finalizers: []string{"example.com/held"}}},
	).Build()
	for _, c := range []struct {
		namespace string
		deleted   int // how often the session is dropped then
	}{{"stays", 1}, {"goes", 0}, {"unseen", 1}} {
		s := &sessions{}
		h := New(Config{Kind: v1.KindSecretStore, Stores: s, Client: cache}).users("Secret")
		q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		credentials := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "credentials", ResourceVersion: "1"}}
		h.Delete(t.Context(), event.DeleteEvent{Object: credentials}, q)
		if s.dropped != c.deleted || q.Len() != c.deleted {
			t.Errorf("%s, deleted: dropped %d times, %d to be checked", c.namespace, s.dropped, q.Len())
		}
		changed := credentials.DeepCopy()
		changed.ResourceVersion = "2"
		h.Update(t.Context(), event.UpdateEvent{ObjectOld: credentials, ObjectNew: changed}, q)
		if s.dropped != c.deleted+1 {
			t.Errorf("%s, changed: dropped %d times", c.namespace, s.dropped-c.deleted)
		}
		q.ShutDown()
	}
}

func TestCheck(t *testing.T) {
	often, never := intstr.FromString("often"), &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Is"}}}
	conditions := func(c v1.ClusterSecretStoreCondition) v1.Store {
		return &v1.ClusterSecretStore{Spec: v1.SecretStoreSpec{Conditions: []v1.ClusterSecretStoreCondition{c}}}
	}
	for name, c := range map[string]struct {
		store  v1.Store
		err    error
		status metav1.ConditionStatus
		reason string
	}{
		"valid":           {&v1.SecretStore{}, nil, "True", v1.ReasonStoreValid},
		"unverifiable":    {&v1.SecretStore{}, fmt.Errorf("x: %w", provider.ErrUnverifiable), "True", v1.ReasonValidationUnknown},
		"bad settings":    {&v1.SecretStore{}, errs.New(errs.Invalid, "x"), "False", v1.ReasonInvalidProvider},
		"no provider":     {&v1.SecretStore{}, errs.New(errs.Unsupported, "x"), "False", v1.ReasonInvalidProvider},
		"down":            {&v1.SecretStore{}, errs.New(errs.Unavailable, "x"), "False", v1.ReasonValidationFailed},
		"refused":         {&v1.SecretStore{}, errs.New(errs.Unauthenticated, "x"), "False", v1.ReasonValidationFailed},
		"interval":        {&v1.SecretStore{Spec: v1.SecretStoreSpec{RefreshInterval: &often}}, nil, "False", v1.ReasonInvalidStore},
		"conditions":      {&v1.SecretStore{Spec: v1.SecretStoreSpec{Conditions: make([]v1.ClusterSecretStoreCondition, 1)}}, nil, "False", v1.ReasonInvalidStore},
		"good conditions": {conditions(v1.ClusterSecretStoreCondition{Namespaces: []string{"a"}}), nil, "True", v1.ReasonStoreValid},
		"bad expression":  {conditions(v1.ClusterSecretStoreCondition{NamespaceRegexes: []string{"("}}), nil, "False", v1.ReasonInvalidStore},
		"bad selector":    {conditions(v1.ClusterSecretStoreCondition{NamespaceSelector: never}), nil, "False", v1.ReasonInvalidStore},
	} {
		r := New(Config{Stores: &sessions{err: c.err}})
		if got := r.check(t.Context(), c.store); got.Status != c.status || got.Reason != c.reason || got.Message == "" {
			t.Errorf("%s: %+v, want %s %s", name, got, c.status, c.reason)
		}
	}
}

func TestNext(t *testing.T) {
	r := New(Config{})
	seconds, duration := intstr.FromInt32(60), intstr.FromString("2m")
	for name, c := range map[string]struct {
		interval *intstr.IntOrString
		c        v1.Condition
		most     time.Duration
	}{
		"default":   {nil, v1.Condition{Status: "True"}, 5 * time.Minute},
		"seconds":   {&seconds, v1.Condition{Status: "True"}, time.Minute},
		"duration":  {&duration, v1.Condition{Status: "True"}, 2 * time.Minute},
		"failing":   {nil, v1.Condition{Status: "False", Reason: v1.ReasonValidationFailed}, 15 * time.Second},
		"permanent": {nil, v1.Condition{Status: "False", Reason: v1.ReasonInvalidProvider}, 5 * time.Minute},
	} {
		got := r.next(&v1.SecretStore{Spec: v1.SecretStoreSpec{RefreshInterval: c.interval}}, c.c)
		if got > c.most || got < c.most*9/10 {
			t.Errorf("%s: %v, want up to a tenth less than %v", name, got, c.most)
		}
	}
}
