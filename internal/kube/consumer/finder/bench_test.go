package finder

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func crowd(tb testing.TB, workloads, strangers int) []client.Object {
	tb.Helper()
	var b strings.Builder
	for i := range workloads {
		b.WriteString(pod(fmt.Sprintf("p%d", i), ownedBy("apps/v1", "ReplicaSet", fmt.Sprintf("r%d", i))))
		b.WriteString(workload("apps/v1", "ReplicaSet", fmt.Sprintf("r%d", i), ownedBy("apps/v1", "Deployment", fmt.Sprintf("d%d", i)), ""))
		b.WriteString(workload("apps/v1", "Deployment", fmt.Sprintf("d%d", i), "", ""))
	}
	all := objects(tb, fedSecret+b.String())
	one, ok := objects(tb, strings.ReplaceAll(pod("x", ownedBy("apps/v1", "ReplicaSet", "stranger")), "name: db", "name: another"))[0].(*corev1.Pod)
	if !ok {
		tb.Fatal("no pod")
	}
	for i := range strangers {
		p := one.DeepCopy()
		p.Name = fmt.Sprintf("stranger-%d", i)
		all = append(all, p)
	}
	return all
}

// BenchmarkFind searches 500 workloads on one credential among 10,000 other pods.
func BenchmarkFind(b *testing.B) {
	w := newWorld(b, crowd(b, 500, 10000), nil)
	if g := w.find(wanted); len(g.Workloads) != 500 || len(g.Pods) != 500 {
		b.Fatalf("%d workloads, %d pods", len(g.Workloads), len(g.Pods))
	}
	b.ReportAllocs()
	for b.Loop() {
		w.find(wanted)
	}
}
