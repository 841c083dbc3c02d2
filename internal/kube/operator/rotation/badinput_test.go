package rotation_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

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
