package drill

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

func feeder(change func(es *v1.ExternalSecret)) v1.ExternalSecret {
	es := v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "db"}}
	es.Status.Conditions = []v1.Condition{{Type: v1.ConditionReady, Status: metav1.ConditionTrue}}
	if change != nil {
		change(&es)
	}
	return es
}

// A drill shows nothing on what does not work without it, and is not begun where
// it could not be undone.
func TestUnfit(t *testing.T) {
	wrong := v1alpha1.DrillCredentialRefused
	for name, c := range map[string]struct {
		failure v1alpha1.DrillFailure
		phase   v1alpha1.DrillPhase
		change  func(es *v1.ExternalSecret)
		want    string
	}{
		"fit":                  {wrong, "", nil, ""},
		"not ready":            {v1alpha1.DrillStoreAway, "", func(es *v1.ExternalSecret) { es.Status.Conditions = nil }, "NotReady"},
		"not ready, by itself": {v1alpha1.DrillStoreAway, v1alpha1.DrillRunning, func(es *v1.ExternalSecret) { es.Status.Conditions = nil }, ""},
		"once":                 {v1alpha1.DrillStoreAway, "", func(es *v1.ExternalSecret) { es.Spec.RefreshPolicy = v1.RefreshCreatedOnce }, "NotRestorable"},
		"once, later":          {wrong, v1alpha1.DrillRunning, func(es *v1.ExternalSecret) { es.Spec.RefreshPolicy = v1.RefreshCreatedOnce }, "NotRestorable"},
		"merge":                {wrong, "", func(es *v1.ExternalSecret) { es.Spec.Target.CreationPolicy = v1.CreateMerge }, "NotRestorable"},
		"merge, store away":    {v1alpha1.DrillStoreAway, "", func(es *v1.ExternalSecret) { es.Spec.Target.CreationPolicy = v1.CreateMerge }, ""},
		"immutable":            {wrong, "", func(es *v1.ExternalSecret) { es.Spec.Target.Immutable = true }, "NotRestorable"},
		"no Secret": {wrong, "", func(es *v1.ExternalSecret) {
			es.Spec.Target.Manifest = &v1.ManifestReference{APIVersion: "v1", Kind: "ConfigMap"}
		}, "NotRestorable"},
		"orphan": {wrong, "", func(es *v1.ExternalSecret) { es.Spec.Target.CreationPolicy = v1.CreateOrphan }, ""},
	} {
		d := drillIn(c.phase)
		d.Spec.Failure = c.failure
		if got := unfit(d, []v1.ExternalSecret{feeder(nil), feeder(c.change)}); got.reason != c.want || (got.message == "") != (c.want == "") {
			t.Errorf("%s: %+v, want %s", name, got, c.want)
		}
	}
}

func TestInTemplates(t *testing.T) {
	secrets := []v1alpha1.DrilledSecret{{Name: "db", Secret: "db-secret"}}
	from := func(name string) v1.ExternalSecret {
		return feeder(func(es *v1.ExternalSecret) {
			es.Spec.Target.Template = &v1.ExternalSecretTemplate{TemplateFrom: []v1.TemplateFrom{{}, {Secret: &v1.TemplateRef{Name: name}}}}
		})
	}
	for name, want := range map[string]string{"db-secret": "SharedSecret", "db": ""} {
		if got := inTemplates(secrets, []v1.ExternalSecret{feeder(nil), from(name)}); got.reason != want {
			t.Errorf("%s: %+v, want %s", name, got, want)
		}
	}
}

// Wherever in a store's settings an object is named, it counts.
func TestStoreNames(t *testing.T) {
	for settings, want := range map[string]bool{
		`{"auth":{"tokenSecretRef":{"name":"db","key":"t"}}}`:             true,
		`{"list":[{"deep":{"name":"db"}}]}`:                               true,
		`{"path":"db","auth":{"tokenSecretRef":{"name":"x","key":"db"}}}`: false,
		`{}`: false,
	} {
		provider, err := v1.NewProvider("vault", rawJSON(settings))
		if err != nil {
			t.Fatal(err)
		}
		store := &v1.SecretStore{}
		store.Spec.Provider = provider
		if got := names(store, "db"); got != want {
			t.Errorf("%s: %v", settings, got)
		}
	}
}

type rawJSON string

func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }

// A Rotation concerns a drill by the names in its spec, in its own namespace.
func TestConcerns(t *testing.T) {
	d := drillIn("")
	feeders := []v1.ExternalSecret{feeder(func(es *v1.ExternalSecret) { es.Spec.Target.Name = "db-secret" })}
	for name, c := range map[string]struct {
		namespace string
		consumers v1alpha1.Consumers
		want      bool
	}{
		"nothing":              {"shop", v1alpha1.Consumers{}, false},
		"the workload":         {"shop", v1alpha1.Consumers{Workloads: []v1alpha1.WorkloadRef{{Kind: "Deployment", Name: "web"}}}, true},
		"another kind":         {"shop", v1alpha1.Consumers{Workloads: []v1alpha1.WorkloadRef{{Kind: "StatefulSet", Name: "web"}}}, false},
		"the Secret":           {"shop", v1alpha1.Consumers{Secrets: []v1alpha1.SecretRef{{Name: "db-secret"}}}, true},
		"another namespace":    {"other", v1alpha1.Consumers{Secrets: []v1alpha1.SecretRef{{Name: "db-secret"}}}, false},
		"the ExternalSecret's": {"shop", v1alpha1.Consumers{Secrets: []v1alpha1.SecretRef{{Name: "db"}}}, false},
	} {
		rot := &v1alpha1.Rotation{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace}, Spec: v1alpha1.RotationSpec{Consumers: c.consumers}}
		if got := concerns(rot, d, feeders); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
