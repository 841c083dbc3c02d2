package rotation_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	esv1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// What cannot be meant is refused by the API server, where that can be told from
// the object alone; and nothing that it takes makes Rotations unreadable, since
// one of them would stop all.
func TestRefusedAtAdmission(t *testing.T) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "admission-"}}
	if err := testClient.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	apply := func(name, spec string) error {
		t.Helper()
		if !strings.Contains(spec, "target:") {
			spec = "target: {storeRef: {name: vault}, database: {role: app}}, " + spec
		}
		text := fmt.Sprintf("apiVersion: strongkeep.io/v1alpha1\nkind: Rotation\nmetadata: {name: %s}\nspec: {%s}\n", name, spec)
		_, err := testCluster.Kubectl(t.Context(), strings.NewReader(text), "apply", "-n", ns.Name, "-f", "-")
		return err
	}
	kv := "target: {storeRef: {name: vault}, kv: {path: x, generate: [{property: p}]}}, "
	for i, tc := range []struct{ spec, want string }{
		{"target: {storeRef: {name: vault}}", "exactly one of database, kv"},
		{"target: {storeRef: {name: vault}, database: {role: a}, manual: {path: b}}", "exactly one of database, kv"},
		{"schedule: {interval: 30d}", "spec.schedule.interval"},
		{"schedule: {interval: ''}", "spec.schedule.interval"},
		{"schedule: {interval: 999999999h}", "spec.schedule.interval"},
		{"schedule: {interval: 1s}", "interval must be at least 1m"},
		{"schedule: {maxAge: 10s}", "maxAge must be at least 1m"},
		{"schedule: {timeZone: Europe/Berlin}", "timeZone is that of cron"},
		{"schedule: {cron: '@daily'}", "spec.schedule.cron"},
		{"schedule: {cron: '0 3 * *'}", "spec.schedule.cron"},
		{"windows: [{cron: '0 3 * * *', duration: 10s}]", "duration must be between 1m and 8784h"},
		{"windows: [{cron: '0 3 * * *', duration: 9000h}]", "duration must be between 1m and 8784h"},
		{"windows: [{cron: '0 3 * * *', duration: 4 hours}]", "spec.windows[0].duration"},
		{"freezes: [{from: '2026-12-24T00:00:00Z', until: '2026-12-23T00:00:00Z'}]", "until must be after from"},
		{"freezes: [{from: '2026-12-24T00:00:00', until: '2026-12-25T00:00:00Z'}]", "spec.freezes[0].from"},
		{"freezes: [{from: '2026-12-24 00:00:00Z', until: '2026-12-25T00:00:00Z'}]", "spec.freezes[0].from"},
		{"freezes: [{from: '2026-12-24', until: '2026-12-25T00:00:00Z'}]", "spec.freezes[0].from"},
		{"overlap: {max: -1h}", "spec.overlap.max"},
		{"overlap: {atLimit: Panic}", "Unsupported value"},
		{"rollout: {maxConcurrent: 0}", "greater than or equal to 1"},
		{"rollout: {method: None}, proof: {pod: [Template]}", "which no pod can ever have"},
		{"proof: {pod: [Rumour]}", "Unsupported value"},
		{kv + "proof: {backend: Required}", "say WhereKnown"},
		{kv + "proof: {pod: [Backend]}", "choose another proof"},
		{"target: {storeRef: {name: vault}, manual: {path: x, remindEvery: 1s}}", "remindEvery must be at least 1m"},
		{"target: {storeRef: {name: vault}, webhook: {path: x, url: 'http://a', signingSecret: s}}", "spec.target.webhook.url"},
		{"consumer: {}", "unknown field"},
	} {
		if err := apply(fmt.Sprintf("bad-%d", i), tc.spec); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: want a refusal with %q, got %v", tc.spec, tc.want, err)
		}
		if err := testClient.List(t.Context(), &v1alpha1.RotationList{}, client.InNamespace(ns.Name)); err != nil {
			t.Fatalf("%s makes every Rotation unreadable: %v", tc.spec, err)
		}
	}
	for i, spec := range []string{
		"schedule: {interval: 720h}", "schedule: {interval: 1h30m, maxAge: 2160h0m0s, cron: '0  3 * * 0', timeZone: Europe/Berlin}", "overlap: {max: '0', watch: 1.5s}",
		"overlap: {max: 0s, watch: 500ms}", "windows: [{cron: ' 0 3 * * 1-5', duration: 4h}], freezes: [{from: '2026-12-24T00:00:00+01:00', until: '2027-01-02T00:00:00Z'}]",
		"proof: {backend: Required, pod: [Backend, Application]}, rollout: {method: None}", kv + "proof: {backend: WhereKnown, pod: [Template]}",
	} {
		if err := apply(fmt.Sprintf("good-%d", i), spec); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
	}
	var all v1alpha1.RotationList
	if err := testClient.List(t.Context(), &all, client.InNamespace(ns.Name)); err != nil || len(all.Items) != 7 {
		t.Errorf("%d Rotations, %v", len(all.Items), err)
	}
	for name, text := range map[string]string{
		"before must be less": "{name: tls, maxAge: 24h, before: 24h}", "spec.classes[0].maxAge": "{name: tls, maxAge: 90d}",
	} {
		policy := "apiVersion: strongkeep.io/v1alpha1\nkind: RotationPolicy\nmetadata: {name: bad}\nspec: {classes: [" + text + "]}\n"
		if _, err := testCluster.Kubectl(t.Context(), strings.NewReader(policy), "apply", "--dry-run=server", "-f", "-"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: want a refusal with %q, got %v", text, name, err)
		}
	}
}

// bad waits until a condition of a Rotation has reason, and fails unless it and an
// event say want, and the command that comes next.
func (w *world) bad(name, kind, reason, want, next string) *v1alpha1.Rotation {
	w.Helper()
	rot := w.await(name, reason, func(rot *v1alpha1.Rotation) bool {
		c := meta.FindStatusCondition(rot.Status.Conditions, kind)
		return c != nil && c.Reason == reason && strings.Contains(c.Message, want)
	})
	c := meta.FindStatusCondition(rot.Status.Conditions, kind)
	if !strings.Contains(c.Message, next) || c.ObservedGeneration != rot.Generation {
		w.Errorf("%s: condition %s of generation %d does not end with %q: %q", name, kind, c.ObservedGeneration, next, c.Message)
	}
	told := func() bool {
		var events eventsv1.EventList
		if err := testClient.List(w.Context(), &events, client.InNamespace(w.ns)); err != nil {
			w.Fatal(err)
		}
		return slices.ContainsFunc(events.Items, func(e eventsv1.Event) bool {
			return e.Regarding.Name == name && e.Type == corev1.EventTypeWarning && strings.Contains(e.Note, want) && strings.Contains(e.Note, next)
		})
	}
	for range 3600 { // events are written behind the status
		if told() {
			return rot
		}
		select {
		case <-w.Context().Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	w.Errorf("%s: no event says %q and %q", name, want, next)
	return rot
}

// make makes a Rotation from a spec in YAML, and asks for a turn at once.
func (w *world) make(name, spec string) {
	w.Helper()
	w.apply(fmt.Sprintf("apiVersion: strongkeep.io/v1alpha1\nkind: Rotation\nmetadata: {name: %s, annotations: {%s: now}}\nspec: {%s}\n", name, v1alpha1.AnnotationRotate, spec))
}

// untouched fails unless no turn of a Rotation has shown readers anything.
func (w *world) untouched(rot *v1alpha1.Rotation) {
	w.Helper()
	if rot.Status.PublishedAt != nil || rot.Status.Phase != v1alpha1.PhaseIdle && rot.Status.HeldFrom != v1alpha1.PhaseStaged {
		w.Errorf("%s: phase %s from %q, published %v", rot.Name, rot.Status.Phase, rot.Status.HeldFrom, rot.Status.PublishedAt)
	}
}

// Each sentence of "Bad input" of the design, on a real API server, vault and
// database: refused, or held before anything is published, with the reason and the
// next command in condition and event.
func TestBadInput(t *testing.T) {
	all := newWorld(t)
	all.start(nil)
	all.settled()
	users := strings.ReplaceAll(all.ns, "-", "_")
	all.write("database/alternating-roles/spare", map[string]any{
		"db_name": "db", "usernames": users + "_c," + users + "_d", "creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'`,
	})
	with := func(name string, f func(w *world)) {
		t.Run(name, func(t *testing.T) {
			w := *all
			w.T = t
			f(&w)
		})
	}
	const spare = "target: {storeRef: {name: vault}, database: {role: spare}}, overlap: {watch: 1s}"
	const db = "target: {storeRef: {name: vault}, database: {role: app}}, overlap: {watch: 1s}"

	with("the database's root", func(w *world) {
		root, err := w.vault.Logical().ReadWithContext(w.Context(), "database/config/db")
		if err != nil {
			w.Fatal(err)
		}
		details, _ := root.Data["connection_details"].(map[string]any)
		_, err = w.vault.Logical().WriteWithContext(w.Context(), "database/alternating-roles/root", map[string]any{
			"db_name": "db", "usernames": fmt.Sprint(details["username"]) + ",other",
		})
		if err == nil || !strings.Contains(err.Error(), "would lock the vault out") || !strings.Contains(err.Error(), "rotate-root/db") {
			w.Errorf("the engine takes the user that it logs in as: %v", err)
		}
		w.make("root", "target: {storeRef: {name: vault}, database: {role: root}}")
		w.untouched(w.bad("root", v1alpha1.ConditionReady, "Refused", "root", "kubectl edit rotation.strongkeep.io root -n "+w.ns))
	})
	with("a schedule that never fires", func(w *world) {
		w.make("never", spare+", schedule: {cron: 0 0 30 2 *}")
		w.untouched(w.bad("never", v1alpha1.ConditionReady, "Refused", "never fires", "kubectl edit rotation.strongkeep.io never -n "+w.ns))
		w.delete("never")
		w.make("shut", spare+", windows: [{cron: 0 0 31 4 *, duration: 1h}]")
		w.untouched(w.bad("shut", v1alpha1.ConditionReady, "Refused", "never fires", "kubectl edit rotation.strongkeep.io shut -n "+w.ns))
		w.delete("shut")
	})
	all.ask(v1alpha1.AnnotationRotate, "first")
	all.done(1)
	with("two Rotations of one credential", func(w *world) {
		w.make("other", db)
		w.untouched(w.bad("other", v1alpha1.ConditionReady, "Refused", "Rotation "+w.ns+"/db, which is older", "kubectl -n "+w.ns+" delete rotation other"))
		rot := &v1alpha1.Rotation{}
		if w.get(rot, "db"); !meta.IsStatusConditionTrue(rot.Status.Conditions, v1alpha1.ConditionReady) {
			w.Errorf("the older one: %+v", rot.Status.Conditions)
		}
		w.delete("other")
	})
	with("a consumer that is pinned to a version", func(w *world) {
		w.apply(strings.NewReplacer("name: db}", "name: pinned}", "key: alternating-creds/app,", "key: alternating-creds/app, version: '1',").Replace(feed))
		w.ask(v1alpha1.AnnotationRotate, "pinned")
		rot := w.bad("db", v1alpha1.ConditionHeld, "SecretsStuck", "pinned", "strongkeep rotation accept-unproven db -n "+w.ns)
		if rot.Status.HeldFrom != v1alpha1.PhaseStaged || rot.Status.Turn != 2 {
			w.Errorf("held from %s in turn %d: something was published", rot.Status.HeldFrom, rot.Status.Turn)
		}
		es := &esv1.ExternalSecret{}
		w.get(es, "pinned")
		if err := testClient.Delete(w.Context(), es); err != nil {
			w.Fatal(err)
		}
		w.done(2) // it goes on by itself
	})
	with("a proof that can never be had", func(w *world) {
		w.patch("db", `{"spec":{"proof":{"pod":["File"]}}}`) // of a variable, without witnesses
		w.ask(v1alpha1.AnnotationRotate, "unprovable")
		rot := w.bad("db", v1alpha1.ConditionHeld, "ProofImpossible", "web-", "strongkeep rotation accept-unproven db -n "+w.ns)
		if rot.Status.HeldFrom != v1alpha1.PhaseStaged || rot.Status.Turn != 3 {
			w.Errorf("held from %s in turn %d: something was published", rot.Status.HeldFrom, rot.Status.Turn)
		}
		w.patch("db", `{"spec":{"proof":{"pod":["Template"]}}}`)
		w.done(3)
	})
	all.leaks()
}

func (w *world) delete(name string) {
	w.Helper()
	rot := &v1alpha1.Rotation{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}
	if err := testClient.Delete(w.Context(), rot); err != nil {
		w.Fatal(err)
	}
}

func (w *world) patch(name, patch string) {
	w.Helper()
	rot := &v1alpha1.Rotation{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}
	if err := testClient.Patch(w.Context(), rot, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		w.Fatal(err)
	}
}
