package wake_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/wake"
)

func TestSet(t *testing.T) {
	s := wake.New()
	a, b := types.NamespacedName{Name: "a"}, types.NamespacedName{Name: "b"}
	s.Add([]types.NamespacedName{a, b})
	s.Add([]types.NamespacedName{a}) // does not block, and is no second one
	<-s.Added()
	if got := s.Take(); len(got) != 2 {
		t.Errorf("took %v, want both, each once", got)
	}
	if got := s.Take(); len(got) != 0 {
		t.Errorf("took %v again", got)
	}
	select {
	case <-s.Added():
		t.Error("something was added, though nothing was")
	default:
	}
}
