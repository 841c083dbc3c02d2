package manifest

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// fields are parts of an object by where they are: the steps of managedFields,
// each with a zero byte behind it, which is in no name.
type fields map[string]any

const absent = "absent" // of what is owned and not there; a string is quoted, so it is none

// content returns the MAC of fields, for a mark.
func (f fields) content(k target.Key, u *unstructured.Unstructured) string {
	data := make(map[string][]byte, len(f))
	for at, v := range f {
		raw, err := json.Marshal(v)
		if err != nil || v == absent {
			raw = []byte(absent)
		}
		data[at] = raw
	}
	return k.Digest("manifest/"+u.GetAPIVersion()+"/"+u.GetKind()+"/"+u.GetNamespace()+"/"+u.GetName(), data)
}

// owned returns the fields of u that manager applied, without the mark itself. Of
// metadata they are the labels and annotations. With whole, everything in data and
// binaryData is among them, whoever set it.
func owned(u *unstructured.Unstructured, manager string, whole bool) fields {
	out := fields{}
	for _, entry := range u.GetManagedFields() {
		if entry.Manager != manager || entry.Operation != metav1.ManagedFieldsOperationApply || entry.Subresource != "" || entry.FieldsV1 == nil {
			continue
		}
		out.add(u, entry.FieldsV1.GetRawBytes())
	}
	if whole {
		for _, field := range []string{"data", "binaryData"} {
			values, _ := u.Object[field].(map[string]any)
			for key, v := range values {
				out[end("f:"+field)+end("f:"+key)] = v
			}
		}
	}
	delete(out, end("f:metadata")+end("f:annotations")+end("f:"+target.AnnotationMark))
	return out
}

// add adds what set says of u.
func (f fields) add(u *unstructured.Unstructured, set []byte) {
	var parts, metadata map[string]json.RawMessage
	if json.Unmarshal(set, &parts) != nil {
		return
	}
	if json.Unmarshal(parts["f:metadata"], &metadata) == nil {
		of, _ := u.Object["metadata"].(map[string]any)
		for _, name := range []string{"f:labels", "f:annotations"} {
			if sub, ok := metadata[name]; ok {
				f.step(end("f:metadata"), of, name, sub)
			}
		}
	}
	delete(parts, "f:metadata")
	for name, sub := range parts {
		f.step("", u.Object, name, sub)
	}
}

// end closes a step.
func end(s string) string { return s + "\x00" }

// walk adds what of value the set says is owned. An empty set, or one of "." alone,
// owns all that is there.
func (f fields) walk(at string, value any, set json.RawMessage) {
	var subs map[string]json.RawMessage
	if json.Unmarshal(set, &subs) != nil {
		return
	}
	delete(subs, ".")
	if len(subs) == 0 {
		f.leaf(at, value)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(subs)) {
		f.step(at, value, name, subs[name])
	}
}

// step adds what is owned below one step from value.
func (f fields) step(at string, value any, name string, set json.RawMessage) {
	at += end(name)
	if child := descend(value, name); child != nil {
		f.walk(at, child, set)
		return
	}
	f.leaf(at, nil)
}

func (f fields) leaf(at string, value any) {
	if value == nil {
		value = absent
	}
	f[at] = value
}

// descend returns what a step of managedFields leads to, nil where there is nothing.
func descend(value any, name string) any {
	kind, rest, _ := strings.Cut(name, ":")
	items, _ := value.([]any)
	switch kind {
	case "f":
		object, _ := value.(map[string]any)
		return object[rest]
	case "i":
		if i, err := strconv.Atoi(rest); err == nil && i >= 0 && i < len(items) {
			return items[i]
		}
	case "k", "v":
		for _, item := range items {
			if matches(item, kind, rest) {
				return item
			}
		}
	}
	return nil
}

// matches reports whether an item of a list has the keys, or is the value, of a step.
func matches(item any, kind, text string) bool {
	if kind == "v" {
		raw, err := json.Marshal(item)
		return err == nil && string(raw) == text
	}
	var keys map[string]json.RawMessage
	object, ok := item.(map[string]any)
	if !ok || json.Unmarshal([]byte(text), &keys) != nil {
		return false
	}
	for key, want := range keys {
		raw, err := json.Marshal(object[key])
		if err != nil || string(raw) != string(want) {
			return false
		}
	}
	return true
}

// ofConfigMap returns the fields that a ConfigMap will have once body is applied:
// the API server takes them as they are, so that nothing need be asked.
func ofConfigMap(body map[string]any) fields {
	out := fields{}
	add := func(at string, values any) {
		object, _ := values.(map[string]any)
		for key, v := range object {
			out[at+end("f:"+key)] = v
		}
	}
	add(end("f:data"), body["data"])
	add(end("f:binaryData"), body["binaryData"])
	metadata, _ := body["metadata"].(map[string]any)
	add(end("f:metadata")+end("f:labels"), metadata["labels"])
	add(end("f:metadata")+end("f:annotations"), metadata["annotations"])
	if v, ok := body["immutable"]; ok {
		out[end("f:immutable")] = v
	}
	delete(out, end("f:metadata")+end("f:annotations")+end("f:"+target.AnnotationMark))
	return out
}
