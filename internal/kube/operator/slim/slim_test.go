package slim

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

const example = `
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata:
  name: app
  namespace: team
  labels: {team: payments, digest: "00000000000000000000000000000000000000000"}
  annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}", force-sync: "1"}
  ownerReferences: [{apiVersion: external-secrets.io/v1, kind: ClusterExternalSecret, name: app, uid: u}]
  managedFields: [{manager: kubectl, operation: Apply}]
spec:
  refreshPolicy: Periodic
  secretStoreRef: {name: vault, kind: SecretStore}
  target: {creationPolicy: Owner, deletionPolicy: Retain}
  data: [{secretKey: password, remoteRef: {key: app, property: password, conversionStrategy: Default, decodingStrategy: None, metadataPolicy: None}}]
status:
  binding: {name: app}
  syncedResourceVersion: 1-x
  conditions: [{type: Ready, status: "True", reason: SecretSynced, message: secret synced, lastTransitionTime: "2026-01-01T00:00:00Z"}]
`

func read(t *testing.T) *v1.ExternalSecret {
	t.Helper()
	es := &v1.ExternalSecret{}
	if err := yaml.UnmarshalStrict([]byte(example), es); err != nil {
		t.Fatal(err)
	}
	return es
}

// All of an ExternalSecret stays but the managed fields: its annotations too, which are
// part of what its status says it was synced for.
func TestExternalSecret(t *testing.T) {
	var c Cache
	want := read(t)
	want.ManagedFields = nil
	es := read(t)
	for range 2 {
		if _, err := c.Object(es); err != nil || !reflect.DeepEqual(es, want) {
			t.Errorf("%+v, %v; want %+v", es, err, want)
		}
	}
}

// Words that objects have in common are there once, what is each one's own is not
// remembered.
func TestShared(t *testing.T) {
	var c Cache
	objects := []*v1.ExternalSecret{read(t), read(t)}
	for _, es := range objects {
		if _, err := c.Object(es); err != nil {
			t.Fatal(err)
		}
	}
	words := func(es *v1.ExternalSecret) []string {
		s, r, q := &es.Spec, es.Spec.Data[0].RemoteRef, es.Status.Conditions[0]
		out := []string{
			es.Namespace, es.Kind, es.APIVersion, es.Labels["team"], s.SecretStoreRef.Name, s.SecretStoreRef.Kind, string(s.RefreshPolicy),
			string(s.Target.CreationPolicy), string(s.Target.DeletionPolicy), string(r.ConversionStrategy), string(r.DecodingStrategy),
			string(r.MetadataPolicy), r.Property, s.Data[0].SecretKey, string(q.Type), string(q.Status), q.Reason, q.Message, es.OwnerReferences[0].Kind, es.OwnerReferences[0].APIVersion,
		}
		for key := range es.Annotations {
			if strings.HasPrefix(key, "force") {
				out = append(out, key)
			}
		}
		for key := range es.Labels {
			if key == "team" {
				out = append(out, key)
			}
		}
		return out
	}
	other := words(objects[1])
	for i, word := range words(objects[0]) {
		if word == "" || unsafe.StringData(word) != unsafe.StringData(other[i]) {
			t.Errorf("%q is there twice", word)
		}
	}
	for _, own := range []string{"app", "u", "1-x", objects[0].Labels["digest"]} {
		if _, ok := c.words.all[own]; ok {
			t.Errorf("%q is remembered", own)
		}
	}
	for what, s := range map[string]string{"owner": objects[0].OwnerReferences[0].Name, "binding": objects[0].Status.Binding.Name} {
		if unsafe.StringData(s) != unsafe.StringData(objects[0].Name) {
			t.Errorf("the name of the %s is a copy of the object's own", what)
		}
	}
}

// However many words there are, what is remembered of them is bounded.
func TestBounded(t *testing.T) {
	var w words
	for i := range 2 * mostWords {
		if s := strconv.Itoa(i); w.one(s) != s {
			t.Fatal(s)
		}
	}
	if long := strings.Repeat("x", longestWord+1); w.one(long) != long || len(w.all) != mostWords {
		t.Errorf("%d words", len(w.all))
	}
}

// Of a Secret's metadata stays what says whose it is.
func TestMetadata(t *testing.T) {
	var c Cache
	m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: "team", Name: "app", Labels: map[string]string{target.LabelManaged: "true"}, Annotations: map[string]string{"a": "b"},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}, {Manager: target.Manager("app"), FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{"f:` + target.LabelManaged + `":{}}}}`)}},
	}}
	if _, err := c.Object(m); err != nil {
		t.Fatal(err)
	}
	want := []metav1.ManagedFieldsEntry{{Manager: target.Manager("app")}}
	if !reflect.DeepEqual(m.ManagedFields, want) || m.Labels[target.LabelManaged] != "true" || m.Annotations["a"] != "b" {
		t.Errorf("%+v", m)
	}
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{ManagedFields: want}}
	if _, err := c.Object(s); err != nil || s.ManagedFields != nil {
		t.Errorf("%+v, %v", s, err)
	}
	if o, err := c.Object("no object"); o != "no object" || err != nil {
		t.Error(o, err)
	}
}
