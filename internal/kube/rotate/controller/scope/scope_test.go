package scope

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

func TestForeign(t *testing.T) {
	rot := &v1alpha1.Rotation{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "db"}}
	if why := Foreign(rot); why != "" {
		t.Error(why)
	}
	if !Own(rot, "") || !Own(rot, "a") || Own(rot, "b") {
		t.Error("a reference is of another namespace when it names one")
	}
	rot.Spec.Consumers.Workloads = []v1alpha1.WorkloadRef{{Name: "web"}, {Namespace: "b", Name: "web"}}
	if why := Foreign(rot); !strings.Contains(why, `spec.consumers.workloads[1].namespace is "b"`) {
		t.Error(why)
	}
}
