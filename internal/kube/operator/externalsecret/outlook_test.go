package externalsecret

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

func TestCurrent(t *testing.T) {
	es := &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{Generation: 3}}
	es.Status.SyncedResourceVersion = syncedVersion(es)
	if current, sure := Current(es); !current || !sure {
		t.Error(current, sure)
	}
	es.Annotations = map[string]string{"force-sync": "1"}
	if current, sure := Current(es); current || !sure {
		t.Error(current, sure)
	}
	es.Status.SyncedResourceVersion = "3-" + strings.Repeat("a", 56) // as the original has it
	if current, sure := Current(es); current || sure {
		t.Error(current, sure)
	}
}
