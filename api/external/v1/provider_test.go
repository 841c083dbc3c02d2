package v1

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What a person wrote survives an operator that does not know it.
func TestUnknownProvidersSurvive(t *testing.T) {
	const in = `{"metadata":{"name":"s"},"spec":{"provider":{"gitlab":{"auth":{"x":[1,2.50]}}}},"status":{}}`
	var s SecretStore
	if err := json.Unmarshal([]byte(in), &s); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(s.DeepCopy())
	if err != nil || !strings.Contains(string(out), `"provider":{"gitlab":{"auth":{"x":[1,2.50]}}}`) {
		t.Errorf("%s, %v", out, err)
	}
	name, raw, err := s.Spec.Provider.One()
	if err != nil || name != "gitlab" || string(raw) != `{"auth":{"x":[1,2.50]}}` {
		t.Errorf("%s %s %v", name, raw, err)
	}
	c := s.DeepCopy()
	c.Spec.Provider.settings["gitlab"][0] = '!'
	if s.Spec.Provider.settings["gitlab"][0] != '{' {
		t.Error("a copy shares its bytes")
	}
}

func TestOne(t *testing.T) {
	for in, want := range map[string]string{`{}`: "names no provider", `{"b":{},"a":{}}`: "names a and b"} {
		var p SecretStoreProvider
		if err := json.Unmarshal([]byte(in), &p); err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.One(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
}

func TestSetCondition(t *testing.T) {
	early, late := metav1.NewTime(time.Unix(1, 0)), metav1.NewTime(time.Unix(2, 0))
	list := SetCondition(nil, Condition{Type: ConditionReady, Status: "False", Message: "a"}, early)
	same := SetCondition(list, Condition{Type: ConditionReady, Status: "False", Message: "b"}, late)
	if c := FindCondition(same, ConditionReady); len(same) != 1 || c.Message != "b" || !c.LastTransitionTime.Equal(&early) {
		t.Errorf("the same status: %+v", same)
	}
	other := SetCondition(same, Condition{Type: ConditionReady, Status: "True"}, late)
	if c := FindCondition(other, ConditionReady); !c.LastTransitionTime.Equal(&late) || !IsReady(other) || IsReady(list) {
		t.Errorf("another status: %+v", other)
	}
	if list[0].Message != "a" {
		t.Error("the argument was changed")
	}
}

func TestStoreKeys(t *testing.T) {
	if k := KeyFor(SecretStoreRef{Name: "s"}, "team"); k != (StoreKey{KindSecretStore, "team", "s"}) || k.String() != `SecretStore "team/s"` {
		t.Error(k)
	}
	if k := KeyFor(SecretStoreRef{Name: "s", Kind: KindClusterSecretStore}, "team"); k != (StoreKey{KindClusterSecretStore, "", "s"}) || k.String() != `ClusterSecretStore "s"` {
		t.Error(k)
	}
}
