package fault

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/redact"
)

const wrong = "strongkeep-drill-1"

// Only the credential becomes wrong, in whatever it is wrapped.
func TestSpoilt(t *testing.T) {
	for name, c := range map[string]struct {
		keys     []string
		in, want map[string]string
	}{
		"by name": {nil,
			map[string]string{"username": "app", "DB_HOST": "db", "PGPORT": "5432", "password": "p", "api-key": "k", "ca.crt": "x"},
			map[string]string{"username": "app", "DB_HOST": "db", "PGPORT": "5432", "password": wrong, "api-key": wrong, "ca.crt": "x"}},
		"keys":                   {[]string{"username"}, map[string]string{"username": "app", "password": "p"}, map[string]string{"username": wrong, "password": "p"}},
		"a key missing":          {[]string{"nope"}, map[string]string{"password": "p"}, map[string]string{"password": "p"}},
		"nothing looks like one": {nil, map[string]string{"user": "a", "host": "b"}, map[string]string{"user": wrong, "host": wrong}},
		"url":                    {nil, map[string]string{"url": "postgres://app:p%40ss@db:5432/x?sslmode=require"}, map[string]string{"url": "postgres://app:" + wrong + "@db:5432/x?sslmode=require"}},
		"url without":            {nil, map[string]string{"url": "https://hooks.example/T0/B0"}, map[string]string{"url": wrong}},
		"libpq":                  {nil, map[string]string{"dsn": `host=db user=app password='p \' q' dbname=x`}, map[string]string{"dsn": "host=db user=app password=" + wrong + " dbname=x"}},
		"ado":                    {nil, map[string]string{"conn": "Server=db;User Id=app;Password=p;"}, map[string]string{"conn": "Server=db;User Id=app;Password=" + wrong + ";"}},
		"json": {nil, map[string]string{"config": `{"user":"app","password":"p","n":1,"html":"<&>"}`},
			map[string]string{"config": `{"html":"` + wrong + `","n":1,"password":"` + wrong + `","user":"app"}`}},
		"docker": {nil, map[string]string{".dockerconfigjson": `{"auths":{"r.example":{"username":"u","password":"p","auth":"dTpw"}}}`},
			map[string]string{".dockerconfigjson": `{"auths":{"r.example":{"auth":"` + wrong + `","password":"` + wrong + `","username":"u"}}}`}},
		"json without": {nil, map[string]string{"config": `{"user":"app"}`}, map[string]string{"config": wrong}},
		"no json":      {nil, map[string]string{"config": `{"user":`}, map[string]string{"config": wrong}},
		"certificate":  {nil, map[string]string{"server.pem": "-----BEGIN CERTIFICATE-----\n", "tls.key": "-----BEGIN PRIVATE KEY-----"}, map[string]string{"server.pem": "-----BEGIN CERTIFICATE-----\n", "tls.key": wrong}},
		"empty":        {nil, map[string]string{}, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			in := map[string]redact.Secret{}
			for k, v := range c.in {
				in[k] = redact.FromString(v)
			}
			got := Spoilt(in, c.keys, wrong)
			if len(got) != len(c.want) {
				t.Fatalf("%d keys, want %d", len(got), len(c.want))
			}
			for k, v := range c.want {
				if s := got[k]; s.RevealString() != v {
					t.Errorf("%s: %q, want %q", k, s.RevealString(), v)
				}
				if s := in[k]; s.RevealString() != c.in[k] {
					t.Errorf("%s: what was read was changed", k)
				}
			}
		})
	}
}

// Whatever a value is, it is spoilt the same way each time, never stays as it
// is, and JSON stays JSON.
func FuzzSpoil(f *testing.F) {
	for _, seed := range []string{"", "p", `{"password":"p"}`, `{"a":{"b":"{\"password\":\"p\"}"}}`, "postgres://u:p@h/d", "password=p", "Pwd='a", "a=b;token=\"x\"", "{", "\x00\xff", "http://[::1", "password=" + wrong} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		before := string(value)
		a, b := spoil(value, wrong), spoil(value, wrong)
		if string(a) != string(b) {
			t.Errorf("%q, then %q", a, b)
		}
		if string(value) != before {
			t.Error("the value itself was changed")
		}
		if !strings.Contains(string(a), wrong) {
			t.Errorf("%q is nothing wrong", a)
		}
		var object map[string]any
		if strings.HasPrefix(strings.TrimSpace(before), "{") && string(a) != wrong && strings.HasPrefix(string(a), "{") && json.Valid(value) && json.Unmarshal(a, &object) != nil {
			t.Errorf("%q is no JSON any more", a)
		}
	})
}

// drills is a cache of Drills.
type drills struct {
	client.Reader
	items []v1alpha1.Drill
	err   error
}

func (d drills) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	list.(*v1alpha1.DrillList).Items = d.items
	return d.err
}

func digest(uid string) string { return "digest of " + uid }

var began = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) *metav1.Time { t := metav1.NewTime(began.Add(d)); return &t }

func running(failure v1alpha1.DrillFailure) v1alpha1.Drill {
	return v1alpha1.Drill{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "x", UID: "1"},
		Spec:       v1alpha1.DrillSpec{Failure: failure, Keys: []string{"k"}},
		Status: v1alpha1.DrillStatus{Phase: v1alpha1.DrillRunning, Began: at(0), Until: at(10 * time.Minute),
			ExternalSecrets: []v1alpha1.DrilledSecret{{Name: "db", Secret: "db"}}},
	}
}

// What is broken depends on the Drill in the cache and the clock, and nothing else.
func TestOn(t *testing.T) {
	for name, c := range map[string]struct {
		after  time.Duration
		es     string
		change func(d *v1alpha1.Drill, es *v1.ExternalSecret)
		want   bool
	}{
		"begun":                {time.Second, "db", nil, true},
		"at the last instant":  {10*time.Minute - 1, "db", nil, true},
		"over":                 {10 * time.Minute, "db", nil, false},
		"clocks differ":        {-30 * time.Second, "db", nil, true},
		"the clock leapt back": {-2 * time.Minute, "db", nil, false},
		"another":              {time.Second, "other", nil, false},
		"pending":              {time.Second, "db", func(d *v1alpha1.Drill, _ *v1.ExternalSecret) { d.Status.Phase = v1alpha1.DrillPending }, false},
		"undoing":              {time.Second, "db", func(d *v1alpha1.Drill, _ *v1.ExternalSecret) { d.Status.Phase = v1alpha1.DrillUndoing }, false},
		"no deadline":          {time.Second, "db", func(d *v1alpha1.Drill, _ *v1.ExternalSecret) { d.Status.Until = nil }, false},
		"too far a deadline":   {time.Second, "db", func(d *v1alpha1.Drill, _ *v1.ExternalSecret) { d.Status.Until = at(time.Hour + time.Second) }, false},
		"stopped": {time.Second, "db", func(d *v1alpha1.Drill, _ *v1.ExternalSecret) {
			d.Annotations = map[string]string{v1alpha1.AnnotationDrillStop: ""}
		}, false},
		"being deleted":      {time.Second, "db", func(d *v1alpha1.Drill, _ *v1.ExternalSecret) { d.DeletionTimestamp = at(0) }, false},
		"not to be restored": {time.Second, "db", func(_ *v1alpha1.Drill, es *v1.ExternalSecret) { es.Spec.RefreshPolicy = v1.RefreshCreatedOnce }, false},
		"of somebody else":   {time.Second, "db", func(_ *v1alpha1.Drill, es *v1.ExternalSecret) { es.Spec.Target.CreationPolicy = v1.CreateMerge }, false},
	} {
		d := running(v1alpha1.DrillCredentialRefused)
		es := &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: c.es}}
		if c.change != nil {
			c.change(&d, es)
		}
		b := New(drills{items: []v1alpha1.Drill{d}}, testclock.NewFakePassiveClock(began.Add(c.after)), digest)
		f, err := b.On(t.Context(), es)
		if err != nil || (f.UID != "") != c.want {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	if _, err := New(drills{err: errors.New("x")}, testclock.NewFakePassiveClock(began), digest).On(t.Context(), &v1.ExternalSecret{}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("an unread cache: %v", err)
	}
	var none *Book
	if f, err := none.On(t.Context(), &v1.ExternalSecret{}); err != nil || f.UID != "" || none.Hold(types.NamespacedName{}, f) != 0 {
		t.Error("no Book breaks something")
	}
	none.Forget(types.NamespacedName{})
}

// Of two, the one that began first has hold of it.
func TestFirstDrill(t *testing.T) {
	a, b := running(v1alpha1.DrillStoreAway), running(v1alpha1.DrillSlowSync)
	a.Name, a.UID, a.Status.Began = "later", "2", at(time.Second)
	for _, items := range [][]v1alpha1.Drill{{a, b}, {b, a}} {
		f, err := New(drills{items: items}, testclock.NewFakePassiveClock(began.Add(time.Minute)), digest).On(t.Context(), &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db"}})
		if err != nil || f.UID != "1" || f.Wrong.RevealString() != "strongkeep-drill-digest of 1" {
			t.Errorf("%+v, %v", f, err)
		}
	}
}

// Each failure does its own thing only.
func TestFailures(t *testing.T) {
	got := func() *gather.Result {
		return &gather.Result{Data: map[string]redact.Secret{"k": redact.FromString("canary")}, Versions: map[gather.Want]string{{}: "7"}}
	}
	away := Fault{Drill: types.NamespacedName{Namespace: "shop", Name: "x"}, UID: "1", DrillFailure: v1alpha1.DrillStoreAway, Until: began}
	if err := away.Away(); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "strongkeep drill stop -n shop x") {
		t.Errorf("%v", err)
	}
	refused := Fault{UID: "1", DrillFailure: v1alpha1.DrillCredentialRefused, Drill: away.Drill, Until: began, Wrong: redact.FromString(wrong)}
	for _, f := range []Fault{{}, away, {UID: "1", DrillFailure: v1alpha1.DrillSlowSync}} {
		r := got()
		f.Spoil(r)
		if k := r.Data["k"]; k.RevealString() != "canary" || len(r.Versions) != 1 || f.Mark() != "" {
			t.Errorf("%s changed what was read", f.DrillFailure)
		}
	}
	r := got()
	refused.Spoil(r)
	if k := r.Data["k"]; k.RevealString() != wrong || len(r.Versions) != 0 || refused.Mark() != "x" || refused.Away() != nil {
		t.Errorf("%q of versions %v", k.RevealString(), r.Versions)
	}
	if !strings.Contains(refused.Message(), "Drill x until 2026-11-01T12:00:00Z") {
		t.Error(refused.Message())
	}
}

// A sync waits once for the delay, and anew each time; not when the drill ends.
func TestHold(t *testing.T) {
	c := testclock.NewFakePassiveClock(began)
	b := New(drills{}, c, digest)
	f := Fault{UID: "1", DrillFailure: v1alpha1.DrillSlowSync, Delay: 10 * time.Second}
	es := types.NamespacedName{Namespace: "shop", Name: "db"}
	after := func(d time.Duration, f Fault, want time.Duration) {
		t.Helper()
		c.SetTime(began.Add(d))
		if got := b.Hold(es, f); got != want {
			t.Errorf("after %v: waits %v, want %v", d, got, want)
		}
	}
	after(0, f, 10*time.Second)
	after(4*time.Second, f, 6*time.Second)
	after(10*time.Second, f, 0)
	after(11*time.Second, f, 10*time.Second) // the next sync
	after(12*time.Second, Fault{}, 0)        // it ended
	after(13*time.Second, f, 10*time.Second)
	after(-time.Hour, f, 10*time.Second) // the clock leapt: not an hour more
	f.UID = "2"
	after(-time.Hour+5*time.Second, f, 10*time.Second)
	b.Forget(es)
	after(-time.Hour+6*time.Second, f, 10*time.Second)
}

// Who waits under a drill wakes at its end.
func TestSoonest(t *testing.T) {
	f := Fault{Until: began.Add(time.Minute)}
	for wait, want := range map[time.Duration]time.Duration{0: time.Minute, time.Hour: time.Minute, time.Second: time.Second} {
		if got := f.Soonest(wait, began); got != want {
			t.Errorf("%v: %v, want %v", wait, got, want)
		}
	}
	if got := f.Soonest(0, began.Add(time.Hour)); got != time.Millisecond {
		t.Errorf("after the end: %v", got)
	}
	if got := (Fault{}).Soonest(0, began); got != 0 {
		t.Errorf("without a drill: %v", got)
	}
}
