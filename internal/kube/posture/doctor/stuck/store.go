package stuck

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	external "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// store is a SecretStore or ClusterSecretStore that is there.
type store struct {
	ref        snapshot.Ref
	spec       *external.SecretStoreSpec
	conditions []external.Condition
}

// used are the stores of the ExternalSecret that are there.
func (x *look) used() []store {
	var out []store
	for _, ref := range gather.Stores(&x.es.Spec) {
		if s, ok := x.find(ref); ok {
			out = append(out, s)
		}
	}
	return out
}

func (x *look) find(ref external.SecretStoreRef) (store, bool) {
	if ref.Kind == external.KindClusterSecretStore {
		for i := range x.ClusterStores {
			if s := &x.ClusterStores[i]; s.Name == ref.Name {
				return store{snapshot.Ref{Group: group, Kind: ref.Kind, Name: s.Name}, &s.Spec, s.Status.Conditions}, true
			}
		}
		return store{}, false
	}
	for i := range x.Stores {
		if s := &x.Stores[i]; s.Name == ref.Name && s.Namespace == x.es.Namespace {
			return store{snapshot.Ref{Group: group, Kind: external.KindSecretStore, Namespace: s.Namespace, Name: s.Name}, &s.Spec, s.Status.Conditions}, true
		}
	}
	return store{}, false
}

// stores is a store that is not there, or not ready.
func (x *look) stores() []doctor.Diagnosis {
	for _, ref := range gather.Stores(&x.es.Spec) {
		if ref.Name == "" {
			continue
		}
		s, there := x.find(ref)
		if !there {
			if x.readStores(ref.Kind) {
				return []doctor.Diagnosis{x.missing(ref)}
			}
			continue
		}
		ready := external.FindCondition(s.conditions, external.ConditionReady)
		if ready == nil || ready.Status == metav1.ConditionTrue {
			continue
		}
		cause, fix, symptom := "it is not ready", check.Fix{Command: "kubectl " + inNamespace(s.ref.Namespace) + check.Command("describe %s %s", s.ref.Kind, s.ref.Name)}, "StoreNotReady"
		if m := meaning(ready.Message); m != nil {
			cause, fix, symptom = m.cause, check.Fix{Text: m.fix}, m.symptom
		}
		d := x.diagnosis(symptom, doctor.Sure, "its store %s is not ready: %s", s.ref.Name, cause)
		d.Add(s.ref, "status.conditions[Ready]", "%s since %s, %s: %s", ready.Status, when(ready.LastTransitionTime), ready.Reason, ready.Message)
		d.Fix = fix
		return []doctor.Diagnosis{d}
	}
	return nil
}

func (x *look) readStores(kind string) bool {
	if kind == external.KindClusterSecretStore {
		return x.Knows("clustersecretstores", "")
	}
	return x.Knows("secretstores", x.es.Namespace)
}

// missing says what may have been meant by a store that is not there: one of
// another kind, of another namespace, of a name like it.
func (x *look) missing(ref external.SecretStoreRef) doctor.Diagnosis {
	kind := external.KindSecretStore
	if ref.Kind == external.KindClusterSecretStore {
		kind = ref.Kind
	}
	d := x.diagnosis("StoreMissing", doctor.Sure, "%s %s does not exist", kind, ref.Name)
	d.Add(Ref(x.es), "spec.secretStoreRef", "it names %s %s", kind, ref.Name)
	patch := func(field, value string) check.Fix {
		text, _ := json.Marshal(map[string]string{field: value}) // texts alone
		return check.Fix{Command: check.Command("kubectl -n %s patch externalsecret %s --type=merge -p %s", x.es.Namespace, x.es.Name, `{"spec":{"secretStoreRef":`+string(text)+`}}`)}
	}
	var names []string
	for i := range x.ClusterStores {
		s := &x.ClusterStores[i]
		if kind == external.KindClusterSecretStore {
			names = append(names, s.Name)
		} else if s.Name == ref.Name {
			d.Add(snapshot.Ref{Group: group, Kind: external.KindClusterSecretStore, Name: s.Name}, "", "there is a ClusterSecretStore of that name")
			d.Fix = patch("kind", external.KindClusterSecretStore)
			return d
		}
	}
	for i := range x.Stores {
		s := &x.Stores[i]
		at := snapshot.Ref{Group: group, Kind: external.KindSecretStore, Namespace: s.Namespace, Name: s.Name}
		switch {
		case s.Namespace == x.es.Namespace && kind == external.KindSecretStore:
			names = append(names, s.Name)
		case s.Name == ref.Name && s.Namespace == x.es.Namespace:
			d.Add(at, "", "there is a SecretStore of that name")
			d.Fix = patch("kind", external.KindSecretStore)
			return d
		case s.Name == ref.Name:
			d.Add(at, "", "there is one in namespace %s, which no other namespace can use", s.Namespace)
		}
	}
	if near := doctor.Near(ref.Name, names); len(near) > 0 {
		d.Add(snapshot.Ref{Group: group, Kind: kind, Namespace: x.es.Namespace, Name: near[0]}, "metadata.name", "the nearest name that there is")
		d.Fix = patch("name", near[0])
		return d
	}
	d.Fix = check.Fix{Text: "create " + kind + " " + ref.Name + ", or correct secretStoreRef"}
	return d
}
