package topics

import (
	"context"
	"fmt"
	"testing"

	"sigs.k8s.io/yaml"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

// Stores: paths has topics that are paths, flat ones that are none, mute none at all,
// and new is not open yet.
func ask(_ context.Context, ref v1.SecretStoreRef, key string) (v1.StoreKey, string, bool) {
	topic := map[string]string{"paths": "secret/data/" + key, "flat": "id of " + key}[ref.Name]
	return v1.StoreKey{Kind: v1.KindSecretStore, Name: ref.Name}, topic, ref.Name != "new"
}

func TestOf(t *testing.T) {
	for name, c := range map[string]struct {
		spec string
		want string
		ok   bool
	}{
		"none":            {"{}", "[] false", true},
		"a secret":        {"secretStoreRef: {name: paths}\ndata: [{secretKey: a, remoteRef: {key: app}}]", "[paths secret/data/app] false", true},
		"no paths":        {"secretStoreRef: {name: flat}\ndataFrom: [{extract: {key: app}}]", "[flat id of app] false", true},
		"no topics":       {"secretStoreRef: {name: mute}\ndata: [{secretKey: a, remoteRef: {key: app}}]", "[] true", true},
		"a search":        {"secretStoreRef: {name: paths}\ndataFrom: [{find: {path: /team/, name: {regexp: x}}}]", "[paths secret/data/team/] true", true},
		"of all":          {"secretStoreRef: {name: paths}\ndataFrom: [{find: {name: {regexp: x}}}]", "[paths secret/data/] true", true},
		"without paths":   {"secretStoreRef: {name: flat}\ndataFrom: [{find: {name: {regexp: x}}}]", "[] true", true},
		"not known yet":   {"secretStoreRef: {name: new}\ndata: [{secretKey: a, remoteRef: {key: app}}]", "", false},
		"search unknown":  {"secretStoreRef: {name: new}\ndataFrom: [{find: {name: {regexp: x}}}]", "", false},
		"of two, one new": {"secretStoreRef: {name: paths}\ndata: [{secretKey: a, remoteRef: {key: app}}, {secretKey: b, remoteRef: {key: app}, sourceRef: {storeRef: {name: new}}}]", "", false},
	} {
		es := &v1.ExternalSecret{}
		if err := yaml.UnmarshalStrict([]byte(c.spec), &es.Spec); err != nil {
			t.Fatal(err)
		}
		got, ok := Of(t.Context(), es, ask)
		var list []string
		for _, w := range got.List {
			list = append(list, w.Store.Name+" "+w.Topic)
		}
		if text := fmt.Sprint(list, " ", got.Unheard); ok != c.ok || ok && text != c.want {
			t.Errorf("%s: %s, %v; want %s", name, text, ok, c.want)
		}
	}
}
