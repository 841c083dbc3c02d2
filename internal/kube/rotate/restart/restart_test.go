package restart

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller"
)

var _ controller.Roller = Roller{}

func fed(cluster, ns, name, digest string) consumer.Fed {
	return consumer.Fed{Digest: digest, Object: consumer.Object{
		Cluster: cluster, Kind: corev1.SchemeGroupVersion.WithKind("Secret"), NamespacedName: types.NamespacedName{Namespace: ns, Name: name},
	}}
}

func deployment(cluster, ns, name string, uses ...consumer.Use) consumer.Workload {
	return consumer.Workload{Uses: uses, Object: consumer.Object{
		Cluster: cluster, Kind: appsv1.SchemeGroupVersion.WithKind("Deployment"), NamespacedName: types.NamespacedName{Namespace: ns, Name: name},
	}}
}

func uses(kind consumer.UseKind, secret string) consumer.Use {
	return consumer.Use{Kind: kind, Secret: secret}
}

func TestWanted(t *testing.T) {
	configMap := fed("", "shop", "conf", "dc")
	configMap.Kind.Kind = "ConfigMap"
	g := &consumer.Graph{Secrets: []consumer.Fed{
		fed("", "shop", "db", "d1"), fed("", "shop", "copy", "d2"), fed("", "other", "db", "d3"), fed("west", "shop", "db", "d4"),
		fed("", "shop", "gone", ""), configMap,
	}}
	for name, c := range map[string]struct {
		w    consumer.Workload
		want string
	}{
		"env":               {deployment("", "shop", "a", uses(consumer.UseEnv, "db")), "secret/db=d1"},
		"two":               {deployment("", "shop", "b", uses(consumer.UseEnv, "db"), uses(consumer.UseVolume, "copy")), "secret/copy=d2,secret/db=d1"},
		"of its namespace":  {deployment("", "other", "c", uses(consumer.UseEnv, "db")), "secret/db=d3"},
		"of its cluster":    {deployment("west", "shop", "d", uses(consumer.UseEnv, "db")), "secret/db=d4"},
		"pulls images only": {deployment("", "shop", "e", uses(consumer.UseImagePull, "db")), ""},
		"no such Secret":    {deployment("", "shop", "f", uses(consumer.UseEnv, "gone")), ""},
		"another's":         {deployment("", "shop", "g", uses(consumer.UseEnv, "else")), ""},
		"named":             {deployment("", "shop", "h", uses(consumer.UseNamed, "")), "secret/copy=d2,secret/db=d1"},
	} {
		g.Workloads = []consumer.Workload{c.w}
		q := Roller{}.request(controller.Restart{Owner: "shop/db", Graph: g})
		if got := q.Wanted(c.w.Object).String(); got != c.want || q.Owner != "rotation/shop/db" {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestRolling(t *testing.T) {
	item := func(name string, s rollout.State, turn bool) rollout.Item {
		return rollout.Item{Object: deployment("", "ns", name).Object, State: s, Message: "m", Turn: turn}
	}
	got, err := rolling(rollout.Progress{Items: []rollout.Item{
		item("a", rollout.Done, false), item("b", rollout.Skipped, false), item("c", rollout.Rolling, false), item("d", rollout.Waiting, true),
		item("e", rollout.Waiting, false), item("f", rollout.Paused, false), item("g", rollout.Failed, false),
	}}, errors.New("blind"))
	want := rotate.Rolling{
		Total: 7, Done: 2, Under: []string{"Deployment ns/c: m", "Deployment ns/d: m"},
		Waiting: []string{"Deployment ns/e: m", "Deployment ns/f: m"}, Failed: []string{"Deployment ns/g: m"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err == nil {
		t.Error(diff, err)
	}
}
