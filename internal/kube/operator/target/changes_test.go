package target

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const where = "vault:8200/database/alternating-creds/app"

func data(host, user, password string) map[string][]byte {
	return map[string][]byte{"host": []byte(host), "username": []byte(user), "password": []byte(password)}
}

// written is the Secret as a write leaves it, over live.
func written(t *testing.T, live *corev1.Secret, sure, merge bool, versions map[string]string, values map[string][]byte) *corev1.Secret {
	t.Helper()
	s := &Secret{Manager: ManagerPrefix + "es", Merge: merge, Data: values, Annotations: map[string]string{}}
	text, ok := FormatVersions(versions)
	if !ok {
		t.Fatal("too long")
	}
	s.SetVersions(text)
	s.SetChanges(s.NextChanges(live, sure))
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Annotations: s.Annotations}, Data: values}
}

// What a version changed is told by its key, once, and kept until the next.
func TestChanges(t *testing.T) {
	at := func(v string) map[string]string { return map[string]string{where: v} }
	first := written(t, nil, false, false, at("6"), data("db.example", "a", "canary-6"))
	for _, merge := range []bool{false, true} {
		first := written(t, nil, false, merge, at("6"), data("db.example", "a", "canary-6"))
		if c := Changes(first.Annotations)[where]; c.Version != "6" || !c.Unsure || c.Keys != nil {
			t.Errorf("made anew: %+v", c)
		}
		next := written(t, first, true, merge, at("7"), data("db.example", "a", "canary-7"))
		if c := Changes(next.Annotations)[where]; c.Version != "7" || c.Unsure || !slices.Equal(c.Keys, []string{"password"}) {
			t.Errorf("one key: %+v", c)
		}
		// Written again at the same version, whatever else changes: what was said stays.
		again := written(t, next, true, merge, at("7"), data("other.example", "b", "canary-7"))
		if c := Changes(again.Annotations)[where]; !slices.Equal(c.Keys, []string{"password"}) {
			t.Errorf("written again: %+v", c)
		}
		for _, text := range next.Annotations {
			if strings.Contains(text, "canary") || strings.Contains(text, "db.example") {
				t.Errorf("a value is in %s", text)
			}
		}
	}
	for name, c := range map[string]struct {
		live   *corev1.Secret
		sure   bool
		values map[string][]byte
		want   Change
	}{
		"nothing":          {first, true, data("db.example", "a", "canary-6"), Change{Version: "7"}},
		"all":              {first, true, data("x", "b", "c"), Change{Version: "7", Keys: []string{"host", "password", "username"}}},
		"a key is new":     {first, true, map[string][]byte{"dsn": []byte("x"), "host": []byte("db.example")}, Change{Version: "7", Keys: []string{"dsn"}}},
		"edited by hand":   {first, false, data("db.example", "a", "canary-7"), Change{Version: "7", Unsure: true}},
		"there was none":   {nil, true, data("db.example", "a", "canary-7"), Change{Version: "7", Unsure: true}},
		"by another owner": {&corev1.Secret{Data: data("db.example", "a", "canary-6")}, true, data("db.example", "a", "canary-7"), Change{Version: "7", Keys: []string{"password"}}},
	} {
		got := Changes(written(t, c.live, c.sure, false, at("7"), c.values).Annotations)[where]
		if got.Version != c.want.Version || got.Unsure != c.want.Unsure || !slices.Equal(got.Keys, c.want.Keys) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
	// Another location's version comes: what was said of this one stays as it was.
	both := map[string]string{where: "6", "vault:8200/secret/data/x": "2"}
	if got := Changes(written(t, first, true, false, both, data("db.example", "a", "canary-6")).Annotations); !got[where].Unsure || got["vault:8200/secret/data/x"].Version != "2" || got["vault:8200/secret/data/x"].Unsure {
		t.Errorf("%+v", got)
	}
}

// A Secret of an older operator says nothing, and a write at the same version adds
// nothing to that.
func TestChangesOfOlderOperator(t *testing.T) {
	old := written(t, nil, false, false, map[string]string{where: "6"}, data("h", "a", "6"))
	delete(old.Annotations, AnnotationChanged)
	again := written(t, old, true, false, map[string]string{where: "6"}, data("h", "a", "7"))
	if len(Changes(again.Annotations)) != 0 {
		t.Errorf("%v", again.Annotations)
	}
	for _, bad := range []string{"", "x", "[]", `{"a":1}`, `{"a":{"version":7}}`} {
		if got := Changes(map[string]string{AnnotationChanged: bad}); len(got) != 0 {
			t.Errorf("%s: %v", bad, got)
		}
	}
}

// Two who merge into one Secret say each their own.
func TestChangesOfSeveral(t *testing.T) {
	one := `{"x":{"version":"7","keys":["b","a"]}}`
	for text, want := range map[string]Change{
		`{"x":{"version":"7","keys":["c"]}}`:  {Version: "7", Keys: []string{"a", "b", "c"}},
		`{"x":{"version":"7","unsure":true}}`: {Version: "7", Keys: []string{"a", "b"}, Unsure: true},
		`{"x":{"version":"6","keys":["c"]}}`:  {},
		`{"y":{"version":"6","keys":["c"]}}`:  {Version: "7", Keys: []string{"a", "b"}},
	} {
		got := Changes(map[string]string{changedOfMerge + "a": one, changedOfMerge + "b": text})["x"]
		if got.Version != want.Version || got.Unsure != want.Unsure || !slices.Equal(got.Keys, want.Keys) {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
	s := &Secret{}
	s.AddMetadata(nil, map[string]string{AnnotationChanged: "x", changedOfMerge + "a": "x", "own": "y"})
	if !maps.Equal(s.Annotations, map[string]string{"own": "y"}) {
		t.Errorf("a user says what changed: %v", s.Annotations)
	}
}

func FuzzChanges(f *testing.F) {
	f.Add(`{"x":{"version":"7","keys":["b","a"]}}`, `{"x":{"version":"6","unsure":true}}`)
	f.Add(`{"x":null}`, `[]`)
	f.Fuzz(func(t *testing.T, a, b string) {
		for location, c := range Changes(map[string]string{AnnotationChanged: a, changedOfMerge + "b": b}) {
			if !slices.IsSorted(c.Keys) {
				t.Errorf("%s: %v", location, c.Keys)
			}
		}
	})
}
