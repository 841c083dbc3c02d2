package policy_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/policy"
)

const day = 24 * time.Hour

// The table "What Needs Rotating and How Often" of article 001.
func TestDefaultIsTheTable(t *testing.T) {
	p, err := policy.Default()
	if err != nil {
		t.Fatal(err)
	}
	set, err := policy.Compile([]v1alpha1.RotationPolicy{*p})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		c    policy.Credential
		age  time.Duration
		want policy.State
	}{
		{policy.Credential{Class: "database"}, 29 * day, policy.Fresh},
		{policy.Credential{Class: "database"}, 30 * day, policy.Due},
		{policy.Credential{Class: "database"}, 90 * day, policy.Overdue},
		{policy.Credential{Class: "api-key"}, 75 * day, policy.Fresh},
		{policy.Credential{Class: "api-key"}, 90 * day, policy.Overdue},
		{policy.Credential{SecretType: "kubernetes.io/tls"}, 59 * day, policy.Fresh},
		{policy.Credential{SecretType: "kubernetes.io/tls"}, 60 * day, policy.Due},
		{policy.Credential{SecretType: "kubernetes.io/service-account-token"}, time.Hour, policy.Overdue},
		{policy.Credential{Class: "cloud"}, 0, policy.Forbidden},
		{policy.Credential{Labels: labels.Set{"strongkeep.io/class": "cloud"}}, 0, policy.Forbidden},
		{policy.Credential{SecretType: "Opaque"}, 999 * day, policy.Unlimited},
		{policy.Credential{Class: "unheard-of", SecretType: "kubernetes.io/tls"}, 999 * day, policy.Unlimited},
	} {
		if got := set.Evaluate(nil, tc.c).At(tc.age); got != tc.want {
			t.Errorf("%+v after %v: %s, want %s", tc.c, tc.age, got, tc.want)
		}
	}
	shipped, err := os.ReadFile("../../../../deploy/policy/default.yaml")
	made, _ := os.ReadFile("default.yaml")
	if err != nil || !bytes.Equal(shipped, made) {
		t.Errorf("deploy/policy/default.yaml is not the one that is embedded (%v): copy it", err)
	}
}

func named(name string, classes ...v1alpha1.CredentialClass) v1alpha1.RotationPolicy {
	return v1alpha1.RotationPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.RotationPolicySpec{Classes: classes}}
}

func aged(name string, maxAge, before time.Duration) v1alpha1.CredentialClass {
	c := v1alpha1.CredentialClass{Name: name, MaxAge: &metav1.Duration{Duration: maxAge}}
	if before != 0 {
		c.Before = &metav1.Duration{Duration: before}
	}
	return c
}

func TestTheStricterWins(t *testing.T) {
	prod := named("prod", aged("database", 10*day, 0))
	prod.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"stage": "prod"}}
	set, err := policy.Compile([]v1alpha1.RotationPolicy{
		named("all", aged("database", 90*day, 0)), named("same", aged("database", 90*day, 5*day)),
		named("none", v1alpha1.CredentialClass{Name: "database"}), prod,
		named("cloud", v1alpha1.CredentialClass{Name: "cloud", Forbidden: true}, aged("cloud", day, 0)),
		named("bad", aged("database", day, day)),
	})
	if errs.KindOf(err) != errs.Invalid {
		t.Errorf("a class that is always due: %v, want Invalid", err)
	}
	for ns, want := range map[string]string{"dev": "same", "prod": "prod"} {
		if got := set.Evaluate(labels.Set{"stage": ns}, policy.Credential{Class: "database"}); got.Policy != want {
			t.Errorf("%s: %+v, want that of %s", ns, got, want)
		}
	}
	if got := set.Evaluate(nil, policy.Credential{Class: "cloud"}); !got.Forbidden {
		t.Errorf("cloud: %+v, want forbidden", got)
	}
}

func TestInstallAndRead(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).Build()
	ctx := t.Context()
	for range 2 {
		if err := policy.Install(ctx, c, c); err != nil {
			t.Fatal(err)
		}
	}
	var p v1alpha1.RotationPolicy
	if err := c.Get(ctx, client.ObjectKey{Name: "default"}, &p); err != nil {
		t.Fatal(err)
	}
	p.Spec.Classes = p.Spec.Classes[:1]
	p.Spec.Classes[0].MaxAge.Duration = 45 * day
	p.Spec.Classes[0].Before = nil
	if err := c.Update(ctx, &p); err != nil {
		t.Fatal(err)
	}
	if err := policy.Install(ctx, c, c); err != nil {
		t.Fatal(err)
	}
	rot := &v1alpha1.Rotation{Spec: v1alpha1.RotationSpec{Target: v1alpha1.Target{Database: &v1alpha1.DatabaseTarget{}}}}
	if got, err := (policy.Reader{Reader: c}).Limit(ctx, rot); err != nil || got.MaxAge != 45*day {
		t.Errorf("%v, %v: what a person changed must stay", got, err)
	}
}

// A policy that cannot be meant stops whom it is about, and nobody else.
func TestWrongIsForThoseItIsAbout(t *testing.T) {
	bad := named("bad", aged("tls", day, 2*day), aged("database", 90*day, 0))
	bad.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"stage": "prod"}}
	lost := named("lost", aged("cloud", day, 0)) // whose namespaces nobody knows
	lost.Spec.NamespaceSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "stage", Operator: "Near"}}}
	odd := named("odd", v1alpha1.CredentialClass{Name: "api-key", Selector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "In"}}}})
	set, err := policy.Compile([]v1alpha1.RotationPolicy{bad, lost, odd, named("good", aged("database", 60*day, 0))})
	if errs.KindOf(err) != errs.Invalid {
		t.Errorf("%v, want Invalid", err)
	}
	for _, tc := range []struct {
		stage, class, wrong string
		most                time.Duration
	}{
		{"prod", "tls", "RotationPolicy bad: class tls", 0},
		{"dev", "tls", "", 0},
		{"prod", "database", "", 60 * day},
		{"dev", "cloud", "RotationPolicy lost: namespaceSelector", 0},
		{"dev", "api-key", "RotationPolicy odd: class api-key: selector", 0},
		{"dev", "database", "", 60 * day},
	} {
		ns, c := labels.Set{"stage": tc.stage}, policy.Credential{Class: tc.class}
		err := set.Wrong(ns, c)
		if (err == nil) != (tc.wrong == "") || err != nil && (!strings.Contains(err.Error(), tc.wrong) || !strings.Contains(err.Error(), "kubectl edit rotationpolicy")) {
			t.Errorf("%s in %s: %v, want %q", tc.class, tc.stage, err, tc.wrong)
		}
		if got := set.Evaluate(ns, c).MaxAge; got != tc.most {
			t.Errorf("%s in %s: %v, want %v", tc.class, tc.stage, got, tc.most)
		}
	}
}
