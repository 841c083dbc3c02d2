package shop

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

func TestTableOf(t *testing.T) {
	got := tableOf("Rotation  shop/db\n\nPROVEN  POD   \nyes     web-1 \n\nTime\nmore\n")
	if want := []string{"PROVEN  POD", "yes     web-1"}; !slices.Equal(got, want) {
		t.Errorf("table: %q, want %q", got, want)
	}
	for _, none := range []string{"", "Rotation\n", "NOT PROVEN yet"} {
		if got := tableOf(none); len(got) > 0 {
			t.Errorf("%q: %q", none, got)
		}
	}
}

func TestJudge(t *testing.T) {
	good := func() v1alpha1.RotationStatus {
		s := v1alpha1.RotationStatus{Statement: "evidence/statements/shop/db/2", LastDone: &metav1.Time{}}
		s.Proof.Pods, s.Proof.PodsProven = 1, 1
		s.Proof.Evidence = []v1alpha1.PodEvidence{{Pod: "web-1", Proven: true, Has: []v1alpha1.EvidenceKind{v1alpha1.EvidenceTemplate}}}
		return s
	}
	if err := judge(good()); err != nil {
		t.Errorf("all is proven: %v", err)
	}
	for want, spoil := range map[string]func(*v1alpha1.RotationStatus){
		"0 of 0 pods":     func(s *v1alpha1.RotationStatus) { s.Proof = v1alpha1.ProofStatus{} },
		"0 of 1 pods":     func(s *v1alpha1.RotationStatus) { s.Proof.PodsProven = 0 },
		"by 0 entries":    func(s *v1alpha1.RotationStatus) { s.Proof.Evidence = nil },
		"no proof of pod": func(s *v1alpha1.RotationStatus) { s.Proof.Evidence[0].Has = nil },
		"never asked": func(s *v1alpha1.RotationStatus) {
			s.Proof.Evidence[0].Proven, s.Proof.Evidence[0].Missing = false, "never asked"
		},
		"no signed statement": func(s *v1alpha1.RotationStatus) { s.Statement = "" },
	} {
		s := good()
		spoil(&s)
		if err := judge(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestUntil(t *testing.T) {
	left := 2
	if err := until(t.Context(), "it", func() error { left--; return errorIf(left > 0) }); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Millisecond)
	defer cancel()
	if err := until(ctx, "what never comes", func() error { return errors.New("not yet") }); err == nil || !strings.Contains(err.Error(), "never comes") || !strings.Contains(err.Error(), "not yet") {
		t.Errorf("what never comes: %v", err)
	}
}

func errorIf(yes bool) error {
	if yes {
		return errors.New("not yet")
	}
	return nil
}
