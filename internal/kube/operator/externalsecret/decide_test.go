package externalsecret

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/drill/fault"
	"github.com/strongkeep/strongkeep/internal/kube/operator/externalsecret/timing"
	"github.com/strongkeep/strongkeep/internal/kube/operator/subscribe"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// settled is an ExternalSecret that was synced a minute ago and whose Secret is
// as it was written.
func settled(change func(*observed)) observed {
	es := &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app", UID: "uid-1", Generation: 3}}
	es.Status.RefreshTime = metav1.NewTime(noon.Add(-time.Minute))
	es.Status.SyncedResourceVersion = syncedVersion(es)
	es.Status.Conditions = []v1.Condition{{Type: v1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1.ReasonSecretSynced}}
	live := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		UID: "s", ResourceVersion: "7", Labels: map[string]string{target.LabelCreatedBy: target.CreatedBy("team", "app")},
		Annotations: map[string]string{target.AnnotationMark: target.Mark{Content: "c", Inputs: "i", Sources: "src"}.String()},
	}}
	o := observed{now: noon, es: es, live: live, sources: "src", memory: memory{verified: target.Version{UID: "s", ResourceVersion: "7"}}}
	if change != nil {
		change(&o)
	}
	return o
}

func TestDecide(t *testing.T) {
	ready := func(s metav1.ConditionStatus, reason string) []v1.Condition {
		return []v1.Condition{{Type: v1.ConditionReady, Status: s, Reason: reason}}
	}
	for name, c := range map[string]struct {
		change func(*observed)
		action action
		why    string
	}{
		"settled":         {nil, actNothing, ""},
		"never synced":    {func(o *observed) { o.es.Status = v1.ExternalSecretStatus{} }, actRefresh, "never synced"},
		"not ready":       {func(o *observed) { o.es.Status.Conditions = ready("False", "") }, actRefresh, "not ready"},
		"gone":            {func(o *observed) { o.live = nil }, actRefresh, "the Secret is gone"},
		"spec changed":    {func(o *observed) { o.es.Generation++ }, actRefresh, "the ExternalSecret changed"},
		"annotated":       {func(o *observed) { o.es.Annotations = map[string]string{"force-sync": "x"} }, actRefresh, "the ExternalSecret changed"},
		"event":           {func(o *observed) { o.memory.due = "the store reports a change" }, actRefresh, "the store reports a change"},
		"store edited":    {func(o *observed) { o.sources = "other" }, actRefresh, "a store or template object changed"},
		"store gone":      {func(o *observed) { o.sources = "" }, actRefresh, "a store or template object changed"},
		"interval over":   {func(o *observed) { o.now = noon.Add(time.Hour) }, actRefresh, whyInterval},
		"touched":         {func(o *observed) { o.live.ResourceVersion = "8" }, actVerify, "the Secret was touched"},
		"recreated":       {func(o *observed) { o.live.UID = "other" }, actVerify, "the Secret was touched"},
		"after a restart": {func(o *observed) { o.memory = memory{} }, actVerify, "the Secret was touched"},

		// #4447: 0 is "not on a timer", and never "not at all".
		"refreshed in the future":  {func(o *observed) { o.es.Status.RefreshTime = metav1.NewTime(noon.Add(10_000 * time.Hour)) }, actRefresh, whyInterval},
		"interval 0":               {func(o *observed) { o.es.Spec.RefreshInterval = &metav1.Duration{}; o.now = noon.Add(1000 * time.Hour) }, actNothing, ""},
		"interval 0, spec changed": {func(o *observed) { o.es.Spec.RefreshInterval = &metav1.Duration{}; o.es.Generation++ }, actRefresh, "the ExternalSecret changed"},
		"once, interval over":      {func(o *observed) { o.es.Spec.RefreshPolicy = v1.RefreshCreatedOnce; o.now = noon.Add(time.Hour) }, actNothing, ""},
		"once, spec changed":       {func(o *observed) { o.es.Spec.RefreshPolicy = v1.RefreshCreatedOnce; o.es.Generation++ }, actNothing, ""},
		"once, event":              {func(o *observed) { o.es.Spec.RefreshPolicy = v1.RefreshCreatedOnce; o.memory.due = "x" }, actNothing, ""},
		"once, gone":               {func(o *observed) { o.es.Spec.RefreshPolicy = v1.RefreshCreatedOnce; o.live = nil }, actRefresh, "the Secret is gone"},
		"once, touched":            {func(o *observed) { o.es.Spec.RefreshPolicy = v1.RefreshCreatedOnce; o.live.ResourceVersion = "8" }, actVerify, "the Secret was touched"},
		"on change, interval over": {func(o *observed) { o.es.Spec.RefreshPolicy = v1.RefreshOnChange; o.now = noon.Add(time.Hour) }, actNothing, ""},
		"on change, changed":       {func(o *observed) { o.es.Spec.RefreshPolicy = v1.RefreshOnChange; o.es.Generation++ }, actRefresh, "the ExternalSecret changed"},

		"none":               {func(o *observed) { o.es.Spec.Target.CreationPolicy = v1.CreateNone; o.live = nil }, actNothing, ""},
		"merge, no mark":     {func(o *observed) { o.es.Spec.Target.CreationPolicy = v1.CreateMerge; o.live.Annotations = nil }, actNothing, ""},
		"deleted on purpose": {func(o *observed) { o.live = nil; o.es.Status.Conditions = ready("True", v1.ReasonSecretDeleted) }, actNothing, ""},
		"deleted, event": {func(o *observed) {
			o.live = nil
			o.memory.due = "x"
			o.es.Status.Conditions = ready("True", v1.ReasonSecretDeleted)
		}, actRefresh, "x"},
		"deleted, interval over": {func(o *observed) {
			o.live = nil
			o.now = noon.Add(time.Hour)
			o.es.Status.Conditions = ready("True", v1.ReasonSecretDeleted)
		}, actRefresh, whyInterval},
		"deleted on purpose, no Secret": {func(o *observed) { o.live = nil; o.es.Status.Conditions = ready("True", v1.ReasonResourceDeleted) }, actNothing, ""},
		"cannot be looked at":           {func(o *observed) { o.live, o.unseen = nil, errors.New("x") }, actRefresh, "the target cannot be looked at"},
		"a drill begins":                {func(o *observed) { o.fault = spoiling() }, actRefresh, "a drill began or ended"},
		"a drill goes on":               {func(o *observed) { o.fault = spoiling(); o.live.Annotations[v1alpha1.AnnotationDrill] = "x" }, actNothing, ""},
		"a drill is over":               {func(o *observed) { o.live.Annotations[v1alpha1.AnnotationDrill] = "x" }, actRefresh, "a drill began or ended"},
		"a drill of another name":       {func(o *observed) { o.fault = spoiling(); o.live.Annotations[v1alpha1.AnnotationDrill] = "y" }, actRefresh, "a drill began or ended"},
		"a drill is over, once": {func(o *observed) {
			o.es.Spec.RefreshPolicy = v1.RefreshCreatedOnce
			o.live.Annotations[v1alpha1.AnnotationDrill] = "x"
		}, actRefresh, "a drill began or ended"},
		"a drill is over, merge": {func(o *observed) {
			o.es.Spec.Target.CreationPolicy = v1.CreateMerge
			o.live.Annotations = map[string]string{v1alpha1.AnnotationDrill: "x"}
		}, actNothing, ""},
		"the store is kept away":   {func(o *observed) { o.fault = fault.Fault{UID: "1", DrillFailure: v1alpha1.DrillStoreAway} }, actNothing, ""},
		"an older operator's hash": {func(o *observed) { o.live.Annotations[target.AnnotationMark] = strings.Repeat("a", 56) }, actRefresh, "a store or template object changed"},
	} {
		o := settled(nil)
		if c.change != nil {
			c.change(&o)
		}
		if p := decide(o); p.action != c.action || p.why != c.why {
			t.Errorf("%s: %s because %q, want %s because %q", name, p.action, p.why, c.action, c.why)
		}
	}
}

func spoiling() fault.Fault {
	return fault.Fault{Drill: types.NamespacedName{Namespace: "team", Name: "x"}, UID: "1", DrillFailure: v1alpha1.DrillCredentialRefused}
}

// facts/external-secrets.md §1.2: syncWindows gate what follows the store by time
// or by its word, and nothing else.
func TestSyncWindows(t *testing.T) {
	windows := func(kind, cron string) *v1.SyncWindows {
		return &v1.SyncWindows{Kind: kind, Windows: []v1.SyncWindow{{Schedule: cron, Duration: metav1.Duration{Duration: 2 * time.Hour}}}}
	}
	deny, allow := windows("deny", "0 11 * * *"), windows("allow", "0 11 * * *") // 11:00 to 13:00; it is noon
	for name, c := range map[string]struct {
		windows *v1.SyncWindows
		change  func(*observed)
		why     string
		wait    time.Duration // about
	}{
		"denied, due in it":         {deny, nil, "", time.Hour},
		"allowed, not due":          {allow, nil, "", 0},
		"denied, interval over":     {deny, func(o *observed) { o.es.Status.RefreshTime = metav1.NewTime(noon.Add(-time.Hour)) }, "", time.Hour},
		"allowed, interval over":    {allow, func(o *observed) { o.es.Status.RefreshTime = metav1.NewTime(noon.Add(-time.Hour)) }, whyInterval, 0},
		"not allowed yet":           {windows("allow", "0 15 * * *"), func(o *observed) { o.es.Status.RefreshTime = metav1.NewTime(noon.Add(-time.Hour)) }, "", 3 * time.Hour},
		"denied later":              {windows("deny", "0 15 * * *"), func(o *observed) { o.es.Status.RefreshTime = metav1.NewTime(noon.Add(-time.Hour)) }, whyInterval, 0},
		"denied, the store's word":  {deny, func(o *observed) { o.memory.due = subscribe.WhyChanged }, "", time.Hour},
		"denied, connected":         {deny, func(o *observed) { o.memory.due = subscribe.WhyMissed }, "", time.Hour},
		"allowed, the store's word": {allow, func(o *observed) { o.memory.due = subscribe.WhyChanged }, subscribe.WhyChanged, 0},
		"denied, but asked for":     {deny, func(o *observed) { o.memory.due = "it is asked for" }, "it is asked for", 0},
		"denied, but spec changed":  {deny, func(o *observed) { o.es.Generation++ }, "the ExternalSecret changed", 0},
		"denied, but force-sync":    {deny, func(o *observed) { o.es.Annotations = map[string]string{"force-sync": "1"} }, "the ExternalSecret changed", 0},
		"denied, but gone":          {deny, func(o *observed) { o.live = nil }, "the Secret is gone", 0},
		"denied, but never synced":  {deny, func(o *observed) { o.es.Status = v1.ExternalSecretStatus{} }, "never synced", 0},
		"denied, but store edited":  {deny, func(o *observed) { o.sources = "other" }, "a store or template object changed", 0},
		"wrong, interval over": {windows("deny", "0 0 31 2 *"), func(o *observed) {
			o.es.Status.RefreshTime = metav1.NewTime(noon.Add(-time.Hour))
		}, whyInterval, 0},
		"not on a timer": {deny, func(o *observed) {
			o.es.Spec.RefreshInterval = &metav1.Duration{}
			o.memory.due = subscribe.WhyChanged
		}, subscribe.WhyChanged, 0},
	} {
		o := settled(func(o *observed) { o.es.Spec.SyncWindows = c.windows })
		if c.change != nil {
			c.change(&o)
		}
		p := decide(o)
		if p.why != c.why {
			t.Errorf("%s: because %q, want %q", name, p.why, c.why)
		}
		if c.wait > 0 && (p.next < c.wait || p.next > c.wait+openSpread) {
			t.Errorf("%s: the next look is in %v, want at the window's edge in %v", name, p.next, c.wait)
		}
		if c.why == "" && c.wait == 0 && p.next != untilRefresh(o) {
			t.Errorf("%s: the next look is in %v, want when the interval is over", name, p.next)
		}
	}
}

// An object is refreshed once in each interval of the clock, and a refresh that
// left nothing in the status counts.
func TestRefreshOncePerSlot(t *testing.T) {
	o := settled(nil)
	begins := timing.Slot(o.es, time.Hour, noon).Add(time.Hour)
	if p := decide(o); p.action != actNothing || p.next != begins.Sub(noon) {
		t.Errorf("%+v, want a look at %v", p, begins)
	}
	for _, c := range []struct {
		now, refreshed time.Time
		due            bool
	}{
		{begins.Add(-time.Nanosecond), time.Time{}, false},
		{begins, time.Time{}, true},
		{begins.Add(time.Minute), begins.Add(-time.Nanosecond), true},
		{begins.Add(time.Minute), begins, false},
		{begins.Add(time.Hour), begins, true},
	} {
		o.now, o.memory.refreshed = c.now, c.refreshed
		if p := decide(o); (p.why == whyInterval) != c.due || !c.due && p.next <= 0 {
			t.Errorf("%+v: %+v", c, p)
		}
	}
}

func TestNextStatus(t *testing.T) {
	now := metav1.NewTime(noon)
	base := settled(nil).es
	before := base.Status.RefreshTime
	for name, c := range map[string]struct {
		out     outcome
		changed func(*v1.ExternalSecret)
		status  metav1.ConditionStatus
		reason  string
		fresh   bool // the refresh time moves
	}{
		"nothing new":    {outcome{message: synced}, nil, "True", v1.ReasonSecretSynced, false},
		"changed":        {outcome{message: synced, changed: true}, nil, "True", v1.ReasonSecretSynced, true},
		"spec":           {outcome{message: synced}, func(es *v1.ExternalSecret) { es.Generation++ }, "True", v1.ReasonSecretSynced, true},
		"failed":         {outcome{err: errors.New("sealed")}, nil, "False", v1.ReasonSecretSyncedError, false},
		"merge, missing": {outcome{err: errors.New("no Secret"), reason: v1.ReasonSecretMissing}, nil, "False", v1.ReasonSecretMissing, false},
		"deleted":        {outcome{message: "x", reason: v1.ReasonSecretDeleted, changed: true}, nil, "True", v1.ReasonSecretDeleted, true},
	} {
		es := base.DeepCopy()
		if c.changed != nil {
			c.changed(es)
		}
		next := nextStatus(es, c.out, now)
		got := v1.FindCondition(next.Conditions, v1.ConditionReady)
		if got.Status != c.status || got.Reason != c.reason || c.out.err != nil && got.Message != c.out.err.Error() {
			t.Errorf("%s: %+v", name, got)
		}
		if fresh := !next.RefreshTime.Equal(&before); fresh != c.fresh {
			t.Errorf("%s: refresh time moved: %v, want %v", name, fresh, c.fresh)
		}
		if c.out.err != nil && next.SyncedResourceVersion != es.Status.SyncedResourceVersion {
			t.Errorf("%s: a failure counts as synced", name)
		}
	}
	long := nextStatus(base, outcome{err: errors.New(strings.Repeat("ä", 4000))}, now)
	if n := len(long.Conditions[0].Message); n > maxMessage+8 {
		t.Errorf("a message of %d bytes", n)
	}
}

// The cache may be behind our own writes, for a while.
func TestCacheLag(t *testing.T) {
	var m memories
	k := types.NamespacedName{Namespace: "team", Name: "app"}
	live := func(rv string) *metav1.PartialObjectMetadata {
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{UID: "s", ResourceVersion: rv}}
	}
	if m.kept(k).behind("secret", nil, noon) {
		t.Error("nothing was written, and the cache is behind")
	}
	m.wrote(k, &target.Secret{Name: "secret"}, target.Version{UID: "s", ResourceVersion: "10"}, target.Mark{}, noon)
	for what, c := range map[string]struct {
		live *metav1.PartialObjectMetadata
		at   time.Time
		want bool
	}{
		"not seen yet":    {nil, noon, true},
		"older":           {live("9"), noon, true},
		"as written":      {live("10"), noon, false},
		"newer":           {live("11"), noon, false},
		"longer number":   {live("100"), noon, false},
		"another object":  {&metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{UID: "x", ResourceVersion: "1"}}, noon, false},
		"too long behind": {nil, noon.Add(time.Minute), false},
	} {
		m.wrote(k, &target.Secret{Name: "secret"}, target.Version{UID: "s", ResourceVersion: "10"}, target.Mark{}, noon)
		if got := m.kept(k).behind("secret", c.live, c.at); got != c.want {
			t.Errorf("%s: behind %v, want %v", what, got, c.want)
		}
	}
	m.wrote(k, &target.Secret{Name: "secret"}, target.Version{UID: "s", ResourceVersion: "10"}, target.Mark{}, noon)
	if m.kept(k).behind("other", nil, noon) {
		t.Error("another target counts as written")
	}
	m.secretGone(k, "another")
	if !m.kept(k).behind("secret", nil, noon) {
		t.Error("the deletion of another Secret counted")
	}
	m.secretGone(k, "s")
	if m.kept(k).behind("secret", nil, noon) {
		t.Error("a deleted Secret is taken for one not seen yet")
	}
}

// What stands in for the cache is forgotten when the cache has it, by an event or by a
// look: it is as much again as all else that is remembered. The mark of a shared Secret
// is nowhere else, nor is what generators made, which later refreshes ask for.
func TestStandInForgotten(t *testing.T) {
	k := types.NamespacedName{Namespace: "team", Name: "app"}
	v := target.Version{UID: "s", ResourceVersion: "10"}
	mark := target.Mark{Inputs: "i", Content: "c", Sources: "s"}
	for what, catch := range map[string]func(*memories){
		"by an event": func(m *memories) {
			if !m.caughtUp(k, v) {
				t.Error("what was written counts as touched")
			}
		},
		"by a look": func(m *memories) {
			m.seen(k, &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{UID: v.UID, ResourceVersion: v.ResourceVersion}})
		},
	} {
		for _, merge := range []bool{false, true} {
			secret := &target.Secret{Name: "secret", Merge: merge, Annotations: map[string]string{}}
			secret.SetVersions("versions")
			secret.SetGenerated("generated")
			var m memories
			m.wrote(k, secret, v, mark, noon)
			if had := m.get(k); had.versions == "" || had.mark == "" || had.generated == "" {
				t.Fatalf("%+v", had)
			}
			if m.caughtUp(k, target.Version{UID: "s", ResourceVersion: "9"}) || m.get(k).versions == "" {
				t.Errorf("%s: another version counted", what)
			}
			catch(&m)
			if got := m.get(k); got.versions != "" || (got.mark != "") != merge || got.generated == "" || got.verified != v {
				t.Errorf("%s, shared %v: %+v", what, merge, got)
			}
			if m.kept(k).behind("secret", nil, noon) {
				t.Errorf("%s: the cache is behind again", what)
			}
		}
	}
}

// What is kept is copied before the cache is read: the cache may take in our last write,
// and what stood in for it be forgotten, between the two. An older state of the cache
// makes nothing forget.
func TestKeptBeforeTheCache(t *testing.T) {
	var m memories
	k := types.NamespacedName{Namespace: "team", Name: "app"}
	v := target.Version{UID: "s", ResourceVersion: "10"}
	secret := &target.Secret{Name: "secret", Annotations: map[string]string{}}
	secret.SetVersions("versions")
	at := func(uid types.UID, rv string) *metav1.PartialObjectMetadata {
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{UID: uid, ResourceVersion: rv}}
	}
	m.wrote(k, secret, v, target.Mark{}, noon)
	kept, read := m.kept(k), at("s", "9")
	if !m.caughtUp(k, v) {
		t.Fatal("the event of our own write counts as touched")
	}
	if !kept.behind("secret", read, noon) || kept.versions != "versions" {
		t.Error("what was read before the event is taken for the truth")
	}
	m.wrote(k, secret, v, target.Mark{}, noon)
	for _, old := range []*metav1.PartialObjectMetadata{nil, at("s", "9"), at("before", "3")} {
		if m.seen(k, old); m.get(k).versions == "" {
			t.Errorf("%+v made forget what the cache does not have", old)
		}
	}
	if m.seen(k, at("s", "11")); m.get(k).versions != "" {
		t.Error("what came later made nothing forget")
	}
}
