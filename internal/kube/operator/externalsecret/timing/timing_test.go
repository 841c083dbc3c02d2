package timing

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

func TestRetry(t *testing.T) {
	for _, c := range []struct {
		failures  int
		permanent bool
		want      time.Duration
	}{{1, false, time.Second}, {2, false, 2 * time.Second}, {100, false, 5 * time.Minute}, {1, true, 30 * time.Second}, {9, true, 5 * time.Minute}} {
		if got := Retry(c.failures, c.permanent); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestSooner(t *testing.T) {
	for _, c := range [][3]time.Duration{{0, 0, 0}, {0, 5, 5}, {5, 0, 5}, {5, 3, 3}, {3, 5, 3}} {
		if got := Sooner(c[0], c[1]); got != c[2] {
			t.Errorf("%v", c)
		}
	}
}

func TestInterval(t *testing.T) {
	of := func(policy v1.RefreshPolicy, interval *metav1.Duration) *v1.ExternalSecret {
		es := &v1.ExternalSecret{}
		es.Spec.RefreshPolicy, es.Spec.RefreshInterval = policy, interval
		return es
	}
	minute, below := &metav1.Duration{Duration: time.Minute}, &metav1.Duration{Duration: -1}
	for es, want := range map[*v1.ExternalSecret]time.Duration{
		of("", nil): time.Hour, of("", minute): time.Minute, of("", below): 0,
		of("", &metav1.Duration{}): 0, of("", &metav1.Duration{Duration: 1}): time.Second, // one object is not to keep a worker busy
		of(v1.RefreshOnChange, minute): 0, of(v1.RefreshCreatedOnce, nil): 0,
	} {
		if got := Interval(es); got != want {
			t.Errorf("%+v: %v", es.Spec, got)
		}
	}
}

// A clock that was ahead, or is set back, does not keep a Secret from being refreshed
// until it is as late again.
func TestLeft(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	es := &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{UID: "a"}}
	es.Spec.RefreshInterval = &metav1.Duration{Duration: time.Hour}
	slot := Slot(es, time.Hour, now)
	rest := slot.Add(time.Hour).Sub(now)
	for last, want := range map[time.Time]time.Duration{
		now: rest, slot: rest, slot.Add(-1): 0, now.Add(-time.Hour): 0, now.Add(-1000 * time.Hour): 0,
		now.Add(30 * time.Second): rest, now.Add(2 * time.Minute): 0, now.Add(87_600 * time.Hour): 0,
	} {
		if got := Left(es, now, last); got != want {
			t.Errorf("refreshed at %v: %v left, want %v", last, got, want)
		}
	}
	if got := Left(es, now, now.Add(time.Hour), slot); got != rest {
		t.Errorf("one of two in the slot: %v left", got)
	}
}

// Objects differ, and none waits longer than its interval.
func TestSpread(t *testing.T) {
	seen := map[time.Duration]bool{}
	for _, uid := range []types.UID{"a", "b", "c"} {
		d := Spread(&v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{UID: uid}}, time.Hour)
		if d > time.Hour || d < 54*time.Minute {
			t.Errorf("%s: %v", uid, d)
		}
		seen[d] = true
	}
	if len(seen) != 3 {
		t.Errorf("%v", seen)
	}
}

// Who wants the same is refreshed together, others at other times, and each once in
// an interval, whenever it was made.
func TestSlot(t *testing.T) {
	wants := func(namespace, store, key string) *v1.ExternalSecret {
		es := &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, UID: types.UID(namespace + store + key)}}
		es.Spec.SecretStoreRef = v1.SecretStoreRef{Name: "vault", Kind: store}
		es.Spec.Data = []v1.ExternalSecretData{{SecretKey: "k", RemoteRef: v1.RemoteRef{Key: key}}}
		return es
	}
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	first := wants("a", "", "app")
	slot := Slot(first, time.Hour, now)
	for name, c := range map[string]struct {
		es   *v1.ExternalSecret
		same bool
	}{
		"the same, of another object":  {func() *v1.ExternalSecret { es := wants("a", "", "app"); es.UID = "x"; return es }(), true},
		"another key":                  {wants("a", "", "db"), false},
		"a store of another namespace": {wants("b", "", "app"), false},
	} {
		if got := Slot(c.es, time.Hour, now); got.Equal(slot) != c.same {
			t.Errorf("%s: %v beside %v", name, got, slot)
		}
	}
	if a, b := wants("a", v1.KindClusterSecretStore, "app"), wants("b", v1.KindClusterSecretStore, "app"); !Slot(a, time.Hour, now).Equal(Slot(b, time.Hour, now)) {
		t.Error("a store for all namespaces is read at several times for one key")
	}
	for _, at := range []time.Duration{0, time.Nanosecond, time.Hour - time.Nanosecond} {
		if got := Slot(first, time.Hour, slot.Add(at)); !got.Equal(slot) {
			t.Errorf("%v into the slot of %v: %v", at, slot, got)
		}
	}
	if got := Slot(first, time.Hour, slot.Add(time.Hour)); !got.Equal(slot.Add(time.Hour)) || slot.After(now) {
		t.Errorf("after %v comes %v", slot, got)
	}
}
