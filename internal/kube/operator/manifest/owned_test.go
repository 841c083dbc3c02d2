package manifest

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

var noMark target.Mark

// live is an object as the API server has it, with what manager "ours" owns.
func live(t testing.TB, object, owns string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal([]byte(object), &u.Object); err != nil {
		t.Fatal(err)
	}
	u.SetManagedFields([]metav1.ManagedFieldsEntry{
		{Manager: "theirs", Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:size":{}}}`)},
		{Manager: "ours", Operation: metav1.ManagedFieldsOperationUpdate, FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:size":{}}}`)},
		{Manager: "ours", Operation: metav1.ManagedFieldsOperationApply, Subresource: "status", FieldsV1: metav1.NewFieldsV1(`{"f:status":{}}`)},
		{Manager: "ours", Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(owns)},
	})
	return u
}

const (
	gadget = `{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"g","namespace":"a","labels":{"ours/x":"1","theirs":"1"},
		"annotations":{"reconcile.external-secrets.io/data-hash":"v1.a.b.c","note":"n"},"finalizers":["f"]},
		"spec":{"size":3,"mode":"fast","named":[{"name":"b","value":"y","weight":1},{"name":"a","value":"x","weight":1}],"set":["p","q"],"atomic":[{"v":1}]},"status":{"ready":true}}`
	owns = `{"f:metadata":{"f:labels":{".":{},"f:ours/x":{}},"f:annotations":{"f:reconcile.external-secrets.io/data-hash":{},"f:note":{}},"f:finalizers":{"v:\"f\"":{}}},
		"f:spec":{"f:named":{"k:{\"name\":\"a\"}":{".":{},"f:name":{},"f:value":{}}},"f:set":{"v:\"q\"":{}},"f:atomic":{}}}`
)

// What is ours is what managed fields say: not defaults, not what others set, not
// the mark, not the status.
func TestOwned(t *testing.T) {
	got := owned(live(t, gadget, owns), "ours", false)
	readable := slices.Sorted(maps.Keys(got))
	for i := range readable {
		readable[i] = strings.ReplaceAll(readable[i], "\x00", "/")
	}
	want := []string{
		`f:metadata/f:annotations/f:note/`, `f:metadata/f:labels/f:ours/x/`, `f:spec/f:atomic/`,
		`f:spec/f:named/k:{"name":"a"}/f:name/`, `f:spec/f:named/k:{"name":"a"}/f:value/`, `f:spec/f:set/v:"q"/`,
	}
	slices.Sort(want)
	if !slices.Equal(readable, want) {
		t.Errorf("%q, want %q", readable, want)
	}
}

// Each change of what is ours changes the mark, and no other change does.
func TestContent(t *testing.T) {
	key, err := target.NewKey(bytes.Repeat([]byte{7}, target.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	mark := func(object string) string {
		u := live(t, object, owns)
		return owned(u, "ours", false).content(key, u)
	}
	was := mark(gadget)
	for name, c := range map[string]struct {
		old, new string
		same     bool
	}{
		"value":            {`"value":"x"`, `"value":"z"`, false},
		"value is gone":    {`"value":"x",`, ``, false},
		"value is absent":  {`"value":"x"`, `"value":"absent"`, false},
		"item is gone":     {`,{"name":"a","value":"x","weight":1}`, ``, false},
		"member of set":    {`"q"]`, `"r"]`, false},
		"atomic list":      {`{"v":1}`, `{"v":1,"w":2}`, false},
		"label":            {`"ours/x":"1"`, `"ours/x":"2"`, false},
		"spec is a text":   {`"named":[`, `"named":7,"other":[`, false},
		"the name":         {`"name":"g"`, `"name":"h"`, false},
		"default":          {`"mode":"fast"`, `"mode":"slow"`, true},
		"theirs":           {`"size":3`, `"size":4`, true},
		"their label":      {`"theirs":"1"`, `"theirs":"2"`, true},
		"their item":       {`"value":"y"`, `"value":"z"`, true},
		"order":            {`"set":["p","q"]`, `"set":["q","p"]`, true},
		"the mark":         {"v1.a.b.c", "v1.x.b.c", true},
		"status":           {`"ready":true`, `"ready":false`, true},
		"weight, a filler": {`"value":"x","weight":1`, `"value":"x","weight":2`, true},
	} {
		changed := strings.Replace(gadget, c.old, c.new, 1)
		if changed == gadget {
			t.Fatalf("%s changes nothing", name)
		}
		if (mark(changed) == was) != c.same {
			t.Errorf("%s: the mark is the same: %v", name, !c.same)
		}
	}
}

// What a ConfigMap will hold has the mark that it has then; keys that others put
// there are drift.
func TestContentOfConfigMap(t *testing.T) {
	key, err := target.NewKey(bytes.Repeat([]byte{7}, target.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	const object = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c","namespace":"a","labels":{"x":"1"},"annotations":{"reconcile.external-secrets.io/data-hash":"v1.a.b.c","n":"1"}},"data":{"k":"v"},"binaryData":{"b":"//4="},"immutable":true}`
	body := map[string]any{}
	if err := json.Unmarshal([]byte(object), &body); err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{Object: body}
	want := ofConfigMap(body).content(key, u)
	owns := `{"f:metadata":{"f:labels":{"f:x":{}},"f:annotations":{"f:reconcile.external-secrets.io/data-hash":{},"f:n":{}}},"f:data":{"f:k":{}},"f:binaryData":{"f:b":{}},"f:immutable":{}}`
	for name, c := range map[string]struct {
		old, new string
		same     bool
	}{
		"as written":  {"", "", true},
		"foreign key": {`"k":"v"`, `"k":"v","mine":"x"`, false},
		"foreign tag": {`"x":"1"`, `"x":"1","theirs":"2"`, true},
		"value":       {`"k":"v"`, `"k":"w"`, false},
		"bytes":       {`//4=`, `//8=`, false},
	} {
		l := live(t, strings.Replace(object, c.old, c.new, 1), owns)
		if got := owned(l, "ours", true).content(key, l); (got == want) != c.same {
			t.Errorf("%s: the mark is the same: %v", name, !c.same)
		}
	}
}

// Managed fields are what the API server says, and whatever they are nothing breaks.
func FuzzOwned(f *testing.F) {
	f.Add(gadget, owns)
	f.Add(`{"data":{"a":"b"}}`, `{"f:data":{".":{},"f:a":{},"i:3":{},"k:x":{},"v:":{},"":{}}}`)
	f.Add(`{"metadata":7}`, `{"f:metadata":{"f:labels":{"f:x":{}}}}`)
	f.Add(`{"l":[[1],[2]]}`, `{"f:l":{"i:1":{"i:0":{}},"i:-1":{}}}`)
	f.Fuzz(func(t *testing.T, object, owns string) {
		u := &unstructured.Unstructured{}
		if json.Unmarshal([]byte(object), &u.Object) != nil || u.Object == nil || !json.Valid([]byte(owns)) {
			return
		}
		entry := metav1.ManagedFieldsEntry{Manager: "ours", Operation: metav1.ManagedFieldsOperationApply, FieldsV1: metav1.NewFieldsV1(owns)}
		if _, ok := u.Object["metadata"].(map[string]any); !ok {
			u.Object["metadata"] = map[string]any{}
		}
		u.SetManagedFields([]metav1.ManagedFieldsEntry{entry})
		a, b := owned(u, "ours", true), owned(u, "ours", true)
		if !maps.EqualFunc(a, b, func(x, y any) bool { m, _ := json.Marshal(x); n, _ := json.Marshal(y); return bytes.Equal(m, n) }) {
			t.Fatal("two looks differ")
		}
	})
}
