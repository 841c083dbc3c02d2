package secretstore

import (
	"context"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/session"
)

// stores answers every check with one error.
type stores struct{ err error }

func (s stores) Check(context.Context, v1.Store) error          { return s.err }
func (stores) Writable(context.Context, v1.Store) (bool, error) { return false, nil }
func (stores) Drop(v1.StoreKey)                                 {}
func (stores) Users(session.Object) (none []v1.StoreKey)        { return none }

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
		r := New(Config{Stores: stores{c.err}})
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
