package record

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/looks"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Maker makes records. The zero Maker makes them without any Values. It may be
// used by any number of goroutines.
type Maker struct {
	// Key of the fingerprints; nil: no value is looked at.
	Key *fingerprint.Key
}

// value is what is kept of raw, which is known by the name key.
func (m *Maker) value(field, key string, raw []byte) snapshot.Value {
	v := snapshot.Value{Field: field, Size: len(raw)}
	v.Prints = m.Key.Read(key, raw, func(where, key string, part []byte) bool {
		l := looks.Of(key, part)
		if (where == "" || l.Sensitive()) && looks.Rank(l) > looks.Rank(v.Looks) {
			v.Looks, v.Part = l, where
		}
		return l.Sensitive()
	})
	return v
}

// telling appends v, unless nothing that it says is of use.
func telling(to []snapshot.Value, v snapshot.Value) []snapshot.Value {
	if len(v.Prints) == 0 && !v.Looks.Sensitive() {
		return to
	}
	return append(to, v)
}

// shown is a key as it may be shown.
func shown(key string) string {
	if looks.Key(key) {
		return "*"
	}
	return key
}

// Meta is what is kept of the metadata of o, without the values in annotations.
func Meta(o metav1.Object) snapshot.Meta {
	out := snapshot.Meta{
		Namespace: o.GetNamespace(), Name: o.GetName(), UID: string(o.GetUID()), Labels: labels(o.GetLabels()),
	}
	if t := o.GetCreationTimestamp(); !t.IsZero() {
		out.Created = t.UTC()
	}
	out.Annotations = Annotations(o.GetAnnotations())
	for _, r := range o.GetOwnerReferences() {
		group, _, ok := strings.Cut(r.APIVersion, "/")
		if !ok {
			group = ""
		}
		out.Owners = append(out.Owners, snapshot.Owner{
			Ref: snapshot.Ref{Group: group, Kind: r.Kind, Namespace: o.GetNamespace(), Name: r.Name}, UID: string(r.UID), Controller: r.Controller != nil && *r.Controller,
		})
	}
	out.Writers = writers(o.GetManagedFields())
	return out
}

// labels are those of an object, but for what no label should be.
func labels(all map[string]string) map[string]string {
	for _, v := range all {
		if looks.Key(v) {
			out := maps.Clone(all)
			maps.DeleteFunc(out, func(_, v string) bool { return looks.Key(v) })
			return out
		}
	}
	return all
}

// join makes one value of what was found in it. The fields become places in it.
func join(field string, size int, parts []snapshot.Value) snapshot.Value {
	out := snapshot.Value{Field: field, Size: size}
	for i := range parts {
		p := &parts[i]
		for _, print := range p.Prints {
			print.Where = p.Field + print.Where
			out.Prints = append(out.Prints, print)
		}
		if looks.Rank(p.Looks) > looks.Rank(out.Looks) {
			out.Looks, out.Part = p.Looks, p.Field+p.Part
		}
	}
	return out
}

// writers are those that managedFields name, the newest last.
func writers(entries []metav1.ManagedFieldsEntry) []snapshot.Writer {
	var out []snapshot.Writer
	for i := range entries {
		e := &entries[i]
		w := snapshot.Writer{Manager: e.Manager, Operation: string(e.Operation)}
		if e.Time != nil {
			w.Time = e.Time.UTC()
		}
		w.Content = e.Subresource != "status" && e.FieldsV1 != nil && content(e.FieldsV1.GetRawBytes())
		out = append(out, w)
	}
	slices.SortStableFunc(out, func(a, b snapshot.Writer) int { return a.Time.Compare(b.Time) })
	return out
}

// content reports whether fields are of what an object is about. Below metadata
// no field of these names has fields of its own.
func content(fields []byte) bool {
	for _, f := range []string{`"f:data":{"`, `"f:stringData":{"`, `"f:binaryData":{"`, `"f:spec":{"`} {
		if bytes.Contains(fields, []byte(f)) {
			return true
		}
	}
	return false
}
