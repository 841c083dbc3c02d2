package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/history"
	"github.com/strongkeep/strongkeep/internal/kube/posture/report/policyreport"
)

// Reports appear with what is found, change with it, are not written when nothing changed,
// and go; each in both APIs.
func TestReportsFollow(t *testing.T) {
	for _, f := range policyreport.Families() {
		t.Run(f.Group, func(t *testing.T) {
			w := newWorld(t)
			w.install(f)
			w.apply(deployment("web"))
			w.look(nil)
			first := w.report(f, w.shop)
			if got, want := w.rows(first), []string{"fail SEC-09 EnvVariable web"}; !slices.Equal(got, want) {
				t.Fatalf("%q, want %q", got, want)
			}
			global := w.rows(w.report(f, ""))
			for _, want := range []string{"skip SEC-05 Answer", "fail SEC-09 Answer", "skip SEC-11 Answer"} {
				if !slices.Contains(global, want) {
					t.Errorf("the cluster's has %q, and not %q", global, want)
				}
			}
			w.look(nil)
			if again := w.report(f, w.shop); again.GetResourceVersion() != first.GetResourceVersion() {
				t.Error("nothing changed, and it was written")
			}
			w.apply(deployment("second"))
			w.look(nil)
			if got, want := w.rows(w.report(f, w.shop)), []string{"fail SEC-09 EnvVariable second", "fail SEC-09 EnvVariable web"}; !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
			if e := w.entry("second"); e == nil || !e.New || !e.Here() {
				t.Errorf("remembered: %+v", e)
			}
			w.remove("web")
			w.remove("second")
			w.look(nil)
			if o := w.report(f, w.shop); o != nil {
				t.Errorf("all is mended, and there is %q", w.rows(o))
			}
			if e := w.entry("web"); e == nil || e.Here() || !e.Gone.Equal(w.clock.Now()) || !e.First.Equal(w.clock.Now().Add(-3*time.Hour)) {
				t.Errorf("remembered: %+v", e)
			}
		})
	}
}

// dying is a transport that ends everything at the first request that it is told to:
// what a process killed there has not sent, and nothing after.
type dying struct {
	next http.RoundTripper
	at   func(*http.Request) bool
	dead *atomic.Bool
}

var errKilled = errors.New("killed")

func (d dying) RoundTrip(r *http.Request) (*http.Response, error) {
	if d.at(r) {
		d.dead.Store(true)
	}
	if d.dead.Load() {
		return nil, errKilled
	}
	return d.next.RoundTrip(r)
}

func killed(at func(*http.Request) bool) *rest.Config {
	config, dead := rest.CopyConfig(server.REST), new(atomic.Bool)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return dying{next, at, dead} })
	return config
}

// Wherever a process is killed, the next look has what the cluster has, and remembers what
// was remembered.
func TestKilled(t *testing.T) {
	w := newWorld(t)
	w.install(older)
	w.apply(deployment("web"))
	w.look(nil)
	since := w.entry("web").First
	w.apply(deployment("second"))
	writes := func(r *http.Request) bool { return r.Method == http.MethodPut || r.Method == http.MethodPost }
	for name, at := range map[string]func(*http.Request) bool{
		"while it lists":             func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/deployments") },
		"before the history":         func(r *http.Request) bool { return writes(r) && strings.HasSuffix(r.URL.Path, history.Name) },
		"between history and report": func(r *http.Request) bool { return writes(r) && strings.Contains(r.URL.Path, "policyreports") },
	} {
		w.clock.Step(time.Hour)
		if err := w.keeper(killed(at), nil).round(t.Context()); err == nil {
			t.Fatalf("%s: it was not killed", name)
		}
		if got, want := w.rows(w.report(older, w.shop)), []string{"fail SEC-09 EnvVariable web"}; !slices.Equal(got, want) {
			t.Errorf("killed %s: %q, want %q", name, got, want)
		}
		if e := w.entry("web"); e == nil || !e.First.Equal(since) {
			t.Errorf("killed %s: remembered %+v, first seen %s", name, e, since)
		}
	}
	w.look(nil)
	if got, want := w.rows(w.report(older, w.shop)), []string{"fail SEC-09 EnvVariable second", "fail SEC-09 EnvVariable web"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if e := w.entry("web"); !e.First.Equal(since) || !e.Last.Equal(w.clock.Now()) {
		t.Errorf("remembered: %+v", e)
	}
}

// What may not be listed is never a pass, and the rest goes on.
func TestForbidden(t *testing.T) {
	w := newWorld(t)
	w.install(older)
	w.apply(deployment("web"))
	config := w.as(nil)
	k := w.keeper(config, nil)
	if err := k.round(t.Context()); errs.KindOf(err) != errs.Denied || !strings.Contains(err.Error(), "rbac-checks.yaml") {
		t.Errorf("without any right: %v", err)
	}
	if n := w.series("strongkeep_checks_failures_total", "history"); n != 1 {
		t.Errorf("%v failures of the history are counted", n)
	}
	for _, answer := range []string{"yes", "no", "partly"} {
		if n := w.series("strongkeep_check_answer", "SEC-04", answer); n != 0 {
			t.Errorf("without any right SEC-04 is answered %s", answer)
		}
	}
	if n := w.series("strongkeep_check_answer", "SEC-04", "cannot tell"); n != 1 {
		t.Error("without any right SEC-04 is not answered")
	}
	config = w.as(func(resource string) bool {
		return strings.HasSuffix(resource, "policyreports") || resource == "configmaps"
	})
	if err := w.keeper(config, nil).round(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := w.rows(w.report(older, ""))
	if !slices.Contains(got, "error SEC-04 Answer") || !slices.Contains(got, "error SEC-09 Answer") || slices.ContainsFunc(got, func(r string) bool { return strings.HasPrefix(r, "pass") }) {
		t.Errorf("%q", got)
	}
}

// Without report objects the metrics and the history are kept, and it is said once; with
// both APIs the newer has the reports, what the older one had goes, and others' stay.
func TestAPIs(t *testing.T) {
	w := newWorld(t)
	w.apply(deployment("web"))
	k := w.keeper(server.REST, nil)
	for range 2 {
		if err := k.round(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.clock.Step(time.Hour)
	}
	if n := strings.Count(w.log.String(), "no reports are written"); n != 1 {
		t.Errorf("said %d times that no reports are written", n)
	}
	if w.entry("web") == nil || w.series("strongkeep_checks_reports") != 0 || w.series("strongkeep_check_findings", "SEC-09", "medium")+w.series("strongkeep_check_findings", "SEC-09", "low")+w.series("strongkeep_check_findings", "SEC-09", "high") == 0 {
		t.Error("history or metrics are missing")
	}
	w.install(older)
	other := foreign(older, w.shop, "kyverno")
	w.create(other)
	w.look(nil)
	if w.report(older, w.shop) == nil || w.report(older, "") == nil || w.series("strongkeep_checks_reports") < 2 {
		t.Fatal("no reports")
	}
	w.install(newer)
	w.look(nil)
	if w.report(newer, w.shop) == nil || w.report(newer, "") == nil || w.report(older, w.shop) != nil || w.report(older, "") != nil {
		t.Error("the newer API has none, or the older one has them too")
	}
	if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(other), other); err != nil {
		t.Errorf("another's report: %v", err)
	}
}

func foreign(f policyreport.Family, namespace, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"results": []any{map[string]any{"policy": "theirs"}}}}
	o.SetGroupVersionKind(f.WithKind(f.Local.Kind))
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}

// A report by our name that lacks our labels is left as it is; that of other namespaces is written.
func TestForeignReport(t *testing.T) {
	w := newWorld(t)
	w.install(newer)
	w.create(foreign(newer, w.shop, policyreport.Name))
	w.apply(deployment("web"))
	if err := w.keeper(server.REST, nil).round(t.Context()); !strings.Contains(fmt.Sprint(err), "lacks Strongkeep's labels") {
		t.Errorf("%v", err)
	}
	results, _, _ := unstructured.NestedSlice(w.report(newer, w.shop).Object, "results")
	if len(results) != 1 || results[0].(map[string]any)["policy"] != "theirs" || w.report(newer, "") == nil {
		t.Errorf("%v", results)
	}
	if n := w.series("strongkeep_checks_failures_total", "reports"); n != 1 {
		t.Errorf("%v failures of reports are counted", n)
	}
}

// What somebody changed in a report of ours is put right, and the labels they added stay.
func TestRepaired(t *testing.T) {
	w := newWorld(t)
	w.install(newer)
	w.apply(deployment("web"))
	w.look(nil)
	o := w.report(newer, w.shop)
	o.Object["results"] = []any{map[string]any{"policy": "SEC-09", "rule": "EnvVariable", "result": "pass"}}
	labels := o.GetLabels()
	labels["theirs"] = "1"
	o.SetLabels(labels)
	if err := server.Client.Update(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	w.look(nil)
	o = w.report(newer, w.shop)
	if got, want := w.rows(o), []string{"fail SEC-09 EnvVariable web"}; !slices.Equal(got, want) || o.GetLabels()["theirs"] != "1" {
		t.Errorf("%q, want %q; labels %v", got, want, o.GetLabels())
	}
}

// The file of exceptions is read at each look. One that has ended is shown; without the
// file all findings count.
func TestExceptions(t *testing.T) {
	w := newWorld(t)
	w.install(newer)
	w.apply(deployment("web"))
	file := filepath.Join(t.TempDir(), "exceptions.yaml")
	with := func(c *Config) { c.Exceptions = file }
	until := func(day time.Time) {
		text := "exceptions:\n- {check: SEC-09, namespace: " + w.shop + ", owner: team-web, reason: known, until: " + day.Format(time.DateOnly) + "}\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	until(w.clock.Now().AddDate(0, 0, 3))
	w.look(with)
	if got, want := w.rows(w.report(newer, w.shop)), []string{"skip SEC-09 EnvVariable web"}; !slices.Equal(got, want) || !w.entry("web").Excepted || w.series("strongkeep_checks_exceptions", "inforce") != 1 {
		t.Errorf("%q, want %q; %+v", got, want, w.entry("web"))
	}
	until(w.clock.Now().AddDate(0, 0, -3))
	w.look(with)
	if got, want := w.rows(w.report(newer, w.shop)), []string{"fail SEC-09 EnvVariable web"}; !slices.Equal(got, want) || w.series("strongkeep_checks_exceptions", "ended") != 1 {
		t.Errorf("%q, want %q", got, want)
	}
	if got := w.rows(w.report(newer, "")); !slices.Contains(got, "warn SEC-09 ExceptionEnded") || !strings.Contains(w.log.String(), "an exception has ended") || len(w.book().Ended) != 1 {
		t.Errorf("the one that ended is not shown: %q", got)
	}
	if err := os.WriteFile(file, []byte("exceptions: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.keeper(server.REST, with).round(t.Context()); errs.KindOf(err) != errs.Invalid {
		t.Errorf("a broken file: %v", err)
	}
	if got, want := w.rows(w.report(newer, w.shop)), []string{"fail SEC-09 EnvVariable web"}; !slices.Equal(got, want) || w.series("strongkeep_checks_failures_total", "exceptions") != 1 {
		t.Errorf("%q, want %q", got, want)
	}
}

// A history that somebody spoiled is left as it is; reports and metrics go on.
func TestSpoiledHistory(t *testing.T) {
	w := newWorld(t)
	w.install(newer)
	w.apply(deployment("web"))
	spoiled := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.own, Name: history.Name}, Data: map[string]string{"mine": "x"}}
	if err := server.Client.Create(t.Context(), spoiled); err != nil {
		t.Fatal(err)
	}
	if err := w.keeper(server.REST, nil).round(t.Context()); errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("%v", err)
	}
	if w.report(newer, w.shop) == nil || w.series("strongkeep_checks_failures_total", "history") != 1 {
		t.Error("no report, or the failure is not counted")
	}
	if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(spoiled), spoiled); err != nil || spoiled.Data["mine"] != "x" || spoiled.BinaryData != nil {
		t.Errorf("%v %+v", err, spoiled)
	}
}

// An operator that lost the election while it looked overwrites nothing of the next one's.
func TestTwoOperators(t *testing.T) {
	w := newWorld(t)
	w.look(nil)
	overtaken := rest.CopyConfig(server.REST)
	overtaken.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return tripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, history.Name) {
				w.look(nil)
			}
			return next.RoundTrip(r)
		})
	})
	if err := w.keeper(overtaken, nil).round(t.Context()); errs.KindOf(err) != errs.Conflict {
		t.Errorf("%v", err)
	}
	if taken := w.book().Taken; !taken.Equal(w.clock.Now()) {
		t.Errorf("the later look, at %s, is not remembered, but one at %s", w.clock.Now(), taken)
	}
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// With content the checks that need it answer, nothing of it is left behind (canaries); without,
// no request asks for what is in a Secret.
func TestContent(t *testing.T) {
	w := newWorld(t)
	w.install(newer)
	w.apply(deployment("web"))
	asked := rest.CopyConfig(server.REST)
	asked.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return tripper(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/secrets") && !strings.Contains(r.Header.Get("Accept"), "PartialObjectMetadata") {
				t.Errorf("the content of Secrets is asked for: %s %q", r.URL, r.Header.Get("Accept"))
			}
			return next.RoundTrip(r)
		})
	})
	if err := w.keeper(asked, nil).round(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := w.series("strongkeep_check_answer", "SEC-05", "cannot tell"); n != 1 {
		t.Error("SEC-05 is answered without the content")
	}
	key, err := fingerprint.NewKey([]byte(strings.Repeat("k", fingerprint.KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	w.look(func(c *Config) { c.Key = key })
	if got := w.rows(w.report(newer, w.shop)); !slices.ContainsFunc(got, func(r string) bool { return strings.HasPrefix(r, "fail SEC-05") && strings.HasSuffix(r, " copy") }) {
		t.Errorf("the copy in a ConfigMap is not found: %q", got)
	}
	if n := w.series("strongkeep_check_answer", "SEC-05", "cannot tell"); n != 0 {
		t.Error("SEC-05 is not answered with the content")
	}
}

// A check that panics ends the look, and not the operator.
func TestPanic(t *testing.T) {
	w := newWorld(t)
	k := w.keeper(server.REST, func(c *Config) {
		c.Checks = []check.Check{{ID: "SEC-99", Judge: func(*check.Input) check.Verdict { panic(canary) }}}
	})
	if err := k.round(t.Context()); errs.KindOf(err) != errs.Internal || strings.Contains(err.Error(), canary) {
		t.Errorf("%v", err)
	}
	if n := w.series("strongkeep_checks_failures_total", "checks"); n != 1 {
		t.Errorf("%v failures of checks are counted", n)
	}
}

// The first look is at once, the next after the interval, one that failed is tried again;
// a restart in between shows what is remembered, and does not look anew right away.
func TestStart(t *testing.T) {
	w := newWorld(t)
	w.apply(deployment("web"))
	var broken atomic.Bool
	config := rest.CopyConfig(server.REST)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return tripper(func(r *http.Request) (*http.Response, error) {
			if broken.Load() {
				return nil, io.ErrUnexpectedEOF
			}
			return next.RoundTrip(r)
		})
	})
	stop := w.run(config)
	began := w.clock.Now()
	w.until("the first look", func() bool { return w.clock.HasWaiters() && w.taken().Equal(began) })
	w.clock.Step(time.Hour - time.Second)
	w.until("the timer", w.clock.HasWaiters)
	if !w.taken().Equal(began) {
		t.Error("it looked before its time")
	}
	w.clock.Step(time.Second)
	w.until("the second look", func() bool { return w.clock.HasWaiters() && w.taken().Equal(began.Add(time.Hour)) })
	stop()

	w.metrics = NewMetrics(w.clock)
	w.clock.Step(time.Minute)
	broken.Store(false)
	stop = w.run(config)
	w.until("what is remembered is shown", func() bool { return w.clock.HasWaiters() && w.series("strongkeep_check_answer", "SEC-09", "no") == 1 })
	if age := w.series("strongkeep_checks_snapshot_age_seconds"); age != 60 || !w.taken().Equal(began.Add(time.Hour)) {
		t.Errorf("after a restart the look is %v seconds old", age)
	}
	broken.Store(true)
	w.clock.Step(settle)
	w.until("a look fails", func() bool {
		return w.clock.HasWaiters() && strings.Contains(w.log.String(), "keeping the checks current")
	})
	broken.Store(false)
	w.clock.Step(retry)
	w.until("it is tried again", func() bool { return w.taken().Equal(w.clock.Now()) })
	stop()
}

// run starts a Keeper until stop, which waits.
func (w *world) run(config *rest.Config) (stop func()) {
	ctx, cancel := context.WithCancel(w.Context())
	k := w.keeper(config, nil)
	ended := make(chan error, 1)
	go func() { ended <- k.Start(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			w.Error(err)
		}
	}
	w.Cleanup(stop)
	return stop
}

// taken is when the last look was that is remembered.
func (w *world) taken() time.Time {
	w.Helper()
	return w.book().Taken
}

func (w *world) until(what string, f func() bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	if err := wait.PollUntilContextCancel(ctx, 10*time.Millisecond, true, func(context.Context) (bool, error) { return f(), nil }); err != nil {
		w.Fatalf("waiting until %s: %v", what, err)
	}
}

// series is the value of one, with labels in the order of their names; 0 where there is none.
func (w *world) series(name string, labels ...string) float64 {
	w.Helper()
	registry := prometheus.NewPedanticRegistry()
	if err := registry.Register(w.metrics); err != nil {
		w.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		w.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if f.GetName() != name || !sameSet(values, labels) {
				continue
			}
			if m.GetCounter() != nil {
				return m.GetCounter().GetValue()
			}
			return m.GetGauge().GetValue()
		}
	}
	return 0
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
