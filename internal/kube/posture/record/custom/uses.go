package custom

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// maxDepth bounds trees.
const maxDepth = 48

// uses finds the references in an object.
type uses struct {
	from snapshot.Ref
	// namespace of what is named without one.
	namespace string
	line      *Kind
	out       []snapshot.Use
	made      []snapshot.Ref
}

// find returns the references of o to Secrets, and the Secrets that it makes.
func find(o *unstructured.Unstructured) ([]snapshot.Use, []snapshot.Ref) {
	kind := o.GroupVersionKind().GroupKind()
	line := byKind[[2]string{kind.Group, kind.Kind}]
	if line == nil {
		line = &Kind{}
	}
	u := &uses{from: refOf(o), namespace: first(o.GetNamespace(), line.Namespace), line: line}
	u.listed(o)
	for _, name := range slices.Sorted(maps.Keys(o.Object)) {
		if name != "metadata" && name != "status" {
			u.walk(name, name, o.Object[name], 0)
		}
	}
	return u.unique(), u.made
}

func refOf(o *unstructured.Unstructured) snapshot.Ref {
	kind := o.GroupVersionKind()
	return snapshot.Ref{Group: kind.Group, Kind: kind.Kind, Namespace: o.GetNamespace(), Name: o.GetName()}
}

// listed takes what the table says.
func (u *uses) listed(o *unstructured.Unstructured) {
	for _, path := range u.line.Names {
		path, only, _ := strings.Cut(path, "?")
		at(o.Object, path, func(field string, v any) {
			if m, ok := v.(map[string]any); ok && only != "" && text(m["kind"]) != only {
				return
			}
			u.add(field, v)
		})
	}
	for _, path := range u.line.Makes {
		if path == "=" {
			if len(u.made) == 0 {
				u.made = append(u.made, snapshot.Ref{Kind: "Secret", Namespace: u.namespace, Name: o.GetName()})
			}
			continue
		}
		at(o.Object, path, func(_ string, v any) { u.makes(v) })
	}
}

// makes notes the Secret that ref names as one that is made.
func (u *uses) makes(ref any) {
	if name, ns, _ := named(ref); name != "" {
		u.made = append(u.made, snapshot.Ref{Kind: "Secret", Namespace: first(ns, u.namespace), Name: name})
	}
}

// walk goes through a tree for fields that name Secrets by how they are called.
func (u *uses) walk(field, key string, tree any, depth int) {
	if depth > maxDepth {
		return
	}
	switch t := tree.(type) {
	case map[string]any:
		if made(key) {
			u.makes(t)
			return
		}
		if referring(key) && kindOf(t) == "Secret" {
			u.add(field, t)
		}
		u.pair(field, t)
		for _, k := range slices.Sorted(maps.Keys(t)) {
			u.walk(field+"."+k, k, t[k], depth+1)
		}
	case []any:
		for i, v := range t {
			u.walk(field+"["+strconv.Itoa(i)+"]", key, v, depth+1)
		}
	case string:
		if naming(key) && t != "" {
			u.add(field, t)
		}
	}
}

// pair takes a StorageClass's way: one field with the name, and one with the namespace.
func (u *uses) pair(field string, m map[string]any) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if base, ok := strings.CutSuffix(k, "-secret-name"); ok && text(m[k]) != "" && !strings.Contains(text(m[k]), "${") {
			u.out = append(u.out, snapshot.Use{From: u.from, Field: field + "[" + k + "]", To: snapshot.Ref{
				Kind: "Secret", Namespace: first(text(m[base+"-secret-namespace"]), u.namespace), Name: text(m[k]),
			}})
		}
	}
}

// made reports whether a field names a Secret that is to be written.
func made(key string) bool {
	return key == "writeConnectionSecretToRef" || key == "connectionSecretRef" || key == "writeOutputsToSecret" || key == "publishConnectionDetailsTo"
}

// naming reports whether a text called key is the name of a Secret.
func naming(key string) bool {
	switch key {
	case "secretName", "secretNames", "existingSecret", "credentialName", "existingSecretName", "credentialsSecretName":
		return true
	}
	return strings.HasSuffix(key, "SecretName") && key != "externalSecretName" && key != "remoteSecretName" || strings.HasSuffix(key, "SecretNames")
}

// referring reports whether an object called key refers to a Secret.
func referring(key string) bool {
	switch key {
	case "secretRef", "secretKeyRef", "secretRefs", "secretKeySelector", "secretReference", "existingSecret", "secretSelector", "imagePullSecrets", "imagePullSecret", "pullSecrets", "pullSecret",
		"credentialsSecret", "credentialSecret", "secretTargetRef":
		return true
	}
	for _, end := range []string{"SecretRef", "SecretKeyRef", "SecretReference", "SecretKeySelector", "SecretSelector", "SecretKey"} {
		if strings.HasSuffix(key, end) {
			return true
		}
	}
	return false
}

// kindOf is the kind that a reference says it is of: a Secret's if nothing else.
func kindOf(m map[string]any) string { return first(text(m["kind"]), "Secret") }

// named is the name in a reference, with its namespace and key.
func named(v any) (name, namespace, key string) {
	switch t := v.(type) {
	case string:
		return t, "", ""
	case map[string]any:
		return first(text(t["name"]), text(t["secretName"])), text(t["namespace"]), text(t["key"])
	}
	return "", "", ""
}

// add adds a reference.
func (u *uses) add(field string, v any) {
	name, namespace, key := named(v)
	if name == "" {
		return
	}
	// Contour's and Istio's way to name one of another namespace.
	if ns, rest, ok := strings.Cut(name, "/"); ok {
		namespace, name = ns, rest
	}
	if _, istext := v.(string); !istext && field != "" {
		field += ".name"
	}
	u.out = append(u.out, snapshot.Use{From: u.from, Field: field, Key: key, To: snapshot.Ref{Kind: "Secret", Namespace: first(namespace, u.namespace), Name: name}})
}

// unique are the references without those to what the object makes itself, each once.
func (u *uses) unique() []snapshot.Use {
	slices.SortStableFunc(u.out, func(a, b snapshot.Use) int { return strings.Compare(trim(a.Field), trim(b.Field)) })
	u.out = slices.CompactFunc(u.out, func(a, b snapshot.Use) bool { return trim(a.Field) == trim(b.Field) && a.To == b.To })
	return slices.DeleteFunc(u.out, func(x snapshot.Use) bool { return slices.Contains(u.made, x.To) })
}

// trim makes one of a reference and the name in it.
func trim(field string) string {
	return strings.TrimSuffix(strings.TrimSuffix(field, ".name"), ".secretName")
}

// at calls f with what is at a path of the table.
func at(tree any, path string, f func(field string, v any)) {
	follow(tree, strings.Split(path, "."), "", f)
}

func follow(tree any, path []string, field string, f func(field string, v any)) {
	if len(path) == 0 {
		if list, ok := tree.([]any); ok {
			for i, v := range list {
				f(field+"["+strconv.Itoa(i)+"]", v)
			}
		} else if tree != nil {
			f(field, tree)
		}
		return
	}
	m, ok := tree.(map[string]any)
	if !ok {
		return
	}
	name, list := strings.CutSuffix(path[0], "[]")
	field = strings.TrimPrefix(field+"."+name, ".")
	if !list {
		follow(m[name], path[1:], field, f)
		return
	}
	all, _ := m[name].([]any)
	for i, v := range all {
		follow(v, path[1:], field+"["+strconv.Itoa(i)+"]", f)
	}
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// textAt is the text at a path; "" if there is none.
func textAt(tree any, path string) string {
	out := ""
	at(tree, path, func(_ string, v any) { out = first(out, text(v)) })
	return out
}

func first(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}
