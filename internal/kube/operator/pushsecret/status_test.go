package pushsecret

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// A look that found all as it was changes nothing; a failure keeps what is known to
// be in the stores, and when all was well.
func TestNextStatus(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	synced := v1alpha1.SyncedPushSecrets{"SecretStore/a": {"x": {}}}
	ps := &v1alpha1.PushSecret{}
	ps.Status = nextStatus(ps, outcome{changed: true, version: "1-x", synced: synced}, observed{now: now})
	if !v1.IsReady(ps.Status.Conditions) || ps.Status.SyncedResourceVersion != "1-x" || !ps.Status.RefreshTime.Equal(&metav1.Time{Time: now}) {
		t.Errorf("%+v", ps.Status)
	}
	later := observed{now: now.Add(time.Hour)}
	if got := nextStatus(ps, outcome{version: "1-x", synced: synced}, later); !got.RefreshTime.Equal(&ps.Status.RefreshTime) || got.Conditions[0] != ps.Status.Conditions[0] {
		t.Errorf("nothing happened, and it is %+v", got)
	}
	failed := nextStatus(ps, outcome{err: errs.New(errs.Unavailable, strings.Repeat("ü", 2000)), synced: synced, changed: true}, later)
	c := failed.Conditions[0]
	if c.Reason != v1alpha1.ReasonErrored || len(c.Message) > maxMessage || failed.SyncedResourceVersion != "1-x" || !failed.RefreshTime.Equal(&ps.Status.RefreshTime) || len(failed.SyncedPushSecrets) != 1 {
		t.Errorf("%+v", failed)
	}
	if got := nextStatus(ps, outcome{err: errs.New(errs.NotExist, "gone"), reason: v1alpha1.ReasonSourceDeleted, synced: v1alpha1.SyncedPushSecrets{}}, later); got.SyncedPushSecrets != nil || got.Conditions[0].Reason != v1alpha1.ReasonSourceDeleted {
		t.Errorf("%+v", got)
	}
	ps.Spec.UpdatePolicy = v1alpha1.UpdateIfNotExists
	if got := nextStatus(ps, outcome{version: "2-x"}, later); !strings.Contains(got.Conditions[0].Message, "unchanged") {
		t.Errorf("%+v", got.Conditions)
	}
}

// When a PushSecret is looked at again.
func TestWait(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	minute, none := metav1.Duration{Duration: time.Minute}, metav1.Duration{}
	for name, c := range map[string]struct {
		memory   memory
		interval *metav1.Duration
		want     time.Duration
	}{
		"never seen":       {memory{}, &minute, 0},
		"changed":          {memory{seen: "b"}, &minute, 0},
		"as it was":        {memory{seen: "a"}, &minute, 50 * time.Second},
		"default interval": {memory{seen: "a"}, nil, time.Hour - 10*time.Second},
		"no interval":      {memory{seen: "a"}, &none, never},
		"failed":           {memory{seen: "a", failures: 1, again: now.Add(3 * time.Second)}, &none, 3 * time.Second},
		"failed long ago":  {memory{seen: "a", failures: 1, again: now.Add(-time.Second)}, &none, 0},
	} {
		r := New(Config{})
		ps := &v1alpha1.PushSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}}
		ps.Spec.RefreshInterval, ps.Status.RefreshTime = c.interval, metav1.NewTime(now.Add(-10*time.Second))
		r.memories.change(ownerOf(ps).Key, func(m *memory) { *m = c.memory })
		if got := r.wait(observed{ps: ps, seen: "a", now: now}); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		ps.Status.RefreshTime = metav1.NewTime(now.Add(10_000 * time.Hour)) // by a clock that was ahead
		if o := (observed{ps: ps, seen: "a", now: now}); name == "as it was" && (r.wait(o) != 0 || !o.due()) {
			t.Errorf("pushed in the future: %v, due %t", r.wait(o), o.due())
		}
	}
}

func TestIndexes(t *testing.T) {
	ps := &v1alpha1.PushSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p"}}
	ps.Spec.SecretStoreRefs = []v1alpha1.PushSecretStoreRef{{Name: "a"}, {Name: "b", Kind: v1.KindClusterSecretStore}, {LabelSelector: &metav1.LabelSelector{}}}
	ps.Spec.Selector.Secret = &v1alpha1.PushSecretSecret{Name: "s"}
	ps.Spec.Template = &v1.ExternalSecretTemplate{TemplateFrom: []v1.TemplateFrom{{ConfigMap: &v1.TemplateRef{Name: "c"}}, {Secret: &v1.TemplateRef{Name: "t"}}}}
	ps.Status.SyncedPushSecrets = v1alpha1.SyncedPushSecrets{"SecretStore/a": {}, "SecretStore/former": {}}
	if got := strings.Join(indexStores(ps), " "); got != `SecretStore "ns/a" ClusterSecretStore "b" SecretStore "ns/former" *SecretStore` {
		t.Errorf("stores %s", got)
	}
	if got := strings.Join(indexSources(ps), " "); got != "s" {
		t.Errorf("sources %s", got)
	}
	ps.Spec.Selector.Secret.Selector = &metav1.LabelSelector{}
	if got := strings.Join(indexSources(ps), " "); got != "*" {
		t.Errorf("sources %s", got)
	}
	if got := strings.Join(indexTemplates(ps), " "); got != "ConfigMap/c Secret/t" {
		t.Errorf("templates %s", got)
	}
}
