package places

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
)

func secret(cluster, namespace, name string) consumer.Fed {
	return consumer.Fed{Object: consumer.Object{Cluster: cluster, NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}}
}

// Who changes pods with other Secrets wakes nobody.
func TestUsers(t *testing.T) {
	var p Places
	name := types.NamespacedName{Namespace: "a", Name: "db"}
	if len(p.Users("a", []string{"db"})) != 0 {
		t.Error("nobody is followed yet")
	}
	p.Follow(name, &consumer.Graph{Secrets: []consumer.Fed{secret("", "a", "db"), secret("", "b", "copy"), secret("east", "c", "db")}})
	for _, c := range []struct {
		namespace string
		secrets   []string
		want      int
	}{
		{"a", []string{"db"}, 1}, {"a", []string{"other", "db"}, 1}, {"b", []string{"copy"}, 1},
		{"a", []string{"other"}, 0}, {"b", []string{"db"}, 0}, {"c", []string{"db"}, 0}, {"a", nil, 0},
	} {
		if got := p.Users(c.namespace, c.secrets); len(got) != c.want {
			t.Errorf("%s, %v: %v", c.namespace, c.secrets, got)
		}
	}
	p.Follow(name, nil)
	if p.Len() != 1 || len(p.Users("a", []string{"db"})) != 1 {
		t.Error("what could not be found now is forgotten")
	}
	p.Leave(name)
	if p.Len() != 0 || len(p.Users("a", []string{"db"})) != 0 {
		t.Error("a turn that is over is followed")
	}
}
