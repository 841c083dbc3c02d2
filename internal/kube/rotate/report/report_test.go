package report_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	external "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/policy"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/report"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func ago(days int) metav1.Time { return metav1.NewTime(now.Add(-time.Duration(days) * 24 * time.Hour)) }

func defaults(t testing.TB) policy.Set {
	p, err := policy.Default()
	if err != nil {
		t.Fatal(err)
	}
	set, err := policy.Compile([]v1alpha1.RotationPolicy{*p})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func rotation(name string, published, done int, target v1alpha1.Target) v1alpha1.Rotation {
	r := v1alpha1.Rotation{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name, CreationTimestamp: ago(400), Labels: map[string]string{"strongkeep.io/owner": "payments"}}}
	r.Spec.Target = target
	if published >= 0 {
		at, end := ago(published), ago(done)
		r.Status.PublishedAt, r.Status.LastDone, r.Status.Location = &at, &end, "v:443/secret/data/"+name
		r.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionProven, Status: metav1.ConditionTrue}}
	}
	return r
}

func secret(name, kind string, days int, annotations map[string]string) report.Secret {
	return report.Secret{Type: kind, Meta: &metav1.ObjectMeta{Namespace: "team", Name: name, CreationTimestamp: ago(days), Annotations: annotations}}
}

func TestReport(t *testing.T) {
	written := ago(3)
	edited := secret("edited-tls", "kubernetes.io/tls", 500, nil)
	edited.Meta.ManagedFields = []metav1.ManagedFieldsEntry{{Time: &written, FieldsV1: &metav1.FieldsV1{Raw: []byte(`{"f:data":{"f:tls.crt":{}}}`)}}}
	cloud := secret("aws", "Opaque", 1, nil)
	cloud.Meta.Labels = map[string]string{"strongkeep.io/class": "cloud", "app.kubernetes.io/part-of": "billing"}
	db := rotation("db", 40, 39, v1alpha1.Target{Database: &v1alpha1.DatabaseTarget{}})
	db.Status.Turn, db.Status.Phase, db.Status.Statement = 7, v1alpha1.PhaseIdle, "evidence/statements/team/db/7"
	// What its last turn published was taken back: it is as old as the turn before.
	back := rotation("back", 1, 45, v1alpha1.Target{Database: &v1alpha1.DatabaseTarget{}})
	back.Status.Turn, back.Status.Phase, back.Status.BackReason, back.Status.Conditions = 4, v1alpha1.PhaseFailed, "ConsumersFailing", nil
	in := report.Input{
		Now: now, Policies: defaults(t),
		Rotations: []v1alpha1.Rotation{
			db, back, rotation("key", 100, 99, v1alpha1.Target{Manual: &v1alpha1.ManualTarget{}}),
			rotation("new", -1, 0, v1alpha1.Target{KV: &v1alpha1.KVTarget{}}),
		},
		ExternalSecrets: []external.ExternalSecret{
			{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "fed"}},
			{ // makes a ConfigMap of that name
				ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "helm"},
				Spec:       external.ExternalSecretSpec{Target: external.ExternalSecretTarget{Manifest: &external.ManifestReference{APIVersion: "v1", Kind: "ConfigMap"}}},
			},
		},
		Secrets: []report.Secret{
			secret("of-db", "kubernetes.io/tls", 400, map[string]string{"strongkeep.io/versions": `{"v:443/secret/data/db":"7"}`}),
			secret("fed", "Opaque", 10, map[string]string{"strongkeep.io/versions": `{"v:443/secret/data/other":"7"}`}),
			secret("token", "kubernetes.io/service-account-token", 200, nil),
			secret("helm", "helm.sh/release.v1", 200, nil), edited, cloud,
		},
	}
	r := report.Make(in)
	var b strings.Builder
	if err := r.Table(&b); err != nil {
		t.Fatal(err)
	}
	want := `
STATE      KIND      NAMESPACE  NAME        CLASS                  OWNER     AGE     MAX  LAST PROOF  LAST TURN     NEXT
Forbidden  Secret    team       aws         cloud                  billing   ≤ 24h   -    -           -             -
Overdue    Rotation  team       new         api-key                payments  ≤ 400d  90d  -           -             -
Overdue    Secret    team       token       service-account-token  -         ≤ 200d  60m  -           -             -
Overdue    Rotation  team       key         api-key                payments  100d    90d  2026-08-14  -             -
Due        Rotation  team       back        database               payments  45d     90d  -           4 RolledBack  -
Due        Rotation  team       db          database               payments  40d     90d  2026-10-13  7 Rotated     -
Fresh      Secret    team       edited-tls  tls                    -         3d      90d  -           -             -
Unlimited  Secret    team       fed         -                      -         ≤ 10d   -    -           -             -
`
	if got := "\n" + b.String(); got != want {
		t.Errorf("table:%s\nwant:%s", got, want)
	}
	if r.States[policy.Overdue] != 3 || r.States[policy.Forbidden] != 1 {
		t.Errorf("%v", r.States)
	}
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{`"credentials":[{"kind":"Secret","namespace":"team","name":"aws"`, `"command":"strongkeep rotation start key -n team"`, `"atMost":true`, `"lastProof":"2026-10-13T12:00:00Z"`, `"fedBy":"fed"`,
		`"lastTurn":7,"lastResult":"Rotated","statement":"evidence/statements/team/db/7"`} {
		if !strings.Contains(string(raw), s) {
			t.Errorf("JSON has no %s: %s", s, raw)
		}
	}
}

// A policy that cannot be meant makes those Unknown whom it is about, and no hole.
func TestUnknown(t *testing.T) {
	p := v1alpha1.RotationPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p"}}
	age := &metav1.Duration{Duration: time.Hour}
	p.Spec.Classes = []v1alpha1.CredentialClass{{Name: "tls", MaxAge: age, Before: age, SecretTypes: []string{"kubernetes.io/tls"}}, {Name: "database", MaxAge: age}, {Name: "api-key", MaxAge: age, Before: age}}
	set, err := policy.Compile([]v1alpha1.RotationPolicy{p})
	if err == nil {
		t.Fatal("a class that is always due was taken")
	}
	r := report.Make(report.Input{Now: now, Policies: set, Rotations: []v1alpha1.Rotation{
		rotation("db", 40, 39, v1alpha1.Target{Database: &v1alpha1.DatabaseTarget{}}),
		rotation("key", 40, 39, v1alpha1.Target{KV: &v1alpha1.KVTarget{}}),
	}, Secrets: []report.Secret{secret("cert", "kubernetes.io/tls", 400, nil)}})
	var got []string
	for _, row := range r.Rows {
		got = append(got, row.Name+" "+string(row.State)+" "+row.Command)
	}
	want := []string{"db Overdue strongkeep rotation start db -n team", "cert Unknown kubectl get rotationpolicies", "key Unknown kubectl get rotationpolicies"}
	if !slices.Equal(got, want) || r.States[policy.Unknown] != 2 {
		t.Errorf("%q, want %q", got, want)
	}
}

func BenchmarkReport(b *testing.B) {
	in := report.Input{Now: now, Policies: defaults(b)}
	for i := range 10_000 {
		switch i % 4 {
		case 0:
			in.Rotations = append(in.Rotations, rotation(fmt.Sprint("r", i), i%200, i%100, v1alpha1.Target{Database: &v1alpha1.DatabaseTarget{}}))
		default:
			in.Secrets = append(in.Secrets, secret(fmt.Sprint("s", i), "kubernetes.io/tls", i%300, map[string]string{"strongkeep.io/versions": `{"v:443/secret/data/x":"7"}`}))
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if len(report.Make(in).Rows) != 10_000 {
			b.Fatal("rows are missing")
		}
	}
}
