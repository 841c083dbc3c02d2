package plane_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/record/plane"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

func TestServer(t *testing.T) {
	pod := func(namespace, name string, labels map[string]string, words ...string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Command: words}}}}
	}
	component := map[string]string{"component": "kube-apiserver"}
	got, ok := plane.Server(pod("kube-system", "a", component, "/bin/kube-apiserver", "--encryption-provider-config=/etc/e.yaml", "--audit-policy-file", "/etc/a.yaml", "--profiling", "--etcd-password=canary-1", "--oidc-client-id=x"))
	want := map[string]string{"encryption-provider-config": "/etc/e.yaml", "audit-policy-file": "/etc/a.yaml", "profiling": "true"}
	if !ok || got.Name != "a" || !maps.Equal(got.Flags, want) {
		t.Errorf("%v %+v", ok, got)
	}
	for _, other := range []*corev1.Pod{pod("shop", "kube-apiserver-x", component, "kube-apiserver"), pod("kube-system", "web", nil, "kube-apiserver"), pod("kube-system", "kube-apiserver-x", component, "sleep")} {
		if s, ok := plane.Server(other); ok {
			t.Errorf("taken for an API server: %+v", s)
		}
	}
}

func TestManaged(t *testing.T) {
	for _, c := range []struct{ version, label, want string }{
		{"v1.36.1", "", ""}, {"v1.36.1-eks-abc", "", "eks"}, {"v1.36.1-gke.100", "", "gke"}, {"v1.36.1", "kubernetes.azure.com/cluster", "aks"}, {"v1.36.1", "eks.amazonaws.com/nodegroup", "eks"},
	} {
		if got := plane.Managed(c.version, map[string]string{c.label: "x"}); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

const metrics = `# HELP apiserver_storage_transformation_operations_total x
apiserver_storage_transformation_operations_total{resource="secrets",status="OK",transformation_type="from_storage",transformer_prefix="identity"} 12
apiserver_storage_transformation_operations_total{resource="secrets",status="OK",transformation_type="to_storage",transformer_prefix="k8s:enc:kms:v2:kms:"} 3
apiserver_storage_transformation_operations_total{group="apps",resource="things",status="OK",transformation_type="to_storage",transformer_prefix="identity"} 1
apiserver_storage_transformation_operations_total{resource="configmaps",status="OK",transformation_type="to_storage",transformer_prefix="identity"} 0
apiserver_encryption_config_controller_last_config_info{apiserver_id_hash="sha256:x",hash="sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"} 1
apiserver_encryption_config_controller_last_config_info{apiserver_id_hash="sha256:x",hash="none"} 1
apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds{apiserver_id_hash="sha256:x",status="failure"} 1.8e+09
apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds{apiserver_id_hash="sha256:x",status="success"} 1.76e+09
apiserver_storage_transformation_operations_total{broken
process_start_time_seconds 1.75e+09
process_start_time_seconds_total 1.8e+09
other 1
`

func TestMetrics(t *testing.T) {
	var c snapshot.Control
	if err := plane.Metrics(strings.NewReader(metrics), &c); err != nil {
		t.Fatal(err)
	}
	want := []snapshot.Transformation{
		{Resource: "secrets", Type: "from_storage", Prefix: "identity", Status: "OK", Count: 12},
		{Resource: "secrets", Type: "to_storage", Prefix: "k8s:enc:kms:v2:kms:", Status: "OK", Count: 3},
		{Resource: "things.apps", Type: "to_storage", Prefix: "identity", Status: "OK", Count: 1},
	}
	if !slices.Equal(c.Transformations, want) || !c.Reloaded.Equal(time.Unix(1_760_000_000, 0)) || !c.Started.Equal(time.Unix(1_750_000_000, 0)) || c.InForce != "sha256:"+strings.Repeat("a", 64) {
		t.Errorf("%+v", c)
	}
	if err := plane.Metrics(strings.NewReader(strings.Repeat("x", 2<<20)), &c); err == nil {
		t.Error("a line without end was read")
	}
}

func FuzzMetrics(f *testing.F) {
	f.Add(metrics)
	f.Add(`apiserver_storage_transformation_operations_total{a="\"} x`)
	f.Add("process_start_time_seconds")
	f.Add("process_start_time_seconds }1")
	f.Fuzz(func(_ *testing.T, text string) {
		_ = plane.Metrics(strings.NewReader(text), &snapshot.Control{})
	})
}
