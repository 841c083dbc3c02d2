package timing

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

func TestNext(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) // a Saturday
	zero := metav1.Duration{}
	slot := Slot(&v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{UID: "u"}}, time.Hour, now).Add(time.Hour).Sub(now)
	for name, c := range map[string]struct {
		change   func(*v1.ExternalSecret)
		earliest time.Duration // from now; with latest 0: no time
		latest   time.Duration
		says     string
	}{
		"periodic":     {func(*v1.ExternalSecret) {}, slot, slot, "interval"},
		"never synced": {func(es *v1.ExternalSecret) { es.Status.RefreshTime = metav1.Time{} }, 0, 0, "never synced"},
		"not ready": {func(es *v1.ExternalSecret) {
			es.Status.Conditions[0].Status = metav1.ConditionFalse
		}, 0, 0, "tried again"},
		"once":      {func(es *v1.ExternalSecret) { es.Spec.RefreshPolicy = v1.RefreshCreatedOnce }, 0, 0, "CreatedOnce"},
		"on change": {func(es *v1.ExternalSecret) { es.Spec.RefreshPolicy = v1.RefreshOnChange }, 0, 0, "OnChange"},
		"off":       {func(es *v1.ExternalSecret) { es.Spec.RefreshInterval = &zero }, 0, 0, "refreshInterval is 0"},
		"window": {func(es *v1.ExternalSecret) {
			es.Spec.SyncWindows = &v1.SyncWindows{Kind: "allow", Windows: []v1.SyncWindow{{Schedule: "0 15 * * *", Duration: metav1.Duration{Duration: time.Hour}}}}
		}, 3 * time.Hour, 3 * time.Hour, "syncWindows allow"},
		"wrong window": {func(es *v1.ExternalSecret) {
			es.Spec.SyncWindows = &v1.SyncWindows{Kind: "allow", Windows: []v1.SyncWindow{{Schedule: "?"}}}
		}, slot, slot, "cannot be read"},
	} {
		es := &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{UID: "u"}}
		es.Status.RefreshTime = metav1.NewTime(now.Add(-10 * time.Minute))
		es.Status.Conditions = []v1.Condition{{Type: v1.ConditionReady, Status: metav1.ConditionTrue}}
		c.change(es)
		at, says := Next(es, now)
		if !strings.Contains(says, c.says) || (c.latest == 0) != at.IsZero() || !at.IsZero() && (at.Before(now.Add(c.earliest)) || at.After(now.Add(c.latest))) {
			t.Errorf("%s: %v, %q", name, at, says)
		}
	}
}
